//! The virtual drive (DSP0268, VirtualMedia).
//!
//! Makers differ in where it is (under the system or the manager), in whether it
//! is driven by actions or by changing `Image`, and in which properties they let
//! pass. "204" is no evidence: the drive is read back.

use model::bmc::BmcFact;
use serde_json::{Value, json};

use crate::document::Document;
use crate::failure::{Failure, Outcome};
use crate::quirks::Insert;
use crate::redfish::Redfish;

const INSERT: &str = "#VirtualMedia.InsertMedia";
const EJECT: &str = "#VirtualMedia.EjectMedia";

impl Redfish {
    pub(crate) async fn insert_media(&mut self, url: &str) -> Outcome<BmcFact> {
        let drive = self.drive().await?;
        if holds(&drive, url) {
            return Ok(BmcFact::Accepted);
        }
        if occupied(&drive) {
            self.eject(&drive).await?;
        }
        self.insert(&drive, url).await?;
        self.drive_reads_back(&drive.path, occupied).await?;
        Ok(BmcFact::Accepted)
    }

    pub(crate) async fn eject_media(&mut self) -> Outcome<BmcFact> {
        let drive = self.drive().await?;
        if occupied(&drive) {
            self.eject(&drive).await?;
        }
        Ok(BmcFact::Accepted)
    }

    /// The drive that an image can be put into.
    async fn drive(&mut self) -> Outcome<Document> {
        self.find_drive()
            .await?
            .ok_or_else(|| Failure::unsupported("this BMC has no virtual CD drive"))
    }

    /// The same, or `None` when there is none.
    pub(crate) async fn find_drive(&mut self) -> Outcome<Option<Document>> {
        let system = self.system().await?;
        let manager = self.layout().await?.manager.clone();
        let mut collections = Vec::new();
        if let Some(manager) = manager
            && let Ok(manager) = self.wire.get(&manager).await
        {
            collections.extend(manager.link("/VirtualMedia"));
        }
        collections.extend(system.link("/VirtualMedia"));
        let mut best: Option<(u8, Document)> = None;
        for collection in collections {
            let Ok(collection) = self.wire.get(&collection).await else { continue };
            for member in collection.members().iter().take(16) {
                let Ok(drive) = self.wire.get(member).await else { continue };
                let fitness = fitness(&drive);
                if fitness > best.as_ref().map_or(0, |(most, _)| *most) {
                    best = Some((fitness, drive));
                }
            }
        }
        Ok(best.map(|(_, drive)| drive))
    }

    async fn insert(&mut self, drive: &Document, url: &str) -> Outcome<()> {
        let bodies = self.layout().await?.quirks.inserts;
        let mut refusal = None;
        for body in bodies.iter().map(|insert| insert_body(*insert, url)) {
            let outcome = match drive.action(INSERT, "Image") {
                Some(action) => self.wire.post_through(&action.target, &body).await,
                None => self.amend(&drive.path, &body).await,
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(failure) if failure.is_about_the_request() => {
                    refusal.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(refusal.expect("each maker has a way to insert"))
    }

    async fn eject(&self, drive: &Document) -> Outcome<()> {
        match drive.action(EJECT, "") {
            Some(action) => self.wire.post_through(&action.target, &json!({})).await?,
            None => self.amend(&drive.path, &json!({"Image": null})).await?,
        }
        self.drive_reads_back(&drive.path, |drive| !occupied(drive)).await
    }

    async fn drive_reads_back(&self, path: &str, is_so: impl Fn(&Document) -> bool) -> Outcome<()> {
        for _ in 0..self.wire.limits.looks.max(1) {
            if is_so(&self.wire.get(path).await?) {
                return Ok(());
            }
            tokio::time::sleep(self.wire.limits.look).await;
        }
        Err(Failure::refused(format!("accepted, but {path} reads back unchanged")))
    }
}

/// How well a drive suits; 0 when not at all.
fn fitness(drive: &Document) -> u8 {
    let types = drive.texts("/MediaTypes");
    let optical = types.iter().any(|kind| kind == "CD" || kind == "DVD");
    let driven = match drive.action(INSERT, "Image") {
        Some(_) => 2,
        // Driven by changing `Image`.
        None => u8::from(drive.body.get("Image").is_some()),
    };
    if optical { driven } else { 0 }
}

fn occupied(drive: &Document) -> bool {
    let inserted = drive.body.get("Inserted").and_then(Value::as_bool);
    // An image without a word about `Inserted` is in the drive.
    inserted.unwrap_or_else(|| !drive.text("/Image").is_empty())
}

fn holds(drive: &Document, url: &str) -> bool {
    occupied(drive) && drive.body.get("Image").and_then(Value::as_str) == Some(url)
}

fn insert_body(insert: Insert, url: &str) -> Value {
    match insert {
        Insert::Full => json!({"Image": url, "Inserted": true, "WriteProtected": true}),
        Insert::ImageOnly => json!({"Image": url}),
        Insert::WithProtocol => {
            let protocol = if url.starts_with("https:") { "HTTPS" } else { "HTTP" };
            json!({"Image": url, "TransferProtocolType": protocol, "TransferMethod": "Stream"})
        }
    }
}
