//! Short session credentials. Nothing is kept of them: a token says whose it is and
//! until when, and is authenticated by HMAC under our own key; the secret is made of
//! the token the same way.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use model::Timestamp;
use ring::hmac;
use thiserror::Error;

use super::file::letters;
use super::{AccessKey, Secret, Snapshot};

/// No token is longer.
const TOKEN_LONGEST: usize = 1024;
/// The authentication code at a token's end, in bytes.
const CODE: usize = 32;

/// Session credentials, as handed out.
#[derive(Clone, Debug)]
pub struct Session {
    /// The access key's id.
    pub id: Box<str>,
    /// What signs.
    pub secret: Secret,
    /// What goes along with every request.
    pub token: Box<str>,
    /// Until when they are good.
    pub expires: Timestamp,
}

/// Why session credentials are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The token is not ours, or for another key.
    #[error("the session token is not valid")]
    Invalid,
    /// It was good once.
    #[error("the session token has expired")]
    Expired,
    /// The key that it was made of is gone.
    #[error("the access key of the session is gone")]
    Gone,
}

pub(super) fn issue(key: &hmac::Key, parent: &AccessKey, expires: Timestamp) -> Session {
    let id = format!("BPS{}", letters::<17>(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"));
    let said = format!("1 {} {} {}", expires.micros(), id, parent.id);
    let mut token = said.into_bytes();
    let secret = secret_of(key, &token);
    let code = sign(key, b"token\0", &token);
    token.extend_from_slice(code.as_ref());
    let token = BASE64.encode(&token).into();
    Session { id: id.into(), secret, token, expires }
}

pub(super) fn accept(
    key: &hmac::Key,
    snapshot: &Snapshot,
    id: &str,
    token: &str,
    now: Timestamp,
) -> Result<(AccessKey, Timestamp), SessionError> {
    if token.len() > TOKEN_LONGEST {
        return Err(SessionError::Invalid);
    }
    let decoded = BASE64.decode(token).map_err(|_| SessionError::Invalid)?;
    let cut = decoded.len().checked_sub(CODE).ok_or(SessionError::Invalid)?;
    let (said, code) = decoded.split_at(cut);
    let message = [b"token\0".as_slice(), said].concat();
    hmac::verify(key, &message, code).map_err(|_| SessionError::Invalid)?;
    let text = std::str::from_utf8(said).map_err(|_| SessionError::Invalid)?;
    let mut words = text.splitn(4, ' ');
    let (Some("1"), Some(expires), Some(session), Some(parent)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(SessionError::Invalid);
    };
    if session != id {
        return Err(SessionError::Invalid);
    }
    let expires: i64 = expires.parse().map_err(|_| SessionError::Invalid)?;
    if now.micros() >= expires {
        return Err(SessionError::Expired);
    }
    let parent = snapshot.key(parent).ok_or(SessionError::Gone)?;
    let secret = secret_of(key, said);
    let account = parent.account.clone();
    Ok((AccessKey::new(id, secret, account), Timestamp::from_micros(expires)))
}

fn sign(key: &hmac::Key, what: &[u8], said: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(what);
    context.update(said);
    context.sign()
}

fn secret_of(key: &hmac::Key, said: &[u8]) -> Secret {
    Secret::new(BASE64.encode(sign(key, b"secret\0", said)))
}
