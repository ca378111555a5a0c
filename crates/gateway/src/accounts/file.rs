//! The file of accounts: JSON, sealed as a whole.

use std::path::Path;
use std::sync::Arc;

use object::Owner;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use world::SystemEntropy;
use world::entropy::Entropy as _;
use zeroize::Zeroizing;

use super::{AccessKey, Account, AccountsError, Secret};
use crate::sealing::{KeyError, KeyProvider, Purpose};

/// No file of accounts is longer.
const FILE_LONGEST: u64 = 64 << 20;

/// A secret that is overwritten when it goes.
struct Hidden(Zeroizing<String>);

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|secret| Self(Zeroizing::new(secret)))
    }
}

/// One access key with its account, as written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    access_key: Box<str>,
    secret_key: Hidden,
    id: Box<str>,
    #[serde(default)]
    name: Option<Box<str>>,
    #[serde(default)]
    display_name: Option<Box<str>>,
    #[serde(default)]
    email: Option<Box<str>>,
    #[serde(default)]
    project: Option<Box<str>>,
    #[serde(default)]
    tenant: Option<Box<str>>,
    #[serde(default)]
    suspended: bool,
}

impl From<&AccessKey> for Line {
    fn from(key: &AccessKey) -> Self {
        let account = &key.account;
        Self {
            access_key: key.id.clone(),
            secret_key: Hidden(Zeroizing::new(key.secret.expose().to_owned())),
            id: account.owner.0.clone(),
            name: Some(account.name.clone()),
            display_name: Some(account.display.clone()),
            email: account.email.clone(),
            project: account.project.clone(),
            tenant: account.tenant.clone(),
            suspended: account.suspended,
        }
    }
}

impl Line {
    fn key(self) -> Result<AccessKey, String> {
        let plain = |text: &str| {
            (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !plain(&self.access_key) || self.access_key.contains(['/', ',', '=']) {
            return Err(format!("{:?} cannot be the id of an access key", self.access_key));
        }
        if self.secret_key.0.is_empty() || !plain(&self.id) {
            return Err(format!("{}: a secret and the account's id are needed", self.access_key));
        }
        let name = self.name.unwrap_or_else(|| self.id.clone());
        let account = Account {
            owner: Owner(self.id),
            display: self.display_name.unwrap_or_else(|| name.clone()),
            name,
            email: self.email,
            project: self.project,
            tenant: self.tenant,
            suspended: self.suspended,
        };
        Ok(AccessKey::new(&self.access_key, Secret(self.secret_key.0), Arc::new(account)))
    }
}

pub(super) fn parse(json: &[u8]) -> Result<Vec<AccessKey>, String> {
    let lines: Vec<Line> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    lines.into_iter().map(Line::key).collect()
}

/// The accounts in a file; `None` where there is none.
pub(super) fn read(
    path: &Path,
    keys: &KeyProvider,
) -> Result<Option<Vec<AccessKey>>, AccountsError> {
    let failed = |error| KeyError::File { path: path.to_owned(), error };
    let format = |why| AccountsError::Format { path: path.to_owned(), why };
    let sealed = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error).into()),
        Ok(found) if found.len() > FILE_LONGEST => return Err(format("it is too long".to_owned())),
        Ok(_) => std::fs::read(path).map_err(failed)?,
    };
    let opened = keys.unwrap(Purpose::Accounts, &sealed)?;
    parse(&opened).map(Some).map_err(format)
}

/// Writes the accounts, whole or not at all.
pub(super) fn write(
    path: &Path,
    keys: &KeyProvider,
    known: &[AccessKey],
) -> Result<(), AccountsError> {
    let sealed = keys.wrap(Purpose::Accounts, &json(known));
    Ok(crate::sealing::write_private(path, &sealed)?)
}

/// Whether both would be written alike.
pub(super) fn alike(one: &[AccessKey], other: &[AccessKey]) -> bool {
    json(one) == json(other)
}

fn json(known: &[AccessKey]) -> Zeroizing<Vec<u8>> {
    let mut lines: Vec<Line> = known.iter().map(Line::from).collect();
    lines.sort_by(|a, b| a.access_key.cmp(&b.access_key));
    Zeroizing::new(serde_json::to_vec(&lines).expect("lines are plain"))
}

/// The account that the first start makes.
pub(super) fn first_account() -> Arc<Account> {
    new_account("admin", None)
}

/// An account that nobody has yet.
pub fn new_account(name: &str, project: Option<&str>) -> Arc<Account> {
    let random: [u8; 32] = SystemEntropy.bytes();
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Arc::new(Account {
        owner: Owner(id.into()),
        name: name.into(),
        display: name.into(),
        email: None,
        project: project.map(Into::into),
        tenant: None,
        suspended: false,
    })
}

/// A new key: an id of 20 letters and digits, a secret of 40 characters (240 bits).
pub(super) fn new_key(account: Arc<Account>) -> AccessKey {
    let id = format!("BP{}", letters::<18>(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"));
    let secret = letters::<40>(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    AccessKey::new(&id, Secret::new(secret), account)
}

/// Random characters out of so many that their number divides 256.
pub(super) fn letters<const N: usize>(from: &[u8]) -> String {
    assert_eq!(256 % from.len(), 0, "each must be as likely as the others");
    let random: Zeroizing<[u8; N]> = Zeroizing::new(SystemEntropy.bytes());
    random.iter().map(|byte| char::from(from[usize::from(*byte) % from.len()])).collect()
}
