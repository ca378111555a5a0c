//! Query parameters, as the table of endpoints allows them.
//!
//! A parameter that the endpoint does not know is refused: a mistyped `dry_run`
//! must not become the real thing. Only `label` may be repeated.

use std::collections::BTreeMap;

use model::api::EndpointInfo;
use model::{ErrorCode, Problem};

/// Items of a page when `limit` is absent.
const LIMIT: usize = 100;
/// The most items of a page.
const MOST: usize = 1000;
/// The longest that anybody can wait on one request, seconds.
const WAIT: u64 = 60;
/// No query string is longer, in bytes.
const LONGEST: usize = 8 * 1024;

/// The query parameters of one request. Those that the endpoint does not have are
/// at their defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Items of a page.
    pub limit: usize,
    /// Where the page begins.
    pub page: Option<String>,
    /// Only what has all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Stream changes.
    pub watch: bool,
    /// The revision after which a watch begins.
    pub from: Option<u64>,
    /// Do nothing.
    pub dry_run: bool,
    /// How long to wait, seconds.
    pub wait: u64,
    /// Go on with what comes.
    pub follow: bool,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            limit: LIMIT,
            page: None,
            labels: BTreeMap::new(),
            watch: false,
            from: None,
            dry_run: false,
            wait: 0,
            follow: false,
        }
    }
}

impl Query {
    /// Parses the query string of a request to an endpoint.
    pub fn parse(text: Option<&str>, info: &EndpointInfo) -> Result<Self, Problem> {
        let text = text.unwrap_or_default();
        if text.len() > LONGEST {
            return Err(invalid(format!("the query is longer than {LONGEST} bytes")));
        }
        let mut query = Self::default();
        let mut seen = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decode(key)?, decode(value)?);
            if !info.query.iter().any(|(name, _)| *name == key) {
                return Err(unknown(&key, info));
            }
            if key != "label" && seen.contains(&key) {
                return Err(invalid(format!("`{key}` is given twice")));
            }
            query.set(&key, value)?;
            seen.push(key);
        }
        if query.from.is_some() && !query.watch {
            return Err(invalid("`from` is for a watch: add watch=true".to_owned()));
        }
        Ok(query)
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), Problem> {
        match key {
            "limit" => {
                let limit = number(key, &value)?;
                if !(1..=MOST as u64).contains(&limit) {
                    return Err(invalid(format!("`limit` is {limit}; it must be 1 to {MOST}")));
                }
                self.limit = limit as usize;
            }
            "page" => self.page = Some(value),
            "label" => {
                let (name, wanted) = value.split_once('=').ok_or_else(|| {
                    invalid(format!("`label` is `{value}`; it must be key=value"))
                })?;
                self.labels.insert(name.to_owned(), wanted.to_owned());
            }
            "watch" => self.watch = truth(key, &value)?,
            "from" => self.from = Some(number(key, &value)?),
            "dry_run" => self.dry_run = truth(key, &value)?,
            "wait" => self.wait = number(key, &value)?.min(WAIT),
            "follow" => self.follow = truth(key, &value)?,
            _ => return Err(invalid(format!("`{key}` is in the table and nobody reads it"))),
        }
        Ok(())
    }

    /// Whether a thing has all the labels that are asked for.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(name, wanted)| labels.get(name) == Some(wanted))
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, detail)
}

fn unknown(key: &str, info: &EndpointInfo) -> Problem {
    let known: Vec<&str> = info.query.iter().map(|(name, _)| *name).collect();
    let known = match known.is_empty() {
        true => "it takes none".to_owned(),
        false => format!("it takes {}", known.join(", ")),
    };
    invalid(format!("{} has no query parameter `{key}`; {known}", info.name))
}

fn number(key: &str, value: &str) -> Result<u64, Problem> {
    value.parse().map_err(|_| invalid(format!("`{key}` is `{value}`; it must be a whole number")))
}

fn truth(key: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(format!("`{key}` is `{value}`; it must be true or false"))),
    }
}

/// Takes the percent signs and the pluses out (WHATWG URL, section 5.1).
fn decode(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| (digit as char).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return Err(invalid(format!("`{text}` is not percent-encoded"))),
                }
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| invalid(format!("`{text}` is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use model::api::{Endpoint as _, GetMachine, ListMachines, ReleaseMachine};
    use proptest::prelude::*;

    use super::*;

    fn list(text: &str) -> Result<Query, Problem> {
        Query::parse(Some(text), &ListMachines::INFO)
    }

    #[test]
    fn labels_repeat_and_everything_else_does_not() {
        let query = list("label=a%3Db&label=c=d+e&limit=5").unwrap();
        assert_eq!(query.limit, 5);
        let labels: Vec<_> = query.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(labels, [("a", "b"), ("c", "d e")]);
        assert!(list("limit=5&limit=6").is_err());
    }

    #[test]
    fn what_is_mistyped_is_refused() {
        for text in
            ["dryrun=true", "limit=0", "limit=1001", "limit=x", "watch=yes", "label=a", "from=3"]
        {
            assert_eq!(list(text).unwrap_err().code, ErrorCode::InvalidRequest, "{text}");
        }
        assert!(Query::parse(Some("dry_run=true"), &GetMachine::INFO).is_err());
        assert!(Query::parse(Some("dry_run=true"), &ReleaseMachine::INFO).unwrap().dry_run);
    }

    #[test]
    fn every_parameter_of_the_table_is_read() {
        for info in model::api::ENDPOINTS {
            for (name, _) in info.query {
                let value = match *name {
                    "label" => "a%3Db",
                    "limit" | "wait" => "1",
                    "from" => "1&watch=true",
                    "page" => "x",
                    _ => "true",
                };
                let text = format!("{name}={value}");
                assert!(Query::parse(Some(&text), info).is_ok(), "{} {text}", info.name);
            }
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(text in "[a-z=&%+0-9\\PC]{0,80}") {
            let _ = list(&text);
            let _ = list(&format!("label={text}"));
        }
    }
}
