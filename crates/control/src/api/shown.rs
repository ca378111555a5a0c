//! Things as they are shown: without what is secret. Every machine, token and
//! event that leaves passes through here, whoever asks.
//!
//! Blanked are: the sealed password of a BMC, the secret part of a boot address,
//! the nonce of a quote, digests of tokens; user data of a system for those who
//! may only look; and for tokens of a project everything about BMCs, which are
//! not on the tenants' network.

use model::Encoded;
use model::event::Event;
use model::fleet::{Instance, PlacementGroup};
use model::image::Image;
use model::machine::Machine;
use model::operation::Operation;
use model::project::{Project, Token};
use model::secret::Sealed;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::scope::{Scope, operation_of};
use crate::nouns::Nouns;

/// A machine as it is shown.
pub fn machine(scope: &Scope, machine: &Machine) -> Machine {
    let mut shown = machine.clone();
    if scope.project().is_some() {
        shown.spec.bmc = None;
    }
    if let Some(bmc) = &mut shown.spec.bmc {
        bmc.password = Sealed { key: String::new(), ciphertext: Encoded::default() };
    }
    if let Some(deployment) = &mut shown.spec.deployment
        && !scope.uses()
    {
        deployment.user_data = None;
    }
    if let Some(permit) = &mut shown.status.boot {
        permit.token = String::new();
    }
    if let Some(system) = &mut shown.status.system {
        system.token_digest = String::new();
    }
    shown.status.nonce = None;
    shown
}

/// A token as it is shown.
pub fn token(token: &Token) -> Token {
    let mut shown = token.clone();
    shown.status.digest = String::new();
    shown
}

/// Whether somebody sees an event, and how.
#[derive(Debug, PartialEq)]
pub enum Sight {
    /// This much of it.
    Shown(Box<Event>),
    /// The thing is out of sight after the change: it may have been in sight before.
    Hidden,
    /// None of the caller's business.
    Never,
}

/// An event as it is shown.
pub fn event(scope: &Scope, nouns: &Nouns, event: Event) -> Sight {
    let bound = scope.project().is_some();
    match event.subject.as_str() {
        "machine" => machine_event(scope, event),
        "image" => judged::<Image>(event, |it| scope.sees_image(it).then(|| it.clone()), bound),
        "operation" => {
            judged::<Operation>(event, |it| scope.sees_operation(it).then(|| it.clone()), bound)
        }
        "project" => {
            judged::<Project>(event, |it| scope.sees_project(it).then(|| it.clone()), bound)
        }
        "token" if scope.administers() => judged::<Token>(event, |it| Some(token(it)), bound),
        "token" => Sight::Never,
        "instance" => judged::<Instance>(
            event,
            |it| scope.owns(Some(&it.spec.project)).then(|| it.clone()),
            bound,
        ),
        "placement-group" => judged::<PlacementGroup>(
            event,
            |it| scope.owns(Some(&it.spec.project)).then(|| it.clone()),
            bound,
        ),
        "instance-type" => Sight::Shown(Box::new(event)),
        "host" if !bound => Sight::Shown(Box::new(event)),
        "attestation-policy" => Sight::Shown(Box::new(event)),
        "step" => step_event(scope, nouns, event),
        // Effects carry secrets, and what is unknown here could.
        _ => Sight::Never,
    }
}

fn machine_event(scope: &Scope, event: Event) -> Sight {
    let bound = scope.project().is_some();
    let show = |it: &Machine| scope.sees_machine(it).then(|| machine(scope, it));
    match judged(event, show, bound) {
        Sight::Never => Sight::Hidden,
        sight => sight,
    }
}

fn step_event(scope: &Scope, nouns: &Nouns, event: Event) -> Sight {
    let object = event.object.as_ref();
    let named = object.and_then(|step| step.get("operation")?.as_str());
    let operation = operation_of(nouns, named.unwrap_or(&event.id));
    match operation.is_some_and(|operation| scope.sees_operation(&operation)) {
        true => Sight::Shown(Box::new(event)),
        false => Sight::Never,
    }
}

/// An event whose object is a `T`, with the object as `show` shows it. Of a thing
/// that is gone nothing is left to judge by; those who are bound to a project do
/// not hear of it.
fn judged<T: DeserializeOwned + Serialize>(
    mut event: Event,
    show: impl Fn(&T) -> Option<T>,
    bound: bool,
) -> Sight {
    let Some(object) = event.object.take() else {
        return match bound {
            true => Sight::Never,
            false => Sight::Shown(Box::new(event)),
        };
    };
    let Some(shown) = serde_json::from_value::<T>(object).ok().and_then(|it| show(&it)) else {
        return Sight::Never;
    };
    event.object = serde_json::to_value(shown).ok();
    Sight::Shown(Box::new(event))
}
