//! Power: read first, ask only for what is not yet so, in the words that this BMC
//! knows (DSP0268, ComputerSystem.Reset).

use model::bmc::{BmcFact, PowerAction, PowerState};
use serde_json::json;

use crate::document::{ActionLink, Document};
use crate::failure::{Failure, Outcome};
use crate::quirks::Quirks;
use crate::redfish::Redfish;

/// Reset types per action, best first.
const ON: &[&str] = &["On", "ForceOn", "PushPowerButton"];
const OFF: &[&str] = &["ForceOff"];
const GRACEFUL_OFF: &[&str] = &["GracefulShutdown", "PushPowerButton"];

impl Redfish {
    pub(crate) async fn read_power(&mut self) -> Outcome<BmcFact> {
        let state = power_state(&self.system().await?);
        Ok(BmcFact::Power { state })
    }

    pub(crate) async fn change_power(&mut self, action: PowerAction) -> Outcome<BmcFact> {
        let system = self.system().await?;
        let state = power_state(&system);
        if is_so(action, state) {
            return Ok(BmcFact::Power { state });
        }
        let reset = self.reset_action(&system).await?;
        let quirks = self.layout().await?.quirks;
        let outcome = match plan(action, state, &reset, quirks) {
            Some(steps) => self.take(&reset, &steps).await,
            None => {
                Err(Failure::unsupported(format!("{action:?}: not among {:?}", reset.allowable)))
            }
        };
        // Makers differ in how they say that it was so already; the state does not.
        match outcome {
            Err(failure) if failure.is_about_the_request() && action != PowerAction::Cycle => {
                let state = power_state(&self.system().await?);
                if is_so(action, state) { Ok(BmcFact::Power { state }) } else { Err(failure) }
            }
            Err(failure) => Err(failure),
            Ok(()) => Ok(BmcFact::Accepted),
        }
    }

    /// The reset action with its allowable values.
    async fn reset_action(&self, system: &Document) -> Outcome<ActionLink> {
        let mut reset = system
            .action("#ComputerSystem.Reset", "ResetType")
            .ok_or_else(|| Failure::unsupported(format!("{} cannot be reset", system.path)))?;
        if let (true, Some(info)) = (reset.allowable.is_empty(), &reset.info)
            && let Ok(info) = self.wire.get(info).await
        {
            reset.allowable = info.parameter_values("ResetType");
        }
        Ok(reset)
    }

    async fn take(&mut self, reset: &ActionLink, steps: &[&str]) -> Outcome<()> {
        for (index, step) in steps.iter().enumerate() {
            if index > 0 {
                self.wait_for(PowerState::Off).await?;
            }
            let answer = self.wire.post_through(&reset.target, &json!({"ResetType": step})).await;
            answer?;
        }
        Ok(())
    }

    /// Waits until the power state reads back so.
    async fn wait_for(&mut self, wanted: PowerState) -> Outcome<()> {
        for _ in 0..self.wire.limits.looks.max(1) * 2 {
            if power_state(&self.system().await?) == wanted {
                return Ok(());
            }
            tokio::time::sleep(self.wire.limits.look).await;
        }
        Err(Failure::refused(format!("the power was accepted to become {wanted}, but did not")))
    }
}

/// The power state as this document has it.
pub(crate) fn power_state(system: &Document) -> PowerState {
    match system.text("/PowerState").as_str() {
        "On" | "Paused" => PowerState::On,
        "Off" => PowerState::Off,
        "PoweringOn" => PowerState::PoweringOn,
        "PoweringOff" => PowerState::PoweringOff,
        _ => PowerState::Unknown,
    }
}

/// Whether there is nothing to do.
fn is_so(action: PowerAction, state: PowerState) -> bool {
    match action {
        PowerAction::On => matches!(state, PowerState::On | PowerState::PoweringOn),
        PowerAction::Off | PowerAction::GracefulOff => state == PowerState::Off,
        PowerAction::Cycle => false,
    }
}

/// What to send, in order; `None` when this BMC has no words for it.
fn plan(
    action: PowerAction,
    state: PowerState,
    reset: &ActionLink,
    quirks: &'static Quirks,
) -> Option<Vec<&'static str>> {
    // A BMC that does not say what it allows may allow all.
    let allowed =
        |word: &&str| reset.allowable.is_empty() || reset.allowable.iter().any(|w| w == word);
    let first = |words: &'static [&'static str]| words.iter().copied().find(allowed);
    match action {
        PowerAction::Cycle if state == PowerState::Off => first(ON).map(|word| vec![word]),
        PowerAction::On => first(ON).map(|word| vec![word]),
        PowerAction::Off => first(OFF).map(|word| vec![word]),
        PowerAction::GracefulOff => first(GRACEFUL_OFF).map(|word| vec![word]),
        PowerAction::Cycle => {
            let possible = |cycle: &&&'static [&'static str]| cycle.iter().all(&allowed);
            quirks.cycles.iter().find(possible).map(|cycle| cycle.to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reset(allowable: &[&str]) -> ActionLink {
        let allowable = allowable.iter().map(ToString::to_string).collect();
        ActionLink { target: String::new(), allowable, info: None }
    }

    #[test]
    fn makers_are_cycled_in_their_own_words() {
        let all = ["On", "ForceOff", "ForceRestart", "PowerCycle"];
        let cycle = |maker, words: &[&str]| {
            plan(PowerAction::Cycle, PowerState::On, &reset(words), Quirks::of(maker, ""))
        };
        assert_eq!(cycle("Dell Inc.", &all), Some(vec!["PowerCycle"]));
        assert_eq!(cycle("Dell Inc.", &all[..3]), Some(vec!["ForceRestart"]));
        assert_eq!(cycle("HPE", &all), Some(vec!["ForceRestart"]));
        assert_eq!(cycle("", &all[..2]), Some(vec!["ForceOff", "On"]));
        assert_eq!(cycle("", &["Nmi"]), None);
    }

    #[test]
    fn a_cycle_of_what_is_off_turns_it_on() {
        let quirks = Quirks::of("", "");
        let plan = plan(PowerAction::Cycle, PowerState::Off, &reset(&["ForceOn"]), quirks);
        assert_eq!(plan, Some(vec!["ForceOn"]));
    }
}
