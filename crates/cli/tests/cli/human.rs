//! Words for people.

use std::cmp::Ordering;

use cli::human::{ago, away, by_number, clean, count, cut, moment, wrap};
use proptest::prelude::*;

use crate::samples::at;

#[test]
fn spans_are_told_in_one_unit() {
    let told: Vec<String> = [0, 4, 5, 99, 100, 185, 5_999, 7_200, 172_799, 172_800, 86_400 * 40]
        .map(|secs| ago(at(secs), at(0)))
        .into();
    let expected = [
        "just now",
        "just now",
        "5 s ago",
        "99 s ago",
        "2 min ago",
        "3 min ago",
        "100 min ago",
        "2 h ago",
        "48 h ago",
        "2 days ago",
        "40 days ago",
    ];
    assert_eq!(told, expected);
    assert_eq!(away(at(0), at(180)), "in 3 min");
    assert_eq!(moment(at(60), at(0)), "2025-10-09 08:53:20 UTC (60 s ago)");
    // A clock that is behind is no reason for nonsense.
    assert_eq!(ago(at(0), at(60)), "just now");
}

#[test]
fn names_are_sorted_as_people_count() {
    let mut names = ["m10", "m2", "m1", "a10b2", "a10b10", "a9", "m02", "m"];
    names.sort_by(|a, b| by_number(a, b));
    assert_eq!(names, ["a9", "a10b2", "a10b10", "m", "m1", "m02", "m2", "m10"]);
}

#[test]
fn strangers_cannot_write_on_the_screen() {
    assert_eq!(clean("a\x1b[31mb\x07\u{9b}c"), "a\u{fffd}[31mb\u{fffd}\u{fffd}c");
    assert_eq!(clean("a\nb\tc"), "a b c");
    assert_eq!(clean("x\u{202e}y"), "x\u{fffd}y");
}

#[test]
fn counts_and_cuts() {
    assert_eq!(count(1, "machine"), "1 machine");
    assert_eq!(count(2, "machine"), "2 machines");
    assert_eq!(cut("abcdef", 6), "abcdef");
    assert_eq!(cut("abcdefg", 6), "abcde…");
    assert_eq!(cut("abc", 0), "");
    assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    assert_eq!(wrap("", 3), [""]);
}

proptest! {
    #[test]
    fn what_is_cut_or_wrapped_fits(text in "\\PC{0,60}", width in 1_usize..20) {
        prop_assert!(cut(&text, width).chars().count() <= width);
        for line in wrap(&text, width) {
            prop_assert!(line.chars().count() <= width);
        }
        let whole: String = text.split_whitespace().collect();
        let kept: String = wrap(&text, width).concat().split_whitespace().collect();
        prop_assert_eq!(whole, kept);
    }

    #[test]
    fn the_order_of_names_is_an_order(a in "[a1-3]{0,6}", b in "[a1-3]{0,6}", c in "[a0-3]{0,6}") {
        prop_assert_eq!(by_number(&a, &b), by_number(&b, &a).reverse());
        prop_assert_eq!(by_number(&a, &b) == Ordering::Equal, a == b);
        if by_number(&a, &b) == Ordering::Less && by_number(&b, &c) == Ordering::Less {
            prop_assert_eq!(by_number(&a, &c), Ordering::Less);
        }
    }
}
