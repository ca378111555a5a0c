//! Taking a machine in. The password of its BMC is sealed before anything else
//! sees it.

use model::Problem;
use model::api::EnrollMachine;
use model::machine::BmcSpec;

use super::discover::addresses;
use super::incoming::Incoming;
use super::refusal::internal;
use super::replies;
use super::route::{Answered, Outcome, Routes};
use crate::cell::Call;

/// The endpoint of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.add::<EnrollMachine, _, _>(enroll)
}

async fn enroll(incoming: Incoming<EnrollMachine>) -> Outcome<EnrollMachine> {
    let asked = incoming.body.clone();
    let address = one_address(&asked.bmc)?;
    let bmc = BmcSpec {
        address,
        username: asked.username,
        password: incoming.plane.keys.seal(&asked.password),
        certificate: asked.certificate.map(|digest| digest.to_ascii_lowercase()),
    };
    let (name, rack, policy, labels) = (asked.name, asked.rack, asked.policy, asked.labels);
    let answer = incoming.ask(Call::Enroll { name, bmc, rack, policy, labels }).await?;
    Ok(Answered::operation(replies::operation(answer.reply)?).replayed(answer.replayed))
}

/// The address of one BMC in full: `https://host[:port]`.
fn one_address(text: &str) -> Result<String, Problem> {
    let mut found = addresses(&[text.to_owned()])?;
    match (found.pop(), found.pop()) {
        (Some(address), None) => Ok(address),
        (Some(_), Some(_)) => Err(Problem::new(
            model::ErrorCode::InvalidRequest,
            format!("`{text}` names more than one BMC; one machine has one"),
        )),
        (None, _) => Err(internal("an address that parses to nothing")),
    }
}
