//! Quotas of projects: what an administrator said, kept in a file of the data directory.
//! Who belongs to a project is said by the accounts; the store is told both together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::gateway::GatewayProject;
use object::quota::{Project, Projects, Quota};
use object::store::Snapshot;
use serde::{Deserialize, Serialize};

use crate::accounts::Accounts;
use crate::sealing::{KeyError, write_private};

/// A project's quota, as written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    bytes: Option<u64>,
    #[serde(default)]
    objects: Option<u64>,
}

/// All quotas.
pub struct Quotas {
    path: PathBuf,
    lines: Mutex<BTreeMap<String, Line>>,
    projects: Arc<Projects>,
    accounts: Arc<Accounts>,
}

impl Quotas {
    /// Reads those of a data directory, and tells the store.
    ///
    /// # Errors
    /// When the file cannot be read or not understood.
    pub fn open(
        data: &Path,
        projects: Arc<Projects>,
        accounts: Arc<Accounts>,
    ) -> std::io::Result<Self> {
        let path = data.join("quotas.json");
        let lines = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let quotas = Self { path, lines: Mutex::new(lines), projects, accounts };
        quotas.tell();
        Ok(quotas)
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the store what holds now: after a start, and when accounts or quotas change.
    pub fn tell(&self) {
        let projects = members(&self.accounts);
        let lines = self.lines();
        let project = |(name, owners): (&String, &Vec<(object::Owner, String)>)| {
            let line = lines.get(name).copied().unwrap_or_default();
            Project {
                name: name.as_str().into(),
                members: owners.iter().map(|(owner, _)| owner.clone()).collect(),
                quota: Quota { bytes: line.bytes, objects: line.objects },
            }
        };
        self.projects.set(projects.iter().map(project).collect());
    }

    /// Says what a project may hold. It is written down before it holds.
    ///
    /// # Errors
    /// When it cannot be written down; nothing changes then.
    pub fn set(
        &self,
        project: &str,
        bytes: Option<u64>,
        objects: Option<u64>,
    ) -> Result<(), KeyError> {
        let mut lines = self.lines();
        let mut changed = lines.clone();
        match (bytes, objects) {
            (None, None) => drop(changed.remove(project)),
            _ => drop(changed.insert(project.to_owned(), Line { bytes, objects })),
        }
        let text = serde_json::to_vec_pretty(&changed).expect("lines are plain");
        write_private(&self.path, &text)?;
        *lines = changed;
        drop(lines);
        self.tell();
        Ok(())
    }

    /// All projects: those of accounts, and those that have a quota.
    ///
    /// # Errors
    /// When what buckets hold cannot be read.
    pub fn list(
        &self,
        snapshot: &Snapshot<'_>,
    ) -> Result<Vec<GatewayProject>, object::store::StoreError> {
        let mut all = members(&self.accounts);
        let lines = self.lines().clone();
        for name in lines.keys() {
            all.entry(name.clone()).or_default();
        }
        let mut listed = Vec::new();
        for (project, owners) in all {
            let (mut bytes, mut objects) = (0, 0);
            for (owner, _) in &owners {
                for bucket in snapshot.buckets(Some(owner)) {
                    let usage = snapshot.usage(bucket.id)?;
                    bytes += usage.bytes;
                    objects += usage.versions;
                }
            }
            let line = lines.get(&project).copied().unwrap_or_default();
            listed.push(GatewayProject {
                project,
                accounts: owners.into_iter().map(|(_, name)| name).collect(),
                bytes: model::Bytes(bytes),
                objects,
                bytes_quota: line.bytes.map(model::Bytes),
                objects_quota: line.objects,
            });
        }
        Ok(listed)
    }
}

/// Accounts by project: their owners and names, each once.
fn members(accounts: &Accounts) -> BTreeMap<String, Vec<(object::Owner, String)>> {
    let mut projects: BTreeMap<String, Vec<(object::Owner, String)>> = BTreeMap::new();
    for key in accounts.snapshot().keys() {
        let Some(project) = &key.account.project else { continue };
        let member = (key.account.owner.clone(), key.account.name.to_string());
        let members = projects.entry(project.to_string()).or_default();
        if !members.contains(&member) {
            members.push(member);
        }
    }
    projects.values_mut().for_each(|members| members.sort_by(|a, b| a.1.cmp(&b.1)));
    projects
}
