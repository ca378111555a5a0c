//! A client's own encryption key in the headers of a request (SSE-C).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::refusal::AuthError;
use crate::sealing::ClientKey;
use crate::step::Head;

/// Which of a request's two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomerKeyOf {
    /// The object that is written or read.
    Object,
    /// The source of a copy.
    CopySource,
}

const OBJECT: [&str; 3] = [
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
];
const SOURCE: [&str; 3] = [
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
];

/// The key that comes with a request; `value` looks up a header or a form's field by
/// its lower-case name.
///
/// # Errors
/// When only some of the three headers are there, or they do not fit together.
pub fn customer_key_by<'v>(
    value: impl Fn(&str) -> Option<&'v str>,
    of: CustomerKeyOf,
) -> Result<Option<ClientKey>, AuthError> {
    let names = if of == CustomerKeyOf::Object { OBJECT } else { SOURCE };
    let [algorithm, key, md5] = names.map(value);
    if (algorithm, key, md5) == (None, None, None) {
        return Ok(None);
    }
    let must = |what: &str| {
        AuthError::argument(format!(
            "Requests specifying Server Side Encryption with Customer provided keys must \
             provide {what}."
        ))
    };
    let algorithm = algorithm.ok_or_else(|| must("a valid encryption algorithm"))?;
    if algorithm != "AES256" {
        let message = "The encryption request that you specified is not valid. The valid value \
                       is AES256.";
        return Err(AuthError::new(400, "InvalidEncryptionAlgorithmError", message)
            .with("ArgumentName", names[0])
            .with("ArgumentValue", algorithm.chars().take(64).collect::<String>()));
    }
    let key = key.ok_or_else(|| must("an appropriate secret key"))?;
    let md5 = md5.ok_or_else(|| must("the client calculated MD5 of the secret key"))?;
    let decoded = Zeroizing::new(BASE64.decode(key).unwrap_or_default());
    let bytes = <[u8; 32]>::try_from(decoded.as_slice()).map_err(|_| {
        AuthError::argument("The secret key was invalid for the specified algorithm.")
    })?;
    let key = ClientKey::new(Zeroizing::new(bytes));
    if BASE64.decode(md5).ok().as_deref() != Some(key.md5().as_slice()) {
        return Err(AuthError::argument(
            "The calculated MD5 hash of the key did not match the hash that was provided.",
        ));
    }
    Ok(Some(key))
}

/// The key that comes with a request in its headers.
///
/// # Errors
/// As [`customer_key_by`].
pub fn customer_key(head: &Head<'_>, of: CustomerKeyOf) -> Result<Option<ClientKey>, AuthError> {
    customer_key_by(|name| head.header(name), of)
}
