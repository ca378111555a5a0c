//! `bedplate image list`: images.

use clap::Args;
use model::Timestamp;
use model::api::{ListImages, Page};
use model::image::Image;

use crate::Failure;
use crate::human::{ago, by_number};
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// Which images.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate image list\n  bedplate image list --label os=debian")]
pub struct Arguments {
    /// Only those with this label, key=value; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
}

/// Lists them.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let page = session.list::<ListImages, Image>(&arguments.labels).await?;
    let empty = "no images yet; bring one in: bedplate image import FILE";
    let now = session.now();
    session.show_list(&page, |page| table(page, now), empty)
}

fn table(page: &Page<Image>, now: Timestamp) -> Table {
    let columns = [
        keep("NAME", 8),
        keep("READY", 5),
        spare("FORMAT", 4, 5),
        spare("PACKED", 5, 4),
        spare("SIZE", 1, 8),
        spare("STORED", 3, 8),
        spare("PROJECT", 2, 8),
        spare("CHECKSUM", 7, 16),
        spare("MADE", 6, 8),
    ];
    let mut table = Table::new(&columns);
    let mut images: Vec<&Image> = page.items.iter().collect();
    images.sort_by(|a, b| by_number(&a.name, &b.name));
    for image in images {
        let status = &image.status;
        let ready = match status.ready {
            true => cell(Tone::Good, "yes"),
            false => cell(Tone::Warn, "no"),
        };
        let size =
            |bytes: model::Bytes| if bytes.0 == 0 { String::new() } else { bytes.to_string() };
        table.row(vec![
            cell(Tone::Bold, &image.name),
            ready,
            super::format(image.spec.format).into(),
            super::compression(image.spec.compression).into(),
            size(status.size).into(),
            size(status.stored).into(),
            image.spec.project.as_deref().unwrap_or_default().into(),
            cell(Tone::Dim, status.checksum.as_ref().map_or("", |checksum| checksum.hex())),
            cell(Tone::Dim, ago(now, image.created)),
        ]);
    }
    table
}
