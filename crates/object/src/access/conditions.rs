//! Conditions of statements: values of the request compared with values of the policy.

use std::borrow::Cow;
use std::net::IpAddr;

use super::Condition;
use super::pattern::Pattern;

/// Values of a request, by condition key.
pub trait Values {
    /// All values of a key; none when the request has none.
    fn values(&self, key: &str) -> Vec<Cow<'_, str>>;
}

/// How many values of a request must fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// A key has one value, as a rule: it must fit.
    Plain,
    /// Each one.
    All,
    /// At least one.
    Any,
}

/// An operator, taken apart.
struct Operator {
    quantifier: Quantifier,
    base: Base,
    /// It holds when the comparison does not.
    negated: bool,
    /// It holds when the request has no value.
    if_exists: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Text,
    TextIgnoringCase,
    Like,
    Number(Order),
    Date(Order),
    Bool,
    Address,
    Arn,
    Null,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    fn parse(name: &str) -> Option<Self> {
        let (quantifier, name) = match name.split_once(':') {
            None => (Quantifier::Plain, name),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(_) => return None,
        };
        let (name, if_exists) =
            name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let (base, negated) = match name {
            "StringEquals" | "BinaryEquals" => (Base::Text, false),
            "StringNotEquals" => (Base::Text, true),
            "StringEqualsIgnoreCase" => (Base::TextIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Base::TextIgnoringCase, true),
            "StringLike" => (Base::Like, false),
            "StringNotLike" => (Base::Like, true),
            "Bool" => (Base::Bool, false),
            "IpAddress" => (Base::Address, false),
            "NotIpAddress" => (Base::Address, true),
            "ArnEquals" | "ArnLike" => (Base::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Base::Arn, true),
            "Null" if !if_exists => (Base::Null, false),
            other => ordered(other)?,
        };
        Some(Self { quantifier, base, negated, if_exists })
    }
}

fn ordered(name: &str) -> Option<(Base, bool)> {
    let (base, rest): (fn(Order) -> Base, _) = match name.strip_prefix("Numeric") {
        Some(rest) => (Base::Number, rest),
        None => (Base::Date, name.strip_prefix("Date")?),
    };
    let (order, negated) = match rest {
        "Equals" => (Order::Equal, false),
        "NotEquals" => (Order::Equal, true),
        "LessThan" => (Order::Less, false),
        "LessThanEquals" => (Order::LessOrEqual, false),
        "GreaterThan" => (Order::Greater, false),
        "GreaterThanEquals" => (Order::GreaterOrEqual, false),
        _ => return None,
    };
    Some((base(order), negated))
}

/// Whether there is such an operator.
pub fn operator_is_known(name: &str) -> bool {
    Operator::parse(name).is_some()
}

/// Whether a condition holds. One with an operator that nobody knows never does.
pub(super) fn holds(condition: &Condition, values: &dyn Values) -> bool {
    let Some(operator) = Operator::parse(&condition.operator) else { return false };
    let found = values.values(&condition.key);
    if operator.base == Base::Null {
        let wanted = |said: &str| said.eq_ignore_ascii_case("true") == found.is_empty();
        return condition.values.iter().any(|said| wanted(said));
    }
    if found.is_empty() {
        let nothing_is_all = operator.quantifier == Quantifier::All;
        let not_any = operator.quantifier != Quantifier::Any;
        return operator.if_exists || nothing_is_all || (operator.negated && not_any);
    }
    let fits = |value: &str| {
        condition.values.iter().any(|said| compare(operator.base, value, said, values))
    };
    let mut each = found.iter().map(|value| fits(value) != operator.negated);
    match operator.quantifier {
        Quantifier::All => each.all(|holds| holds),
        Quantifier::Any => each.any(|holds| holds),
        // Several values of a key that should have one: a negated comparison must hold
        // for each, any other for one.
        Quantifier::Plain if operator.negated => each.all(|holds| holds),
        Quantifier::Plain => each.any(|holds| holds),
    }
}

/// Compares a value of the request with one of the policy.
fn compare(base: Base, value: &str, said: &str, values: &dyn Values) -> bool {
    match base {
        Base::Text => literal(said, values).is_some_and(|said| said == value),
        Base::TextIgnoringCase => {
            literal(said, values).is_some_and(|said| said.eq_ignore_ascii_case(value))
        }
        Base::Like => Pattern::expand(said, values).is_some_and(|said| said.matches(value)),
        Base::Number(order) => number(value).zip(number(said)).is_some_and(|(a, b)| order.of(a, b)),
        Base::Date(order) => date(value).zip(date(said)).is_some_and(|(a, b)| order.of(a, b)),
        Base::Bool => value.eq_ignore_ascii_case(said),
        Base::Address => within(value, said),
        Base::Arn => arn(value, said, values),
        Base::Null => false,
    }
}

/// A value of a policy in which variables stand, but patterns mean nothing.
fn literal<'s>(said: &'s str, values: &dyn Values) -> Option<Cow<'s, str>> {
    if !said.contains("${") {
        return Some(Cow::Borrowed(said));
    }
    let (mut text, mut rest) = (String::new(), said);
    while let Some((before, behind)) = rest.split_once("${") {
        text.push_str(before);
        let (name, behind) = behind.split_once('}')?;
        match (name, values.values(name).as_slice()) {
            ("*" | "?" | "$", _) => text.push_str(name),
            (_, [one]) => text.push_str(one),
            _ => text.push_str(name.split_once(',')?.1.trim().trim_matches('\'')),
        }
        rest = behind;
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

impl Order {
    fn of<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            Order::Equal => a == b,
            Order::Less => a < b,
            Order::LessOrEqual => a <= b,
            Order::Greater => a > b,
            Order::GreaterOrEqual => a >= b,
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

/// A moment in seconds since the epoch: `2019-07-16`, `2019-07-16T12:00:00Z`, or the
/// seconds themselves.
fn date(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some(seconds) = number(text) {
        return Some(seconds);
    }
    let (day, clock) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let mut parts = day.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let clock = clock.strip_suffix('Z')?;
    let mut parts = clock.splitn(3, ':');
    let whole = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok());
    let (hour, minute) = (whole(parts.next())?, whole(parts.next())?);
    let second: f64 = parts.next().map_or(Some(0.0), |part| part.parse().ok())?;
    let legal = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..=9999).contains(&year)
        && (hour < 24 && minute < 60 && (0.0..61.0).contains(&second));
    // Days since the epoch in the proleptic Gregorian calendar, years from March.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years.div_euclid(4) - years.div_euclid(100)
        + years.div_euclid(400)
        + (153 * months + 2) / 5
        + day
        - 719_469;
    let seconds = days as f64 * 86_400.0 + f64::from(hour * 3600 + minute * 60) + second;
    legal.then_some(seconds)
}

/// Whether an address is in a network (`10.0.0.0/8`, `2001:db8::/32`, one address).
fn within(address: &str, network: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let (base, bits) = match network.split_once('/') {
        None => (network, None),
        Some((base, bits)) => match bits.parse::<u32>() {
            Ok(bits) => (base, Some(bits)),
            Err(_) => return false,
        },
    };
    match (address.to_canonical(), base.parse()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(base))) => {
            let bits = bits.unwrap_or(32);
            let mask = u32::MAX.checked_shl(32_u32.wrapping_sub(bits)).unwrap_or(0);
            bits <= 32 && (u32::from(address) ^ u32::from(base)) & mask == 0
        }
        (IpAddr::V6(address), Ok(IpAddr::V6(base))) => {
            let bits = bits.unwrap_or(128);
            let mask = u128::MAX.checked_shl(128_u32.wrapping_sub(bits)).unwrap_or(0);
            bits <= 128 && (u128::from(address) ^ u128::from(base)) & mask == 0
        }
        _ => false,
    }
}

/// Compares names of resources part by part: a star does not reach over a colon, except
/// in the last of the six parts.
fn arn(value: &str, said: &str, values: &dyn Values) -> bool {
    let (mut a, mut b) = (value.splitn(6, ':'), said.splitn(6, ':'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(value), Some(said)) => {
                if !Pattern::expand(said, values).is_some_and(|said| said.matches(value)) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known(&'static [(&'static str, &'static str)]);
    impl Values for Known {
        fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
            let all = self.0.iter().filter(|(known, _)| *known == key);
            all.map(|(_, value)| Cow::Borrowed(*value)).collect()
        }
    }

    fn check(operator: &str, key: &str, values: &[&str]) -> bool {
        let known = Known(&[
            ("name", "Ann"),
            ("size", "100"),
            ("at", "2026-03-01T00:00:00Z"),
            ("ip", "10.1.2.3"),
            ("ip6", "2001:db8::1"),
            ("mapped", "::ffff:10.1.2.3"),
            ("tls", "true"),
            ("tags", "a"),
            ("tags", "b"),
            ("arn", "arn:aws:s3:::bucket:x"),
        ]);
        let values = values.iter().map(|value| (*value).into()).collect();
        holds(&Condition { operator: operator.into(), key: key.into(), values }, &known)
    }

    #[test]
    fn each_operator_compares_as_it_says() {
        for (operator, key, values, expected) in [
            ("StringEquals", "name", &["Bob", "Ann"] as &[&str], true),
            ("StringEquals", "name", &["ann"], false),
            ("StringEquals", "name", &["A*"], false),
            ("StringEqualsIgnoreCase", "name", &["ann"], true),
            ("StringNotEquals", "name", &["Bob"], true),
            ("StringNotEquals", "name", &["Bob", "Ann"], false),
            ("StringLike", "name", &["A?n"], true),
            ("StringNotLike", "name", &["A*"], false),
            ("StringEquals", "name", &["${name}"], true),
            ("NumericLessThan", "size", &["100.5"], true),
            ("NumericLessThan", "size", &["100"], false),
            ("NumericGreaterThanEquals", "size", &["1e2"], true),
            ("NumericEquals", "name", &["1"], false),
            ("DateGreaterThan", "at", &["2026-02-28"], true),
            ("DateEquals", "at", &["1772323200"], true),
            ("DateLessThan", "at", &["2026-03-01T00:00:00Z"], false),
            ("Bool", "tls", &["TRUE"], true),
            ("Bool", "tls", &["false"], false),
            ("IpAddress", "ip", &["10.0.0.0/8"], true),
            ("IpAddress", "ip", &["10.1.2.3"], true),
            ("IpAddress", "mapped", &["10.1.2.0/24"], true),
            ("IpAddress", "ip", &["0.0.0.0/0"], true),
            ("IpAddress", "ip", &["10.0.0.0/33"], false),
            ("NotIpAddress", "ip", &["10.0.0.0/8"], false),
            ("IpAddress", "ip6", &["2001:db8::/32"], true),
            ("IpAddress", "ip6", &["10.0.0.0/8"], false),
            ("ArnLike", "arn", &["arn:aws:s3:::buck*"], true),
            ("ArnLike", "arn", &["arn:*"], false),
            ("ArnNotLike", "arn", &["arn:aws:s3:::other"], true),
            ("Null", "name", &["false"], true),
            ("Null", "name", &["true"], false),
            ("Null", "nothing", &["true"], true),
            ("NoSuchOperator", "name", &["Ann"], false),
        ] {
            assert_eq!(check(operator, key, values), expected, "{operator} {key} {values:?}");
        }
    }

    #[test]
    fn a_missing_value_and_several_values_mean_what_is_documented() {
        for (operator, key, values, expected) in [
            ("StringEquals", "nothing", &["a"] as &[&str], false),
            ("StringEqualsIfExists", "nothing", &["a"], true),
            ("StringEqualsIfExists", "name", &["a"], false),
            ("StringNotEquals", "nothing", &["a"], true),
            ("ForAllValues:StringEquals", "nothing", &["a"], true),
            ("ForAnyValue:StringEquals", "nothing", &["a"], false),
            ("ForAllValues:StringEquals", "tags", &["a", "b", "c"], true),
            ("ForAllValues:StringEquals", "tags", &["a"], false),
            ("ForAnyValue:StringEquals", "tags", &["b"], true),
            ("ForAllValues:StringNotEquals", "tags", &["c"], true),
            ("ForAnyValue:StringNotEquals", "tags", &["a"], true),
            ("StringNotEquals", "tags", &["a"], false),
        ] {
            assert_eq!(check(operator, key, values), expected, "{operator} {key} {values:?}");
        }
        assert!(operator_is_known("ForAnyValue:StringLikeIfExists"));
        assert!(!operator_is_known("ForSome:StringLike"));
        assert!(!operator_is_known("NullIfExists"));
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (text, seconds) in [
            ("1970-01-01", Some(0.0)),
            ("2000-02-29T00:00:00Z", Some(951_782_400.0)),
            ("2026-11-21T06:37:09Z", Some(1_795_243_029.0)),
            ("1969-12-31T23:59:59Z", Some(-1.0)),
            ("2026-13-01", None),
            ("yesterday", None),
        ] {
            assert_eq!(date(text), seconds, "{text}");
        }
    }
}
