//! Rules: which signals are which symptom. They are data, in a text that an operator can
//! write ([`text`]); the ones that come with Bedplate are in `standard.rules`, with lines of
//! recorded logs as their test.
//!
//! A rule is a sequence of one or more conditions. A condition is a pattern of a line, or a
//! threshold of a value, that must be met once, or so many times within a while; and the
//! conditions of a sequence one after the other within a while.

pub mod pattern;
#[cfg(test)]
mod recorded;
pub mod text;

use std::collections::VecDeque;

use model::{Duration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::repair::Symptom;
use pattern::Pattern;

pub use text::RuleError;

/// Where a signal comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// A line of the kernel's log.
    Kernel,
    /// An entry of the BMC's event log.
    EventLog,
    /// A sensor of the BMC.
    Sensor,
    /// A value of a disk's own report.
    Smart,
    /// A counter of a network link.
    Link,
    /// A counter of a GPU.
    Gpu,
    /// A workload, or its owner.
    Complaint,
    /// The health of the management controller itself.
    Bmc,
}

impl Source {
    /// Each with its word in rules.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Kernel, "kernel"),
        (Self::EventLog, "event-log"),
        (Self::Sensor, "sensor"),
        (Self::Smart, "smart"),
        (Self::Link, "link"),
        (Self::Gpu, "gpu"),
        (Self::Complaint, "complaint"),
        (Self::Bmc, "bmc"),
    ];

    /// Its word in rules.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }
}

/// A signal, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// Where it comes from.
    pub source: Source,
    /// Which sensor or counter.
    pub name: &'a str,
    /// Its value.
    pub value: f64,
    /// The line.
    pub text: &'a str,
}

/// What a condition looks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Test {
    /// A line that looks like this.
    Matches(Pattern),
    /// A value above this, of what is called like this.
    Above(Pattern, f64),
    /// A value below this.
    Below(Pattern, f64),
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Where it looks.
    pub source: Source,
    /// What for.
    pub test: Test,
    /// How often it must be met,
    pub times: u16,
    /// within this.
    pub within: Duration,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What must be seen, one after the other.
    pub sequence: Vec<Condition>,
    /// The whole sequence within this.
    pub within: Duration,
    /// What is wrong then.
    pub symptom: Symptom,
    /// Why, for people.
    pub reason: String,
}

/// How far a machine is in a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    stage: u8,
    began: Timestamp,
    times: VecDeque<Timestamp>,
}

/// A set of rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    rules: Vec<Rule>,
}

impl Rules {
    /// The rules that come with Bedplate.
    pub fn standard() -> Self {
        text::parse(include_str!("standard.rules")).expect("our own rules are right: tested")
    }

    /// In their order.
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }
}

impl std::str::FromStr for Rules {
    type Err = RuleError;
    fn from_str(text: &str) -> Result<Self, RuleError> {
        text::parse(text)
    }
}

impl Condition {
    fn met(&self, value: &Value<'_>) -> bool {
        self.source == value.source
            && match &self.test {
                Test::Matches(pattern) => pattern.matches(value.text),
                Test::Above(name, limit) => name.matches(value.name) && value.value > *limit,
                Test::Below(name, limit) => name.matches(value.name) && value.value < *limit,
            }
    }
}

impl Rule {
    /// Shows a signal to the rule: whether it fires, and how far the machine is in it now.
    pub fn take(
        &self,
        mut known: Partial,
        now: Timestamp,
        value: &Value<'_>,
    ) -> (bool, Option<Partial>) {
        if known.stage > 0 && now.since(known.began) > self.within {
            known = Partial::default();
        }
        let kept = |known: Partial| {
            let nothing = known.stage == 0 && known.times.is_empty();
            (!nothing).then_some(known)
        };
        let condition = &self.sequence[usize::from(known.stage)];
        if !condition.met(value) {
            return (false, kept(known));
        }
        known.times.push_back(now);
        while known.times.front().is_some_and(|at| now.since(*at) > condition.within) {
            known.times.pop_front();
        }
        if known.times.len() < usize::from(condition.times) {
            return (false, Some(known));
        }
        known.times.clear();
        if known.stage == 0 {
            known.began = now;
        }
        known.stage += 1;
        if usize::from(known.stage) < self.sequence.len() {
            return (false, Some(known));
        }
        (true, None)
    }

    /// Why it fired, for people.
    pub fn because(&self, value: &Value<'_>) -> String {
        let seen = match value.text {
            "" => format!("{} {} = {}", value.source.name(), value.name, value.value),
            text => format!("{}: {}", value.source.name(), shortened(text)),
        };
        format!("{} ({}; {seen})", self.reason, self.name)
    }
}

/// The beginning of a line: enough to know it again.
fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(160).map_or(text.len(), |(at, _)| at);
    &text[..end]
}
