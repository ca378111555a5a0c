//! `bedplate image show`: one image as a page.

use clap::Args;
use client::Options;
use model::Timestamp;
use model::api::GetImage;
use model::image::Image;

use crate::Failure;
use crate::human::moment;
use crate::page::Page;
use crate::session::Session;
use crate::terminal::{Paint, Tone};

/// Which image.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate image show debian-12")]
pub struct Arguments {
    /// Which image, by name or id
    image: String,
}

/// Asks and shows.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let path = [arguments.image.as_str()];
    let image = session.call::<GetImage>(&path, &(), Options::default()).await?;
    let (width, paint, now) = (session.terminal.width, session.terminal.paint, session.now());
    session.show(&image, |image| page(image, now, width, paint))
}

fn page(image: &Image, now: Timestamp, width: Option<usize>, paint: Paint) -> String {
    let mut page = Page::new(width, paint);
    page.heading(&format!("Image {}", image.name));
    match image.status.ready {
        true => page.toned(Tone::Good, "ready", "yes"),
        false => page.toned(Tone::Warn, "ready", "no: its content has not come, or not whole"),
    }
    page.line("format", super::format(image.spec.format));
    page.line("compression", super::compression(image.spec.compression));
    page.line("size on disk", image.status.size.to_string());
    page.line("stored", image.status.stored.to_string());
    let checksum = image.status.checksum.as_ref().map(ToString::to_string);
    page.line("checksum", checksum.unwrap_or_default());
    page.line("project", image.spec.project.as_deref().unwrap_or("every project"));
    let labels: Vec<String> =
        image.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    page.line("labels", labels.join(" "));
    page.line("made", moment(now, image.created));
    page.line("id", image.id.to_string());
    page.finish()
}
