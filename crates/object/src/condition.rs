//! Conditions on what is there: the same for reads and writes (RFC 9110, section 13).

use model::Timestamp;

use crate::entry::{Entry, Tag};

/// One entry of a list of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagMatch {
    /// `*`: anything that is there.
    Any,
    /// This one.
    Is(Tag),
    /// A tag that none of ours can be.
    Foreign,
}

/// What must hold. Empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// If-Match.
    pub matches: Vec<TagMatch>,
    /// If-None-Match.
    pub none_matches: Vec<TagMatch>,
    /// If-Modified-Since.
    pub modified_since: Option<Timestamp>,
    /// If-Unmodified-Since.
    pub unmodified_since: Option<Timestamp>,
    /// The version must have been written then, to the second.
    pub modified_at: Option<Timestamp>,
    /// The version must have this length.
    pub size: Option<u64>,
}

/// How conditions came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They hold.
    Holds,
    /// There is nothing newer: 304 for reads.
    NotModified,
    /// They do not hold: 412.
    Failed,
    /// A tag was to match and nothing is there: 404 for writes.
    Missing,
}

impl Conditions {
    /// Nothing must hold.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }

    /// Judges what is there for a read, in the order of RFC 9110, section 13.2.2.
    pub fn judge_read(&self, there: &Entry) -> Verdict {
        if !self.matches.is_empty() {
            if !any(&self.matches, there) {
                return Verdict::Failed;
            }
        } else if self.unmodified_since.is_some_and(|since| later(there.modified, since)) {
            return Verdict::Failed;
        }
        if !self.none_matches.is_empty() {
            if any(&self.none_matches, there) {
                return Verdict::NotModified;
            }
        } else if self.modified_since.is_some_and(|since| !later(there.modified, since)) {
            return Verdict::NotModified;
        }
        Verdict::Holds
    }

    /// Judges what is there for a write. A delete marker counts as nothing: hand
    /// `None`.
    pub fn judge_write(&self, there: Option<&Entry>) -> Verdict {
        let Some(there) = there else {
            let wanted = !self.matches.is_empty()
                || self.size.is_some()
                || self.modified_at.is_some()
                || self.unmodified_since.is_some();
            return if wanted { Verdict::Missing } else { Verdict::Holds };
        };
        let holds = (self.matches.is_empty() || any(&self.matches, there))
            && !any(&self.none_matches, there)
            && self.size.is_none_or(|size| size == there.size)
            && self.modified_at.is_none_or(|at| second(at) == second(there.modified))
            && self.unmodified_since.is_none_or(|since| !later(there.modified, since))
            && self.modified_since.is_none_or(|since| later(there.modified, since));
        if holds { Verdict::Holds } else { Verdict::Failed }
    }
}

fn any(list: &[TagMatch], there: &Entry) -> bool {
    list.iter().any(|wanted| match wanted {
        TagMatch::Any => true,
        TagMatch::Is(tag) => *tag == there.tag,
        TagMatch::Foreign => false,
    })
}

/// HTTP dates have seconds only.
fn second(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000_000)
}

fn later(there: Timestamp, since: Timestamp) -> bool {
    second(there) > second(since)
}
