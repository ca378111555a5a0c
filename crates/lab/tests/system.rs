//! Builds the system image for real and looks at it with other people's programs.
//! It takes minutes, root and the network, so it runs only when it is asked for:
//! `BEDPLATE_TEST_SYSTEM=1 cargo nextest run -p bedplate-lab --test system`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use bedplate_lab::system::{Built, Order, build};
use world::process::find;

/// What this test needs beside what the builder checks itself.
const PROGRAMS: [(&str, &str); 5] = [
    ("sgdisk", "gdisk"),
    ("mdir", "mtools"),
    ("debugfs", "e2fsprogs"),
    ("sbverify", "sbsigntool"),
    ("zstd", "zstd"),
];

fn skipped() -> bool {
    if std::env::var_os("BEDPLATE_TEST_SYSTEM").is_none_or(|value| value != "1") {
        println!("skipped: set BEDPLATE_TEST_SYSTEM=1 to build a system image (minutes, as root)");
        return true;
    }
    for (program, package) in PROGRAMS {
        if find(program).is_none() {
            println!("skipped: {program} is not installed (apt-get install {package})");
            return true;
        }
    }
    false
}

fn run(program: &str, arguments: &[&str]) -> String {
    let path = find(program).unwrap_or_else(|| panic!("{program} was there a moment ago"));
    let output = Command::new(path).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said} {wrong}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder of this test's own, removed when the test ends well.
fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("bedplate-system-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_holds_what_firmware_and_cloud_init_look_for() {
    if skipped() {
        return;
    }
    let folder = folder();
    let order = Order::new(folder.join("system.raw.zst"), folder.join("work"));
    let told = Mutex::new(Vec::new());
    let tell = |line: &str| {
        println!("{line}");
        told.lock().unwrap().push(line.to_owned());
    };
    let built = build(order.clone(), tell).await.unwrap();
    assert!(built.fresh && told.lock().unwrap().len() >= 5, "{told:?}");
    println!("{} bytes stored, {} on disk", built.stored.0, built.size.0);
    assert!(!folder.join("work/system").exists(), "the work is cleaned up");

    look(&folder, &built);

    told.lock().unwrap().clear();
    let again = build(order, tell).await.unwrap();
    assert_eq!(again, Built { fresh: false, ..built });
    assert_eq!(*told.lock().unwrap(), ["the system image is there already"]);
    fs::remove_dir_all(&folder).unwrap();
}

fn look(folder: &Path, built: &Built) {
    let sum = run("sha256sum", &[text(&built.path)]);
    assert_eq!(sum.split(' ').next(), Some(built.checksum.hex()));
    let raw = folder.join("disk.raw");
    run("zstd", &["-q", "-d", "--sparse", text(&built.path), "-o", text(&raw)]);
    assert_eq!(fs::metadata(&raw).unwrap().len(), built.size.0);

    let table = run("sgdisk", &["--verify", "--print", text(&raw)]);
    assert!(table.contains("No problems found"), "{table}");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row.first().is_some_and(|number| number.parse::<u32>().is_ok()))
        .collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert_eq!((rows[0][5], rows[1][5]), ("EF00", "8304"), "{table}");

    let boot = format!("{}@@{}", text(&raw), offset(rows[0][1]));
    look_at_boot(folder, &boot);
    let system = folder.join("root.ext4");
    let (skip, count) = (offset(rows[1][1]), offset(rows[1][2]) + 512 - offset(rows[1][1]));
    let (from, to) = (format!("if={}", text(&raw)), format!("of={}", text(&system)));
    let (skip, count) = (format!("skip={skip}"), format!("count={count}"));
    let flags = ["iflag=skip_bytes,count_bytes", "conv=sparse", "bs=1M", "status=none"];
    run("dd", &[&[from.as_str(), &to, &skip, &count][..], &flags].concat());
    look_at_root(folder, &system);
}

fn offset(sector: &str) -> u64 {
    sector.parse::<u64>().unwrap() * 512
}

fn look_at_boot(folder: &Path, boot: &str) {
    for (path, signer) in [
        ("::/EFI/BOOT/BOOTX64.EFI", "Microsoft Corporation UEFI CA 2011"),
        ("::/EFI/BOOT/grubx64.efi", "Debian Secure Boot"),
    ] {
        let loader = folder.join("loader.efi");
        run("mcopy", &["-n", "-o", "-i", boot, path, text(&loader)]);
        let signatures = run("sbverify", &["--list", text(&loader)]);
        assert!(signatures.contains(signer), "{path}: {signatures}");
    }
    let grub = run("mtype", &["-i", boot, "::/EFI/debian/grub.cfg"]);
    assert!(grub.contains("linux /vmlinuz root=PARTUUID="), "{grub}");
}

fn look_at_root(folder: &Path, system: &Path) {
    run("e2fsck", &["-f", "-n", text(system)]);
    let ask = |request: &str| run("debugfs", &["-R", request, text(system)]);
    let kernel = ask("stat /vmlinuz");
    assert!(kernel.contains("Fast link dest: \"boot/vmlinuz-"), "{kernel}");
    let name = kernel.split('"').nth(1).unwrap();
    let copy = folder.join("vmlinuz");
    ask(&format!("dump /{name} {}", text(&copy)));
    let signatures = run("sbverify", &["--list", text(&copy)]);
    assert!(signatures.contains("Debian Secure Boot"), "{signatures}");
    // What the kernel must do without an initial file system.
    let settings = ask(&format!("cat /{}", name.replace("vmlinuz", "config")));
    for built_in in ["EXT4_FS", "BLK_DEV_NVME", "EFI_PARTITION", "SERIAL_8250_CONSOLE"] {
        assert!(settings.contains(&format!("CONFIG_{built_in}=y\n")), "{built_in} is no module");
    }
    let cloud = ask("cat /etc/cloud/cloud.cfg.d/90-bedplate.cfg");
    assert!(cloud.contains("datasource_list: [NoCloud, None]"), "{cloud}");
    assert!(ask("stat /etc/machine-id").contains("Size: 0"));
    let keys = ask("ls /etc/ssh");
    assert!(keys.contains("sshd_config") && !keys.contains("ssh_host_"), "{keys}");
    assert!(!ask("ls /boot").contains("initrd"));
}
