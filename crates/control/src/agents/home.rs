//! A deployed system calls home: with a token that only its seed holds, once. The
//! call comes as JSON, or as the form that cloud-init's `phone_home` sends.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, Path, Request};
use model::api::{Acknowledged, HomeCall};
use model::{ErrorCode, Problem};

use super::Agents;
use super::incoming::bounded;
use crate::api::Refusal;
use crate::cell::{Ask, Call, Reply};
use crate::identity::tokens::{LONGEST, digest};

/// A few host keys.
const CALL_LARGEST: usize = 64 << 10;
/// More host keys than any system makes.
const KEYS_MOST: usize = 16;
/// The longest host key: RSA with 16384 bits.
const KEY_LONGEST: usize = 4096;
/// How cloud-init names host keys.
const KEY_FIELD: &str = "pub_key_";

/// `POST /v1/systems/{token}/home`.
pub(super) async fn call_home(
    agents: Agents,
    Path(token): Path<String>,
    request: Request,
) -> Result<Json<Acknowledged>, Refusal> {
    let plane = &agents.plane;
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|it| it.0.ip());
    let address = address.map(|address| address.to_canonical().to_string()).unwrap_or_default();
    let body = bounded(request.into_body(), CALL_LARGEST).await?;
    if token.len() > LONGEST {
        return Err(unknown().into());
    }
    let token_digest = digest(&token);
    if plane.leader.read().machine_by_home_token(&token_digest).is_none() {
        return Err(unknown().into());
    }
    let call = Call::CalledHome { token_digest, address, host_keys: host_keys(&body)? };
    let answer = plane.leader.ask(Ask::from("bedplate", call)).await?;
    let stale = matches!(answer.reply, Reply::Heard { stale: true });
    Ok(Json(Acknowledged { stale }))
}

fn unknown() -> Problem {
    let detail = "no system waits to call home with this token; each works once";
    Problem::new(ErrorCode::Gone, detail)
        .next("Nothing, when the system has called before; else deploy the machine again.")
}

/// The host keys of a call, whichever form it has. What is no host key is left out:
/// the call itself is the news.
pub(super) fn host_keys(body: &[u8]) -> Result<Vec<String>, Problem> {
    let told: Vec<String> = match body.trim_ascii().first() {
        None => Vec::new(),
        Some(b'{') => keys_of_json(body)?,
        Some(_) => form_urlencoded::parse(body)
            .filter(|(name, _)| name.starts_with(KEY_FIELD))
            .map(|(_, value)| value.into_owned())
            .collect(),
    };
    Ok(told.iter().filter_map(|key| host_key(key)).take(KEYS_MOST).collect())
}

fn keys_of_json(body: &[u8]) -> Result<Vec<String>, Problem> {
    let invalid =
        |error| Problem::new(ErrorCode::InvalidRequest, format!("the call's body: {error}"));
    let value: serde_json::Value = serde_json::from_slice(body).map_err(invalid)?;
    let fields = value.as_object().into_iter().flatten();
    let mut keys: Vec<String> = fields
        .filter(|(name, _)| name.starts_with(KEY_FIELD))
        .filter_map(|(_, value)| value.as_str().map(str::to_owned))
        .collect();
    let ours: HomeCall = serde_json::from_value(value).map_err(invalid)?;
    keys.extend(ours.host_keys);
    Ok(keys)
}

/// `type base64` of a public key (RFC 4253 section 6.6 in OpenSSH's form), without
/// its comment.
fn host_key(line: &str) -> Option<String> {
    const TYPES: [&str; 3] = ["ssh-", "ecdsa-sha2-", "sk-"];
    let mut words = line.split_ascii_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let is_type = TYPES.iter().any(|prefix| kind.starts_with(prefix))
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-@.".contains(&byte));
    let is_base64 = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    let fits = kind.len() <= 64 && (16..=KEY_LONGEST).contains(&key.len());
    (is_type && is_base64 && fits).then(|| format!("{kind} {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJkbWGDvKGMnPfWQcMDMsM6nNUJB5AwNqZbqVhFh4fLV";

    #[test]
    fn cloud_init_sends_a_form() {
        let body = "pub_key_rsa=N%2FA&pub_key_ed25519=ssh-ed25519+AAAAC3NzaC1lZDI1NTE5AAAAIJkbWGDvKGMnPfWQcMDMsM6nNUJB5AwNqZbqVhFh4fLV+root%40one%0A&instance_id=i-1&hostname=one&fqdn=one";
        assert_eq!(host_keys(body.as_bytes()), Ok(vec![KEY.to_owned()]));
    }

    #[test]
    fn json_comes_in_both_forms() {
        let theirs = format!(r#"{{"pub_key_ed25519": "{KEY} root@one", "hostname": "one"}}"#);
        let ours = format!(r#"{{"host_keys": ["{KEY}", "<script>", "ssh-rsa short"]}}"#);
        for body in [theirs, ours] {
            assert_eq!(host_keys(body.as_bytes()), Ok(vec![KEY.to_owned()]));
        }
        assert_eq!(host_keys(b""), Ok(vec![]));
        assert!(host_keys(b"{\"host_keys\": 3}").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            if let Ok(keys) = host_keys(&body) {
                proptest::prop_assert!(keys.len() <= KEYS_MOST);
            }
        }
    }
}
