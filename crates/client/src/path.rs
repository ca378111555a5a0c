//! Paths of endpoints, filled in.

/// Fills the parameters of a path, in order. Whatever a name holds, it stays one
/// segment (RFC 3986 section 3.3).
pub fn fill(path: &str, values: &[&str]) -> String {
    let mut filled = String::with_capacity(path.len() + 32);
    let mut values = values.iter();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (name, after) = after.split_once('}').expect("the table closes its parameters");
        let value = values.next();
        let value = value.unwrap_or_else(|| panic!("{path} wants a value for {name}"));
        encode(value, &mut filled);
        rest = after;
    }
    assert!(values.next().is_none(), "{path} wants fewer values");
    filled.push_str(rest);
    filled
}

/// Percent-encodes whatever is not unreserved (RFC 3986 section 2.3).
pub fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => into.push(byte as char),
            // A segment of dots only would be taken for a step in the tree.
            b'.' if text.bytes().any(|byte| byte != b'.') => into.push('.'),
            byte => into.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        let path = "/v1/machines/{machine}/power";
        assert_eq!(fill(path, &["rack-1.a"]), "/v1/machines/rack-1.a/power");
        assert_eq!(fill(path, &["../tokens"]), "/v1/machines/..%2Ftokens/power");
        assert_eq!(fill(path, &[".."]), "/v1/machines/%2E%2E/power");
        assert_eq!(fill(path, &["ü?"]), "/v1/machines/%C3%BC%3F/power");
        assert_eq!(fill("/v1/self", &[]), "/v1/self");
    }
}
