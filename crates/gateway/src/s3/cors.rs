//! Requests that web pages of other origins make (the Fetch standard, CORS protocol):
//! whether a browser may, and the headers that tell it so.

use std::borrow::Cow;

use object::bucket::CorsRule;

use super::auth::AuthError;
use crate::step::Head;

/// Headers to add to an answer.
pub type Headers = Vec<(Cow<'static, str>, Cow<'static, str>)>;

const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// Answers the question that a browser asks before a request (OPTIONS).
///
/// # Errors
/// When the question is incomplete, or the request would not be allowed.
pub fn preflight(head: &Head<'_>, rules: &[CorsRule]) -> Result<Headers, AuthError> {
    let bad = |why| AuthError::new(400, "BadRequest", why);
    let origin = head.header("origin").filter(|origin| !origin.is_empty());
    let origin =
        origin.ok_or_else(|| bad("Insufficient information. Origin request header needed."))?;
    let method = head.header("access-control-request-method").filter(|method| !method.is_empty());
    let method = method.ok_or_else(|| bad("Invalid Access-Control-Request-Method: null"))?;
    let forbidden = |why| AuthError::new(403, "AccessForbidden", why);
    if rules.is_empty() {
        return Err(forbidden("CORSResponse: CORS is not enabled for this bucket."));
    }
    let asked = head.header("access-control-request-headers").unwrap_or("");
    let asked: Vec<&str> =
        asked.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let allows = |rule: &&CorsRule| {
        fits(rule, origin, method)
            && asked.iter().all(|name| rule.headers.iter().any(|known| one_star(known, name, true)))
    };
    let Some(rule) = rules.iter().find(allows) else {
        return Err(forbidden(
            "CORSResponse: This CORS request is not allowed. This is usually because the \
             evalution of Origin, request method / Access-Control-Request-Method or \
             Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
        ));
    };
    let mut headers = answer(rule, origin);
    if !asked.is_empty() {
        let names = asked.join(", ").to_ascii_lowercase();
        headers.push(("Access-Control-Allow-Headers".into(), names.into()));
    }
    if let Some(seconds) = rule.max_age {
        headers.push(("Access-Control-Max-Age".into(), seconds.to_string().into()));
    }
    Ok(headers)
}

/// The headers for the answer to a request that a web page makes; none when it is no
/// such request, or no rule is for it.
pub fn actual(head: &Head<'_>, rules: &[CorsRule]) -> Headers {
    let Some(origin) = head.header("origin").filter(|_| !rules.is_empty()) else {
        return Headers::new();
    };
    let method = head.header("access-control-request-method").unwrap_or(head.method);
    let rule = rules.iter().find(|rule| fits(rule, origin, method));
    rule.map(|rule| answer(rule, origin)).unwrap_or_default()
}

fn fits(rule: &CorsRule, origin: &str, method: &str) -> bool {
    rule.methods.iter().any(|known| **known == *method)
        && rule.origins.iter().any(|known| one_star(known, origin, false))
}

/// Whether a text fits a pattern with at most one star.
fn one_star(pattern: &str, text: &str, any_case: bool) -> bool {
    let same = |a: &[u8], b: &[u8]| if any_case { a.eq_ignore_ascii_case(b) } else { a == b };
    let text = text.as_bytes();
    match pattern.split_once('*') {
        None => same(pattern.as_bytes(), text),
        Some((begin, end)) => {
            text.len() >= begin.len() + end.len()
                && same(begin.as_bytes(), &text[..begin.len()])
                && same(end.as_bytes(), &text[text.len() - end.len()..])
        }
    }
}

fn answer(rule: &CorsRule, origin: &str) -> Headers {
    let mut headers = Headers::with_capacity(6);
    let everybody = rule.origins.iter().any(|known| &**known == "*");
    let origin = if everybody { Cow::Borrowed("*") } else { Cow::Owned(origin.to_owned()) };
    headers.push(("Access-Control-Allow-Origin".into(), origin));
    headers.push(("Access-Control-Allow-Methods".into(), rule.methods.join(", ").into()));
    if !rule.exposed.is_empty() {
        headers.push(("Access-Control-Expose-Headers".into(), rule.exposed.join(", ").into()));
    }
    if !everybody {
        headers.push(("Access-Control-Allow-Credentials".into(), "true".into()));
    }
    headers.push(("Vary".into(), VARY.into()));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Framing;

    fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CorsRule {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).into()).collect();
        CorsRule {
            origins: texts(origins),
            methods: texts(methods),
            headers: texts(headers),
            max_age: Some(60),
            ..CorsRule::default()
        }
    }

    fn with<T>(headers: &[(&str, &str)], run: impl FnOnce(&Head<'_>) -> T) -> T {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        run(&Head {
            method: "GET",
            path: "/b",
            query: "",
            headers: &headers,
            framing: Framing::None,
        })
    }

    fn value<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
        headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    #[test]
    fn origins_fit_with_one_star_and_the_first_rule_that_fits_answers() {
        let rules = [
            rule(&["*suffix"], &["GET"], &[]),
            rule(&["start*end"], &["GET"], &[]),
            rule(&["*.put"], &["PUT"], &[]),
        ];
        for (origin, method, allowed) in [
            ("foo.suffix", None, Some("foo.suffix")),
            ("startend", None, Some("startend")),
            ("starend", None, None),
            ("0startend", None, None),
            ("x.put", None, None),
            ("x.put", Some("PUT"), Some("x.put")),
        ] {
            let mut headers = vec![("Origin", origin)];
            headers.extend(method.map(|method| ("Access-Control-Request-Method", method)));
            let found = with(&headers, |head| actual(head, &rules));
            assert_eq!(value(&found, "Access-Control-Allow-Origin"), allowed, "{origin}");
        }
        assert!(with(&[], |head| actual(head, &rules)).is_empty());
    }

    #[test]
    fn a_preflight_is_refused_as_the_service_does() {
        let rules = [rule(&["*"], &["GET"], &["x-amz-*"])];
        let ask = |headers: &[(&str, &str)], rules: &[CorsRule]| {
            with(headers, |head| preflight(head, rules)).map_err(|error| (error.status, error.code))
        };
        let method = |name| ("Access-Control-Request-Method", name);
        let names = |list| ("Access-Control-Request-Headers", list);
        let origin = ("Origin", "http://a");
        assert_eq!(ask(&[], &rules), Err((400, "BadRequest")));
        assert_eq!(ask(&[origin], &rules), Err((400, "BadRequest")));
        assert_eq!(ask(&[origin, method("PUT")], &rules), Err((403, "AccessForbidden")));
        assert_eq!(ask(&[origin, method("GET")], &[]), Err((403, "AccessForbidden")));
        let other = ask(&[origin, method("GET"), names("x-amz-meta-a, other")], &rules);
        assert_eq!(other, Err((403, "AccessForbidden")));
        let good = ask(&[origin, method("GET"), names("X-Amz-Meta-A")], &rules).expect("allowed");
        assert_eq!(value(&good, "Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(value(&good, "Access-Control-Allow-Headers"), Some("x-amz-meta-a"));
        assert_eq!(value(&good, "Access-Control-Max-Age"), Some("60"));
        assert_eq!(value(&good, "Access-Control-Allow-Credentials"), None);
    }
}
