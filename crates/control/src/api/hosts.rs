//! Machines as hosts of instances, and machines that are emptied or left alone.

use model::api::{
    DrainMachine, ListHosts, LockMachine, OfferHost, UndrainMachine, UnlockMachine, WithdrawHost,
};
use model::{ErrorCode, Problem};

use super::incoming::Incoming;
use super::page::{self, Cut};
use super::route::{Answered, Outcome, Routes};
use super::{replies, shown};
use crate::cell::{Call, HoldKind};

/// Longer reasons are refused.
const REASON_LONGEST: usize = 1_000;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<DrainMachine, _, _>(drain)
        .add::<UndrainMachine, _, _>(undrain)
        .add::<LockMachine, _, _>(lock)
        .add::<UnlockMachine, _, _>(unlock)
        .add::<ListHosts, _, _>(list)
        .add::<OfferHost, _, _>(offer)
        .add::<WithdrawHost, _, _>(withdraw)
}

async fn drain(incoming: Incoming<DrainMachine>) -> Outcome<DrainMachine> {
    let reason = Some(incoming.body.reason.clone());
    hold(incoming, HoldKind::Drain, reason).await
}

async fn undrain(incoming: Incoming<UndrainMachine>) -> Outcome<UndrainMachine> {
    hold(incoming, HoldKind::Drain, None).await
}

async fn lock(incoming: Incoming<LockMachine>) -> Outcome<LockMachine> {
    let reason = Some(incoming.body.reason.clone());
    hold(incoming, HoldKind::Lock, reason).await
}

async fn unlock(incoming: Incoming<UnlockMachine>) -> Outcome<UnlockMachine> {
    hold(incoming, HoldKind::Lock, None).await
}

async fn hold<E>(incoming: Incoming<E>, what: HoldKind, reason: Option<String>) -> Outcome<E>
where
    E: model::api::Endpoint<Reply = model::machine::Machine>,
{
    let machine = incoming.machine_to_change()?;
    if let Some(reason) = &reason
        && (reason.trim().is_empty() || reason.len() > REASON_LONGEST)
    {
        let detail = format!("a reason has 1 to {REASON_LONGEST} bytes");
        return Err(Problem::new(ErrorCode::InvalidRequest, detail));
    }
    let answer = incoming.ask(Call::Hold { machine, what, reason }).await?;
    let machine = replies::machine(answer.reply)?;
    let shown = shown::machine(&incoming.scope(), &machine);
    Ok(Answered::document(shown).etag(machine.generation).replayed(answer.replayed))
}

async fn list(incoming: Incoming<ListHosts>) -> Outcome<ListHosts> {
    incoming.of_no_project()?;
    let query = &incoming.query;
    let after = page::after(query)?;
    let revision = incoming.plane.leader.revision();
    let cut = {
        let nouns = incoming.plane.leader.read();
        Cut::from(nouns.hosts.after(after), query.limit, |host| {
            query.selects(&host.labels).then(|| host.clone())
        })
    };
    Ok(Answered::document(cut.page(revision, |host| (*host).clone())))
}

async fn offer(incoming: Incoming<OfferHost>) -> Outcome<OfferHost> {
    let machine = incoming.machine_to_change()?;
    let answer = incoming.ask(Call::OfferHost { machine, spec: incoming.body.clone() }).await?;
    let host = replies::host(answer.reply)?;
    let etag = host.generation;
    Ok(Answered::document(host).etag(etag).replayed(answer.replayed))
}

async fn withdraw(incoming: Incoming<WithdrawHost>) -> Outcome<WithdrawHost> {
    let machine = incoming.machine_to_change()?;
    let answer = incoming.ask(Call::WithdrawHost { machine }).await?;
    Ok(Answered::document(replies::host(answer.reply)?).replayed(answer.replayed))
}
