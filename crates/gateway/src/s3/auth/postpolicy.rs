//! The policy of a form: what a form that is signed with it may contain.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::Timestamp;
use serde_json::Value;

use super::date;
use super::multipart::Fields;
use super::refusal::AuthError;

/// What a policy asks of one field.
enum Condition {
    Equals(String, String),
    StartsWith(String, String),
    Lengths(u64, u64),
}

/// A policy, understood.
pub(super) struct PostPolicy {
    expires: Timestamp,
    conditions: Vec<Condition>,
}

fn invalid(why: impl Into<String>) -> AuthError {
    let why = why.into();
    AuthError::new(400, "InvalidPolicyDocument", format!("Invalid Policy: {why}"))
}

fn refused(why: impl std::fmt::Display) -> AuthError {
    AuthError::denied(format!("Invalid according to Policy: {why}"))
}

impl PostPolicy {
    /// Reads the field `policy`: base64 of JSON.
    pub fn parse(field: &str) -> Result<Self, AuthError> {
        let packed: String = field.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
        let text = BASE64.decode(packed).map_err(|_| invalid("it is not base64."))?;
        let json: Value = serde_json::from_slice(&text).map_err(|_| invalid("Invalid JSON."))?;
        let expires =
            json.get("expiration").ok_or_else(|| invalid("Policy missing expiration."))?;
        let expires = expires.as_str().and_then(date::extended);
        let expires = expires.ok_or_else(|| invalid("Invalid 'expiration' value."))?;
        let conditions =
            json.get("conditions").ok_or_else(|| invalid("Policy missing conditions."))?;
        let list = conditions.as_array().ok_or_else(|| invalid("Invalid 'conditions' value."))?;
        let mut conditions = Vec::with_capacity(list.len());
        for one in list {
            match one {
                Value::Object(pairs) if pairs.len() == 1 => conditions.extend(
                    pairs
                        .iter()
                        .map(|(name, value)| exact(name, value))
                        .collect::<Result<Vec<_>, _>>()?,
                ),
                Value::Array(parts) => conditions.push(operation(parts)?),
                _ => {
                    return Err(invalid(
                        "Invalid Simple-Condition: one name and value are needed.",
                    ));
                }
            }
        }
        Ok(Self { expires, conditions })
    }

    /// Checks a form; the least and greatest length that its file may have.
    pub fn check(
        &self,
        fields: &Fields,
        bucket: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<(u64, u64), AuthError> {
        if now >= self.expires {
            return Err(refused("Policy expired."));
        }
        // The bucket counts as a field: a policy that says nothing of it would hold
        // for every bucket.
        let given = |name: &str| match name {
            "bucket" => Some(bucket),
            "key" => Some(key),
            name => fields.get(name),
        };
        let mut lengths = (0, u64::MAX);
        for condition in &self.conditions {
            match condition {
                Condition::Equals(name, value) if given(name) == Some(value) => {}
                Condition::Equals(name, value) => {
                    return Err(failed("eq", name, value));
                }
                Condition::StartsWith(name, begin) => {
                    let each = |value: &str| match &**name {
                        "content-type" => {
                            value.split(',').all(|one| one.trim().starts_with(&**begin))
                        }
                        _ => value.starts_with(&**begin),
                    };
                    // Anything, or nothing, begins with nothing.
                    if !given(name).map_or(begin.is_empty(), each) {
                        return Err(failed("starts-with", name, begin));
                    }
                }
                Condition::Lengths(least, most) => {
                    lengths = (lengths.0.max(*least), lengths.1.min(*most));
                }
            }
        }
        let names = fields.fields.iter().map(|(name, _)| name.to_ascii_lowercase());
        for name in names.chain(["bucket".to_owned()]) {
            if !self.covers(&name) {
                return Err(refused(format_args!("Extra input fields: {name}")));
            }
        }
        Ok(lengths)
    }

    fn covers(&self, name: &str) -> bool {
        const FREE: [&str; 5] =
            ["policy", "signature", "x-amz-signature", "awsaccesskeyid", "file"];
        FREE.contains(&name)
            || name.starts_with("x-ignore-")
            || name.starts_with("x-amz-checksum-")
            || self.conditions.iter().any(|condition| match condition {
                Condition::Equals(known, _) | Condition::StartsWith(known, _) => known == name,
                Condition::Lengths(..) => false,
            })
    }
}

fn failed(operator: &str, name: &str, value: &str) -> AuthError {
    let condition = serde_json::json!([operator, format!("${name}"), value]);
    refused(format_args!("Policy Condition failed: {condition}"))
}

fn exact(name: &str, value: &Value) -> Result<Condition, AuthError> {
    let value = value.as_str().ok_or_else(|| invalid("a condition's value must be a string."))?;
    Ok(Condition::Equals(name.to_ascii_lowercase(), value.to_owned()))
}

fn operation(parts: &[Value]) -> Result<Condition, AuthError> {
    let [operator, first, second] = parts else {
        return Err(invalid("a condition has an operator and two arguments."));
    };
    let operator = operator.as_str().unwrap_or("").to_ascii_lowercase();
    if operator == "content-length-range" {
        let number = |value: &Value| {
            let text = || value.as_str().and_then(|text| text.parse().ok());
            value.as_u64().or_else(text)
        };
        let (Some(least), Some(most)) = (number(first), number(second)) else {
            return Err(invalid("content-length-range needs two numbers, none below 0."));
        };
        return Ok(Condition::Lengths(least, most));
    }
    let name = first.as_str().and_then(|name| name.strip_prefix('$'));
    let name = name.ok_or_else(|| invalid("a condition's field begins with a dollar sign."))?;
    match (exact(name, second)?, operator.as_str()) {
        (condition, "eq") => Ok(condition),
        (Condition::Equals(name, value), "starts-with") => Ok(Condition::StartsWith(name, value)),
        _ => Err(invalid(format!("{operator:?} is no operator."))),
    }
}
