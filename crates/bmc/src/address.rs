//! Addresses of BMCs: one, and lists with ranges.

use std::net::Ipv4Addr;

use reqwest::Url;

/// The most addresses that one list may name.
pub const MOST_ADDRESSES: usize = 4096;

/// Why a list of addresses is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither a host, nor a URL, nor a range, nor a network.
    #[error("`{0}` is not an address: write host, https://host:port, 10.0.0.10-40 or 10.0.0.0/28")]
    Malformed(String),
    /// A range that ends before it begins.
    #[error("`{0}` ends before it begins")]
    Backwards(String),
    /// More than [`MOST_ADDRESSES`].
    #[error("that is more than {MOST_ADDRESSES} addresses: name them in smaller parts")]
    TooMany,
}

/// The base of a BMC's address: scheme, host and port. `https` unless it says `http`.
pub(crate) fn base(address: &str) -> Result<Url, AddressError> {
    let malformed = || AddressError::Malformed(crate::failure::clean(address, 80));
    let address = address.trim();
    let text = match address.split_once("://") {
        Some(("http" | "https", _)) => address.to_owned(),
        Some(_) => return Err(malformed()),
        None if address.parse::<std::net::Ipv6Addr>().is_ok() => format!("https://[{address}]"),
        None => format!("https://{address}"),
    };
    let url = Url::parse(&text).map_err(|_| malformed())?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if !bare || !anonymous || url.host_str().is_none_or(str::is_empty) {
        return Err(malformed());
    }
    Ok(url)
}

/// Spells out a list of addresses as `https://host[:port]` each, without doubles,
/// in the order given. An entry is a host, a host with a port, a URL, a range of
/// IPv4 addresses (`10.0.0.10-40`, `10.0.0.250-10.0.1.5`) or a network
/// (`10.0.0.0/28`: its first and last address are left out, as nobody has them).
/// Ranges and networks may have a scheme before and a port behind.
///
/// # Errors
///
/// [`AddressError`], with the entry that is wrong; nothing is left out silently.
pub fn expand_addresses(entries: &[String]) -> Result<Vec<String>, AddressError> {
    let mut addresses = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for entry in entries.iter().map(|entry| entry.trim()).filter(|entry| !entry.is_empty()) {
        for address in expand(entry)? {
            let base = base(&address)?;
            let text = base.as_str().trim_end_matches('/').to_owned();
            if seen.insert(text.clone()) {
                addresses.push(text);
            }
            if addresses.len() > MOST_ADDRESSES {
                return Err(AddressError::TooMany);
            }
        }
    }
    Ok(addresses)
}

/// One entry, spelt out. Never more than one beyond the bound.
fn expand(entry: &str) -> Result<Vec<String>, AddressError> {
    let (scheme, rest) = match entry.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), entry),
    };
    let (hosts, port) = match rest.rsplit_once(':') {
        Some((hosts, port)) if !hosts.contains(':') => (hosts, format!(":{port}")),
        _ => (rest, String::new()),
    };
    let malformed = || AddressError::Malformed(crate::failure::clean(entry, 80));
    let (first, last) = if let Some((start, end)) = hosts.split_once('-')
        && let Ok(start) = start.parse::<Ipv4Addr>()
    {
        (u32::from(start), range_end(start, end).ok_or_else(malformed)?)
    } else if let Some((network, length)) = hosts.split_once('/')
        && let Ok(network) = network.parse::<Ipv4Addr>()
    {
        network_ends(network, length).ok_or_else(malformed)?
    } else {
        return Ok(vec![entry.to_owned()]);
    };
    if last < first {
        return Err(AddressError::Backwards(crate::failure::clean(entry, 80)));
    }
    if last - first >= MOST_ADDRESSES as u32 {
        return Err(AddressError::TooMany);
    }
    let host = |number| format!("{scheme}{}{port}", Ipv4Addr::from(number));
    Ok((first..=last).map(host).collect())
}

/// The end of a range: a whole address, or the last octet of one.
fn range_end(start: Ipv4Addr, end: &str) -> Option<u32> {
    if let Ok(end) = end.parse::<Ipv4Addr>() {
        return Some(u32::from(end));
    }
    let [a, b, c, _] = start.octets();
    Some(u32::from(Ipv4Addr::new(a, b, c, end.parse().ok()?)))
}

/// The first and the last address of a network that a host can have.
fn network_ends(network: Ipv4Addr, length: &str) -> Option<(u32, u32)> {
    let length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
    let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
    let first = u32::from(network) & !hosts;
    let last = first | hosts;
    Some(if length >= 31 { (first, last) } else { (first + 1, last - 1) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expanded(entries: &[&str]) -> Result<Vec<String>, AddressError> {
        expand_addresses(&entries.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn hosts_and_urls_stand_for_themselves() {
        let list = expanded(&["bmc-01.example", "https://[fd00::1]:8443/", "http://10.0.0.1:8000"]);
        let wanted = ["https://bmc-01.example", "https://[fd00::1]:8443", "http://10.0.0.1:8000"];
        assert_eq!(list.unwrap(), wanted);
    }

    #[test]
    fn ranges_and_networks_are_spelt_out_once() {
        let list = expanded(&["10.0.0.9-10", "10.0.0.8/30", "10.0.0.255-10.0.1.0:443"]).unwrap();
        let wanted =
            ["https://10.0.0.9", "https://10.0.0.10", "https://10.0.0.255", "https://10.0.1.0"];
        assert_eq!(list, wanted);
        assert_eq!(expanded(&["10.0.0.0/28"]).unwrap().len(), 14);
        assert_eq!(expanded(&["10.0.0.7/32"]).unwrap(), ["https://10.0.0.7"]);
        assert_eq!(expanded(&["http://10.0.0.1-2:81"]).unwrap()[1], "http://10.0.0.2:81");
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(expanded(&["10.0.0.9-3"]), Err(AddressError::Backwards("10.0.0.9-3".into())));
        assert_eq!(expanded(&["10.0.0.0/8"]), Err(AddressError::TooMany));
        assert_eq!(expanded(&["0.0.0.0/0"]), Err(AddressError::TooMany));
        for wrong in
            ["10.0.0.0/33", "10.0.0.1-300", "ftp://x", "https://u:p@x", "https://x/y", "a b"]
        {
            assert!(matches!(expanded(&[wrong]), Err(AddressError::Malformed(_))), "{wrong}");
        }
        let many: Vec<String> = (0..5).map(|net| format!("10.0.{}.0-255", net * 8)).collect();
        assert_eq!(expand_addresses(&many).unwrap().len(), 5 * 256);
        let many: Vec<String> = (0..17).map(|net| format!("10.1.{net}.0-255")).collect();
        assert_eq!(expand_addresses(&many), Err(AddressError::TooMany));
    }

    proptest! {
        #[test]
        fn never_panics_and_stays_bounded(entries in proptest::collection::vec("[0-9a-z.:/\\-\\[\\]]{0,24}", 0..4)) {
            if let Ok(list) = expand_addresses(&entries) {
                prop_assert!(list.len() <= MOST_ADDRESSES);
            }
        }
    }
}
