//! The replies of the cell, as the endpoints want them. A reply of another kind
//! than the call has is a bug inside, and is told as one.

use model::Problem;
use model::attestation::Policy;
use model::fleet::{Host, Instance, InstanceType, PlacementGroup};
use model::image::Image;
use model::machine::Machine;
use model::operation::Operation;
use model::project::{Project, Token};

use super::refusal::internal;
use crate::cell::Reply;

macro_rules! replies {
    ($($name:ident: $variant:ident => $type:ty;)*) => {$(
        /// Takes the reply for what it must be.
        pub fn $name(reply: Reply) -> Result<$type, Problem> {
            match reply {
                Reply::$variant(it) => Ok(*it),
                other => Err(internal(format!(
                    concat!("expected a ", stringify!($name), ", and the cell replied {:?}"),
                    std::mem::discriminant(&other)
                ))),
            }
        }
    )*};
}

replies! {
    machine: Machine => Machine;
    operation: Operation => Operation;
    image: Image => Image;
    policy: Policy => Policy;
    project: Project => Project;
    token: Token => Token;
    instance_type: InstanceType => InstanceType;
    placement_group: PlacementGroup => PlacementGroup;
    host: Host => Host;
    instance: Instance => Instance;
}

/// The machines of a reply.
pub fn machines(reply: Reply) -> Result<Vec<Machine>, Problem> {
    match reply {
        Reply::Machines(machines) => Ok(machines),
        _ => Err(internal("expected machines, and the cell replied something else")),
    }
}
