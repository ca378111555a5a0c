//! The serial console of a machine, by its BMC, over a connection of its own.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use model::bmc::{BmcFailure, BmcFailureKind};
use model::id::MachineId;
use model::{ErrorCode, Problem};

use super::reach::{self, Connector, OverRedfish};
use crate::plane::Plane;

/// The bytes of a console; ends when the BMC ends it.
pub type ConsoleStream = BoxStream<'static, Result<Bytes, io::Error>>;

/// Until the console is open.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens a machine's console: what the BMC has kept of it and, with `follow`, what
/// comes after. Fails with `not-found`, `conflict` (no BMC, or one without a
/// console), or `unavailable`.
pub async fn console(
    plane: &Plane,
    machine: MachineId,
    follow: bool,
) -> Result<ConsoleStream, Problem> {
    let spec = {
        let nouns = plane.leader.read();
        let machine = nouns.machines.get(machine.uuid()).ok_or_else(|| {
            Problem::new(ErrorCode::NotFound, format!("there is no machine {machine}"))
        })?;
        machine.spec.bmc.clone()
    };
    let spec = spec.ok_or_else(|| {
        Problem::new(ErrorCode::Conflict, "the machine has no BMC address")
            .next("Enrol it with its BMC.")
    })?;
    let endpoint = reach::endpoint(&plane.keys, &spec).map_err(problem)?;
    let mut bmc = OverRedfish.connect(endpoint).map_err(problem)?;
    let opened = tokio::time::timeout(PATIENCE, bmc.console(follow)).await;
    let bytes = opened
        .map_err(|_| Problem::new(ErrorCode::Unavailable, "the BMC did not open its console"))?
        .map_err(problem)?;
    // The session lives as long as the stream does.
    let held = stream::unfold((bytes, bmc), |(mut bytes, bmc)| async move {
        bytes.next().await.map(|next| (next, (bytes, bmc)))
    });
    Ok(held.map_err(|failure| io::Error::other(failure.message)).boxed())
}

fn problem(failure: BmcFailure) -> Problem {
    let (code, next) = match failure.kind {
        BmcFailureKind::Unsupported => {
            (ErrorCode::Conflict, "This BMC has no console that can be read over the network.")
        }
        BmcFailureKind::Unauthorised => {
            (ErrorCode::Unavailable, "Check the BMC's account and password, and enrol it again.")
        }
        _ => (ErrorCode::Unavailable, "Check that the BMC answers, and try again."),
    };
    Problem::new(code, format!("the BMC: {}", failure.message)).next(next)
}
