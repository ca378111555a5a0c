//! What is rolled out, in which waves, and what the gate between two waves wants to know. All
//! of it is data: nothing here decides.

use model::{Duration, Timestamp};
use serde::{Deserialize, Serialize};

/// What of a machine a release changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// Firmware of the board or of a device.
    Firmware,
    /// The image of the operating system.
    Image,
    /// The agent on the host.
    Agent,
    /// Anything else, by its name.
    Other(String),
}

/// A new version, and the one that it replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// What is changed.
    pub component: Component,
    /// The new version.
    pub version: String,
    /// What machines go back to. It is staged on each machine before that machine is changed.
    pub former: String,
    /// Whether a machine is out of service while it is changed: it then counts against the
    /// budget that repairs have too.
    pub restarts: bool,
}

/// How much of the fleet a wave reaches, with all waves before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// So many machines of each hardware type.
    Machines(u32),
    /// So many racks of each hardware type.
    Racks(u32),
    /// So many in a thousand of each hardware type.
    Permille(u32),
    /// Everything.
    Rest,
}

/// A wave, and what must be known before the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wave {
    /// How far it reaches.
    pub extent: Extent,
    /// Machines that begin in an hour, at most.
    pub per_hour: u32,
    /// Machine-hours in which changed machines were heard of, since the wave began.
    pub bake_hours: u32,
    /// Time since its last machine was changed.
    pub least: Duration,
    /// A regression of the whole by this factor must be out of the question, if anything must.
    pub exclude: Option<f64>,
    /// The same for each hardware type by itself.
    pub exclude_kind: Option<f64>,
}

impl Wave {
    /// One machine, a rack, 5 %, 25 %, the rest; the first two of each hardware type. What a
    /// wave must exclude is what its machines can show within a day or two when a machine
    /// fails six times in a thousand days.
    pub fn usual() -> Vec<Self> {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let wave = |extent, per_hour, bake_hours, least, exclude, exclude_kind| Self {
            extent,
            per_hour,
            bake_hours,
            least: hours(least),
            exclude: Some(exclude),
            exclude_kind: Some(exclude_kind),
        };
        vec![
            wave(Extent::Machines(1), 50, 24, 12, 512.0, 1_024.0),
            wave(Extent::Racks(1), 50, 2_400, 24, 8.0, 32.0),
            wave(Extent::Permille(50), 150, 60_000, 24, 2.0, 4.0),
            wave(Extent::Permille(250), 1_500, 100_000, 12, 2.0, 2.0),
            // When all have it there is nobody left to compare with.
            Wave {
                exclude: None,
                exclude_kind: None,
                ..wave(Extent::Rest, 5_000, 100_000, 12, 2.0, 2.0)
            },
        ]
    }
}

/// Minutes of the week in which machines may be changed, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// Days as bits, Monday the lowest.
    pub days: u8,
    /// The minute of the day at which it opens.
    pub from: u16,
    /// The minute at which it closes; not after `from` when it closes on the next day.
    pub to: u16,
}

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60;

impl Hours {
    /// Whether a moment lies within.
    pub fn open(&self, now: Timestamp) -> bool {
        let minutes = now.micros().div_euclid(MINUTE);
        let (day, minute) = (minutes.div_euclid(DAY), minutes.rem_euclid(DAY));
        // 1970 began on a Thursday.
        let on = |day: i64| self.days >> (day + 3).rem_euclid(7) & 1 == 1;
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        match from < to {
            true => on(day) && (from..to).contains(&minute),
            // Over midnight the day on which it opened counts.
            false => (minute >= from && on(day)) || (minute < to && on(day - 1)),
        }
    }
}

/// A rollout as it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What.
    pub release: Release,
    /// In which waves.
    pub waves: Vec<Wave>,
    /// When machines may be changed; always when there are none.
    pub hours: Vec<Hours>,
    /// Says which machines come first. Rollouts with different salts begin at different
    /// places, so that their effects can be told apart.
    pub salt: u64,
}

/// What holds for all rollouts of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Of the releases that are rolled back by evidence, at most this part is innocent.
    pub false_part: f64,
    /// Odds from which a rollout waits for more evidence before it changes another machine.
    pub caution: f64,
    /// A rollout that waits for evidence changes one machine in this time, so that there is
    /// some: faults in the first hours after a change are not learned of by waiting.
    pub probe: Duration,
    /// Odds are high enough when they are for at least so many rollouts at once: there will be
    /// others later.
    pub family: u32,
    /// The chance that a gate excludes a regression that is there.
    pub missed: f64,
    /// The part of changes that fails with a good release.
    pub failures: f64,
    /// Changed machines are heard of at least this often, as a part of how often others are.
    pub coverage: f64,
    /// How often evidence is counted.
    pub look: Duration,
    /// A rack is left alone for so long after a rollout changed its last machine there.
    pub settle: Duration,
    /// A change that says nothing for so long has failed.
    pub change_limit: Duration,
    /// How often a machine is told to go back before a person is called.
    pub tries: u8,
    /// Faults in one rack, or in three racks of one power feed, within this time are one.
    pub burst: Duration,
    /// A rack speaks at most so often in [`Policy::rack_span`]: a rack with a bad switch says
    /// nothing about a release.
    pub rack_events: u32,
    /// See [`Policy::rack_events`].
    pub rack_span: Duration,
    /// A machine speaks once in this time: some always fail.
    pub machine_span: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            false_part: 0.02,
            caution: 10.0,
            probe: minutes(180),
            family: 20,
            missed: 0.01,
            failures: 0.01,
            coverage: 0.8,
            look: minutes(60),
            settle: minutes(120),
            change_limit: minutes(120),
            tries: 3,
            burst: minutes(10),
            rack_events: 2,
            rack_span: minutes(360),
            machine_span: minutes(1_440),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64, minute: i64) -> Timestamp {
        Timestamp::from_micros((day * DAY + minute) * MINUTE)
    }

    #[test]
    fn maintenance_hours_open_and_close() {
        // Thursday, 1970-01-01, from ten in the evening to four in the morning.
        let night = Hours { days: 0b000_1000, from: 22 * 60, to: 4 * 60 };
        assert!(!night.open(at(0, 21 * 60)));
        assert!(night.open(at(0, 23 * 60)));
        assert!(night.open(at(1, 3 * 60)), "the night of Thursday ends on Friday");
        assert!(!night.open(at(1, 23 * 60)));
        assert!(!night.open(at(0, 3 * 60)), "that is the night of Wednesday");
        let noon = Hours { days: 0b111_1111, from: 720, to: 780 };
        assert!(noon.open(at(3, 720)) && !noon.open(at(3, 780)));
    }
}
