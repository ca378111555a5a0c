//! Units that are too easily confused as bare numbers.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A size in bytes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Binary mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }
    /// Binary gibibytes.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }
}

impl fmt::Display for Bytes {
    /// Rounded to binary units: `512 B`, `14.6 MiB`, `1.8 TiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        match unit {
            0 => write!(f, "{} B", self.0),
            _ => write!(f, "{value:.1} {}", UNITS[unit]),
        }
    }
}

/// Why a text is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesError {
    /// It is not a number with K, M, G or T behind it.
    Strange,
    /// It is more than can be counted.
    TooLarge,
}

impl fmt::Display for BytesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strange => "a size is a number with K, M, G or T behind it, as in 512M or 20G",
            Self::TooLarge => "it is more than can be counted",
        })
    }
}

impl std::error::Error for BytesError {}

impl FromStr for Bytes {
    type Err = BytesError;

    /// A whole number of bytes, or of binary units: `4096`, `512M`, `20G`, `20GiB`.
    fn from_str(said: &str) -> Result<Self, BytesError> {
        let upper = said.to_ascii_uppercase();
        let text = upper.strip_suffix("IB").or_else(|| upper.strip_suffix('B')).unwrap_or(&upper);
        let units = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
        let unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(*unit)?, *shift)));
        let (digits, shift) = unit.unwrap_or((text, 0));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BytesError::Strange);
        }
        let number: u64 = digits.parse().map_err(|_| BytesError::TooLarge)?;
        number.checked_mul(1 << shift).map(Self).ok_or(BytesError::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary() {
        let good = [
            ("20G", 20 << 30),
            ("512MiB", 512 << 20),
            ("4096", 4096),
            ("1k", 1024),
            ("2TB", 2 << 40),
        ];
        for (said, bytes) in good {
            assert_eq!(said.parse(), Ok(Bytes(bytes)), "{said}");
        }
        for bad in ["", "G", "1X", "-1", "+1", "1.5G", "1 G", "iB", "ä"] {
            assert_eq!(bad.parse::<Bytes>(), Err(BytesError::Strange), "{bad}");
        }
        assert_eq!("99999999T".parse::<Bytes>(), Err(BytesError::TooLarge));
        assert_eq!("99999999999999999999".parse::<Bytes>(), Err(BytesError::TooLarge));
    }
}
