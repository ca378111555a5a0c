//! The way from the firmware to the kernel: a boot partition with shim (signed by
//! Microsoft, whose keys the firmware holds), GRUB (signed by Debian, whose key shim
//! holds) and a page of text. The kernel lies in the root file system, where upgrades
//! of the package put it; it is signed by Debian as well.
//!
//! The path is that of removable media (UEFI specification section 3.5.1.1), which
//! firmware tries without any boot variable.

use std::fs;
use std::path::Path;

use world::process;

use super::error::file;
use super::layout::Layout;
use super::recipe::Recipe;
use super::tools::LIMIT;
use super::{SystemError, tree};

/// Where the packages have them, and their places in the boot partition. shim looks
/// for GRUB beside itself; GRUB, as Debian signs it, for its text in `/EFI/debian`.
const FILES: [(&str, &str); 2] = [
    ("usr/lib/shim/shimx64.efi.signed", "::/EFI/BOOT/BOOTX64.EFI"),
    ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "::/EFI/BOOT/grubx64.efi"),
];
const FOLDERS: [&str; 3] = ["::/EFI", "::/EFI/BOOT", "::/EFI/debian"];
/// Sectors of the FAT file system.
const SECTOR: u64 = 512;

/// Takes the boot loaders' packages out of the tree, unpacked into `loaders`.
pub(super) async fn unpack(root: &Path, loaders: &Path) -> Result<(), SystemError> {
    let folder = root.join(tree::LOADERS_AT);
    for entry in fs::read_dir(&folder).map_err(file(&folder))? {
        let package = entry.map_err(file(&folder))?.path();
        if package.extension().is_some_and(|it| it == "deb") {
            let arguments = [Path::new("-x"), &package, loaders];
            process::run("dpkg-deb", arguments, LIMIT).await?;
        }
    }
    fs::remove_dir_all(&folder).map_err(file(&folder))?;
    for (from, _) in FILES {
        if !loaders.join(from).is_file() {
            return Err(SystemError::Lacking { what: format!("/{from}") });
        }
    }
    Ok(())
}

/// Makes the boot partition in a file of its own.
pub(super) async fn make(
    recipe: &Recipe,
    loaders: &Path,
    layout: &Layout,
    out: &Path,
) -> Result<(), SystemError> {
    let made = fs::File::create(out).map_err(file(out))?;
    let size = layout.boot().1;
    made.set_len(size).map_err(file(out))?;
    let text = out.with_extension("cfg");
    fs::write(&text, grub(recipe)).map_err(file(&text))?;
    let image = out.display().to_string();
    let sectors = (size / SECTOR).to_string();
    let serial = format!("{:08x}", recipe.uuid("boot").as_fields().0);
    // Heads and sectors a track mean nothing any more, but mformat wants some.
    let format =
        ["-i", &image, "-T", &sectors, "-h", "16", "-s", "63", "-v", "BOOT", "-N", &serial, "::"];
    process::run("mformat", format, LIMIT).await?;
    process::run("mmd", ["-i", &image].iter().chain(&FOLDERS), LIMIT).await?;
    for (from, to) in FILES {
        let from = loaders.join(from).display().to_string();
        process::run("mcopy", ["-i", &image, &from, to], LIMIT).await?;
    }
    let text = text.display().to_string();
    process::run("mcopy", ["-i", &image, &text, "::/EFI/debian/grub.cfg"], LIMIT).await?;
    Ok(())
}

/// GRUB's text: no menu and no waiting. The hint is where the root lies on the first
/// disk; GRUB looks further only when it is not there. Debian keeps `/vmlinuz`
/// pointing at the newest kernel, so that upgrades need no change here.
fn grub(recipe: &Recipe) -> String {
    let (root, partition) = (recipe.uuid("root"), recipe.uuid("partition"));
    let told = recipe.command_line();
    format!(
        "set timeout_style=hidden\n\
         set timeout=0\n\
         search --no-floppy --fs-uuid --hint=hd0,gpt2 --set=root {root}\n\
         menuentry 'Debian' {{\n\
         \tlinux /vmlinuz root=PARTUUID={partition} {told}\n\
         }}\n\
         menuentry 'Debian, previous kernel' {{\n\
         \tlinux /vmlinuz.old root=PARTUUID={partition} {told}\n\
         }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::Order;
    use super::*;

    #[test]
    fn grub_finds_root_and_kernel_without_waiting() {
        let order = Order { extra_command_line: "panic=5".into(), ..Order::new("/out", "/work") };
        let recipe = Recipe::of(&order).unwrap();
        let text = grub(&recipe);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines[..2], ["set timeout_style=hidden", "set timeout=0"]);
        assert_eq!(
            lines[2],
            format!(
                "search --no-floppy --fs-uuid --hint=hd0,gpt2 --set=root {}",
                recipe.uuid("root")
            )
        );
        let partition = format!("linux /vmlinuz root=PARTUUID={} ", recipe.uuid("partition"));
        assert!(lines[4].starts_with(&partition), "{text}");
        assert!(lines[4].contains(" console=ttyS0,115200 "), "{text}");
        assert!(lines[4].ends_with(" panic=5"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
