//! Looking for BMCs at addresses. Nothing but the open part of each is read, no
//! password is sent, and only so many are asked at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio::sync::Semaphore;

use model::api::{DiscoverMachines, Discovered};
use model::{ErrorCode, Problem};

use super::incoming::Incoming;
use super::route::{Answered, Outcome, Routes};
use super::{replies, shown};
use crate::cell::{Call, FoundBmc};

/// Addresses asked at a time, for one request.
const AT_A_TIME: usize = 64;
/// Requests at a time.
const REQUESTS: usize = 2;

/// The endpoint of this file.
pub fn routes(routes: Routes) -> Routes {
    let room = Arc::new(Semaphore::new(REQUESTS));
    routes.add::<DiscoverMachines, _, _>(move |incoming| discover(incoming, room.clone()))
}

/// Addresses in full, or which of them is not one.
pub fn addresses(entries: &[String]) -> Result<Vec<String>, Problem> {
    let found = bmc::expand_addresses(entries)
        .map_err(|error| Problem::new(ErrorCode::InvalidRequest, error.to_string()))?;
    match found.is_empty() {
        true => Err(Problem::new(ErrorCode::InvalidRequest, "no address is given")),
        false => Ok(found),
    }
}

async fn discover(
    incoming: Incoming<DiscoverMachines>,
    room: Arc<Semaphore>,
) -> Outcome<DiscoverMachines> {
    let addresses = addresses(&incoming.body.addresses)?;
    let _place = room.try_acquire().map_err(|_| {
        let detail = format!("{REQUESTS} discoveries are under way already");
        Problem::new(ErrorCode::TooManyRequests, detail)
    })?;
    let probes = addresses.into_iter().map(|address| async move {
        let outcome = bmc::probe(&address).await;
        (address, outcome)
    });
    let mut answers = stream::iter(probes).buffered(AT_A_TIME);
    let (mut found, mut silent) = (Vec::new(), Vec::new());
    while let Some((address, outcome)) = answers.next().await {
        match outcome {
            Ok(probe) => found.push(FoundBmc {
                address: probe.address,
                certificate: probe.certificate,
                uuid: some(probe.uuid),
                product: some(probe.product),
            }),
            Err(failure) => silent.push((address, failure.message)),
        }
    }
    let mut known: BTreeSet<String> = found.iter().map(|it| it.address.clone()).collect();
    let answer = incoming.ask(Call::Discovered { found }).await?;
    let made = replies::machines(answer.reply)?;
    for bmc in made.iter().filter_map(|machine| machine.spec.bmc.as_ref()) {
        known.remove(&bmc.address);
    }
    let scope = incoming.scope();
    let found = made.iter().map(|machine| shown::machine(&scope, machine)).collect();
    let discovered = Discovered { found, known: known.into_iter().collect(), silent };
    Ok(Answered::document(discovered).replayed(answer.replayed))
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
