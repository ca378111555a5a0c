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
            Sight::Hidden | Sight::Never => None,
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
    let (leader, width) = (&incoming.plane.leader, incoming.query.limit as u64);
    let newest = before.saturating_sub(1);
    let wanted = newest.saturating_sub(width);
    let after = oldest_kept(wanted, newest, |after| leader.events(after, 0).map(drop))?;
    let mut events = match leader.events(after, width as usize) {
        Ok(events) => events,
        // All that this page would have is pruned: the one before was the last.
        Err(problem) if problem.code == ErrorCode::Gone => return Ok((None, Vec::new())),
        Err(problem) => return Err(problem),
    };
    events.retain(|event| event.revision < before);
    Ok(((wanted > 0 && after == wanted).then_some(wanted + 1), events))
}

/// The first revision between two after which all is kept; the second one when nothing is.
fn oldest_kept(
    first: u64,
    last: u64,
    kept: impl Fn(u64) -> Result<(), Problem>,
) -> Result<u64, Problem> {
    let (mut low, mut high) = (first, last);
    while low < high {
        let middle = low + (high - low) / 2;
        // The first look is at the beginning: mostly all is kept.
        let look = if (low, high) == (first, last) { first } else { middle };
        match kept(look) {
            Ok(()) => high = look,
            Err(problem) if problem.code == ErrorCode::Gone => low = look + 1,
            Err(problem) => return Err(problem),
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_is_kept_is_found() {
        for kept_after in 0..20_u64 {
            let kept = |after| match after < kept_after {
                true => Err(Problem::new(ErrorCode::Gone, "pruned")),
                false => Ok(()),
            };
            for first in 0..12 {
                let found = oldest_kept(first, 12, kept).unwrap();
                assert_eq!(found, kept_after.clamp(first, 12), "{kept_after} {first}");
            }
        }
    }
}
