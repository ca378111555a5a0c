//! Switching a machine on and off.

use model::api::PowerMachine;

use super::incoming::Incoming;
use super::route::{Answered, Outcome, Routes};
use super::{replies, shown};
use crate::cell::Call;

/// The endpoint of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.add::<PowerMachine, _, _>(power)
}

async fn power(incoming: Incoming<PowerMachine>) -> Outcome<PowerMachine> {
    let machine = incoming.own_machine_to_change()?;
    let answer = incoming.ask(Call::Power { machine, action: incoming.body.action }).await?;
    let machine = replies::machine(answer.reply)?;
    let shown = shown::machine(&incoming.scope(), &machine);
    Ok(Answered::document(shown).replayed(answer.replayed))
}
