//! A TPM for each machine: `swtpm`, made with an endorsement key whose certificate
//! chains to the rack's own authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use world::process;

use crate::error::{LabError, file};
use crate::keeper::Keeper;

/// Making keys takes a second or two; under load more.
const SETUP_LIMIT: model::Duration = model::Duration::from_secs(180);

/// The authority that signs endorsement-key certificates: one for each rack.
#[derive(Clone, Debug)]
pub(crate) struct TpmAuthority {
    dir: PathBuf,
}

impl TpmAuthority {
    /// An authority in a directory; its keys are made when they are first needed.
    pub(crate) fn new(dir: PathBuf) -> Result<Self, LabError> {
        fs::create_dir_all(&dir).map_err(file(&dir))?;
        let authority = Self { dir };
        authority.write_configuration()?;
        Ok(authority)
    }

    /// Its certificates (PEM): the issuer, and the root above it.
    pub(crate) fn certificates(&self) -> [PathBuf; 2] {
        [self.dir.join("issuercert.pem"), self.dir.join("swtpm-localca-rootca-cert.pem")]
    }

    fn configuration(&self) -> PathBuf {
        self.dir.join("setup.conf")
    }

    fn write_configuration(&self) -> Result<(), LabError> {
        let dir = self.dir.display();
        let tool = process::find("swtpm_localca").unwrap_or_else(|| "swtpm_localca".into());
        let files = [
            (
                "localca.conf",
                format!(
                    "statedir = {dir}\nsigningkey = {dir}/signkey.pem\n\
                     issuercert = {dir}/issuercert.pem\ncertserial = {dir}/certserial\n"
                ),
            ),
            (
                "localca.options",
                "--platform-manufacturer Bedplate\n--platform-version 1\n--platform-model Lab\n"
                    .to_owned(),
            ),
            (
                "setup.conf",
                format!(
                    "create_certs_tool = {}\ncreate_certs_tool_config = {dir}/localca.conf\n\
                     create_certs_tool_options = {dir}/localca.options\n\
                     active_pcr_banks = sha256\n",
                    tool.display()
                ),
            ),
        ];
        for (name, text) in files {
            let path = self.dir.join(name);
            fs::write(&path, text).map_err(file(&path))?;
        }
        Ok(())
    }
}

/// Makes a machine's TPM, unless it has been made.
pub(crate) async fn manufacture(
    dir: &Path,
    authority: &TpmAuthority,
    name: &str,
) -> Result<(), LabError> {
    let done = dir.join("manufactured");
    if done.exists() {
        return Ok(());
    }
    // Half-made ones are thrown away: the mark is written last.
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).map_err(file(dir))?;
    let (state, log) = (dir.display().to_string(), dir.join("setup.log").display().to_string());
    let configuration = authority.configuration().display().to_string();
    let arguments = [
        "--tpm2",
        "--tpmstate",
        &state,
        "--createek",
        "--create-ek-cert",
        "--create-platform-cert",
        "--lock-nvram",
        "--pcr-banks",
        "sha256",
        "--config",
        &configuration,
        "--vmid",
        name,
        "--logfile",
        &log,
    ];
    process::run("swtpm_setup", arguments, SETUP_LIMIT).await?;
    fs::write(&done, "").map_err(file(&done))
}

/// Starts a TPM: it ends by itself when QEMU hangs up. Gives its process when its
/// socket is there.
pub(crate) async fn start(
    keeper: &Keeper,
    dir: &Path,
    socket: &Path,
) -> Result<tokio::process::Child, LabError> {
    let _ = fs::remove_file(socket);
    let log = dir.join("swtpm.log");
    let errors = fs::File::create(&log).map_err(file(&log))?;
    let arguments = vec![
        "socket".to_owned(),
        "--tpm2".to_owned(),
        "--tpmstate".to_owned(),
        format!("dir={}", dir.display()),
        "--ctrl".to_owned(),
        format!("type=unixio,path={}", socket.display()),
        "--terminate".to_owned(),
    ];
    let mut child = keeper.spawn("swtpm", arguments, errors).await?;
    // It makes its socket within milliseconds; there is nothing to wait on but the file.
    for _ in 0..2_000 {
        if socket.exists() {
            return Ok(child);
        }
        if let Ok(Some(status)) = child.try_wait() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(LabError::State(format!(
                "swtpm ended at once ({status}): {}",
                said.trim()
            )));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err(LabError::State("swtpm made no socket within 10 s".into()))
}
