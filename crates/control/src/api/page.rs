//! Pages of a list, by keyset: a page token names the last item of the page
//! before, so that what is made or removed meanwhile neither repeats nor hides
//! anything else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::api::Page;
use model::{ErrorCode, Problem};
use uuid::Uuid;

use super::query::Query;

/// Version of the token's layout: one byte, then the UUID.
const VERSION: u8 = 1;
/// Items looked at for one page at the most, so that a list with a rare label
/// does not hold up whoever records. Such a page is short, and has a next one.
const LOOKED_AT: usize = 20_000;

/// The token of the page that begins after an item.
pub fn token(after: Uuid) -> String {
    let mut bytes = [VERSION; 17];
    bytes[1..].copy_from_slice(after.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The item after which the page begins.
pub fn after(query: &Query) -> Result<Option<Uuid>, Problem> {
    let Some(token) = &query.page else {
        return Ok(None);
    };
    parse(token).map(Some).ok_or_else(|| {
        Problem::new(ErrorCode::InvalidRequest, "`page` is not a token of a page")
            .next("Give the `next_page` of the page before, unchanged, or begin without `page`.")
    })
}

fn parse(token: &str) -> Option<Uuid> {
    if token.len() > 64 {
        return None;
    }
    match URL_SAFE_NO_PAD.decode(token).ok()?.split_first()? {
        (&VERSION, rest) => Uuid::from_slice(rest).ok(),
        _ => None,
    }
}

/// The items of one page, with the key of where the next one begins.
pub struct Cut<T> {
    /// The items.
    pub items: Vec<T>,
    /// The last item looked at, when there are more.
    pub next: Option<Uuid>,
}

impl<T> Cut<T> {
    /// Cuts a page from items in the order of their keys. `pick` says which are wanted.
    pub fn from<I>(
        items: impl Iterator<Item = (Uuid, I)>,
        limit: usize,
        mut pick: impl FnMut(I) -> Option<T>,
    ) -> Self {
        let mut cut = Self { items: Vec::new(), next: None };
        let mut last = None;
        for (looked_at, (id, item)) in items.enumerate() {
            if cut.items.len() == limit || looked_at == LOOKED_AT {
                cut.next = last;
                break;
            }
            cut.items.extend(pick(item));
            last = Some(id);
        }
        cut
    }

    /// The page, with its items as they are shown. `revision` must have been read
    /// before the items: then a watch from there misses nothing.
    pub fn page<U>(self, revision: u64, show: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(show).collect(),
            next_page: self.next.map(token),
            revision,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Bound;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_come_back_and_strangers_do_not() {
        let id = Uuid::from_u128(77);
        let query = |page: &str| Query { page: Some(page.to_owned()), ..Query::default() };
        assert_eq!(after(&query(&token(id))).unwrap(), Some(id));
        for page in ["", "x", "AAAA", &"A".repeat(23), &"A".repeat(9000), &id.to_string()] {
            assert!(after(&query(page)).is_err(), "{page}");
        }
    }

    proptest! {
        /// Whatever comes and goes between the pages, what stays is shown exactly once.
        #[test]
        fn pages_show_what_stays_once(
            stays in prop::collection::btree_set(any::<u16>(), 0..60),
            comes in prop::collection::btree_set(any::<u16>(), 0..60),
            limit in 1_usize..7,
        ) {
            let key = |n: &u16| Uuid::from_u128(u128::from(*n));
            let mut all: BTreeSet<u16> = stays.clone();
            let mut shown = Vec::new();
            let mut coming = comes.difference(&stays);
            let mut begin = Bound::Unbounded;
            loop {
                let items = all.range((begin, Bound::Unbounded)).map(|n| (key(n), *n));
                let cut = Cut::from(items, limit, Some);
                prop_assert!(cut.items.len() <= limit);
                shown.extend(cut.items.iter().copied().filter(|n| stays.contains(n)));
                let Some(next) = cut.next else { break };
                begin = Bound::Excluded(next.as_u128() as u16);
                all.extend(coming.next());
            }
            prop_assert_eq!(shown, stays.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn no_token_makes_it_panic(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }
    }
}
