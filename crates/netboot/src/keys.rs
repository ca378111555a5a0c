//! The secure-boot key: our images are signed with it, our machines' firmware holds
//! its certificate.
//!
//! RSA with 2,048 bits and SHA-256: what every UEFI firmware must be able to check
//! (UEFI 2.10, section 32.4). Made by OpenSSL, once for each control plane.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use model::Duration;
use world::process;

use crate::image::ImageError;

/// How long it may take; it is a second, or ten under emulation.
const WORK: Duration = Duration::from_secs(120);
/// Days for which the certificate is good: firmware has no clock to trust, most
/// ignores it.
const DAYS: &str = "7300";

/// The files of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The secret key (PEM), readable by its owner only.
    pub key: PathBuf,
    /// The certificate (PEM).
    pub cert: PathBuf,
    /// The certificate as firmware takes it (DER).
    pub der: PathBuf,
}

/// The key in `dir` (`db.key`, `db.crt`, `db.der`), made if it is not there.
///
/// # Errors
/// When OpenSSL is missing or fails, or a file cannot be written.
pub async fn generate(dir: &Path) -> Result<Keys, ImageError> {
    let keys = Keys { key: dir.join("db.key"), cert: dir.join("db.crt"), der: dir.join("db.der") };
    // The DER file is written last: with it the key is whole.
    if keys.der.is_file() {
        return Ok(keys);
    }
    std::fs::create_dir_all(dir).map_err(ImageError::at(dir))?;
    // Made for the owner alone before there is anything in it.
    std::fs::write(&keys.key, []).map_err(ImageError::at(&keys.key))?;
    std::fs::set_permissions(&keys.key, Permissions::from_mode(0o600))
        .map_err(ImageError::at(&keys.key))?;
    let mut request = process::command("openssl")?;
    request.args(["req", "-new", "-x509", "-newkey", "rsa:2048", "-sha256", "-nodes"]);
    request.args(["-days", DAYS, "-subj", "/CN=Bedplate secure boot/"]);
    request.arg("-keyout").arg(&keys.key).arg("-out").arg(&keys.cert);
    process::finish("openssl", request, WORK).await?;
    let partial = dir.join("db.der.partial");
    let mut convert = process::command("openssl")?;
    convert.args(["x509", "-outform", "der", "-in"]).arg(&keys.cert).arg("-out").arg(&partial);
    process::finish("openssl", convert, WORK).await?;
    std::fs::rename(&partial, &keys.der).map_err(ImageError::at(&keys.der))?;
    Ok(keys)
}
