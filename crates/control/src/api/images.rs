//! Images as resources: list, watch, announce, show, remove.

use std::sync::Arc;

use model::api::{CreateImage, CreateImageRequest, GetImage, ListImages, RemoveImage};
use model::id::ImageId;
use model::image::{Image, ImageSpec};
use model::project::{Permission, Role};
use model::{ErrorCode, Problem};
use uuid::Uuid;

use super::image_content::take_in;
use super::incoming::Incoming;
use super::page::{self, Cut};
use super::principal::Principal;
use super::route::{Answered, Outcome, Routes};
use super::{replies, watch};
use crate::cell::Call;
use crate::plane::Plane;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<ListImages, _, _>(list)
        .add::<CreateImage, _, _>(create)
        .add::<GetImage, _, _>(show)
        .add::<RemoveImage, _, _>(remove)
}

async fn list(incoming: Incoming<ListImages>) -> Outcome<ListImages> {
    if incoming.query.watch {
        return watch::begin(&incoming, Some("image")).map(Answered::raw);
    }
    let (scope, query) = (incoming.scope(), &incoming.query);
    let after = page::after(query)?;
    let revision = incoming.plane.leader.revision();
    let cut = {
        let nouns = incoming.plane.leader.read();
        Cut::from(nouns.images.after(after), query.limit, |image| {
            let wanted = query.selects(&image.labels) && scope.sees_image(image);
            wanted.then(|| image.clone())
        })
    };
    Ok(Answered::document(cut.page(revision, |image| (*image).clone())))
}

async fn show(incoming: Incoming<GetImage>) -> Outcome<GetImage> {
    let image = incoming.image()?;
    let etag = image.generation;
    Ok(Answered::document((*image).clone()).etag(etag))
}

/// Announces an image. With an address, the control plane fetches it before it
/// answers, and goes on with that when the caller does not wait; when the fetch
/// fails, nothing is left of the image.
async fn create(incoming: Incoming<CreateImage>) -> Outcome<CreateImage> {
    let asked = incoming.body.clone();
    let project = owner(&incoming, &asked)?;
    if asked.url.is_some() {
        may_fetch(&incoming.principal)?;
    }
    let call = Call::CreateImage {
        name: asked.name,
        spec: ImageSpec { format: asked.format, compression: asked.compression, project },
        checksum: asked.checksum.clone(),
        labels: asked.labels,
    };
    let answer = incoming.ask(call).await?;
    let mut image = replies::image(answer.reply)?;
    if answer.replayed {
        // The reply was kept as it was before the content came.
        let nouns = incoming.plane.leader.read();
        image = nouns.images.get(image.id.uuid()).map_or(image, |now| (**now).clone());
    } else if let Some(url) = asked.url.filter(|_| !incoming.query.dry_run) {
        let (plane, actor) = (incoming.plane.clone(), incoming.principal.actor());
        image = fetched(plane, actor, incoming.request.clone(), image, url).await?;
    }
    let (etag, path) = (image.generation, format!("/v1/images/{}", image.id));
    Ok(Answered::document(image).etag(etag).location(path).replayed(answer.replayed))
}

/// Whose the image is: the caller's project where the token is bound to one.
fn owner<E: model::api::Endpoint>(
    incoming: &Incoming<E>,
    asked: &CreateImageRequest,
) -> Result<Option<String>, Problem> {
    let scope = incoming.scope();
    match (scope.project(), &asked.project) {
        (Some(bound), None) => Ok(Some(bound.to_owned())),
        (Some(bound), Some(project)) if project != bound => Err(Problem::new(
            ErrorCode::Forbidden,
            format!("the token is bound to the project {bound}, and the image is for {project}"),
        )),
        (_, project) => Ok(project.clone()),
    }
}

/// The control plane reaches networks that tenants must not reach, so a fetch is
/// for those who run the hardware.
fn may_fetch(principal: &Principal) -> Result<(), Problem> {
    let may = |role: Role| role.may(Permission::Operate);
    match principal {
        Principal::Person(person) if may(person.role) && person.project.is_none() => Ok(()),
        _ => Err(Problem::new(
            ErrorCode::Forbidden,
            "having the control plane fetch an address asks for the permission `operate`",
        )
        .next("Fetch it yourself and send its content: `bedplate image import FILE`.")),
    }
}

/// Fetches the content in a task of its own: it goes on when the caller has gone.
async fn fetched(
    plane: Arc<Plane>,
    actor: String,
    request: String,
    image: Image,
    url: String,
) -> Result<Image, Problem> {
    let task = tokio::spawn(async move {
        let stored =
            plane.images.fetch(image.id, &image.spec, image.status.checksum.as_ref(), &url).await;
        take_in(&plane, actor, request, image.id, stored, true).await
    });
    task.await.unwrap_or_else(|error| Err(super::refusal::internal(error)))
}

async fn remove(incoming: Incoming<RemoveImage>) -> Outcome<RemoveImage> {
    let found = incoming.own_image().map(|image| image.id);
    let image = incoming.target(found, ImageId::from_uuid(Uuid::nil()))?;
    let answer = incoming.ask(Call::RemoveImage { image }).await?;
    if !incoming.query.dry_run && !answer.replayed {
        // Nobody knows the image any more; a file that stays is swept at the next start.
        if let Err(problem) = incoming.plane.images.remove(image) {
            tracing::warn!(%image, %problem, "the file of a removed image stays");
        }
    }
    Ok(Answered::document(replies::image(answer.reply)?).replayed(answer.replayed))
}
