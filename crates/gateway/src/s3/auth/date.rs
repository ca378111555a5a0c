//! Dates of requests: `20130524T000000Z` (SigV4), RFC 1123 (`Date`, SigV2), and ISO
//! 8601 with dashes (form policies).

use jiff::civil::DateTime;
use model::Timestamp;

/// How far a request's clock may be from ours, in microseconds.
pub(super) const SKEW: i64 = 15 * 60 * 1_000_000;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// `20130524T000000Z`.
pub(super) fn basic(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| digits(&bytes[from..to]);
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    moment([year, month, day, hour, minute, second.min(59)], 0)
}

/// `2013-05-24T00:00:00Z`, with an optional fraction of a second.
pub(super) fn extended(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let shape = bytes.len() >= 20
        && (bytes[4], bytes[7], bytes[10]) == (b'-', b'-', b'T')
        && (bytes[13], bytes[16], bytes[bytes.len() - 1]) == (b':', b':', b'Z');
    if !shape {
        return None;
    }
    let number = |from: usize, to: usize| digits(&bytes[from..to]);
    let fraction = match &bytes[19..bytes.len() - 1] {
        [] => 0,
        [b'.', rest @ ..] if (1..=9).contains(&rest.len()) => {
            let value = i64::from(digits(rest)?) * 1_000_000;
            value / 10_i64.pow(rest.len() as u32)
        }
        _ => return None,
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    moment([year, month, day, hour, minute, second], fraction)
}

/// `Tue, 27 Mar 2007 19:36:42 +0000` (or `GMT`). The weekday is not looked at.
pub(super) fn http(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = text.split_once(',').map_or(text, |(_, rest)| rest).trim();
    let mut words = text.split_ascii_whitespace();
    let day = digits(words.next()?.as_bytes())?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|known| *known == month)? as u32 + 1;
    let year = digits(words.next()?.as_bytes())?;
    let mut clock = words.next()?.split(':');
    let mut part = || clock.next().and_then(|part| digits(part.as_bytes()));
    let (hour, minute, second) = (part()?, part()?, part()?);
    let zone = match words.next() {
        None | Some("GMT" | "UTC" | "Z") => 0,
        Some(zone) => offset(zone)?,
    };
    let local = moment([year, month, day, hour, minute, second.min(59)], 0)?;
    Some(Timestamp::from_micros(local.micros() - zone))
}

fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.as_bytes() {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let value = digits(rest).filter(|_| rest.len() == 4)?;
    Some(sign * i64::from(value / 100 * 60 + value % 100) * 60_000_000)
}

fn digits(bytes: &[u8]) -> Option<u32> {
    let plain = (1..=9).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_digit);
    plain.then(|| bytes.iter().fold(0, |value, byte| value * 10 + u32::from(byte - b'0')))
}

fn moment(parts: [u32; 6], micros: i64) -> Option<Timestamp> {
    let [year, month, day, hour, minute, second] = parts.map(|part| i16::try_from(part).ok());
    let small = |part: Option<i16>| part.and_then(|part| i8::try_from(part).ok());
    let (month, day) = (small(month)?, small(day)?);
    let clock = (small(hour)?, small(minute)?, small(second)?);
    let civil = DateTime::new(year?, month, day, clock.0, clock.1, clock.2, 0).ok()?;
    let epoch = jiff::civil::date(1970, 1, 1);
    let days = i64::from((civil.date() - epoch).get_days());
    let seconds = i64::from(clock.0) * 3600 + i64::from(clock.1) * 60 + i64::from(clock.2);
    Some(Timestamp::from_micros(days * DAY + seconds * 1_000_000 + micros))
}

/// As people and errors write it: `2013-05-24T00:00:00Z`.
pub(super) fn iso(at: Timestamp) -> String {
    let whole = jiff::Timestamp::from_second(at.micros().div_euclid(1_000_000));
    whole.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}
