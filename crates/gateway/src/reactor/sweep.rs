//! Who took too long, looked for once a second.

use super::connection::{Connection, Phase, State};
use super::drive::Next;
use crate::step::Service;

/// Idle connections go so early when there is no room for new ones.
pub const CROWDED: u64 = 1_000_000_000;

/// What becomes of a connection whose time is over.
pub fn overdue(connection: &mut Connection, service: &dyn Service) -> Next {
    match connection.phase {
        Phase::Head if connection.wire.is_handshaking() => Next::Close,
        // It has its answer: another one would be for its next request.
        Phase::Content if matches!(connection.state, State::Skip) => Next::Close,
        // Both were told nothing yet, and can be.
        Phase::Head | Phase::Content if connection.sent() => {
            let mut answer = service.refuse(408, "the request took too long");
            answer.close = true;
            answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("connection"));
            connection.state = State::Away;
            connection.coming = Some(crate::step::Step::Answer(answer));
            Next::Again
        }
        Phase::Idle | Phase::Head | Phase::Content | Phase::Send | Phase::Linger => Next::Close,
        Phase::Away => Next::Wait,
    }
}
