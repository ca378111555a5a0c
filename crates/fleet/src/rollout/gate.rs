//! The gate between waves: go, hold, or roll back.

use serde::{Deserialize, Serialize};

use super::fact::RolloutId;
use super::logs::ln;

/// What the gate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The next wave may begin; after the last the rollout is complete.
    Go,
    /// Not yet: why.
    Hold(Vec<Hold>),
    /// All machines go back.
    RollBack(Blame),
}

/// Why a wave does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// Machines of the wave are still to be changed.
    Changing,
    /// Somebody paused it.
    Paused,
    /// Too little is heard of changed machines: nothing is known, and nothing goes on.
    Unheard,
    /// Too few machine-hours were seen, or too little time has passed.
    Baking,
    /// There were too few faults, on either side, to exclude what this wave must exclude.
    Unsure,
    /// The odds are against it, and not yet beyond doubt. It goes on one machine at a time.
    Suspect,
    /// Another rollout that came together with it goes back first.
    Rival,
}

/// What a rollback is blamed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The release.
    Release,
    /// The release together with that of another rollout, which reached more machines.
    Together(RolloutId),
    /// A person wanted it.
    Person,
}

/// Which of several rollouts are accused beyond doubt: the e-BH procedure (Wang and Ramdas).
/// Of those that it names at most a part of `false_part` is innocent, in the mean, however the
/// rollouts depend on each other.
pub(super) fn accused(
    mut odds: Vec<(f64, RolloutId)>,
    family: f64,
    false_part: f64,
) -> Vec<RolloutId> {
    odds.sort_by(|one, two| two.0.total_cmp(&one.0).then(one.1.cmp(&two.1)));
    let all = family.max(odds.len() as f64);
    let beyond = |(at, (log, _)): &(usize, &(f64, RolloutId))| {
        *log >= ln(all / (false_part * (*at as f64 + 1.0)))
    };
    let last = odds.iter().enumerate().filter(beyond).map(|(at, _)| at + 1).max().unwrap_or(0);
    odds.truncate(last);
    odds.into_iter().map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rollouts_need_higher_odds_and_share_them() {
        let id = RolloutId;
        assert_eq!(accused(vec![(ln(60.0), id(0))], 1.0, 0.02), [id(0)]);
        assert_eq!(accused(vec![(ln(60.0), id(0))], 20.0, 0.02), []);
        let among = |odds: &[f64]| {
            let all = odds.iter().zip(0..).map(|(odds, at)| (ln(*odds), id(at))).collect();
            accused(all, 4.0, 0.02)
        };
        assert_eq!(among(&[60.0, 1.0, 1.0, 1.0]), []);
        assert_eq!(among(&[210.0, 1.0, 1.0, 1.0]), [id(0)]);
        // Two at half the odds each are as good as one.
        assert_eq!(among(&[110.0, 1.0, 110.0, 1.0]), [id(0), id(2)]);
        assert_eq!(among(&[]), []);
    }
}
