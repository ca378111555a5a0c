//! What clients read, and whether it may be so.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::acts::between;
use super::body::Stamp;
use super::client::Request;
use super::history::Seen;
use super::site::{Guest, Key, PLAIN, Version};

impl Guest<'_> {
    /// Reads an object; its number and body, when it is there and whole.
    pub fn get(&mut self, key: &Key) -> Option<(u64, Stamp)> {
        let (bucket, name, site) = (key.bucket, key.name.as_str(), self.site);
        let wish = Request { method: "GET", bucket, key: name, ..Request::default() };
        let from = site.now();
        let answer = self.ask(&wish)?;
        let during = (from, site.now());
        match answer.status {
            200 => {
                let found = site.body(key, &answer)?;
                site.judge(key, Seen::Value(found.0), during);
                return Some(found);
            }
            404 => site.judge(key, Seen::Nothing, during),
            other => site.error(format!("GET {name}: {other} {}", answer.text())),
        }
        None
    }

    /// Reads a version by its name.
    pub fn get_version(&mut self, key: &Key, id: &str) {
        let (bucket, name, site) = (key.bucket, key.name.as_str(), self.site);
        let before = key.versions().get(id).copied();
        let query = vec![("versionId", id.to_owned())];
        let wish = Request { method: "GET", bucket, key: name, query, ..Request::default() };
        let Some(answer) = self.ask(&wish) else { return };
        let after = key.versions().get(id).copied();
        match (before, answer.status) {
            (Some(Version::There(number)), 200) => {
                let found = site.body(key, &answer);
                if found.is_some_and(|(found, _)| found != number) {
                    site.strange(format!("{name}: version {id} is another: {found:?}"));
                }
            }
            (Some(Version::There(_)), 404) if after == before => {
                site.seen().lost += 1;
                site.tell(format!("lost: {name}: version {id}"));
            }
            (Some(Version::Gone), 200) => {
                site.strange(format!("{name}: version {id} was deleted and is there"));
            }
            _ => {}
        }
    }

    /// Reads one of a key's versions.
    pub fn some_version(&mut self, key: &Key, chance: usize) {
        let id = {
            let versions = key.versions();
            versions.keys().nth(chance % versions.len().max(1)).cloned()
        };
        if let Some(id) = id {
            self.get_version(key, &id);
        }
    }

    /// Lists a bucket in pages of so many: what is in it and what is not.
    pub fn list(&mut self, bucket: &'static str, page: usize) {
        let site = self.site;
        let mut keys: Vec<&Key> =
            site.keys.iter().map(AsRef::as_ref).filter(|key| key.bucket == bucket).collect();
        keys.sort_by(|one, other| one.name.cmp(&other.name));
        let mut after = String::new();
        loop {
            let query = vec![
                ("list-type", "2".to_owned()),
                ("max-keys", page.to_string()),
                ("start-after", after.clone()),
            ];
            let from = site.now();
            let wish = Request { method: "GET", bucket, query, ..Request::default() };
            let Some(answer) = self.ask(&wish) else { return };
            let (during, text) = ((from, site.now()), answer.text());
            let listed = names(&text);
            let more = text.contains("<IsTruncated>true</IsTruncated>");
            let last = listed.last().filter(|_| more).cloned();
            for key in &keys {
                let behind = key.name > after && last.as_ref().is_none_or(|last| key.name <= *last);
                if behind {
                    let there = listed.contains(&key.name);
                    let seen = if there { Seen::Something } else { Seen::Nothing };
                    site.judge(key, seen, during);
                }
            }
            for name in &listed {
                if !keys.iter().any(|key| key.name == *name) {
                    site.strange(format!("{bucket} lists {name:?}, which nobody wrote"));
                }
            }
            match last {
                Some(last) => after = last,
                None => return,
            }
        }
    }

    /// Reads everything; of what was made once, only the latest.
    pub fn everything(&mut self, races: usize) {
        for key in &self.site.keys {
            self.get(key);
        }
        self.list(PLAIN, 1000);
        let latest: Vec<_> = {
            let all = self.site.races.lock().unwrap_or_else(PoisonError::into_inner);
            all[all.len().saturating_sub(races)..].to_vec()
        };
        for key in latest {
            self.get(&key);
            let winners = key.history().acknowledged();
            if winners > 1 {
                self.site.strange(format!("{} was made {winners} times", key.name));
            }
        }
    }

    /// Reads all versions that were ever acknowledged, and looks whether those that are
    /// listed are all of them.
    pub fn all_versions(&mut self) {
        let site = self.site;
        for key in site.keys.iter().filter(|key| key.bucket != PLAIN) {
            let ids: Vec<String> = key.versions().keys().cloned().collect();
            for id in &ids {
                self.get_version(key, id);
            }
            let Some(listed) = self.listed_versions(key) else { continue };
            for (id, version) in key.versions().iter() {
                let (there, listed) = (matches!(version, Version::There(_)), listed.contains(id));
                if there && !listed || *version == Version::Gone && listed {
                    site.strange(format!("{}: {id} is {version:?}, listed: {listed}", key.name));
                }
            }
        }
        assert!(!site.paused.load(Ordering::Relaxed), "nobody waits any more");
    }

    fn listed_versions(&mut self, key: &Key) -> Option<BTreeSet<String>> {
        let mut listed = BTreeSet::new();
        let mut marker: Option<String> = None;
        loop {
            let mut query = vec![("versions", String::new()), ("prefix", key.name.clone())];
            query.push(("max-keys", "500".to_owned()));
            if let Some(marker) = marker.take() {
                query.push(("key-marker", key.name.clone()));
                query.push(("version-id-marker", marker));
            }
            let wish = Request { method: "GET", bucket: key.bucket, query, ..Request::default() };
            let text = self.ask(&wish)?.text();
            for item in text.split("<Version>").skip(1) {
                if between(item, "<Key>", "</Key>") == Some(&key.name) {
                    listed.extend(between(item, "<VersionId>", "</VersionId>").map(str::to_owned));
                }
            }
            let next = between(&text, "<NextKeyMarker>", "</NextKeyMarker>");
            if !text.contains("<IsTruncated>true</IsTruncated>") || next != Some(&key.name) {
                return Some(listed);
            }
            marker = between(&text, "<NextVersionIdMarker>", "</NextVersionIdMarker>")
                .map(str::to_owned);
            marker.as_ref()?;
        }
    }
}

/// The keys in a page of a list.
fn names(page: &str) -> BTreeSet<String> {
    let items = page.split("<Contents>").skip(1);
    items.filter_map(|item| between(item, "<Key>", "</Key>")).map(plain).collect()
}

/// Text of XML.
fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&#39;", "'").replace("&apos;", "'").replace("&amp;", "&")
}
