//! The image: its parts read back by us and by programs that others wrote.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use model::Duration;
use netboot::image::{
    self, CMDLINE, Flavour, Kernel, ModuleSet, Order, STUB, modinfo, modules, pe,
};
use netboot::keys;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use world::process;

use crate::fixture::{Folder, have};

/// What the first process says.
pub const HELLO: &str = "bedplate: the first process runs\n";

/// The programs that building needs.
pub fn can_build() -> bool {
    let programs = [
        ("sbsign", "sbsigntool"),
        ("sbverify", "sbsigntool"),
        ("openssl", "openssl"),
        ("apt-get", "apt"),
        ("dpkg-deb", "dpkg"),
    ];
    if !have(&programs) {
        return false;
    }
    let stub = Path::new(STUB).exists();
    if !stub {
        println!("skipped: {STUB} is missing (apt-get install systemd-boot-efi)");
    }
    stub
}

/// Debian's cloud kernel, downloaded once for all runs.
pub async fn kernel() -> Kernel {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels");
    let say = |line: &str| println!("{line}");
    image::fetch_kernel(&folder, Flavour::Cloud, &say).await.expect("a kernel")
}

/// An order with a first process that says hello and switches the machine off.
pub async fn order(folder: &Folder, key: PathBuf, cert: PathBuf) -> Order {
    let kernel = kernel().await;
    let agent = folder.join("agent");
    std::fs::write(&agent, hello()).unwrap();
    Order {
        stub: STUB.into(),
        kernel: kernel.image,
        modules_dir: kernel.modules,
        modules: ModuleSet::Lab.names(),
        agent,
        control_json: b"{\"url\":\"https://10.77.0.1:8443\"}".to_vec(),
        cmdline: CMDLINE.to_owned(),
        key,
        cert,
        out: folder.join("bedplate.efi"),
    }
}

/// A static x86-64 program, by hand: write(1, HELLO), then reboot(POWER_OFF).
fn hello() -> Vec<u8> {
    let mut code = vec![0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0];
    // lea rsi, [rip + distance to the text behind the code]; mov edx, length
    code.extend([0x48, 0x8d, 0x35, 31, 0, 0, 0, 0xba]);
    code.extend(u32::try_from(HELLO.len()).unwrap().to_le_bytes());
    code.extend([0x0f, 0x05, 0xb8, 169, 0, 0, 0, 0xbf]);
    code.extend(0xfee1_deadu32.to_le_bytes());
    code.push(0xbe);
    code.extend(0x2812_1969u32.to_le_bytes());
    code.push(0xba);
    code.extend(0x4321_fedcu32.to_le_bytes());
    code.extend([0x0f, 0x05, 0xeb, 0xfe]);
    assert_eq!(code.len(), 17 + 31, "the distance to the text");
    code.extend(HELLO.as_bytes());
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    for half in [2u16, 62] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1u32.to_le_bytes());
    for long in [0x40_0078u64, 64, 0] {
        elf.extend(long.to_le_bytes());
    }
    elf.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1u32.to_le_bytes());
    elf.extend(5u32.to_le_bytes());
    let size = u64::try_from(120 + code.len()).unwrap();
    for long in [0, 0x40_0000, 0x40_0000, size, size, 0x1000u64] {
        elf.extend(long.to_le_bytes());
    }
    elf.extend(code);
    elf
}

#[tokio::test]
async fn an_image_is_built_signed_and_listed() {
    if !can_build() || !have(&[("cpio", "cpio")]) {
        return;
    }
    let folder = Folder::new("image");
    let keys = keys::generate(&folder.join("keys")).await.unwrap();
    let again = keys::generate(&folder.join("keys")).await.unwrap();
    assert_eq!(keys, again, "an existing key is kept");
    let order = order(&folder, keys.key, keys.cert.clone()).await;
    let built = image::build(&order).await.unwrap();
    let verify = ["--cert".into(), keys.cert.into_os_string(), built.path.clone().into()];
    process::run("sbverify", verify, Duration::from_secs(60)).await.expect("a good signature");

    let file = std::fs::read(&built.path).unwrap();
    let sections = pe::sections(&file).unwrap();
    let part = |name: &str| {
        let section = sections.iter().find(|section| section.name == name).expect(name);
        &file[section.bytes.clone()]
    };
    assert_eq!(part(".cmdline"), CMDLINE.as_bytes());
    assert_eq!(part(".uname"), built.kernel_version.as_bytes());
    assert!(part(".osrel").starts_with(b"ID=bedplate\n"));
    assert!(part(".linux") == std::fs::read(&order.kernel).unwrap());
    let archive = zstd::decode_all(part(".initrd")).unwrap();
    let listed = cpio(&archive, &["-t", "--quiet"]).await;
    let listed: Vec<&str> = listed.lines().collect();
    let modules = format!("lib/modules/{}", built.kernel_version);
    for path in [
        "init".to_owned(),
        "dev/console".to_owned(),
        "etc/bedplate/control.json".to_owned(),
        format!("{modules}/kernel/drivers/net/virtio_net.ko"),
        format!("{modules}/kernel/drivers/virtio/virtio_ring.ko"),
        format!("{modules}/modules.alias"),
        format!("{modules}/modules.load"),
    ] {
        assert!(listed.contains(&path.as_str()), "{path} is in {listed:?}");
    }
    assert_eq!(extract(&archive, "*/modules.load").await, "efivarfs\nvfat\nnls_cp437\nnls_ascii\n");
    let dependencies = extract(&archive, "*/modules.dep").await;
    let aliases = extract(&archive, "*/modules.alias").await;
    assert!(aliases.contains("alias virtio:d00000001v* virtio_net\n"), "{aliases}");
    let net =
        dependencies.lines().find(|line| line.starts_with("kernel/drivers/net/virtio_net.ko:"));
    assert!(net.unwrap().contains(" kernel/net/core/failover.ko"), "{dependencies}");
    println!("image: {} bytes, ramdisk {} packed", built.bytes, part(".initrd").len());

    let first = built.unsigned;
    assert_eq!(image::build(&order).await.unwrap().unsigned, first, "the same byte for byte");
}

/// One file of an archive.
async fn extract(archive: &[u8], name: &str) -> String {
    cpio(archive, &["-i", "--quiet", "--to-stdout", name]).await
}

/// What cpio says of an archive.
async fn cpio(archive: &[u8], arguments: &[&str]) -> String {
    let mut cpio = tokio::process::Command::new("cpio");
    cpio.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = cpio.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let archive = archive.to_vec();
    let feed = tokio::spawn(async move { input.write_all(&archive).await });
    let output = child.wait_with_output().await.unwrap();
    feed.await.unwrap().unwrap();
    assert!(output.status.success(), "cpio {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_medium_holds_the_image() {
    let tools = [("xorriso", "xorriso"), ("mformat", "mtools"), ("mcopy", "mtools")];
    if !have(&tools) {
        return;
    }
    let folder = Folder::new("iso");
    let (uki, iso) = (folder.join("bedplate.efi"), folder.join("bedplate.iso"));
    std::fs::write(&uki, crate::fixture::pattern(3_333_333)).unwrap();
    image::iso(&uki, &iso).await.unwrap();
    let report =
        ["-indev".into(), iso.clone().into_os_string(), "-report_el_torito".into(), "plain".into()];
    let report = process::run("xorriso", report, Duration::from_secs(60)).await.unwrap();
    let report = String::from_utf8_lossy(&report);
    assert!(report.contains("UEFI"), "{report}");
    let out = folder.join("out");
    let start =
        report.lines().find(|line| line.contains("El Torito boot img :") && line.contains("UEFI"));
    let block: u64 =
        start.and_then(|line| line.split_whitespace().last()).unwrap().parse().unwrap();
    let at = format!("{}@@{}", iso.display(), block * 2_048);
    let copy =
        ["-i".into(), at.into(), "::/EFI/BOOT/BOOTX64.EFI".into(), out.clone().into_os_string()];
    process::run("mcopy", copy, Duration::from_secs(60)).await.unwrap();
    assert!(std::fs::read(out).unwrap() == std::fs::read(uki).unwrap());
}

#[tokio::test]
async fn what_is_missing_is_named() {
    if !can_build() {
        return;
    }
    let folder = kernel().await.modules;
    let chosen = modules::choose(&folder, &["?no-such".into(), "ext4".into()]).unwrap();
    assert_eq!((chosen.missing, chosen.modules.len()), (vec!["no_such".to_owned()], 0));
    let error = modules::choose(&folder, &["no_such".into()]).unwrap_err();
    assert_eq!(error.to_string(), "the kernel has no module no_such");
}

#[test]
fn a_signed_or_broken_stub_is_refused() {
    let Ok(stub) = std::fs::read(STUB) else {
        println!("skipped: {STUB} is missing (apt-get install systemd-boot-efi)");
        return;
    };
    let add = [(".linux", &b"kernel"[..])];
    let good = pe::append(&stub, &add).unwrap();
    assert_eq!(pe::sections(&good).unwrap().last().unwrap().name, ".linux");
    let mut signed = good.clone();
    let optional =
        usize::try_from(u32::from_le_bytes(signed[60..64].try_into().unwrap())).unwrap() + 24;
    signed[optional + 148] = 8;
    assert_eq!(pe::append(&signed, &add).unwrap_err(), pe::PeError::Signed);
    assert_eq!(pe::append(b"MZ", &add).unwrap_err(), pe::PeError::NotPe);
    assert_eq!(pe::append(&stub[..900], &add).unwrap_err(), pe::PeError::Inconsistent);
    let many = vec![(".x", &b"1"[..]); 20];
    assert_eq!(pe::append(&stub, &many).unwrap_err(), pe::PeError::NoRoom);
}

proptest! {
    #[test]
    fn no_file_breaks_the_readers(
        mut bytes in proptest::collection::vec(any::<u8>(), 64..2_000),
        start in 64u32..200,
    ) {
        bytes[..2].copy_from_slice(b"MZ");
        bytes[60..64].copy_from_slice(&start.to_le_bytes());
        let _ = pe::append(&bytes, &[(".linux", b"kernel")]);
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let _ = modinfo::read(&bytes);
    }

    #[test]
    fn no_changed_stub_breaks_the_readers(changes in proptest::collection::vec((0usize..1_024, any::<u8>()), 1..12)) {
        if let Ok(mut stub) = std::fs::read(STUB) {
            for (at, byte) in changes {
                stub[at] = byte;
            }
            if let Ok(file) = pe::append(&stub, &[(".linux", b"kernel")]) {
                let _ = pe::sections(&file);
            }
        }
    }
}
