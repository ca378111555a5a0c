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
