//! Machines as resources: list, watch, show, change, remove, and the last
//! certificate of their disks.

use model::api::{GetCertificate, GetMachine, ListMachines, RemoveMachine, UpdateMachine};
use model::{ErrorCode, Problem};

use super::incoming::Incoming;
use super::page::{self, Cut};
use super::route::{Answered, Outcome, Routes};
use super::{replies, shown, watch};
use crate::cell::Call;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<ListMachines, _, _>(list)
        .add::<GetMachine, _, _>(show)
        .add::<UpdateMachine, _, _>(update)
        .add::<RemoveMachine, _, _>(remove)
        .add::<GetCertificate, _, _>(certificate)
}

async fn list(incoming: Incoming<ListMachines>) -> Outcome<ListMachines> {
    if incoming.query.watch {
        return watch::begin(&incoming, Some("machine")).map(Answered::raw);
    }
    let (scope, query) = (incoming.scope(), &incoming.query);
    let after = page::after(query)?;
    let revision = incoming.plane.leader.revision();
    let cut = {
        let nouns = incoming.plane.leader.read();
        Cut::from(nouns.machines.after(after), query.limit, |machine| {
            let wanted = query.selects(&machine.labels) && scope.sees_machine(machine);
            wanted.then(|| machine.clone())
        })
    };
    Ok(Answered::document(cut.page(revision, |machine| shown::machine(&scope, &machine))))
}

async fn show(incoming: Incoming<GetMachine>) -> Outcome<GetMachine> {
    let machine = incoming.machine()?;
    let etag = machine.generation;
    let mut machine = shown::machine(&incoming.scope(), &machine);
    if let Some(verdict) = &mut machine.status.attestation {
        let nouns = incoming.plane.leader.read();
        let judgement = nouns.judgements.get(machine.id.uuid());
        if let Some(whole) = judgement.filter(|it| it.status.nonce == verdict.nonce) {
            verdict.clone_from(&whole.status);
        }
    }
    Ok(Answered::document(machine).etag(etag))
}

async fn update(incoming: Incoming<UpdateMachine>) -> Outcome<UpdateMachine> {
    let machine = incoming.machine()?;
    incoming.needs_generation(machine.generation)?;
    let update = incoming.body.clone();
    let answer = incoming.ask(Call::UpdateMachine { machine: machine.id, update }).await?;
    let machine = replies::machine(answer.reply)?;
    let etag = machine.generation;
    let shown = shown::machine(&incoming.scope(), &machine);
    Ok(Answered::document(shown).etag(etag).replayed(answer.replayed))
}

async fn remove(incoming: Incoming<RemoveMachine>) -> Outcome<RemoveMachine> {
    let machine = incoming.machine_to_change()?;
    let answer = incoming.ask(Call::RemoveMachine { machine }).await?;
    let machine = replies::machine(answer.reply)?;
    let shown = shown::machine(&incoming.scope(), &machine);
    Ok(Answered::document(shown).replayed(answer.replayed))
}

async fn certificate(incoming: Incoming<GetCertificate>) -> Outcome<GetCertificate> {
    let machine = incoming.machine()?;
    let certificate = machine.status.certificate.clone().ok_or_else(|| {
        let detail = format!("the disks of {} were never sanitised by Bedplate", machine.name);
        Problem::new(ErrorCode::NotFound, detail)
            .next("Release the machine, or recover it: both end with a certificate.")
    })?;
    Ok(Answered::document(certificate))
}
