//! Tokens: list, make, take back. The secret of a token is made here, shown in one
//! reply, and kept nowhere.

use model::api::{CreateToken, ListTokens, NewToken, RemoveToken};
use model::project::{Role, TokenSpec};
use model::{ErrorCode, Problem};
use world::SystemEntropy;

use super::incoming::Incoming;
use super::page::{self, Cut};
use super::route::{Answered, Outcome, Routes};
use super::scope::not_found;
use super::{replies, shown};
use crate::cell::Call;
use crate::identity::tokens::{digest, new_secret};

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<ListTokens, _, _>(list)
        .add::<CreateToken, _, _>(create)
        .add::<RemoveToken, _, _>(remove)
}

async fn list(incoming: Incoming<ListTokens>) -> Outcome<ListTokens> {
    let query = &incoming.query;
    let after = page::after(query)?;
    let revision = incoming.plane.leader.revision();
    let cut = {
        let nouns = incoming.plane.leader.read();
        Cut::from(nouns.tokens.after(after), query.limit, |token| {
            query.selects(&token.labels).then(|| token.clone())
        })
    };
    Ok(Answered::document(cut.page(revision, |token| shown::token(&token))))
}

async fn create(incoming: Incoming<CreateToken>) -> Outcome<CreateToken> {
    let asked = incoming.body.clone();
    if asked.project.is_some() && asked.role > Role::Member {
        return Err(Problem::new(
            ErrorCode::InvalidRequest,
            "a token of a project is for a viewer or a member: hardware, tokens and projects belong to no project",
        )
        .next("Leave the project out, or choose the role member."));
    }
    let expires = asked.ttl.map(|ttl| incoming.plane.clock.now() + ttl);
    let spec = TokenSpec { role: asked.role, project: asked.project, expires };
    let secret = new_secret(&mut SystemEntropy);
    let digest = digest(secret.expose());
    let answer = incoming.ask(Call::CreateToken { name: asked.name, spec, digest }).await?;
    let token = replies::token(answer.reply)?;
    if answer.replayed {
        // Its secret went out with the first reply and was not kept.
        let detail =
            format!("the token {} was made by an earlier request with this key", token.name);
        return Err(Problem::new(ErrorCode::Conflict, detail)
            .next("If its secret is lost, take the token back and make another."));
    }
    let secret = match incoming.query.dry_run {
        // No such token exists.
        true => String::new(),
        false => secret.expose().to_owned(),
    };
    Ok(Answered::document(NewToken { token: shown::token(&token), secret }))
}

async fn remove(incoming: Incoming<RemoveToken>) -> Outcome<RemoveToken> {
    let name = incoming.parameter("token");
    let found = {
        let nouns = incoming.plane.leader.read();
        nouns.tokens.find(name).map(|token| token.name.clone())
    };
    let found = found.ok_or_else(|| not_found("token", name));
    let token = incoming.target(found, name.to_owned())?;
    let answer = incoming.ask(Call::RemoveToken { token }).await?;
    let token = replies::token(answer.reply)?;
    Ok(Answered::document(shown::token(&token)).replayed(answer.replayed))
}
