//! How makers differ, as data. A rule is chosen by what the BMC says about its
//! maker and product; the first that matches holds. Repairs of malformed documents
//! are not here: `nv-redfish` brings those.

use serde_json::Value;

/// One way to restart a machine: the reset types to send, in this order. After
/// `ForceOff` the machine is waited for until it reads back as off.
pub(crate) type Cycle = &'static [&'static str];

/// The differences of one maker or product.
#[derive(Debug)]
pub(crate) struct Quirks {
    /// Part of the maker's name, lower case; empty matches all.
    maker: &'static str,
    /// Part of the product's name, lower case; empty matches all.
    product: &'static str,
    /// Ways to restart, best first.
    pub(crate) cycles: &'static [Cycle],
    /// The serial number of the chassis, as SMBIOS has it, is in `SKU`.
    pub(crate) serial_is_sku: bool,
    /// Requests to insert an image, best first.
    pub(crate) inserts: &'static [Insert],
}

/// How much is said when an image is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insert {
    /// The image, that it is to be inserted, and that it is read-only.
    Full,
    /// The image alone: the rest is the default (DSP0268, VirtualMedia).
    ImageOnly,
    /// The image, and by which protocol and method it is fetched.
    WithProtocol,
}

const RESTART_FIRST: &[Cycle] = &[&["ForceRestart"], &["PowerCycle"], &["ForceOff", "On"]];
const CYCLE_FIRST: &[Cycle] = &[&["PowerCycle"], &["ForceRestart"], &["ForceOff", "On"]];
const OFF_AND_ON: &[Cycle] = &[&["ForceOff", "On"], &["PowerCycle"], &["ForceRestart"]];
const FULL_FIRST: &[Insert] = &[Insert::Full, Insert::ImageOnly, Insert::WithProtocol];
const IMAGE_FIRST: &[Insert] = &[Insert::ImageOnly, Insert::Full, Insert::WithProtocol];

const RULES: &[Quirks] = &[
    // A forced restart is a warm reset there; the power cycle is the real one.
    // `SerialNumber` is the board's; the service tag, which SMBIOS shows, is `SKU`.
    Quirks {
        maker: "dell",
        product: "",
        cycles: CYCLE_FIRST,
        serial_is_sku: true,
        inserts: FULL_FIRST,
    },
    // iLO refuses `Inserted` in some versions and has no `PowerCycle`.
    Quirks {
        maker: "hpe",
        product: "",
        cycles: RESTART_FIRST,
        serial_is_sku: false,
        inserts: IMAGE_FIRST,
    },
    // Seen to hang on a forced restart.
    Quirks {
        maker: "lenovo",
        product: "sr675",
        cycles: OFF_AND_ON,
        serial_is_sku: false,
        inserts: FULL_FIRST,
    },
    Quirks {
        maker: "supermicro",
        product: "",
        cycles: RESTART_FIRST,
        serial_is_sku: false,
        inserts: IMAGE_FIRST,
    },
    Quirks {
        maker: "",
        product: "",
        cycles: RESTART_FIRST,
        serial_is_sku: false,
        inserts: FULL_FIRST,
    },
];

/// Ids of interfaces that lead from the host to its own BMC and to no network.
const INNER_NICS: &[&str] = &["ToManager", "ToHost"];

/// What firmware says when it has nothing to say, lower case.
const FILLERS: &[&str] = &[
    "na",
    "n/a",
    "none",
    "null",
    "unknown",
    "not specified",
    "to be filled by o.e.m.",
    "default string",
];

/// Types of chassis that are a whole machine; others are parts of one, with
/// serial numbers of their own (DSP0268, Chassis).
const WHOLE_CHASSIS: &[&str] =
    &["RackMount", "StandAlone", "Blade", "Sled", "Enclosure", "Shelf", "Zone"];

/// Ends of message ids that mean "later", whatever the status of the reply.
const BUSY_MESSAGES: &[&str] = &[
    "ResourceInUse",
    "ServiceTemporarilyUnavailable",
    "ServiceShuttingDown",
    "SessionLimitExceeded",
    "ServiceInUnknownState",
];

impl Quirks {
    /// The rule for a maker and a product, as the BMC names them.
    pub(crate) fn of(maker: &str, product: &str) -> &'static Quirks {
        let (maker, product) = (maker.to_lowercase(), product.to_lowercase());
        RULES
            .iter()
            .find(|rule| maker.contains(rule.maker) && product.contains(rule.product))
            .expect("the last rule matches all")
    }
}

/// Whether an interface leads nowhere but to the BMC.
pub(crate) fn is_inner_nic(id: &str) -> bool {
    INNER_NICS.contains(&id)
}

/// Whether a text stands for nothing.
pub(crate) fn is_filler(text: &str) -> bool {
    let zeros = text.bytes().all(|byte| b"0 .-".contains(&byte));
    zeros || FILLERS.contains(&text.to_lowercase().as_str())
}

/// Whether a chassis of this type is a whole machine.
pub(crate) fn is_whole_chassis(kind: &str) -> bool {
    WHOLE_CHASSIS.contains(&kind)
}

/// Whether an error body says that it is only for now.
pub(crate) fn says_busy(body: &Value) -> bool {
    let entries = body.pointer("/error/@Message.ExtendedInfo").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .take(8)
        .filter_map(|entry| entry.get("MessageId").and_then(Value::as_str))
        .any(|id| BUSY_MESSAGES.iter().any(|end| id.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fillers_are_told_from_serial_numbers() {
        for filler in ["", "N/A", "NA", "0000000000", "To Be Filled By O.E.M."] {
            assert!(is_filler(filler), "{filler}");
        }
        assert!(!is_filler("MXQ302099S") && !is_filler("1643024000315"));
    }

    #[test]
    fn the_narrower_rule_wins_and_strangers_get_the_default() {
        assert!(Quirks::of("Dell Inc.", "PowerEdge R750").serial_is_sku);
        assert_eq!(Quirks::of("Lenovo", "ThinkSystem SR675 V3").cycles, OFF_AND_ON);
        assert_eq!(Quirks::of("Lenovo", "ThinkSystem SR670 V2").cycles, RESTART_FIRST);
        assert_eq!(Quirks::of("", "").inserts, FULL_FIRST);
    }
}
