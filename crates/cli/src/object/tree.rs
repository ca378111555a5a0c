//! Directories up and down: what seems to be there already is passed over, several files
//! move at a time, and one failure does not keep the others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use client::objects::download::Download;
use client::objects::{ListObjects, ObjectLine, Objects};
use futures_util::{StreamExt as _, stream};
use indicatif::ProgressBar;
use model::Bytes;
use serde::Serialize;

use super::paths::{self, Local};
use super::{get, put};
use crate::Failure;
use crate::gateway::place::Place;
use crate::human::count;
use crate::progress::bytes;
use crate::session::Session;

/// Failures that are told one by one.
const TOLD: usize = 10;

/// What became of it, as JSON.
#[derive(Debug, Default, Serialize)]
struct Moved {
    files: usize,
    bytes: u64,
    there_already: usize,
    failed: Vec<Lost>,
}

/// What did not move.
#[derive(Debug, Serialize)]
struct Lost {
    name: String,
    code: String,
    why: String,
}

/// All objects whose keys begin so.
pub async fn all(objects: &Objects, place: &Place) -> Result<Vec<ObjectLine>, Failure> {
    let mut asked = ListObjects { prefix: place.key.clone(), ..ListObjects::default() };
    let mut found = Vec::new();
    loop {
        let page = objects.list(&place.bucket, &asked).await?;
        found.extend(page.objects);
        match page.next {
            Some(next) => asked.next = Some(next),
            None => return Ok(found),
        }
    }
}

/// A directory's key, with a slash behind it unless it is empty.
fn folder(key: &str) -> String {
    match key.is_empty() || key.ends_with('/') {
        true => key.to_owned(),
        false => format!("{key}/"),
    }
}

/// Stores a directory.
pub async fn up(
    session: &Session,
    objects: &Objects,
    (source, place): (&Path, &Place),
    options: &put::Options,
    everything: bool,
) -> Result<(), Failure> {
    let place = Place { bucket: place.bucket.clone(), key: folder(&place.key) };
    let files = paths::below(source)?;
    let there = match everything {
        true => HashMap::new(),
        false => by_name(all(objects, &place).await?, &place.key),
    };
    let found = files.len();
    let files: Vec<Local> = files
        .into_iter()
        .filter(|file| !there.get(&file.name).is_some_and(|line| is_up(file, line)))
        .collect();
    let mut moved = Moved { there_already: found - files.len(), ..Moved::default() };
    let bar = bytes::bar(session, files.iter().map(|file| file.size).sum(), "storing");
    let work = files.iter().map(|file| {
        let (key, bar) = (format!("{}{}", place.key, file.name), bar.clone());
        let bucket = place.bucket.as_str();
        async move {
            let what = (options, Some(file.size));
            let stored = put::file(objects, (bucket, key), &file.path, what, &bar).await;
            (file.name.clone(), stored.map(|stored| stored.size))
        }
    });
    let mut ended = stream::iter(work).buffer_unordered(usize::from(options.parallel));
    while let Some((name, result)) = ended.next().await {
        moved.note(name, result);
    }
    moved.tell(session, &bar, "stored")
}

/// Fetches all objects whose keys begin so.
pub async fn down(
    session: &Session,
    objects: &Objects,
    (place, target): (&Place, &Path),
    parallel: u8,
    everything: bool,
) -> Result<(), Failure> {
    let mut moved = Moved::default();
    let listed = all(objects, place).await?;
    let wanted = moved.wanted(listed, (&place.key, target), everything);
    let over = wanted.iter().filter(|(_, path)| path.exists()).count();
    if over > 0 {
        session.confirm(&format!("{} there, and overwritten", are(over)))?;
    }
    let bar = bytes::bar(session, wanted.iter().map(|(line, _)| line.size).sum(), "fetching");
    session.on_interrupt("What came is kept; do it again, and it goes on.");
    let work = wanted.into_iter().map(|(line, path)| {
        let bar = bar.clone();
        async move {
            let done = fetch(objects, &place.bucket, &line, &path, &bar).await;
            (line.key, done)
        }
    });
    let mut ended = stream::iter(work).buffer_unordered(usize::from(parallel));
    while let Some((name, result)) = ended.next().await {
        moved.note(name, result);
    }
    moved.tell(session, &bar, "fetched")
}

fn are(files: usize) -> String {
    match files {
        1 => "1 file is".to_owned(),
        _ => format!("{files} files are"),
    }
}

/// What of a key is below a prefix: all behind its last slash.
fn below<'k>(key: &'k str, prefix: &str) -> &'k str {
    let folder = prefix.rfind('/').map_or(0, |slash| slash + 1);
    // A prefix that is a whole folder's name stands for the folder.
    match key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) if !prefix.is_empty() && !prefix.ends_with('/') => rest,
        _ => &key[folder..],
    }
}

/// Fetches one, and gives the file the time of the object: the next time tells by it.
async fn fetch(
    objects: &Objects,
    bucket: &str,
    line: &ObjectLine,
    path: &PathBuf,
    bar: &ProgressBar,
) -> Result<u64, Failure> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    }
    let what = Download { bucket, key: &line.key, version: None };
    let head = objects.head(bucket, &line.key, None).await?;
    get::file(objects, &what, &head, path, bar).await?;
    let failed = |error: std::io::Error| Failure::file(path, &error);
    if let Some(seconds) = seconds(&line.modified) {
        let file = std::fs::File::options().write(true).open(path).map_err(failed)?;
        let at = UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs());
        file.set_modified(at).map_err(failed)?;
    }
    Ok(head.size)
}

fn by_name(lines: Vec<ObjectLine>, folder: &str) -> HashMap<String, ObjectLine> {
    let name = |key: &str| key.strip_prefix(folder).map(str::to_owned);
    lines.into_iter().filter_map(|line| Some((name(&line.key)?, line))).collect()
}

/// A file that was stored after it was written, as long as it is now.
fn is_up(file: &Local, line: &ObjectLine) -> bool {
    file.size == line.size && seconds(&line.modified).is_some_and(|stored| stored > file.modified)
}

/// A file that has the object's length and time.
fn is_down(metadata: &std::fs::Metadata, line: &ObjectLine) -> bool {
    let time = seconds(&line.modified);
    metadata.is_file() && metadata.len() == line.size && time == Some(paths::seconds(metadata))
}

/// A moment of a list (RFC 3339, always in UTC), in seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !text.ends_with('Z') || !(1..=12).contains(&month) || !(1970..=9999).contains(&year) {
        return None;
    }
    // Days of the proleptic Gregorian calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

impl Moved {
    /// What is to be fetched, and into which files.
    fn wanted(
        &mut self,
        listed: Vec<ObjectLine>,
        (prefix, target): (&str, &Path),
        everything: bool,
    ) -> Vec<(ObjectLine, PathBuf)> {
        let mut wanted = Vec::new();
        // What ends with a slash and is empty stands for a folder.
        let folder = |line: &ObjectLine| line.size == 0 && line.key.ends_with('/');
        for line in listed.into_iter().filter(|line| !folder(line)) {
            let Some(path) = paths::file(target, below(&line.key, prefix)) else {
                let why = "its key names no file in the directory; fetch it alone, with a name";
                let code = "key-is-no-path".to_owned();
                self.failed.push(Lost { name: line.key, code, why: why.to_owned() });
                continue;
            };
            match std::fs::metadata(&path) {
                Ok(metadata) if !everything && is_down(&metadata, &line) => {
                    self.there_already += 1;
                }
                _ => wanted.push((line, path)),
            }
        }
        wanted
    }

    fn note(&mut self, name: String, result: Result<u64, Failure>) {
        match result {
            Ok(size) => {
                self.files += 1;
                self.bytes += size;
            }
            Err(failure) => {
                let why = format!("{}: {}", failure.what, failure.why);
                self.failed.push(Lost { name, code: failure.code, why });
            }
        }
    }

    fn tell(self, session: &Session, bar: &ProgressBar, done: &str) -> Result<(), Failure> {
        bar.finish_and_clear();
        session.show(&self, |moved| {
            let mut text = format!(
                "{done}: {}, {}, each verified; there already: {}\n",
                count(moved.files, "file"),
                Bytes(moved.bytes),
                moved.there_already
            );
            if !moved.failed.is_empty() {
                text.push_str(&format!("failed: {}\n", count(moved.failed.len(), "file")));
            }
            text
        })?;
        if self.failed.is_empty() {
            return Ok(());
        }
        let told = self.failed.iter().take(TOLD);
        let told: Vec<String> =
            told.map(|lost| format!("{}: {} ({})", lost.name, lost.why, lost.code)).collect();
        let what = format!("{} did not move", count(self.failed.len(), "file"));
        Err(Failure::new("some-failed", what)
            .why(told.join("\n"))
            .next("Do it again: what moved is passed over."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_files_below_the_directory_that_is_meant() {
        assert_eq!(below("photos/a/b.jpg", "photos/"), "a/b.jpg");
        assert_eq!(below("photos/a/b.jpg", "photos"), "a/b.jpg");
        assert_eq!(below("photos/a/b.jpg", ""), "photos/a/b.jpg");
        assert_eq!(below("photos/2026-01.jpg", "photos/2026"), "2026-01.jpg");
        assert_eq!(below("photos", "photos"), "photos");
    }

    #[test]
    fn times_of_lists_are_read() {
        assert_eq!(seconds("2026-01-01T00:00:01.500Z"), Some(1_767_225_601));
        assert_eq!(seconds("2024-02-29T23:59:59Z"), Some(1_709_251_199));
        assert_eq!(seconds("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(seconds("yesterday"), None);
    }
}
