//! From the parts to the signed image.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use model::Duration;
use model::image::Checksum;
use sha2::{Digest, Sha256};
use world::process;

use super::{ImageError, initrd, modules, pe};

/// Where Debian's package `systemd-boot-efi` has the stub.
pub const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

/// The command line of the lab and of servers alike: identity comes from the
/// attestation, never from here.
///
/// - `console=ttyS0,115200`: what happens is seen by serial-over-LAN.
/// - `quiet loglevel=4`: warnings and worse only; under emulation each line costs.
/// - `panic=30`: a machine that falls over restarts, after time to read why.
/// - `rcupdate.rcu_expedited=1`: shorter waits while drivers start.
/// - `cryptomgr.notests`: the kernel's ciphers are not tested at each boot.
/// - `random.trust_cpu=on`: keys are made in the first second.
pub const CMDLINE: &str = "console=tty0 console=ttyS0,115200 quiet loglevel=4 panic=30 \
    rcupdate.rcu_expedited=1 cryptomgr.notests random.trust_cpu=on";

/// Level of zstd: packing takes seconds once, unpacking costs the same at any level.
const ZSTD_LEVEL: i32 = 19;
/// How long signing may take.
const SIGN: Duration = Duration::from_secs(120);

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Order {
    /// systemd's EFI stub; see [`STUB`].
    pub stub: PathBuf,
    /// The kernel.
    pub kernel: PathBuf,
    /// `…/lib/modules/VERSION`, whose last part is the kernel's version.
    pub modules_dir: PathBuf,
    /// Names of modules, `?` before those that may be missing.
    pub modules: Vec<String>,
    /// The static program that becomes `/init`.
    pub agent: PathBuf,
    /// What the agent finds as `/etc/bedplate/control.json`.
    pub control_json: Vec<u8>,
    /// The kernel's command line; see [`CMDLINE`].
    pub cmdline: String,
    /// Secure-boot key (PEM).
    pub key: PathBuf,
    /// Its certificate (PEM).
    pub cert: PathBuf,
    /// Where the signed image goes; the unsigned one lies beside it as `OUT.unsigned`.
    pub out: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Built {
    /// The signed image.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// The kernel's version.
    pub kernel_version: String,
    /// SHA-256 of each section that was added, in the order in the file. The stub
    /// measures them into PCR 11.
    pub sections: Vec<(&'static str, Checksum)>,
    /// SHA-256 of the image before it was signed: the same for the same order.
    pub unsigned: Checksum,
    /// Optional modules that this kernel does not have.
    pub missing: Vec<String>,
}

/// Builds and signs an image. The file appears whole or not at all.
///
/// # Errors
/// When a part is missing or makes no sense, or signing fails.
pub async fn build(order: &Order) -> Result<Built, ImageError> {
    let assembled = assemble(order)?;
    let unsigned = with_ending(&order.out, ".unsigned");
    let partial = with_ending(&order.out, ".partial");
    std::fs::write(&unsigned, &assembled.bytes).map_err(ImageError::at(&unsigned))?;
    let arguments: [OsString; 7] = [
        "--key".into(),
        order.key.clone().into(),
        "--cert".into(),
        order.cert.clone().into(),
        "--output".into(),
        partial.clone().into(),
        unsigned.into(),
    ];
    process::run("sbsign", arguments, SIGN).await?;
    std::fs::rename(&partial, &order.out).map_err(ImageError::at(&order.out))?;
    let signed = std::fs::metadata(&order.out).map_err(ImageError::at(&order.out))?;
    Ok(Built {
        path: order.out.clone(),
        bytes: signed.len(),
        kernel_version: assembled.version,
        sections: assembled.sections,
        unsigned: checksum(&assembled.bytes),
        missing: assembled.missing,
    })
}

struct Assembled {
    bytes: Vec<u8>,
    version: String,
    sections: Vec<(&'static str, Checksum)>,
    missing: Vec<String>,
}

fn assemble(order: &Order) -> Result<Assembled, ImageError> {
    let odd = || ImageError::OddKernel { path: order.modules_dir.clone(), what: "a version" };
    let version = order.modules_dir.file_name().and_then(|name| name.to_str()).ok_or_else(odd)?;
    let chosen = modules::choose(&order.modules_dir, &order.modules)?;
    let agent = read(&order.agent)?;
    let archive = initrd::archive(&agent, &order.control_json, version, &chosen);
    let packed = zstd::bulk::compress(&archive, ZSTD_LEVEL).map_err(ImageError::at("initrd"))?;
    let release = format!(
        "ID=bedplate\nNAME=Bedplate\nPRETTY_NAME=\"Bedplate {}\"\nVERSION_ID={}\n",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_VERSION")
    );
    let kernel = read(&order.kernel)?;
    // The kernel comes last: its own memory may follow where it lies.
    let parts: [(&'static str, &[u8]); 5] = [
        (".osrel", release.as_bytes()),
        (".cmdline", order.cmdline.as_bytes()),
        (".uname", version.as_bytes()),
        (".initrd", &packed),
        (".linux", &kernel),
    ];
    let bytes = pe::append(&read(&order.stub)?, &parts)?;
    let sections = parts.iter().map(|(name, bytes)| (*name, checksum(bytes))).collect();
    Ok(Assembled { bytes, version: version.to_owned(), sections, missing: chosen.missing })
}

fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    std::fs::read(path).map_err(ImageError::at(path))
}

fn checksum(bytes: &[u8]) -> Checksum {
    Checksum::from_digest(Sha256::digest(bytes).into())
}

/// A path with more at its end.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
