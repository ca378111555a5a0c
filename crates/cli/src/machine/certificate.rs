//! `bedplate machine certificate`: that a machine's disks were sanitised, signed.

use clap::Args;
use client::Options;
use model::Timestamp;
use model::agent::SanitisedDisk;
use model::api::GetCertificate;
use model::machine::SanitiseCertificate;

use crate::Failure;
use crate::human::moment;
use crate::page::Page;
use crate::session::Session;
use crate::terminal::{Paint, Tone};

/// Which machine.
#[derive(Args, Debug)]
#[command(
    after_help = "The signed record is its JSON: bedplate machine certificate m1 --output json > m1.json\nTo check the signature with openssl, see docs/machines.md.\n\nExamples:\n  bedplate machine certificate m1\n  bedplate machine certificate m1 --output json"
)]
pub struct Arguments {
    /// Which machine
    machine: String,
}

/// Asks and shows.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let path = [arguments.machine.as_str()];
    let certificate = session.call::<GetCertificate>(&path, &(), Options::default()).await?;
    let (width, paint, now) = (session.terminal.width, session.terminal.paint, session.now());
    session.show(&certificate, |certificate| page(certificate, now, width, paint))
}

/// The certificate as a page.
pub fn page(
    certificate: &SanitiseCertificate,
    now: Timestamp,
    width: Option<usize>,
    paint: Paint,
) -> String {
    let mut page = Page::new(width, paint);
    page.heading("Certificate of sanitising");
    page.line("machine", certificate.machine.to_string());
    page.line("serial", &certificate.serial);
    page.line("ended", moment(now, certificate.at));
    if let Some(operation) = certificate.operation {
        page.line("operation", operation.to_string());
    }
    page.line("TPM", certificate.endorsement.as_deref().unwrap_or_default());
    for item in &certificate.disks {
        let tone = if item.residue.0 == 0 { Tone::Good } else { Tone::Bad };
        page.toned(tone, "disk", disk(item));
    }
    let signature = certificate.signature.as_ref().len();
    page.line(
        "signature",
        match signature {
            0 => "none".to_owned(),
            _ => "ECDSA P-256, SHA-256; in the JSON".to_owned(),
        },
    );
    page.finish()
}

/// A sanitised disk in one line.
pub fn disk(disk: &SanitisedDisk) -> String {
    format!(
        "{} {} {} {}: {}, {} read back, {} of residue",
        disk.disk, disk.size, disk.model, disk.serial, disk.method, disk.sampled, disk.residue
    )
}
