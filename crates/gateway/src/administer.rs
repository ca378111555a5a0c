//! What administrators of a gateway that runs may ask for: access keys, short credentials,
//! quotas, and how it is. Orders come by [`crate::order_socket`].

use std::path::Path;
use std::sync::Arc;

use model::gateway::{
    GatewayBucket, GatewayKey, GatewayOrder, GatewayProblem, GatewaySecret, GatewayStatus,
};
use model::{Bytes, Duration};
use object::mutation::ConfigChange;
use object::store::Store;
use object::{BucketName, Mutation, Refusal, Reply};
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::Serialize;
use serde_json::Value;
use world::clock::Clock;
use world::files::Directory;

use crate::accounts::{AccessKey, Accounts, AccountsError};
use crate::orders::{Change, Orders};
use crate::quotas::Quotas;
use crate::reactor::mailbox::{Mailbox, Message};
use crate::reactor::slots::Token;
use crate::step::Step;

/// Short credentials are good for so long at most.
const SESSION_LONGEST: Duration = Duration::from_secs(36 * 3_600);
/// No name of an account or a project is longer.
const NAME_LONGEST: usize = 64;

/// The writer is waited for so long.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// What a gateway answers to an order.
pub type Answered = Result<Value, GatewayProblem>;

/// What carries orders out.
pub struct Administer {
    /// Where objects are.
    pub store: Arc<Store<Directory>>,
    /// Who may sign.
    pub accounts: Arc<Accounts>,
    /// What projects may hold.
    pub quotas: Quotas,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

fn problem(code: &str, what: impl Into<String>, next: &str) -> GatewayProblem {
    GatewayProblem { code: code.to_owned(), what: what.into(), next: next.to_owned() }
}

fn told<T: Serialize>(told: T) -> Answered {
    serde_json::to_value(told)
        .map_err(|error| problem("internal", error.to_string(), "Please report it."))
}

fn unreadable(error: object::store::StoreError) -> GatewayProblem {
    let what = format!("the store cannot be read: {error}");
    problem("store-damaged", what, "Look at the gateway's log; see docs/gateway.md, Damage.")
}

fn of_accounts(error: AccountsError) -> GatewayProblem {
    let what = error.to_string();
    match error {
        AccountsError::Unknown(_) => {
            problem("access-key-unknown", what, "See which there are: bedplate gateway key list")
        }
        _ => problem("accounts", what, "Look whether its directory can be written, and has room."),
    }
}

fn plain(what: &str, name: &str) -> Result<(), GatewayProblem> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte);
    match (1..=NAME_LONGEST).contains(&name.len()) && name.bytes().all(letter) {
        true => Ok(()),
        false => Err(problem(
            "usage",
            format!("{name:?} cannot be the name of {what}"),
            "Names have 1 to 64 letters, digits, and - _ . @ + only.",
        )),
    }
}

impl Administer {
    /// Carries an order out.
    ///
    /// # Errors
    /// Why it is not.
    pub fn carry_out(&self, order: GatewayOrder, orders: &Orders) -> Answered {
        match order {
            GatewayOrder::Status => told(self.status()),
            GatewayOrder::Keys => {
                let snapshot = self.accounts.snapshot();
                let mut keys: Vec<GatewayKey> = snapshot.keys().map(|key| shown(key)).collect();
                keys.sort_by(|a, b| (&a.account, &a.id).cmp(&(&b.account, &b.id)));
                told(keys)
            }
            GatewayOrder::KeyCreate { account, project } => self.create_key(account, project),
            GatewayOrder::KeyRemove { id } => self.remove_key(&id),
            GatewayOrder::Session { id, span } => self.session(&id, span),
            GatewayOrder::Projects => {
                told(self.quotas.list(&self.store.snapshot()).map_err(unreadable)?)
            }
            GatewayOrder::ProjectQuota { project, bytes, objects } => {
                self.project_quota(&project, bytes, objects)
            }
            GatewayOrder::Bucket { bucket } => self.bucket(&bucket),
            GatewayOrder::BucketQuota { bucket, bytes } => {
                self.bucket_quota(&bucket, bytes, orders)
            }
        }
    }

    fn remove_key(&self, id: &str) -> Answered {
        let snapshot = self.accounts.snapshot();
        let key = snapshot.key(id).map(|key| shown(key));
        self.accounts.remove_key(id).map_err(of_accounts)?;
        self.quotas.tell();
        told(key)
    }

    fn session(&self, id: &str, span: Duration) -> Answered {
        let expires = self.clock.now() + span.min(SESSION_LONGEST);
        let made = self.accounts.new_session(id, expires).map_err(of_accounts)?;
        told(GatewaySecret {
            access_key: made.id.to_string(),
            secret_key: model::Secret::new(made.secret.expose()),
            session_token: Some(made.token.to_string()),
            expires: Some(made.expires),
        })
    }

    fn bucket_quota(&self, bucket: &str, bytes: Option<Bytes>, orders: &Orders) -> Answered {
        let name = bucket_name(bucket)?;
        let change = Box::new(ConfigChange::Quota(bytes.map(|bytes| bytes.0)));
        match change_now(orders, Mutation::Configure { name, change })? {
            Ok(_) => self.bucket(bucket),
            Err(Refusal::NoBucket) => Err(no_bucket(bucket)),
            Err(other) => {
                let next = "See how it is: bedplate gateway status";
                Err(problem("store-refuses", other.to_string(), next))
            }
        }
    }

    fn status(&self) -> GatewayStatus {
        let report = self.store.report();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        GatewayStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: self.clock.now(),
            process: std::process::id(),
            buckets: self.store.snapshot().buckets(None).len() as u64,
            free: Bytes(report.free_bytes),
            log: Bytes(report.log_bytes),
            log_live: Bytes(report.log_live_bytes),
            bodies: Bytes(report.data_live_bytes),
            damaged: report.damaged.clone(),
            refuses: report.dead.clone(),
            files: limit.current.unwrap_or(u64::MAX),
        }
    }

    fn create_key(&self, account: String, project: Option<String>) -> Answered {
        plain("an account", &account)?;
        if let Some(project) = &project {
            plain("a project", project)?;
        }
        let known = self.accounts.snapshot();
        let known = known.keys().find(|key| *key.account.name == *account);
        let known = known.map(|key| Arc::clone(&key.account));
        if let (Some(known), Some(wanted)) = (&known, &project)
            && known.project.as_deref() != Some(wanted.as_str())
        {
            let is = known.project.as_deref().unwrap_or("none");
            let what = format!("the account {account} is of another project: {is}");
            return Err(problem("conflict", what, "Leave --project out, or take another account."));
        }
        let account =
            known.unwrap_or_else(|| crate::accounts::new_account(&account, project.as_deref()));
        let key = self.accounts.add_key(account).map_err(of_accounts)?;
        self.quotas.tell();
        told(GatewaySecret {
            access_key: key.id.to_string(),
            secret_key: model::Secret::new(key.secret.expose()),
            session_token: None,
            expires: None,
        })
    }

    fn project_quota(&self, project: &str, bytes: Option<Bytes>, objects: Option<u64>) -> Answered {
        plain("a project", project)?;
        let set = self.quotas.set(project, bytes.map(|bytes| bytes.0), objects);
        set.map_err(|error| {
            let next = "Look whether its directory can be written, and has room.";
            problem("quotas", error.to_string(), next)
        })?;
        let listed = self.quotas.list(&self.store.snapshot()).map_err(unreadable)?;
        match listed.into_iter().find(|listed| listed.project == project) {
            Some(listed) => told(listed),
            // Nobody is of it, and it has no quota any more.
            None => told(model::gateway::GatewayProject {
                project: project.to_owned(),
                accounts: Vec::new(),
                bytes: Bytes(0),
                objects: 0,
                bytes_quota: None,
                objects_quota: None,
            }),
        }
    }

    fn bucket(&self, bucket: &str) -> Answered {
        let snapshot = self.store.snapshot();
        let found = snapshot.bucket(&bucket_name(bucket)?).ok_or_else(|| no_bucket(bucket))?;
        let usage = snapshot.usage(found.id).map_err(unreadable)?;
        let accounts = self.accounts.snapshot();
        let project = accounts.owner(&found.owner).and_then(|account| account.project.clone());
        told(GatewayBucket {
            bucket: bucket.to_owned(),
            owner: found.owner.0.to_string(),
            project: project.map(String::from),
            bytes: Bytes(usage.bytes),
            objects: usage.versions,
            uploads: usage.uploads,
            bytes_quota: found.config.quota_bytes.map(Bytes),
        })
    }
}

fn shown(key: &AccessKey) -> GatewayKey {
    let account = &key.account;
    GatewayKey {
        id: key.id.to_string(),
        account: account.name.to_string(),
        owner: account.owner.0.to_string(),
        project: account.project.as_deref().map(str::to_owned),
        suspended: account.suspended,
    }
}

fn bucket_name(bucket: &str) -> Result<BucketName, GatewayProblem> {
    BucketName::new(bucket).map_err(|_| no_bucket(bucket))
}

fn no_bucket(bucket: &str) -> GatewayProblem {
    let what = format!("there is no bucket {bucket:?}");
    problem("no-such-bucket", what, "See which there are: bedplate bucket list")
}

/// Has a change made, in turn with those of clients, and waits until it is durable.
fn change_now(
    orders: &Orders,
    mutation: Mutation,
) -> Result<Result<Reply, Refusal>, GatewayProblem> {
    let silent =
        || problem("gateway-silent", "the writer does not answer", "Look at the gateway's log.");
    let mailbox = Arc::new(Mailbox::new().map_err(|_| silent())?);
    // The answer is read here: nothing comes after it.
    let change = Change::One(Box::new(mutation), Box::new(|_| Step::Kept));
    orders.change(0, (Arc::clone(&mailbox), Token(0)), change);
    let mut polled = [PollFd::new(&*mailbox, PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&PATIENCE)).map_err(|_| silent())?;
    let mut letters = Vec::new();
    mailbox.take(&mut letters);
    match letters.pop() {
        Some(Message::Applied(_, _, result)) => Ok(result),
        _ => Err(silent()),
    }
}

/// The directory's socket for administrators.
pub fn socket(data: &Path) -> std::path::PathBuf {
    data.join(model::gateway::GATEWAY_SOCKET)
}
