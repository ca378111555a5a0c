//! Buckets and objects as people write them: `BUCKET/KEY`, or `s3://BUCKET/KEY`.

use std::str::FromStr;

/// A bucket and a key, or what keys begin with; that may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// The key, or what keys begin with.
    pub key: String,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("s3://").unwrap_or(text);
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        match bucket.is_empty() || bucket.len() > 255 {
            true => Err(format!("`{text}` names no bucket: write BUCKET/KEY")),
            false => Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() }),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

/// One object: with a key. For the command line.
///
/// # Errors
/// When there is no key.
pub fn object(text: &str) -> Result<Place, String> {
    let place: Place = text.parse()?;
    match place.key.is_empty() {
        true => Err(format!("`{text}` names no object: write BUCKET/KEY")),
        false => Ok(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_in_two_ways() {
        let place = |text: &str| text.parse::<Place>().map(|it| (it.bucket, it.key));
        let pair = |bucket: &str, key: &str| Ok((bucket.to_owned(), key.to_owned()));
        assert_eq!(place("b"), pair("b", ""));
        assert_eq!(place("b/k/l"), pair("b", "k/l"));
        assert_eq!(place("s3://b//k"), pair("b", "/k"));
        assert!(place("/k").is_err() && place("s3://").is_err() && place("").is_err());
        assert!(object("b/").is_err() && object("b/k").is_ok());
    }
}
