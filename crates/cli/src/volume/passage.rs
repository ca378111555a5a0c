//! A volume that is served by NBD for the time of a copy, and no longer: also when the
//! copy fails or somebody presses Ctrl-C.

use std::path::PathBuf;

use client::disk_orders;
use model::volume::{Attachment, DiskOrder, DiskProtocol, Volume};
use serde_json::Value;

use super::service;
use crate::Failure;
use crate::session::Session;

/// A volume that is served.
pub struct Passage {
    /// Where.
    pub attachment: Attachment,
    directory: PathBuf,
    /// Whether it is served for us.
    ours: bool,
    /// Whether the volume means nothing without the copy.
    deletes: bool,
}

impl Passage {
    /// Serves it; where it is served already, that is used.
    pub async fn open(
        session: &Session,
        volume: &Volume,
        read_only: bool,
    ) -> Result<Self, Failure> {
        let directory = session.directory();
        let nbd = |it: &&Attachment| it.protocol == DiskProtocol::Nbd;
        if let Some(attachment) = volume.attachments.iter().find(nbd) {
            let attachment = attachment.clone();
            return Ok(Self { attachment, directory, ours: false, deletes: false });
        }
        let asked = DiskOrder::Serve { volume: volume.name.clone(), socket: None, read_only };
        let attachment = service::order(session, asked).await?;
        Ok(Self { attachment, directory, ours: true, deletes: false })
    }

    /// The same, and the volume is deleted unless the copy comes to its end.
    pub async fn into_new(session: &Session, volume: &Volume) -> Result<Self, Failure> {
        match Self::open(session, volume, false).await {
            Ok(mut passage) => {
                passage.deletes = true;
                Ok(passage)
            }
            Err(failure) => {
                let asked = DiskOrder::VolumeDelete { volume: volume.name.clone() };
                service::order::<Value>(session, asked).await.ok();
                Err(failure)
            }
        }
    }

    /// The copy is whole.
    pub async fn close(mut self, session: &Session) -> Result<(), Failure> {
        self.deletes = false;
        if !self.ours {
            return Ok(());
        }
        self.ours = false;
        let asked = DiskOrder::Unserve { volume: self.attachment.volume.clone() };
        service::order::<Value>(session, asked).await.map(drop)
    }
}

impl Drop for Passage {
    /// What is refused here is left as it is: the failure that led here is told.
    fn drop(&mut self) {
        let volume = &self.attachment.volume;
        let ask = |asked: &DiskOrder| disk_orders::order::<Value>(&self.directory, asked).ok();
        if self.ours {
            ask(&DiskOrder::Unserve { volume: volume.clone() });
        }
        if self.deletes {
            ask(&DiskOrder::VolumeDelete { volume: volume.clone() });
        }
    }
}
