//! What people ask of images.

use model::image::{Checksum, Image, ImageSpec, ImageStatus};
use model::problem::{ErrorCode, Problem};
use world::entropy::new_id;

use super::{Call, Cell, Draft, Reply, check_name, not_found, taken};

/// Dispatches to one function a call.
pub fn answer(cell: &Cell, draft: &mut Draft<'_>) -> Result<Reply, Problem> {
    let ask = draft.ask;
    match &ask.call {
        Call::CreateImage { name, spec, checksum, labels } => {
            create(cell, draft, name, spec, checksum, labels)
        }
        Call::ImageReady { image, checksum, stored, size } => {
            let known = cell.nouns.images.get(image.uuid());
            let known = known.ok_or_else(|| not_found("image", image))?;
            let status = ImageStatus {
                ready: true,
                checksum: Some(checksum.clone()),
                stored: *stored,
                size: *size,
            };
            ready(draft, known, status)
        }
        Call::RemoveImage { image } => {
            let known = cell.nouns.images.get(image.uuid());
            let known = known.ok_or_else(|| not_found("image", image))?;
            remove(cell, draft, known)
        }
        _ => unreachable!("dispatched by the cell"),
    }
}

fn create(
    cell: &Cell,
    draft: &mut Draft<'_>,
    name: &str,
    spec: &ImageSpec,
    checksum: &Option<Checksum>,
    labels: &std::collections::BTreeMap<String, String>,
) -> Result<Reply, Problem> {
    check_name("image", name)?;
    if cell.nouns.images.by_name(name).is_some() {
        return Err(taken("image", name));
    }
    if let Some(project) = &spec.project
        && cell.nouns.projects.by_name(project).is_none()
    {
        return Err(not_found("project", project));
    }
    let image = Image {
        id: new_id(draft.now, draft.entropy),
        name: name.to_owned(),
        generation: 1,
        labels: labels.clone(),
        created: draft.now,
        updated: draft.now,
        spec: spec.clone(),
        status: ImageStatus { checksum: checksum.clone(), ..ImageStatus::default() },
    };
    draft.put(&image);
    Ok(Reply::Image(Box::new(image)))
}

fn ready(draft: &mut Draft<'_>, known: &Image, status: ImageStatus) -> Result<Reply, Problem> {
    if known.status == status {
        return Ok(Reply::Image(Box::new(known.clone())));
    }
    if known.status.ready {
        let detail =
            format!("image {} has its content; what is deployed is never changed", known.name);
        return Err(Problem::new(ErrorCode::Conflict, detail)
            .next("Import the new content under a new name."));
    }
    if let (Some(wanted), Some(found)) = (&known.status.checksum, &status.checksum)
        && wanted != found
    {
        let detail = format!("image {} must have {wanted}, and what came has {found}", known.name);
        return Err(Problem::new(ErrorCode::ChecksumMismatch, detail));
    }
    let image = Image { updated: draft.now, status, ..known.clone() };
    draft.put(&image);
    Ok(Reply::Image(Box::new(image)))
}

fn remove(cell: &Cell, draft: &mut Draft<'_>, known: &Image) -> Result<Reply, Problem> {
    draft.expect(known.generation)?;
    let used = cell.nouns.machines.iter().find(|(_, machine)| {
        let wanted = machine.spec.deployment.as_ref();
        let named = |image: &str| image == known.name || image == known.id.to_string();
        wanted.is_some_and(|wanted| named(&wanted.image)) && machine.status.operation.is_some()
    });
    if let Some((_, machine)) = used {
        let detail =
            format!("machine {} is being deployed with image {}", machine.name, known.name);
        return Err(Problem::new(ErrorCode::Conflict, detail));
    }
    draft.remove::<Image>(known);
    Ok(Reply::Image(Box::new(known.clone())))
}
