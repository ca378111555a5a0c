//! Taking a machine out of service, and bringing it back.

use model::api::{QuarantineMachine, RecoverMachine, SetAsideMachine};

use super::incoming::Incoming;
use super::route::{Answered, Outcome, Routes};
use super::{replies, shown};
use crate::cell::Call;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<QuarantineMachine, _, _>(quarantine)
        .add::<SetAsideMachine, _, _>(set_aside)
        .add::<RecoverMachine, _, _>(recover)
}

async fn quarantine(incoming: Incoming<QuarantineMachine>) -> Outcome<QuarantineMachine> {
    let machine = incoming.machine_to_change()?;
    let reason = incoming.body.reason.clone();
    let answer = incoming.ask(Call::Quarantine { machine, reason }).await?;
    let machine = replies::machine(answer.reply)?;
    let shown = shown::machine(&incoming.scope(), &machine);
    Ok(Answered::document(shown).replayed(answer.replayed))
}

async fn set_aside(incoming: Incoming<SetAsideMachine>) -> Outcome<SetAsideMachine> {
    let machine = incoming.machine_to_change()?;
    let answer = incoming.ask(Call::SetAside { machine, to: incoming.body.to }).await?;
    let machine = replies::machine(answer.reply)?;
    let shown = shown::machine(&incoming.scope(), &machine);
    Ok(Answered::document(shown).replayed(answer.replayed))
}

async fn recover(incoming: Incoming<RecoverMachine>) -> Outcome<RecoverMachine> {
    let machine = incoming.machine_to_change()?;
    let answer = incoming.ask(Call::Recover { machine }).await?;
    Ok(Answered::operation(replies::operation(answer.reply)?).replayed(answer.replayed))
}
