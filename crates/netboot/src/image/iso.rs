//! The image on a virtual medium, for BMCs that offer a drive.
//!
//! An ISO 9660 file whose El Torito entry for EFI (UEFI 2.10, section 13.3.2.1) is
//! a FAT volume with the signed image as `EFI/BOOT/BOOTX64.EFI`. The volume is also
//! a partition of the file, so that firmware which sees a disk instead of a drive
//! finds it as well.

use std::ffi::OsString;
use std::path::Path;

use model::Duration;
use world::process;

use super::ImageError;

/// How long one program may take.
const WORK: Duration = Duration::from_secs(120);
/// Room beside the image: the file system itself.
const SPARE_KIB: u64 = 2_048;

/// Wraps a signed image.
///
/// # Errors
/// When mtools or xorriso are missing or fail, or a file cannot be written.
pub async fn iso(uki: &Path, out: &Path) -> Result<(), ImageError> {
    let mut work = out.as_os_str().to_owned();
    work.push(".work");
    let work = Path::new(&work);
    if work.exists() {
        std::fs::remove_dir_all(work).map_err(ImageError::at(work))?;
    }
    let tree = work.join("tree");
    std::fs::create_dir_all(&tree).map_err(ImageError::at(&tree))?;
    let volume = work.join("efi.img");
    fill(uki, &volume).await?;
    let whole = work.join("whole.iso");
    let arguments: Vec<OsString> = vec![
        "-as".into(),
        "mkisofs".into(),
        "-quiet".into(),
        "-V".into(),
        "BEDPLATE".into(),
        "-append_partition".into(),
        "2".into(),
        "0xef".into(),
        volume.into(),
        "-appended_part_as_gpt".into(),
        "-e".into(),
        "--interval:appended_partition_2:all::".into(),
        "-no-emul-boot".into(),
        "-o".into(),
        whole.clone().into(),
        tree.into(),
    ];
    process::run("xorriso", arguments, WORK).await?;
    std::fs::rename(&whole, out).map_err(ImageError::at(out))?;
    std::fs::remove_dir_all(work).map_err(ImageError::at(work))
}

/// A FAT volume with the image where firmware looks for it.
async fn fill(uki: &Path, volume: &Path) -> Result<(), ImageError> {
    let bytes = std::fs::metadata(uki).map_err(ImageError::at(uki))?.len();
    let kib = bytes.div_ceil(1_024) + SPARE_KIB;
    // Whole tracks of 32 sectors: mtools refuses others.
    let kib = kib.next_multiple_of(16);
    let file = std::fs::File::create(volume).map_err(ImageError::at(volume))?;
    file.set_len(kib * 1_024).map_err(ImageError::at(volume))?;
    let at = |arguments: &[&str]| -> Vec<OsString> {
        let mut all: Vec<OsString> = vec!["-i".into(), volume.into()];
        all.extend(arguments.iter().map(Into::into));
        all
    };
    let sectors = (kib * 2).to_string();
    let format = ["-T", &sectors, "-h", "1", "-s", "32", "-v", "BEDPLATE", "::"];
    process::run("mformat", at(&format), WORK).await?;
    process::run("mmd", at(&["::/EFI", "::/EFI/BOOT"]), WORK).await?;
    let mut copy = at(&[]);
    copy.extend([uki.into(), "::/EFI/BOOT/BOOTX64.EFI".into()]);
    process::run("mcopy", copy, WORK).await?;
    Ok(())
}
