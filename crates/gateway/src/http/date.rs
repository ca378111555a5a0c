//! The date of a reply (RFC 9110, section 5.6.7), made once a second.

use model::Timestamp;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The text of a date, for the second that it was made in.
#[derive(Clone, Debug, Default)]
pub struct HttpDate {
    second: i64,
    text: String,
}

impl HttpDate {
    /// Moves it to a moment.
    pub fn set(&mut self, now: Timestamp) {
        let second = now.micros().div_euclid(1_000_000);
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text = http_date(now);
        }
    }
    /// As it goes into a reply.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A moment as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(at: Timestamp) -> String {
    let seconds = at.micros().div_euclid(1_000_000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let weekday = DAYS[days.rem_euclid(7) as usize];
    let month = MONTHS[month - 1];
    let mut text = String::with_capacity(29);
    text.push_str(weekday);
    text.push_str(", ");
    two(&mut text, day);
    for piece in [" ", month, " "] {
        text.push_str(piece);
    }
    two(&mut text, year / 100);
    two(&mut text, year % 100);
    text.push(' ');
    two(&mut text, of_day / 3600);
    text.push(':');
    two(&mut text, of_day / 60 % 60);
    text.push(':');
    two(&mut text, of_day % 60);
    text.push_str(" GMT");
    text
}

/// A moment as XML documents write it, to the millisecond: `1994-11-06T08:49:37.123Z`. Years
/// beyond four digits are no moments that anybody can have meant: the first one of 1970.
pub fn iso(at: Timestamp) -> String {
    let millis = at.micros().div_euclid(1000);
    let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    if !(0..=9999).contains(&year) {
        return "1970-01-01T00:00:00.000Z".to_owned();
    }
    let mut text = String::with_capacity(24);
    two(&mut text, year / 100);
    two(&mut text, year % 100);
    let seconds = of_day / 1000;
    let more = [
        ('-', month as i64),
        ('-', day),
        ('T', seconds / 3600),
        (':', seconds / 60 % 60),
        (':', seconds % 60),
        ('.', of_day % 1000 / 10),
    ];
    for (before, number) in more {
        text.push(before);
        two(&mut text, number);
    }
    text.push(char::from(b'0' + (of_day % 10) as u8));
    text.push('Z');
    text
}

/// Two digits: every answer has a date, and formatting takes longer than finding it.
fn two(into: &mut String, number: i64) {
    for digit in [number / 10 % 10, number % 10] {
        into.push(char::from(b'0' + digit.unsigned_abs() as u8));
    }
}

/// Days since 1970 as year, month and day of the Gregorian calendar: years begin in
/// March, so that the leap day is the last, in eras of 400 years.
fn civil(days: i64) -> (i64, usize, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_writes_them() {
        let at = |seconds: i64| http_date(Timestamp::from_micros(seconds * 1_000_000));
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(at(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
        assert_eq!(at(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
    }

    #[test]
    fn moments_are_written_as_documents_write_them() {
        let at = |millis: i64| iso(Timestamp::from_micros(millis * 1000 + 7));
        assert_eq!(at(784_111_777_123), "1994-11-06T08:49:37.123Z");
        assert_eq!(at(951_782_400_009), "2000-02-29T00:00:00.009Z");
        assert_eq!(at(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(at(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
        assert_eq!(at(253_402_300_800_000), "1970-01-01T00:00:00.000Z");
        for day in 0..30_000 {
            let at = day * 86_400_000_001 - 300_000_000_000_000;
            let known = jiff::Timestamp::from_microsecond(at).expect("within bounds");
            let known = known.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
            assert_eq!(iso(Timestamp::from_micros(at)), known);
        }
    }

    #[test]
    fn a_date_is_made_anew_when_its_second_ends() {
        let mut date = HttpDate::default();
        date.set(Timestamp::from_micros(999_999));
        assert!(date.text().ends_with("00:00:00 GMT"));
        date.set(Timestamp::from_micros(1_000_000));
        assert!(date.text().ends_with("00:00:01 GMT"));
    }
}
