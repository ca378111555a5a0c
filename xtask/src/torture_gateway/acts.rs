//! What clients do: each act is told to the key's history before it is asked for, and
//! what came of it afterwards.

use super::body::Stamp;
use super::client::Request;
use super::history::Seen;
use super::site::{Guest, Key, SOURCES, Version};

/// The least that a part must have that is not the last.
const PART: usize = 5 << 20;

fn told(number: u64, stamp: Stamp) -> Vec<(&'static str, String)> {
    vec![("x-amz-meta-number", number.to_string()), ("x-amz-meta-stamp", stamp.told())]
}

/// The text between two others.
pub fn between<'t>(text: &'t str, first: &str, last: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(first)?;
    Some(rest.split_once(last)?.0)
}

impl Guest<'_> {
    /// Asks for a write of which the history knows already that it begins. The answer's
    /// status, when there was one.
    fn write(
        &mut self,
        key: &Key,
        (number, value): (u64, bool),
        wish: &Request<'_>,
    ) -> Option<u16> {
        let site = self.site;
        key.history().begin(number, value, site.now());
        let Some(answer) = self.ask(wish) else {
            key.history().doubtful(number, site.now());
            return None;
        };
        // A completion may fail behind its first line.
        if !answer.good() || answer.text().contains("<Error>") {
            key.history().refused(number);
            if !matches!(answer.status, 409 | 412) {
                let text = answer.text();
                site.error(format!("{} {}: {} {text}", wish.method, key.name, answer.status));
            }
            return Some(answer.status);
        }
        key.history().done(number, site.now());
        site.seen().acknowledged += 1;
        if value && let Some(version) = answer.field("x-amz-version-id") {
            key.versions().insert(version.to_owned(), Version::There(number));
        }
        Some(answer.status)
    }

    /// Writes an object.
    pub fn put(&mut self, key: &Key, length: usize) {
        let number = self.site.number();
        let stamp = Stamp { number, length };
        let (bytes, fields) = (stamp.bytes(), told(number, stamp));
        let (bucket, name, body) = (key.bucket, key.name.as_str(), bytes.as_slice());
        let wish = Request { method: "PUT", bucket, key: name, fields, body, ..Request::default() };
        self.write(key, (number, true), &wish);
    }

    /// Writes an object where none is.
    pub fn create(&mut self, key: &Key, length: usize) {
        let number = self.site.number();
        let stamp = Stamp { number, length };
        let (bytes, mut fields) = (stamp.bytes(), told(number, stamp));
        fields.push(("if-none-match", "*".to_owned()));
        let (bucket, name, body) = (key.bucket, key.name.as_str(), bytes.as_slice());
        let wish = Request { method: "PUT", bucket, key: name, fields, body, ..Request::default() };
        let from = self.site.now();
        let status = self.write(key, (number, true), &wish);
        if status == Some(412) {
            // Somebody was faster.
            self.site.judge(key, Seen::Something, (from, self.site.now()));
        }
        self.winners(key);
    }

    /// Only one may have won.
    fn winners(&self, key: &Key) {
        let winners = key.history().acknowledged();
        if winners > 1 {
            self.site.strange(format!("{} was made {winners} times", key.name));
        }
    }

    /// Deletes an object.
    pub fn delete(&mut self, key: &Key) {
        let number = self.site.number();
        let (bucket, name) = (key.bucket, key.name.as_str());
        let wish = Request { method: "DELETE", bucket, key: name, ..Request::default() };
        self.write(key, (number, false), &wish);
    }

    /// Copies one of the sources.
    pub fn copy(&mut self, key: &Key, source: &(String, Stamp)) {
        let number = self.site.number();
        let mut fields = told(number, source.1);
        fields.push(("x-amz-copy-source", format!("/{SOURCES}/{}", source.0)));
        fields.push(("x-amz-metadata-directive", "REPLACE".to_owned()));
        let (bucket, name) = (key.bucket, key.name.as_str());
        let wish = Request { method: "PUT", bucket, key: name, fields, ..Request::default() };
        self.write(key, (number, true), &wish);
    }

    /// Writes an object in parts, in any order of them.
    pub fn parts(&mut self, key: &Key, parts: usize, last: usize) -> Option<()> {
        let number = self.site.number();
        let stamp = Stamp { number, length: (parts - 1) * PART + last };
        let (bucket, name) = (key.bucket, key.name.as_str());
        let query = vec![("uploads", String::new())];
        let fields = told(number, stamp);
        let begin =
            Request { method: "POST", bucket, key: name, query, fields, ..Request::default() };
        let text = self.insist(&begin)?.text();
        let upload = between(&text, "<UploadId>", "</UploadId>")?.to_owned();
        let bytes = stamp.bytes();
        let mut tags = vec![String::new(); parts];
        for place in (0..parts).rev() {
            let body = &bytes[place * PART..bytes.len().min((place + 1) * PART)];
            let query = vec![("partNumber", (place + 1).to_string()), ("uploadId", upload.clone())];
            let part =
                Request { method: "PUT", bucket, key: name, query, body, ..Request::default() };
            // An upload outlives a kill.
            let answer = self.insist(&part)?;
            let Some(tag) = answer.field("etag") else {
                self.site.error(format!("part of {name}: {} {}", answer.status, answer.text()));
                return None;
            };
            tags[place] = tag.to_owned();
        }
        let list: String = (1..)
            .zip(&tags)
            .map(|(number, tag)| {
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
            })
            .collect();
        let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let (query, body) = (vec![("uploadId", upload)], list.as_bytes());
        let wish = Request { method: "POST", bucket, key: name, query, body, ..Request::default() };
        self.write(key, (number, true), &wish);
        Some(())
    }

    /// Deletes a version that is not the newest.
    pub fn delete_version(&mut self, key: &Key, chance: usize) {
        let old = {
            let (history, mut versions) = (key.history(), key.versions());
            let mut old = versions.iter_mut().filter(|(_, version)| match version {
                Version::There(number) => history.overwritten(*number),
                _ => false,
            });
            old.nth(chance % 8).map(|(id, version)| {
                *version = Version::Going;
                id.clone()
            })
        };
        let Some(id) = old else { return };
        let query = vec![("versionId", id.clone())];
        let (bucket, name) = (key.bucket, key.name.as_str());
        let wish = Request { method: "DELETE", bucket, key: name, query, ..Request::default() };
        match self.ask(&wish) {
            Some(answer) if answer.good() => {
                self.site.seen().acknowledged += 1;
                key.versions().insert(id, Version::Gone);
            }
            Some(answer) => {
                self.site.error(format!("DELETE {name} {id}: {} {}", answer.status, answer.text()));
            }
            None => {}
        }
    }
}
