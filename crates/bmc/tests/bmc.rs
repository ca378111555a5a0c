//! The client against BMCs: a small one of our own with faults, sushy-tools'
//! emulator, and the trees of real machines.
#![allow(clippy::disallowed_methods, reason = "an emulator that runs beside us keeps real time")]

#[path = "bmc/fake.rs"]
mod fake;
#[path = "bmc/faults.rs"]
mod faults;
#[path = "bmc/sushy.rs"]
mod sushy;
#[path = "bmc/trees.rs"]
mod trees;
#[path = "bmc/trust.rs"]
mod trust;
#[path = "bmc/verbs.rs"]
mod verbs;

use std::time::Duration;

use bedplate_bmc::{Bmc, Endpoint, Limits, Redfish, connect_with};
use model::Secret;
use model::bmc::{BmcCommand, BmcFact, BmcFailure, BmcFailureKind};

/// Bounds for a BMC next door. Only what hangs on purpose meets the deadlines.
pub fn limits() -> Limits {
    Limits {
        request: Duration::from_secs(20),
        look: Duration::from_millis(5),
        looks: 20,
        ..Limits::default()
    }
}

pub fn enter(address: String, password: &str, limits: Limits) -> Redfish {
    let endpoint = Endpoint {
        address,
        username: "admin".to_owned(),
        password: Secret::new(password),
        certificate: None,
    };
    connect_with(endpoint, limits).expect("the address is one")
}

pub async fn run(bmc: &mut Redfish, command: BmcCommand) -> Result<BmcFact, BmcFailure> {
    bmc.execute(&command).await
}

/// The kind of a failure that was wanted.
pub fn kind(outcome: Result<BmcFact, BmcFailure>) -> BmcFailureKind {
    outcome.expect_err("this was to fail").kind
}
