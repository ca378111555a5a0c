//! The content of an image on its way in. Only one upload at a time fills an
//! image: what is stored is then what was checked.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use model::api::PutImageContent;
use model::id::ImageId;
use model::image::Image;
use model::{ErrorCode, Problem};

use super::incoming::Incoming;
use super::replies;
use super::route::{Answered, Outcome, Routes};
use crate::cell::{Ask, Call};
use crate::images::Stored;
use crate::plane::Plane;

/// The endpoint of this file.
pub fn routes(routes: Routes) -> Routes {
    let uploads = Uploads::default();
    routes.add_upload::<PutImageContent, _, _>(move |incoming| put(incoming, uploads.clone()))
}

/// Which images are being filled.
#[derive(Clone, Default)]
struct Uploads(Arc<Mutex<HashSet<ImageId>>>);

/// One image is being filled as long as this exists.
struct Upload(Uploads, ImageId);

impl Uploads {
    fn begin(&self, image: ImageId) -> Option<Upload> {
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        images.insert(image).then(|| Upload(self.clone(), image))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

async fn put(incoming: Incoming<PutImageContent>, uploads: Uploads) -> Outcome<PutImageContent> {
    let image = incoming.own_image()?;
    let Some(_upload) = uploads.begin(image.id) else {
        let detail = format!("the content of {} is being sent already", image.name);
        return Err(Problem::new(ErrorCode::Conflict, detail));
    };
    if image.status.ready {
        let detail = format!("{} has its content, and an image does not change", image.name);
        return Err(Problem::new(ErrorCode::Conflict, detail)
            .next("Make another image, under another name."));
    }
    let (plane, actor) = (incoming.plane.clone(), incoming.principal.actor());
    let request = incoming.request.clone();
    let content = incoming.content.into_data_stream();
    let expected = image.status.checksum.as_ref();
    let stored = plane.images.receive(image.id, &image.spec, expected, content).await;
    let image = take_in(&plane, actor, request, image.id, stored, false).await?;
    let etag = image.generation;
    Ok(Answered::document(image).etag(etag))
}

/// Records that an image is stored. Where it could not be stored, the image is
/// taken back if `take_back` says so: its maker was not told of it yet.
pub async fn take_in(
    plane: &Plane,
    actor: String,
    request: String,
    image: ImageId,
    stored: Result<Stored, Problem>,
    take_back: bool,
) -> Result<Image, Problem> {
    let (call, failure) = match stored {
        Ok(Stored { checksum, stored, size }) => {
            plane.metrics.image_received(stored.0);
            (Call::ImageReady { image, checksum, stored, size }, None)
        }
        Err(problem) if take_back => (Call::RemoveImage { image }, Some(problem)),
        Err(problem) => return Err(problem),
    };
    let ask = Ask { request: Some(request), ..Ask::from(actor, call) };
    let answer = plane.leader.ask(ask).await;
    match failure {
        Some(problem) => Err(problem),
        None => replies::image(answer?.reply),
    }
}
