//! The disk service of this host, as verbs ask it.

use std::path::{Path, PathBuf};

use client::disk_orders::{self, OrderError};
use model::volume::DiskOrder;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::session::Session;

/// Gives an order and waits for its answer.
///
/// # Errors
/// The failure as people see it: what the service says, or that there is none.
pub async fn order<T>(session: &Session, order: DiskOrder) -> Result<T, Failure>
where
    T: DeserializeOwned + Send + 'static,
{
    let directory = session.directory();
    let asked = tokio::task::spawn_blocking(move || disk_orders::order(&directory, &order));
    Ok(asked.await.expect("asking does not panic")?)
}

impl From<OrderError> for Failure {
    fn from(error: OrderError) -> Self {
        let why = error.to_string();
        match error {
            OrderError::Refused(problem) => {
                Failure::new(&problem.code, sentence(&problem.what)).next(sentence(&problem.next))
            }
            OrderError::Absent { directory, source } => absent(&directory, &source),
            OrderError::Cut(_) => {
                Failure::new("disk-service-silent", "The disk service did not answer").why(why).next(
                    "It may have done what it was asked: look with bedplate volume list, and at its log.",
                )
            }
            OrderError::Strange(_) => Failure::new(
                "disk-service-strange",
                "The answer of the disk service is not understood",
            )
            .why(why)
            .next("Compare the versions: bedplate disk status, bedplate --version"),
        }
    }
}

fn absent(directory: &Path, source: &std::io::Error) -> Failure {
    let place = directory.display();
    let next = match source.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "Its socket is for its own user: run this as that user, or as root.".to_owned()
        }
        _ => "Start it with: bedplate disk up --pool disk.img:20G\nElsewhere? Say its directory with --dir or BEDPLATE_DIR.".to_owned(),
    };
    Failure::new("disk-service-absent", format!("No disk service answers in {place}"))
        .why(source.to_string())
        .next(next)
}

/// With a capital at the beginning, where that is a word.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// A path for the service, which runs elsewhere.
///
/// # Errors
/// A path that is not text, or a working directory that is gone.
pub fn absolute(path: &Path) -> Result<String, Failure> {
    let whole: PathBuf = std::path::absolute(path).map_err(|error| Failure::file(path, &error))?;
    let text = whole.to_str().map(str::to_owned);
    text.ok_or_else(|| Failure::usage(format!("{} is not text", whole.display())))
}
