//! Bucket policies: the JSON that clients send, and the values of a request that their
//! conditions look at. What they decide is [`object::access`].

use std::borrow::Cow;

use model::Timestamp;
use object::access::{
    Condition, Patterns, Policy, Principals, Statement, Values, operator_is_known,
};
use serde_json::{Map, Value};

use super::auth::{AuthError, Authenticated, date_text, parameter};
use crate::step::{Head, Peer};

/// The largest policy, in bytes.
pub const LARGEST: usize = 20 * 1024;

fn malformed(why: impl Into<Cow<'static, str>>) -> AuthError {
    AuthError::new(400, "MalformedPolicy", why)
}

/// Reads a policy that is to hold for a bucket.
///
/// # Errors
/// `MalformedPolicy`, with what is wrong.
pub fn parse(text: &str, bucket: &str) -> Result<Policy, AuthError> {
    if text.len() > LARGEST {
        return Err(malformed("Policy exceeds the maximum allowed document size."));
    }
    let not_json = "Policies must be valid JSON and the first byte must be '{'";
    let json: Value = serde_json::from_str(text).map_err(|_| malformed(not_json))?;
    let Value::Object(document) = &json else { return Err(malformed(not_json)) };
    known(document, &["Version", "Id", "Statement"])?;
    let variables = match document.get("Version").map(Value::as_str) {
        None | Some(Some("2008-10-17")) => false,
        Some(Some("2012-10-17")) => true,
        Some(_) => return Err(malformed("The policy must contain a valid version string")),
    };
    let list = match document.get("Statement") {
        None => return Err(malformed("Missing required field Statement")),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    };
    if list.is_empty() {
        return Err(malformed("Could not parse the policy: Statement is empty!"));
    }
    let statements = list.into_iter().map(|one| statement(one, bucket, variables));
    Ok(Policy { text: text.into(), statements: statements.collect::<Result<_, _>>()? })
}

fn known(map: &Map<String, Value>, names: &[&str]) -> Result<(), AuthError> {
    let mut unknown = map.keys().filter(|name| !names.contains(&name.as_str()));
    unknown.next().map_or(Ok(()), |name| Err(malformed(format!("Unknown field {name}"))))
}

fn statement(json: &Value, bucket: &str, variables: bool) -> Result<Statement, AuthError> {
    let Value::Object(map) = json else {
        return Err(malformed("A statement must be an object"));
    };
    known(
        map,
        &[
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ],
    )?;
    let allow = match map.get("Effect").map(Value::as_str) {
        None => return Err(malformed("Missing required field Effect")),
        Some(Some("Allow")) => true,
        Some(Some("Deny")) => false,
        Some(other) => {
            return Err(malformed(format!("Invalid effect: {}", other.unwrap_or_default())));
        }
    };
    let id = match map.get("Sid") {
        None => None,
        Some(Value::String(id)) => Some(id.as_str().into()),
        Some(_) => return Err(malformed("Sid must be a string")),
    };
    let text = |value: &str| if variables { value.into() } else { value.replace("${", "${$}{") };
    Ok(Statement {
        id,
        allow,
        principals: principals(map, allow)?,
        actions: patterns(map, "Action", action)?,
        resources: patterns(map, "Resource", |value| resource(&text(value), bucket))?,
        conditions: conditions(map.get("Condition"), &text)?,
    })
}

/// One text or a list of them.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(one) => Some(vec![one]),
        Value::Array(list) if !list.is_empty() => list.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn either<'m>(map: &'m Map<String, Value>, name: &str) -> Result<(bool, &'m Value), AuthError> {
    match (map.get(name), map.get(&format!("Not{name}"))) {
        (Some(value), None) => Ok((true, value)),
        (None, Some(value)) => Ok((false, value)),
        (None, None) => Err(malformed(format!("Missing required field {name}"))),
        (Some(_), Some(_)) => Err(malformed(format!("{name} and Not{name} exclude each other"))),
    }
}

fn patterns(
    map: &Map<String, Value>,
    name: &str,
    check: impl Fn(&str) -> Option<Box<str>>,
) -> Result<Patterns, AuthError> {
    let (any, value) = either(map, name)?;
    let invalid = || malformed(format!("Policy has invalid {}", name.to_ascii_lowercase()));
    let values = texts(value).ok_or_else(invalid)?;
    let checked: Option<Vec<_>> = values.into_iter().map(check).collect();
    let checked = checked.ok_or_else(invalid)?;
    Ok(if any { Patterns::Any(checked) } else { Patterns::None(checked) })
}

fn action(said: &str) -> Option<Box<str>> {
    let ours = said.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case("s3:"));
    (said == "*" || (ours && said.len() > 3)).then(|| said.into())
}

/// `arn:aws:s3:::BUCKET/KEY`; the bucket must be this one, or a pattern that fits it.
fn resource(said: &str, bucket: &str) -> Option<Box<str>> {
    if said == "*" {
        return Some(said.into());
    }
    let mut parts = said.splitn(6, ':');
    let arn = (parts.next(), parts.next(), parts.next());
    let (Some("arn"), Some(_), Some("s3")) = arn else { return None };
    let path = parts.nth(2)?;
    let name = path.split_once('/').map_or(path, |(name, _)| name);
    let fits = name.contains("${") || object::access::matches(name, bucket);
    fits.then(|| path.into())
}

fn principals(map: &Map<String, Value>, allow: bool) -> Result<Principals, AuthError> {
    let invalid = || malformed("Invalid principal in policy");
    let (these, value) = either(map, "Principal")?;
    if allow && !these {
        return Err(malformed("Allow with NotPrincipal is not allowed"));
    }
    let mut names = Vec::new();
    match value {
        Value::String(all) if all == "*" => return Ok(everybody(these)),
        Value::Object(kinds) if !kinds.is_empty() => {
            for (kind, value) in kinds {
                for said in texts(value).ok_or_else(invalid)? {
                    if said == "*" && kind == "AWS" {
                        return Ok(everybody(these));
                    }
                    names.push(principal(kind, said).ok_or_else(invalid)?);
                }
            }
        }
        _ => return Err(invalid()),
    }
    Ok(if these { Principals::These(names) } else { Principals::AllBut(names) })
}

fn everybody(these: bool) -> Principals {
    if these { Principals::Everybody } else { Principals::AllBut(Vec::new()) }
}

/// What accounts are called: their id, `NAME`, or `TENANT$NAME`.
fn principal(kind: &str, said: &str) -> Option<Box<str>> {
    if said.is_empty() {
        return None;
    }
    match kind {
        "CanonicalUser" => Some(said.into()),
        // Nobody is called so: a service that asks in its own name finds itself here.
        "Service" | "Federated" => Some(format!("{}:{said}", kind.to_ascii_lowercase()).into()),
        "AWS" => {
            let Some(rest) = said.strip_prefix("arn:") else { return Some(said.into()) };
            let mut parts = rest.splitn(5, ':');
            let (_, service, _, account, name) =
                (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
            let user =
                name.strip_prefix("user/").map(|path| path.rsplit('/').next().unwrap_or(path));
            match (service, account, name, user) {
                ("iam", "", "root", _) => None,
                ("iam", account, "root", _) => Some(account.into()),
                ("iam", "", _, Some(user)) if !user.is_empty() => Some(user.into()),
                ("iam", account, _, Some(user)) if !user.is_empty() => {
                    Some(format!("{account}${user}").into())
                }
                ("iam" | "sts", _, name, None) if name.contains('/') => Some(said.into()),
                _ => None,
            }
        }
        _ => None,
    }
}

fn conditions(
    json: Option<&Value>,
    text: &dyn Fn(&str) -> String,
) -> Result<Vec<Condition>, AuthError> {
    let operators = match json {
        None => return Ok(Vec::new()),
        Some(Value::Object(operators)) => operators,
        Some(_) => return Err(malformed("Condition must be an object")),
    };
    let mut found = Vec::new();
    for (operator, keys) in operators {
        if !operator_is_known(operator) {
            return Err(malformed(format!("Invalid Condition type : {operator}")));
        }
        let Value::Object(keys) = keys else {
            return Err(malformed(format!("{operator} must be an object")));
        };
        for (key, values) in keys {
            let prefix = key.split_once(':').map_or("", |(prefix, _)| prefix);
            if !matches!(prefix.to_ascii_lowercase().as_str(), "aws" | "s3") {
                return Err(malformed("Policy has an invalid condition key"));
            }
            let list = match values {
                Value::Array(list) => list.iter().collect(),
                one => vec![one],
            };
            let values: Option<Vec<Box<str>>> = list
                .into_iter()
                .map(|value| scalar(value).map(|said| text(&said).into()))
                .collect();
            let values = values.ok_or_else(|| malformed("Invalid value of a condition"))?;
            found.push(Condition {
                operator: operator.as_str().into(),
                key: key.as_str().into(),
                values,
            });
        }
    }
    Ok(found)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Whether a condition makes a statement for everybody one for a known few: it fixes
/// one of these keys to values that are no patterns ("The meaning of public" in the
/// documentation of S3).
pub fn limits(condition: &Condition) -> bool {
    const KEYS: [&str; 13] = [
        "aws:sourceip",
        "aws:sourcearn",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:sourceowner",
        "aws:sourceaccount",
        "aws:userid",
        "aws:username",
        "aws:principalorgid",
        "aws:principalaccount",
        "aws:principalarn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:dataaccesspointarn",
    ];
    let operator = &*condition.operator;
    let positive = matches!(
        operator,
        "StringEquals"
            | "StringLike"
            | "StringEqualsIgnoreCase"
            | "ArnEquals"
            | "ArnLike"
            | "IpAddress"
    );
    let key = condition.key.to_ascii_lowercase();
    let fixed = |value: &str| match key.as_str() {
        // A network so wide that it is nearly everything limits nobody.
        "aws:sourceip" => value.split_once('/').is_none_or(|(base, bits)| {
            let least = if base.contains(':') { 32 } else { 8 };
            bits.parse::<u8>().is_ok_and(|bits| bits >= least)
        }),
        _ => !value.contains(['*', '?']) && !value.contains("${"),
    };
    positive
        && KEYS.contains(&key.as_str())
        && !condition.values.is_empty()
        && condition.values.iter().all(|value| fixed(value))
}

/// The values of a request.
pub struct Context<'a> {
    /// The request.
    pub head: &'a Head<'a>,
    /// Where it comes from.
    pub peer: &'a Peer,
    /// Who sent it.
    pub sender: &'a Authenticated,
    /// The moment.
    pub now: Timestamp,
    /// Tags that the object has.
    pub existing_tags: &'a [(Box<str>, Box<str>)],
    /// Tags that the request gives the object.
    pub request_tags: &'a [(Box<str>, Box<str>)],
    /// What only the operation knows: lower-case keys (`s3:locationconstraint`,
    /// `aws:resourceaccount`, …) and values.
    pub more: &'a [(&'a str, Cow<'a, str>)],
}

type Found<'a> = Option<Cow<'a, str>>;

impl Values for Context<'_> {
    fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
        let lower = key.to_ascii_lowercase();
        let said = self.more.iter().filter(|(known, _)| *known == lower);
        let said: Vec<_> = said.map(|(_, value)| Cow::Borrowed(&**value)).collect();
        if !said.is_empty() {
            return said;
        }
        if lower == "s3:requestobjecttagkeys" {
            return self.request_tags.iter().map(|(name, _)| Cow::Borrowed(&**name)).collect();
        }
        if lower == "s3:x-amz-copy-source" {
            return self.copy_source();
        }
        // The names of tags keep their case.
        let found = match (lower.split_once('/'), key.split_once('/')) {
            (Some(("s3:existingobjecttag", _)), Some((_, name))) => tag(self.existing_tags, name),
            (Some(("s3:requestobjecttag", _)), Some((_, name))) => tag(self.request_tags, name),
            _ => match lower.split_once(':') {
                Some(("aws", name)) => self.global(name),
                Some(("s3", name)) => self.of_s3(name),
                _ => None,
            },
        };
        found.into_iter().collect()
    }
}

fn tag<'a>(tags: &'a [(Box<str>, Box<str>)], name: &str) -> Found<'a> {
    tags.iter().find(|(known, _)| **known == *name).map(|(_, value)| Cow::Borrowed(&**value))
}

impl Context<'_> {
    fn header(&self, name: &str) -> Found<'_> {
        self.head.header(name).map(Cow::Borrowed)
    }

    /// With a slash before it and without: policies are written both ways.
    fn copy_source(&self) -> Vec<Cow<'_, str>> {
        let Some(said) = self.head.header("x-amz-copy-source") else { return Vec::new() };
        let plain = super::auth::unescape(said.split_once('?').map_or(said, |(path, _)| path));
        let plain = plain.strip_prefix('/').unwrap_or(&plain).to_owned();
        vec![format!("/{plain}").into(), plain.into()]
    }

    fn global(&self, name: &str) -> Found<'_> {
        let account = self.sender.account();
        match name {
            "sourceip" => Some(self.peer.address.to_canonical().to_string().into()),
            "securetransport" => Some(if self.peer.tls { "true" } else { "false" }.into()),
            "currenttime" => Some(date_text(self.now).into()),
            "epochtime" => Some(self.now.micros().div_euclid(1_000_000).to_string().into()),
            "referer" => self.header("referer"),
            "useragent" => self.header("user-agent"),
            "username" => account.map(|account| Cow::Borrowed(&*account.name)),
            "userid" | "principalaccount" => {
                account.map(|account| Cow::Borrowed(&*account.owner.0))
            }
            "principaltype" => Some(if account.is_some() { "User" } else { "Anonymous" }.into()),
            "principalarn" => {
                account.map(|account| format!("arn:aws:iam::{}:root", account.owner.0).into())
            }
            _ => None,
        }
    }

    fn of_s3(&self, name: &str) -> Found<'_> {
        match name {
            "authtype" => self.sender.scheme.name().map(Cow::Borrowed),
            "signatureversion" => match self.sender.version {
                4 => Some("AWS4-HMAC-SHA256".into()),
                2 => Some("AWS".into()),
                _ => None,
            },
            "signatureage" => {
                let age = self.sender.age.micros() / 1_000;
                self.sender.key.is_some().then(|| age.to_string().into())
            }
            "prefix" | "delimiter" | "max-keys" => parameter(self.head.query, name),
            "versionid" => parameter(self.head.query, "versionId"),
            "if-match" | "if-none-match" => self.header(name),
            "object-lock-mode" | "object-lock-retain-until-date" | "object-lock-legal-hold" => {
                self.header(&format!("x-amz-{name}"))
            }
            name if name.starts_with("x-amz-") => self.header(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
