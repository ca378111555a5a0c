//! What is done with objects as they age: rules, and the decision for one version.

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// A rule of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub id: Box<str>,
    /// It is in force.
    pub enabled: bool,
    /// For which objects.
    pub filter: Filter,
    /// When the current version goes.
    pub expiration: Option<Expiration>,
    /// When versions go that are no longer current.
    pub noncurrent: Option<Noncurrent>,
    /// After how many days an unfinished upload is given up.
    pub abort_upload_days: Option<u32>,
    /// Changes of the class of storage. Kept, told back, and shown as the class once
    /// due: all classes are stored alike.
    pub transitions: Vec<Transition>,
    /// The same for versions that are no longer current.
    pub noncurrent_transitions: Vec<Transition>,
}

/// For which objects a rule is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Keys that begin so.
    pub prefix: Box<str>,
    /// With all these tags.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// Longer than this.
    pub longer_than: Option<u64>,
    /// Shorter than this.
    pub shorter_than: Option<u64>,
    /// How the dialect wrote it, to be told back alike.
    pub form: FilterForm,
}

/// How a filter was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FilterForm {
    /// A prefix of the rule itself (the older form).
    #[default]
    Prefix,
    /// A filter with one thing, or none.
    One,
    /// A filter with several.
    All,
}

/// When the current version goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    /// So many days after it was written.
    Days(u32),
    /// On this day.
    Date(Timestamp),
    /// A delete marker goes when no version is behind it.
    LoneMarkers,
}

/// When versions go that are no longer current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noncurrent {
    /// So many days after a newer one came.
    pub days: u32,
    /// But so many of the newest of them stay.
    pub keep: Option<u32>,
}

/// A change of the class of storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub when: Expiration,
    /// To which class: an index into [`crate::entry::CLASSES`].
    pub class: u8,
}

/// What rules ask of a version.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its length.
    pub size: u64,
    /// Its tags.
    pub tags: &'a [(Box<str>, Box<str>)],
}

/// What becomes of a key's newest version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ripe {
    /// Nothing.
    Stays,
    /// It is deleted as a user would: a marker comes when versions are kept.
    Expires,
    /// It is a delete marker with nothing behind it, and goes.
    MarkerGoes,
}

impl Filter {
    /// Whether a version is one of those that are meant.
    pub fn covers(&self, facts: &Facts<'_>) -> bool {
        facts.key.starts_with(&*self.prefix)
            && self.tags.iter().all(|tag| facts.tags.contains(tag))
            && self.longer_than.is_none_or(|least| facts.size > least)
            && self.shorter_than.is_none_or(|most| facts.size < most)
    }
}

/// So many days after a moment. Days of 24 hours end at midnight UTC, as the real
/// service counts them; shorter ones, which only tests have, when they are over.
fn after(moment: Timestamp, days: u32, day_seconds: u64) -> Timestamp {
    const MIDNIGHT: i64 = 86_400_000_000;
    let day = i64::try_from(day_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let due = moment.micros().saturating_add(i64::from(days).saturating_mul(day));
    if day != MIDNIGHT {
        return Timestamp::from_micros(due);
    }
    Timestamp::from_micros((due.div_euclid(MIDNIGHT) + 1).saturating_mul(MIDNIGHT))
}

fn covering<'r>(rules: &'r [Rule], facts: &Facts<'_>) -> impl Iterator<Item = &'r Rule> {
    rules.iter().filter(move |rule| rule.enabled && rule.filter.covers(facts))
}

/// When a current version expires that was written then, and by which rule: the
/// earliest counts.
pub fn expiry<'r>(
    rules: &'r [Rule],
    facts: &Facts<'_>,
    modified: Timestamp,
    day_seconds: u64,
) -> Option<(Timestamp, &'r Rule)> {
    let due = |rule: &'r Rule| match rule.expiration? {
        Expiration::Days(days) => Some((after(modified, days, day_seconds), rule)),
        Expiration::Date(date) => Some((date, rule)),
        Expiration::LoneMarkers => None,
    };
    covering(rules, facts).filter_map(due).min_by_key(|(due, _)| *due)
}

/// What becomes of a key's newest version: `lone` is given when it is a delete marker,
/// and says whether nothing is behind it.
pub fn ripe(
    rules: &[Rule],
    facts: &Facts<'_>,
    (modified, lone): (Timestamp, Option<bool>),
    now: Timestamp,
    day_seconds: u64,
) -> Ripe {
    let due = expiry(rules, facts, modified, day_seconds).is_some_and(|(due, _)| due <= now);
    let markers = |rule: &Rule| rule.expiration == Some(Expiration::LoneMarkers);
    match lone {
        None if due => Ripe::Expires,
        Some(true) if due || covering(rules, facts).any(markers) => Ripe::MarkerGoes,
        _ => Ripe::Stays,
    }
}

/// When a version goes that is no longer current since then; `newer` others are no
/// longer current and newer than it.
pub fn noncurrent_due(
    rules: &[Rule],
    facts: &Facts<'_>,
    (since, newer): (Timestamp, u32),
    day_seconds: u64,
) -> Option<Timestamp> {
    let limits = covering(rules, facts).filter_map(|rule| rule.noncurrent);
    let counted = limits.filter(|limit| newer >= limit.keep.unwrap_or(0));
    counted.map(|limit| after(since, limit.days, day_seconds)).min()
}

/// When an upload is given up that began then.
pub fn upload_due(
    rules: &[Rule],
    key: &str,
    begun: Timestamp,
    day_seconds: u64,
) -> Option<Timestamp> {
    let rules = rules.iter().filter(|rule| rule.enabled && key.starts_with(&*rule.filter.prefix));
    let days = rules.filter_map(|rule| rule.abort_upload_days);
    days.map(|days| after(begun, days, day_seconds)).min()
}

/// The class of storage that a version is shown with: the one of the transition that
/// was due last.
pub fn shown_class(
    transitions: impl Iterator<Item = Transition>,
    (class, since): (u8, Timestamp),
    now: Timestamp,
    day_seconds: u64,
) -> u8 {
    let due = |transition: Transition| match transition.when {
        Expiration::Days(days) => Some((after(since, days, day_seconds), transition.class)),
        Expiration::Date(date) => Some((date, transition.class)),
        Expiration::LoneMarkers => None,
    };
    let passed = transitions.filter_map(due).filter(|(due, _)| *due <= now);
    passed.max_by_key(|(due, _)| *due).map_or(class, |(_, class)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn rule(prefix: &str, days: u32) -> Rule {
        Rule {
            enabled: true,
            filter: Filter { prefix: prefix.into(), ..Filter::default() },
            expiration: Some(Expiration::Days(days)),
            ..Rule::default()
        }
    }

    fn facts<'a>(key: &'a str, tags: &'a [(Box<str>, Box<str>)]) -> Facts<'a> {
        Facts { key, size: 10, tags }
    }

    #[test]
    fn days_end_at_midnight_and_the_earliest_rule_counts() {
        let rules = [rule("logs/", 5), rule("", 9)];
        let due = |key| expiry(&rules, &facts(key, &[]), at(DAY / 2), 86_400).map(|(due, _)| due);
        assert_eq!(due("logs/a"), Some(at(6 * DAY)));
        assert_eq!(due("other"), Some(at(10 * DAY)));
        let short = expiry(&rules, &facts("logs/a", &[]), at(3), 10).map(|(due, _)| due);
        assert_eq!(short, Some(at(3 + 50_000_000)));
    }

    #[test]
    fn a_filter_asks_for_all_of_its_tags_and_lengths() {
        let tag = |name: &str| (Box::<str>::from(name), Box::<str>::from("1"));
        let filter =
            Filter { tags: vec![tag("a"), tag("b")], longer_than: Some(9), ..Filter::default() };
        assert!(filter.covers(&facts("k", &[tag("b"), tag("a")])));
        assert!(!filter.covers(&facts("k", &[tag("a")])));
        let shorter = Filter { shorter_than: Some(10), ..Filter::default() };
        assert!(!shorter.covers(&facts("k", &[])));
    }

    #[test]
    fn markers_go_only_when_they_are_alone() {
        let lone = Rule { expiration: Some(Expiration::LoneMarkers), ..rule("", 0) };
        let ripe =
            |rules: &[Rule], lone, now| ripe(rules, &facts("k", &[]), (at(0), lone), at(now), 1);
        assert_eq!(ripe(std::slice::from_ref(&lone), Some(true), 0), Ripe::MarkerGoes);
        assert_eq!(ripe(&[lone], Some(false), 0), Ripe::Stays);
        assert_eq!(ripe(&[rule("", 2)], None, 2_000_000), Ripe::Expires);
        assert_eq!(ripe(&[rule("", 2)], None, 1_999_999), Ripe::Stays);
        let off = Rule { enabled: false, ..rule("", 2) };
        assert_eq!(ripe(&[off], None, 2_000_000), Ripe::Stays);
    }

    #[test]
    fn the_newest_of_the_old_versions_stay() {
        let noncurrent = Some(Noncurrent { days: 1, keep: Some(2) });
        let rules = [Rule { noncurrent, expiration: None, ..rule("", 0) }];
        let due = |newer| noncurrent_due(&rules, &facts("k", &[]), (at(0), newer), 1);
        assert_eq!([due(0), due(1), due(2)], [None, None, Some(at(1_000_000))]);
    }

    #[test]
    fn the_transition_that_was_due_last_is_shown() {
        let transition = |days, class| Transition { when: Expiration::Days(days), class };
        let class = |now| {
            let both = [transition(30, 1), transition(2, 5)].into_iter();
            shown_class(both, (0, at(0)), at(now), 1)
        };
        assert_eq!([class(0), class(2_000_000), class(30_000_000)], [0, 5, 1]);
    }
}
