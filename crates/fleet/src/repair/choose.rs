//! Which repair is tried next. Repairs that are tried one after the other until one works cost
//! least in the order of chance by cost (the classic result on testing in sequence), where the
//! chance is what experience says. Experience is short: so the chance is drawn from what could
//! be (Thompson sampling), and what was tried seldom is tried now and then.
//!
//! The draw uses only sums, products and square roots, which are the same on every machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::ladder::Rung;
use super::symptom::Symptom;
use crate::health::Settings;

/// How often repairs worked: by symptom, type of hardware and repair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experience {
    tries: BTreeMap<(Symptom, u16, Action), (u32, u32)>,
}

impl Experience {
    /// Remembers a try.
    pub fn learn(&mut self, symptom: Symptom, kind: u16, action: Action, worked: bool) {
        let tries = self.tries.entry((symptom, kind, action)).or_default();
        if worked {
            tries.0 += 1;
        } else {
            tries.1 += 1;
        }
    }

    /// How often it worked, and did not.
    pub fn of(&self, symptom: Symptom, kind: u16, action: Action) -> (u32, u32) {
        self.tries.get(&(symptom, kind, action)).copied().unwrap_or_default()
    }
}

/// What a repair costs in minutes of work: what it interrupts, and the time out of service.
pub fn cost(settings: &Settings, action: Action, workloads: u8) -> f64 {
    let interrupted = if action.interrupts() { f64::from(workloads) } else { 0.0 };
    let out = action.hours_out() * settings.minutes_per_hour_out;
    interrupted * settings.minutes_interrupted + out
}

/// The next repair of those that were not tried; `None` at the end of the ladder. `draw`
/// gives random numbers, `workloads` is what an interrupting repair would interrupt.
pub fn next(
    experience: &Experience,
    settings: &Settings,
    (symptom, kind): (Symptom, u16),
    rungs: &[Rung],
    tried: &[Action],
    workloads: u8,
    mut draw: impl FnMut() -> u64,
) -> Option<Action> {
    let mut best: Option<(f64, Action)> = None;
    for (action, worked, failed) in rungs {
        if tried.contains(action) {
            continue;
        }
        let known = experience.of(symptom, kind, *action);
        let chance = sample(worked + known.0, failed + known.1, &mut draw);
        let worth = chance / cost(settings, *action, workloads);
        if best.is_none_or(|(other, _)| worth > other) {
            best = Some((worth, *action));
        }
    }
    best.map(|(_, action)| action)
}

/// A chance as it could be after so many tries: the beta distribution by its mean and
/// variance, in the shape of a sum of twelve uniform numbers.
fn sample(worked: u32, failed: u32, draw: &mut impl FnMut() -> u64) -> f64 {
    let (a, b) = (f64::from(worked) + 1.0, f64::from(failed) + 1.0);
    let mean = a / (a + b);
    let deviation = (mean * (1.0 - mean) / (a + b + 1.0)).sqrt();
    let unit = |bits: u64| (bits >> 11) as f64 / (1_u64 << 53) as f64;
    let normal = (0..12).map(|_| unit(draw())).sum::<f64>() - 6.0;
    (mean + deviation * normal).clamp(0.001, 0.999)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNGS: &[Rung] = &[(Action::ResetDevice, 2, 2), (Action::PowerCycle, 2, 2)];

    fn counter() -> impl FnMut() -> u64 {
        let mut state = 7_u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
            state ^ (state >> 29)
        }
    }

    fn share(experience: &Experience, workloads: u8) -> usize {
        let (settings, mut draw) = (Settings::default(), counter());
        let about = (Symptom::GpuLost, 1);
        let chosen = |_: &usize| {
            next(experience, &settings, about, RUNGS, &[], workloads, &mut draw)
                == Some(Action::ResetDevice)
        };
        (0..1_000).filter(chosen).count()
    }

    #[test]
    fn what_costs_less_comes_first_and_what_never_works_does_not() {
        let mut experience = Experience::default();
        assert!(share(&experience, 8) > 990, "a reset interrupts nobody");
        for _ in 0..500 {
            experience.learn(Symptom::GpuLost, 1, Action::ResetDevice, false);
            experience.learn(Symptom::GpuLost, 1, Action::PowerCycle, true);
        }
        assert!(share(&experience, 0) < 10, "an empty machine is power-cycled at once");
    }

    #[test]
    fn what_was_tried_is_not_tried_again() {
        let (settings, mut draw) = (Settings::default(), counter());
        let experience = Experience::default();
        let about = (Symptom::GpuLost, 1);
        let tried = [Action::ResetDevice, Action::PowerCycle];
        assert_eq!(next(&experience, &settings, about, RUNGS, &tried, 0, &mut draw), None);
    }
}
