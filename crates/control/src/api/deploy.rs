//! Giving a machine to a tenant, and taking it back.

use model::api::{DeployMachine, ReleaseMachine};
use model::{ErrorCode, Problem};

use super::incoming::Incoming;
use super::replies;
use super::route::{Answered, Outcome, Routes};
use super::scope::not_found;
use crate::cell::Call;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.add::<DeployMachine, _, _>(deploy).add::<ReleaseMachine, _, _>(release)
}

async fn deploy(incoming: Incoming<DeployMachine>) -> Outcome<DeployMachine> {
    let machine = incoming.machine_to_change()?;
    let deployment = incoming.body.clone();
    let scope = incoming.scope();
    if !scope.owns(Some(&deployment.project)) {
        let detail = format!("the token is not of the project {}", deployment.project);
        return Err(Problem::new(ErrorCode::Forbidden, detail)
            .next("Deploy for the project that the token is bound to."));
    }
    let visible = {
        let nouns = incoming.plane.leader.read();
        let image = nouns.images.find(&deployment.image);
        // An image of a project is for its own systems, whoever asks.
        let fits =
            |owner: &Option<String>| owner.as_ref().is_none_or(|it| *it == deployment.project);
        image.is_some_and(|image| fits(&image.spec.project))
    };
    if !visible {
        return Err(not_found("image", &deployment.image)
            .next("List the images; one of another project cannot be deployed for this one."));
    }
    let answer = incoming.ask(Call::Deploy { machine, deployment }).await?;
    Ok(Answered::operation(replies::operation(answer.reply)?).replayed(answer.replayed))
}

async fn release(incoming: Incoming<ReleaseMachine>) -> Outcome<ReleaseMachine> {
    let machine = incoming.own_machine_to_change()?;
    let answer = incoming.ask(Call::Release { machine }).await?;
    Ok(Answered::operation(replies::operation(answer.reply)?).replayed(answer.replayed))
}
