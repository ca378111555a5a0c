//! Things as people read them: how long ago, names in the order in which people
//! count, and text of strangers made harmless for a terminal.

use std::cmp::Ordering;

use model::{Duration, Timestamp};

/// How long ago a moment was, seen from `now`: `just now`, `3 min ago`, `2 days ago`.
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    let secs = now.since(then).micros() / 1_000_000;
    match secs {
        0..=4 => "just now".to_owned(),
        _ => format!("{} ago", span(Duration::from_secs(secs))),
    }
}

/// How far away a moment is, seen from `now`: `in 3 min`, `2 days ago`.
pub fn away(now: Timestamp, then: Timestamp) -> String {
    match then > now {
        true => format!("in {}", span(then.since(now))),
        false => ago(now, then),
    }
}

/// A span in one unit: `45 s`, `3 min`, `5 h`, `12 days`.
pub fn span(span: Duration) -> String {
    let secs = span.micros() / 1_000_000;
    match secs {
        0..=99 => format!("{secs} s"),
        100..=5_999 => format!("{} min", (secs + 30) / 60),
        6_000..=172_799 => format!("{} h", (secs + 1_800) / 3_600),
        _ => format!("{} days", (secs + 43_200) / 86_400),
    }
}

/// A moment in full and how long ago it was.
pub fn moment(now: Timestamp, then: Timestamp) -> String {
    // To the second: `2026-01-01T00:00:00.000Z` without its fraction.
    let text = then.to_string();
    let whole = text.split('.').next().unwrap_or(&text).replace('T', " ");
    format!("{whole} UTC ({})", away(now, then))
}

/// Text of a stranger without anything that could move the cursor or lie: control
/// characters and the marks that reverse the direction of writing become `\u{FFFD}`,
/// line breaks and tabs a space.
pub fn clean(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(harmless).collect()
}

/// Names in the order in which people count: `m2` before `m10`.
pub fn by_number(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (Some(x), Some(y)) = (left.chars().next(), right.chars().next()) else {
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let ((one, rest), (other, others)) = (digits(left), digits(right));
            let order = one.len().cmp(&other.len()).then_with(|| one.cmp(other));
            if order != Ordering::Equal {
                return order;
            }
            (left, right) = (rest, others);
        } else if x != y {
            return x.cmp(&y);
        } else {
            (left, right) = (&left[x.len_utf8()..], &right[y.len_utf8()..]);
        }
    }
}

/// The digits at the beginning, without leading zeros, and what follows them.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

/// A count with its noun: `1 machine`, `2 machines`.
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Cut to a number of characters, with `…` where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    match width {
        0 => String::new(),
        _ => format!("{}…", kept.trim_end()),
    }
}

/// Broken into lines of at most `width` characters, at spaces where there are some.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        let room = width.saturating_sub(line.chars().count() + usize::from(!line.is_empty()));
        if !line.is_empty() && word.chars().count() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if line.chars().count() == width {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}
