//! Events: the newest first by pages, or all of them as they come.

use model::api::{ListEvents, Page};
use model::event::Event;
use model::{ErrorCode, Problem};
use uuid::Uuid;

use super::incoming::Incoming;
use super::page;
use super::route::{Answered, Outcome, Routes};
use super::shown::{self, Sight};
use super::watch;

/// The endpoint of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.add::<ListEvents, _, _>(list)
}

async fn list(incoming: Incoming<ListEvents>) -> Outcome<ListEvents> {
    if incoming.query.watch {
        return watch::begin(&incoming, None).map(Answered::raw);
    }
    let leader = &incoming.plane.leader;
    let newest = leader.revision();
    let before = match page::after(&incoming.query)? {
        Some(token) => u64::try_from(token.as_u128()).unwrap_or(0),
        None => newest + 1,
    };
    let (begin, events) = window(&incoming, before.min(newest + 1))?;
    let scope = incoming.scope();
    let nouns = leader.read();
    let shown =
        events.into_iter().rev().filter_map(|event| match shown::event(&scope, &nouns, event) {
            Sight::Shown(event) => Some(*event),
            Sight::OutOfSight | Sight::Never => None,
        });
    let items = shown.filter(|event| watch::selects(&incoming.query.labels, event)).collect();
    let next_page = begin.map(|begin| page::token(Uuid::from_u128(u128::from(begin))));
    Ok(Answered::document(Page { items, next_page, revision: newest }))
}

/// The events of the `limit` revisions before one, oldest first, and before which
/// revision the next page ends; `None` when older ones are not kept.
fn window(
    incoming: &Incoming<ListEvents>,
    before: u64,
) -> Result<(Option<u64>, Vec<Event>), Problem> {
    let mut width = incoming.query.limit as u64;
    loop {
        let after = before.saturating_sub(1 + width);
        match incoming.plane.leader.events(after, width as usize) {
            Ok(mut events) => {
                events.retain(|event| event.revision < before);
                let begin = (after > 0).then_some(after + 1);
                return Ok((begin, events));
            }
            // The oldest of them are pruned: fewer may still be there.
            Err(problem) if problem.code == ErrorCode::Gone && width > 1 => width /= 2,
            Err(problem) if problem.code == ErrorCode::Gone => return Ok((None, Vec::new())),
            Err(problem) => return Err(problem),
        }
    }
}
