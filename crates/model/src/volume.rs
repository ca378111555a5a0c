//! Volumes: the limits that a volume, a VM or a project is held to.

mod orders;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use orders::{
    Attachment, Backing, CutOvers, DISK_LINE, DISK_SOCKET, DiskOrder, DiskProblem, DiskProtocol,
    DiskReply, DiskStatus, LaneStatus, Latency, Pool, PoolMedium, PoolSpec, ScrubFound, Volume,
    VolumeSpec,
};

/// How long a burst lasts when [`Limits::burst_seconds`] does not say.
pub const BURST_SECONDS: u32 = 60;

/// The longest burst.
pub const MAX_BURST_SECONDS: u32 = 24 * 60 * 60;

/// The highest rate that can be limited to, in requests or bytes a second: 10^12.
/// Whoever wants more wants no limit.
pub const MAX_RATE: u64 = 1_000_000_000_000;

/// What may be asked of a volume, a VM or a project in a second. What is absent is not
/// limited.
///
/// A burst rate lets what was left unused be used later: a second at the burst rate
/// costs what is above the rate, and credit grows while less than the rate is used, up
/// to `burst_seconds` of bursting. Credit begins at nothing: it is earned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iops: Option<u64>,
    /// Bytes a second, read and written together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<u64>,
    /// Requests a second while there is credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_iops: Option<u64>,
    /// Bytes a second while there is credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_bandwidth: Option<u64>,
    /// For how many seconds credit can be saved; [`BURST_SECONDS`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_seconds: Option<u32>,
}

impl Limits {
    /// No limit.
    pub const NONE: Limits = Limits {
        iops: None,
        bandwidth: None,
        burst_iops: None,
        burst_bandwidth: None,
        burst_seconds: None,
    };

    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether this is something that can be kept.
    ///
    /// # Errors
    /// The first [`LimitsError`] found: a limit of 0, a limit above [`MAX_RATE`], a burst
    /// without a rate or below it, a time without a burst, of 0, or above
    /// [`MAX_BURST_SECONDS`].
    pub fn check(&self) -> Result<(), LimitsError> {
        check_pair(("iops", self.iops), ("burst_iops", self.burst_iops))?;
        check_pair(("bandwidth", self.bandwidth), ("burst_bandwidth", self.burst_bandwidth))?;
        let bursts = self.burst_iops.is_some() || self.burst_bandwidth.is_some();
        match self.burst_seconds {
            Some(0) => Err(LimitsError::Zero { what: "burst_seconds" }),
            Some(seconds) if seconds > MAX_BURST_SECONDS => Err(LimitsError::TooHigh {
                what: "burst_seconds",
                value: seconds.into(),
                most: MAX_BURST_SECONDS.into(),
            }),
            Some(_) if !bursts => Err(LimitsError::TimeWithoutBurst),
            _ => Ok(()),
        }
    }

    /// For how many seconds credit can be saved.
    pub fn saved_seconds(&self) -> u32 {
        self.burst_seconds.unwrap_or(BURST_SECONDS)
    }
}

/// A rate and the burst above it.
fn check_pair(
    (what, rate): (&'static str, Option<u64>),
    (burst_name, burst): (&'static str, Option<u64>),
) -> Result<(), LimitsError> {
    for (what, value) in [(what, rate), (burst_name, burst)] {
        match value {
            Some(0) => return Err(LimitsError::Zero { what }),
            Some(value) if value > MAX_RATE => {
                return Err(LimitsError::TooHigh { what, value, most: MAX_RATE });
            }
            _ => {}
        }
    }
    match (rate, burst) {
        (None, Some(_)) => Err(LimitsError::BurstWithoutRate { what: burst_name, rate: what }),
        (Some(rate), Some(burst)) if burst < rate => {
            Err(LimitsError::BurstBelowRate { what: burst_name, burst, rate })
        }
        _ => Ok(()),
    }
}

/// Why limits are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitsError {
    /// A limit of 0 would stop everything for ever.
    Zero {
        /// The field.
        what: &'static str,
    },
    /// More than can be limited to.
    TooHigh {
        /// The field.
        what: &'static str,
        /// What was asked.
        value: u64,
        /// The most that it may be.
        most: u64,
    },
    /// A burst of something that has no rate.
    BurstWithoutRate {
        /// The field.
        what: &'static str,
        /// The field that is missing.
        rate: &'static str,
    },
    /// A burst that is slower than the rate.
    BurstBelowRate {
        /// The field.
        what: &'static str,
        /// The burst rate asked.
        burst: u64,
        /// The rate asked.
        rate: u64,
    },
    /// A time for bursts, and no burst.
    TimeWithoutBurst,
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero { what } => {
                write!(f, "{what} is 0, which would stop everything; leave it out for no limit")
            }
            Self::TooHigh { what, value, most } => {
                write!(f, "{what} is {value}, above the highest, which is {most}")
            }
            Self::BurstWithoutRate { what, rate } => {
                write!(f, "{what} needs {rate}, the rate that the burst is above")
            }
            Self::BurstBelowRate { what, burst, rate } => {
                write!(f, "{what} is {burst}, below the rate of {rate}")
            }
            Self::TimeWithoutBurst => {
                f.write_str("burst_seconds needs burst_iops or burst_bandwidth")
            }
        }
    }
}

impl std::error::Error for LimitsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        let limits: Limits = serde_json::from_str(json).expect("the shape is right");
        limits.check().expect_err("refused").to_string()
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_the_reason() {
        let zero = refused(r#"{"iops": 0}"#);
        assert_eq!(zero, "iops is 0, which would stop everything; leave it out for no limit");
        let high = refused(r#"{"bandwidth": 1000000000001}"#);
        assert_eq!(high, "bandwidth is 1000000000001, above the highest, which is 1000000000000");
        assert_eq!(
            refused(r#"{"burst_iops": 5}"#),
            "burst_iops needs iops, the rate that the burst is above"
        );
        let below = refused(r#"{"bandwidth": 10, "burst_bandwidth": 5}"#);
        assert_eq!(below, "burst_bandwidth is 5, below the rate of 10");
        let alone = refused(r#"{"iops": 10, "burst_seconds": 5}"#);
        assert_eq!(alone, "burst_seconds needs burst_iops or burst_bandwidth");
        refused(r#"{"iops": 10, "burst_iops": 20, "burst_seconds": 0}"#);
        refused(r#"{"iops": 10, "burst_iops": 20, "burst_seconds": 86401}"#);
    }

    #[test]
    fn what_can_be_kept_comes_back() {
        let text = r#"{"iops":100,"bandwidth":1000000,"burst_iops":100,"burst_seconds":30}"#;
        let limits: Limits = serde_json::from_str(text).expect("limits");
        assert_eq!(limits.check(), Ok(()));
        assert_eq!(limits.saved_seconds(), 30);
        assert_eq!(serde_json::to_string(&limits).expect("json"), text);
        assert!(Limits::NONE.is_none() && Limits::NONE.check().is_ok());
        assert!(serde_json::from_str::<Limits>(r#"{"ipos": 100}"#).is_err());
    }
}
