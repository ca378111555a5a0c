//! Which module drives a device: `modules.alias` and `modules.dep`, as depmod(8)
//! writes them.

use std::collections::BTreeMap;

/// What depmod found out.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    aliases: Vec<(String, String)>,
    /// Name of a module to its file and those of its dependencies, the nearest first.
    files: BTreeMap<String, Vec<String>>,
}

impl Catalogue {
    /// From the texts of the two files.
    pub fn parse(aliases: &str, dependencies: &str) -> Self {
        let aliases = aliases
            .lines()
            .filter_map(|line| {
                let (pattern, module) = line.strip_prefix("alias ")?.rsplit_once(' ')?;
                Some((pattern.trim().to_owned(), module.to_owned()))
            })
            .collect();
        let files = dependencies
            .lines()
            .filter_map(|line| {
                let (file, needs) = line.split_once(':')?;
                let needs = needs.split_whitespace().map(str::to_owned);
                Some((name_of(file), [file.to_owned()].into_iter().chain(needs).collect()))
            })
            .collect();
        Self { aliases, files }
    }

    /// Modules for a device's `modalias`, or for a plain name.
    pub fn modules(&self, alias: &str) -> Vec<&str> {
        let by_pattern = self
            .aliases
            .iter()
            .filter(|(pattern, _)| matches(pattern.as_bytes(), alias.as_bytes()));
        let named =
            self.files.get_key_value(&alias.replace('-', "_")).map(|(name, _)| name.as_str());
        by_pattern.map(|(_, module)| module.as_str()).chain(named).collect()
    }

    /// Files to load for a module, in the order of loading.
    pub fn load_order(&self, module: &str) -> impl Iterator<Item = &str> {
        let files = self.files.get(&module.replace('-', "_"));
        files.into_iter().flatten().rev().map(String::as_str)
    }
}

/// `kernel/drivers/net/virtio-net.ko.xz` is `virtio_net`.
fn name_of(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split('.').next().unwrap_or(name).replace('-', "_")
}

/// Shell patterns as in fnmatch(3): `*`, `?`, `[a-z]`. Time is bounded by pattern times text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if let Some(next) = one(&pattern[p..], text[t]) {
            (p, t) = (p + next, t + 1);
        } else if let Some((after, from)) = star {
            (p, t) = (after, from + 1);
            star = Some((after, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Matches one character; returns the length of what matched it in the pattern.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => {
            let end = rest.iter().position(|b| *b == b']')?;
            let mut set = &rest[..end];
            let mut found = false;
            while let [low, more @ ..] = set {
                (found, set) = match more {
                    [b'-', high, after @ ..] => (found || (*low..=*high).contains(&byte), after),
                    _ => (found || *low == byte, more),
                };
            }
            found.then_some(end + 2)
        }
        [literal, ..] if *literal == byte => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn modules_come_after_what_they_need() {
        let catalogue = Catalogue::parse(
            "# comment\nalias virtio:d00000001v* virtio_net\nalias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\n",
            "kernel/net/virtio-net.ko.xz: kernel/net/failover.ko.xz kernel/net/core.ko\nkernel/net/core.ko:\n",
        );
        assert_eq!(catalogue.modules("virtio:d00000001v00001AF4"), ["virtio_net"]);
        assert_eq!(catalogue.modules("virtio-net"), ["virtio_net"]);
        assert!(catalogue.modules("virtio:d00000002v00001AF4").is_empty());
        let files: Vec<&str> = catalogue.load_order("virtio_net").collect();
        assert_eq!(
            files,
            ["kernel/net/core.ko", "kernel/net/failover.ko.xz", "kernel/net/virtio-net.ko.xz"]
        );
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("a?c", "abc", true),
            ("usb:v*d[0-2]*", "usb:v1d1x", true),
            ("usb:v*d[0-2]*", "usb:v1d3x", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_survived(aliases in ".*", dependencies in ".*", text in "[a-c*?\\[\\]-]{0,40}") {
            let catalogue = Catalogue::parse(&aliases, &dependencies);
            catalogue.modules(&text);
            matches(text.as_bytes(), text.as_bytes());
        }
    }
}
