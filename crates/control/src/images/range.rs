//! The `Range` of a request (RFC 9110 section 14.2), as far as it is served: one
//! range of bytes.

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: no range, or one that is to be ignored.
    Whole,
    /// From the first to before the second byte.
    Part(u64, u64),
    /// Nothing that there is: 416.
    Outside,
}

/// Reads the header. What cannot be understood, and several ranges at once, count
/// as no range, as the RFC allows.
pub fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => part(first, last.saturating_add(1), length),
        (Some(first), None) if last.trim().is_empty() => part(first, length, length),
        (None, Some(0)) if first.trim().is_empty() => Wanted::Outside,
        (None, Some(tail)) if first.trim().is_empty() => {
            part(length.saturating_sub(tail), length, length)
        }
        _ => Wanted::Whole,
    }
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    // `parse` would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn part(start: u64, end: u64, length: u64) -> Wanted {
    if start >= length { Wanted::Outside } else { Wanted::Part(start, end.min(length)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_the_rfc_has_them() {
        let cases = [
            (None, Wanted::Whole),
            (Some("bytes=0-0"), Wanted::Part(0, 1)),
            (Some("bytes=10-"), Wanted::Part(10, 100)),
            (Some("bytes=-5"), Wanted::Part(95, 100)),
            (Some("bytes=-500"), Wanted::Part(0, 100)),
            (Some("bytes=90-1000"), Wanted::Part(90, 100)),
            (Some("bytes=100-"), Wanted::Outside),
            (Some("bytes=-0"), Wanted::Outside),
            (Some("bytes=5-4"), Wanted::Whole),
            (Some("bytes=+1-4"), Wanted::Whole),
            (Some("bytes=0-1,5-6"), Wanted::Whole),
            (Some("lines=1-2"), Wanted::Whole),
            (Some("bytes=-"), Wanted::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(wanted(header, 100), expected, "{header:?}");
        }
    }

    #[test]
    fn an_empty_image_has_no_parts() {
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Outside);
        assert_eq!(wanted(Some("bytes=-1"), 0), Wanted::Outside);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_asked_the_part_is_inside(header in ".{0,40}", length: u64) {
            if let Wanted::Part(start, end) = wanted(Some(&header), length) {
                proptest::prop_assert!(start < end && end <= length);
            }
        }
    }
}
