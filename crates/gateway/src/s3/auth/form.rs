//! Uploads by forms (POST on a bucket): who signed the form's policy, and whether the
//! form is what it allows.

use model::Timestamp;

use super::multipart::Fields;
use super::postpolicy::PostPolicy;
use super::refusal::AuthError;
use super::signing::{self, ALGORITHM, Credential};
use super::{Authenticated, Payload, Scheme, Settings, v2};
use crate::accounts::Accounts;

/// A form that may be carried out.
#[derive(Debug)]
pub struct Upload {
    /// Who sends it.
    pub sender: Authenticated,
    /// The key, with the file's name put in where the form says so.
    pub key: String,
    /// The least and greatest length of the file.
    pub lengths: (u64, u64),
}

impl Upload {
    /// Checks the length of the file: as it grows, and, with `whole`, when it ended.
    ///
    /// # Errors
    /// When it is outside of what the policy allows.
    pub fn check_length(&self, length: u64, whole: bool) -> Result<(), AuthError> {
        let (least, most) = self.lengths;
        let refuse = |code, message| {
            Err(AuthError::new(400, code, message)
                .with("ProposedSize", length.to_string())
                .with("MinSizeAllowed", least.to_string())
                .with("MaxSizeAllowed", most.to_string()))
        };
        if length > most {
            refuse("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        } else if whole && length < least {
            refuse(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
            )
        } else {
            Ok(())
        }
    }
}

fn missing(name: &str) -> AuthError {
    AuthError::argument(format!(
        "Bucket POST must contain a field named '{name}'.  If it is specified, please check the \
         order of the fields."
    ))
    .with("ArgumentName", name)
}

/// Decides about a form when its file begins.
///
/// # Errors
/// When it is not signed as it says, or its policy does not allow it.
pub fn authorise(
    fields: &Fields,
    bucket: &str,
    accounts: &Accounts,
    settings: &Settings,
    now: Timestamp,
) -> Result<Upload, AuthError> {
    let key = fields.get("key").ok_or_else(|| missing("key"))?;
    // Browsers of old send the whole path of the file.
    let file = fields.file_name.as_deref().unwrap_or("");
    let file = file.rsplit(['/', '\\']).next().unwrap_or("");
    let key = key.replace("${filename}", file);
    if key.is_empty() {
        return Err(AuthError::argument("User key must have a length greater than 0."));
    }
    let version_4 = fields.get("x-amz-signature").is_some()
        || fields.get("x-amz-algorithm").is_some()
        || fields.get("x-amz-credential").is_some();
    let version_2 = fields.get("signature").is_some() || fields.get("awsaccesskeyid").is_some();
    let Some(policy) = fields.get("policy") else {
        if version_4 || version_2 {
            return Err(missing("policy"));
        }
        let sender = sender(None, 0, false);
        return Ok(Upload { sender, key, lengths: (0, u64::MAX) });
    };
    let sender = if version_4 {
        version_4_sender(fields, policy, accounts, settings, now)?
    } else {
        version_2_sender(fields, policy, accounts, settings, now)?
    };
    let lengths = PostPolicy::parse(policy)?.check(fields, bucket, &key, now)?;
    Ok(Upload { sender, key, lengths })
}

fn sender(
    key: Option<std::sync::Arc<crate::accounts::AccessKey>>,
    version: u8,
    session: bool,
) -> Authenticated {
    let scheme = if key.is_some() { Scheme::Form } else { Scheme::Anonymous };
    let age = model::Duration::ZERO;
    Authenticated { key, scheme, version, session, age, payload: Payload::Unsigned }
}

fn version_4_sender(
    fields: &Fields,
    policy: &str,
    accounts: &Accounts,
    settings: &Settings,
    now: Timestamp,
) -> Result<Authenticated, AuthError> {
    let needed = |name| fields.get(name).ok_or_else(|| missing(name));
    if needed("x-amz-algorithm")? != ALGORITHM {
        return Err(AuthError::argument("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
    }
    let credential = Credential::parse(needed("x-amz-credential")?, settings, |why| {
        AuthError::argument(format!("Error parsing the X-Amz-Credential parameter; {why}"))
    })?;
    if !needed("x-amz-date")?.starts_with(credential.day) {
        return Err(AuthError::argument(
            "Invalid credential date. It is not the same as X-Amz-Date.",
        ));
    }
    let signature = needed("x-amz-signature")?;
    let token = fields.get("x-amz-security-token");
    let ready = signing::ready(&credential, token, accounts, now)?;
    if !signing::matches(&ready.signing, policy.as_bytes(), signature) {
        return Err(AuthError::mismatch(credential.id, signature).with("StringToSign", policy));
    }
    Ok(sender(Some(ready.key), 4, ready.session))
}

fn version_2_sender(
    fields: &Fields,
    policy: &str,
    accounts: &Accounts,
    settings: &Settings,
    now: Timestamp,
) -> Result<Authenticated, AuthError> {
    if !settings.version_2 {
        return Err(v2::refused());
    }
    let id = fields.get("awsaccesskeyid").ok_or_else(|| missing("AWSAccessKeyId"))?;
    let signature = fields.get("signature").ok_or_else(|| missing("signature"))?;
    let token = fields.get("x-amz-security-token");
    let (key, _) = signing::find(id, token, accounts, now)?;
    if !v2::matches(&key, policy.as_bytes(), signature) {
        return Err(AuthError::mismatch(id, signature).with("StringToSign", policy));
    }
    Ok(sender(Some(key), 2, token.is_some()))
}
