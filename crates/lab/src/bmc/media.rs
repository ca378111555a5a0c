//! The virtual drive: an image is really fetched, over HTTP or HTTPS, and then given
//! to the machine.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::journal::Happening;
use super::power::unknown_property;
use super::reply::Refusal;
use super::service::Service;

/// The largest image.
const IMAGE_MAX: u64 = 8 << 30;
/// How long fetching one may take.
const FETCH_LIMIT: Duration = Duration::from_secs(600);

/// The drive.
pub(super) struct Media {
    path: PathBuf,
    inserted: Mutex<Option<String>>,
    turn: tokio::sync::Mutex<()>,
}

impl Media {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, inserted: Mutex::new(None), turn: tokio::sync::Mutex::new(()) }
    }

    /// Address of the image in the drive.
    pub(super) fn image(&self) -> Option<String> {
        self.inserted().clone()
    }

    fn inserted(&self) -> MutexGuard<'_, Option<String>> {
        self.inserted.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

/// Parameters of `InsertMedia`; gives the address.
fn parameters(wish: &Value) -> Result<&str, Refusal> {
    for (name, value) in wish.as_object().into_iter().flatten() {
        let fits = match name.as_str() {
            "Image" => value.is_string(),
            "Inserted" | "WriteProtected" => value == true,
            "TransferMethod" => value == "Upload" || value == "Stream",
            "TransferProtocolType" => value == "HTTP" || value == "HTTPS",
            "MediaType" => value == "CD" || value == "USBStick",
            _ => return Err(unknown_property(name)),
        };
        if !fits {
            return Err(Refusal::bad_value(name, value));
        }
    }
    let image = wish["Image"].as_str().ok_or_else(|| {
        let message = "The action VirtualMedia.InsertMedia requires the parameter Image.";
        Refusal::new(StatusCode::BAD_REQUEST, "ActionParameterMissing", message)
    })?;
    let scheme = image.starts_with("http://") || image.starts_with("https://");
    if scheme && image.len() <= 4096 {
        Ok(image)
    } else {
        Err(Refusal::bad_value("Image", &wish["Image"]))
    }
}

impl Service {
    /// Fetches an image and puts it into the drive, in place of one that is there.
    pub(super) async fn insert_media(self: &Arc<Self>, wish: &Value) -> Result<(), Refusal> {
        let image = parameters(wish)?.to_owned();
        let _turn = self.media.turn.lock().await;
        let fresh = self.media.path.with_extension("fresh");
        self.fetch(&image, &fresh).await.map_err(|why| {
            let message = format!("The image at '{image}' could not be fetched: {why}");
            Refusal::new(StatusCode::BAD_REQUEST, "AccessDenied", message)
        })?;
        let failed = |error: &dyn std::fmt::Display| Refusal::internal(error.to_string());
        self.hardware.set_media(None).await.map_err(|error| failed(&error))?;
        tokio::fs::rename(&fresh, &self.media.path).await.map_err(|error| failed(&error))?;
        let path = self.media.path.clone();
        self.hardware.set_media(Some(path)).await.map_err(|error| failed(&error))?;
        *self.media.inserted() = Some(image.clone());
        self.journal.write(self.now(), Happening::MediaInserted(image));
        Ok(())
    }

    /// Empties the drive; nothing when it is empty.
    pub(super) async fn eject_media(self: &Arc<Self>) -> Result<(), Refusal> {
        let _turn = self.media.turn.lock().await;
        if self.media.image().is_none() {
            return Ok(());
        }
        let out = self.hardware.set_media(None).await;
        out.map_err(|error| Refusal::internal(error.to_string()))?;
        *self.media.inserted() = None;
        let _ = tokio::fs::remove_file(&self.media.path).await;
        self.journal.write(self.now(), Happening::MediaEjected);
        Ok(())
    }

    /// Fetches from inside the machine's wire when the address is on it, else from here.
    async fn fetch(&self, image: &str, to: &Path) -> Result<(), String> {
        let url = reqwest::Url::parse(image).map_err(|error| error.to_string())?;
        let host = url.host_str().and_then(|host| host.parse::<Ipv4Addr>().ok());
        let inside =
            self.spec.wire.as_ref().filter(|(wire, _)| host.is_some_and(|h| wire.contains(h)));
        let to = to.to_owned();
        let Some((_, namespace)) = inside.cloned() else { return download(url, to).await };
        let fetched = tokio::task::spawn_blocking(move || {
            // Sockets belong to the namespace of the thread that makes them.
            namespace.enter(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                Ok(runtime.block_on(download(url, to)))
            })
        });
        let fetched = fetched.await.map_err(|error| error.to_string())?;
        fetched.map_err(|error| error.to_string())?
    }
}

async fn download(url: reqwest::Url, to: PathBuf) -> Result<(), String> {
    // Whether rustls has its provider is the program's business; a second try is refused.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // BMCs take any certificate unless told otherwise (VerifyCertificate is false); the
    // image proves itself by its secure-boot signature.
    let client = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .timeout(FETCH_LIMIT)
        .build()
        .map_err(|error| error.to_string())?;
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(|error| error.to_string())?;
    let mut out = tokio::fs::File::create(&to).await.map_err(|error| error.to_string())?;
    let mut length = 0;
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
        length += chunk.len() as u64;
        if length > IMAGE_MAX {
            return Err("it is larger than 8 GiB".into());
        }
        out.write_all(&chunk).await.map_err(|error| error.to_string())?;
    }
    // QEMU wants whole sectors.
    out.set_len(length.next_multiple_of(512)).await.map_err(|error| error.to_string())?;
    out.flush().await.map_err(|error| error.to_string())?;
    if length == 0 { Err("it is empty".into()) } else { Ok(()) }
}
