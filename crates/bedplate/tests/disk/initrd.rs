//! What the guest boots: Debian's kernel, and a ramdisk of busybox, e2fsprogs, the
//! kernel's modules, and a script that is its first process.

use std::path::{Path, PathBuf};
use std::process::Command;

use netboot::image::cpio::Archive;
use netboot::image::{Flavour, Kernel, fetch_kernel, modules};

/// Modules that the guest needs; with `?` those that may be part of the kernel.
const MODULES: [&str; 6] =
    ["virtio_pci", "virtio_blk", "ext4", "?crc32c_generic", "?crc32c_intel", "?libcrc32c"];
/// Programs that busybox does not have.
const PROGRAMS: [&str; 2] = ["mke2fs", "e2fsck"];

/// The guest's first process. It formats the disk, writes files with their sums and
/// says each on the console; then it reads all again from the disk, checks sums and the
/// file system, and switches off.
const SCRIPT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for module in $(cat /modules.txt); do insmod /$module || echo "GUEST no module $module"; done
i=0
while [ ! -b /dev/vda ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
fail() { echo "GUEST FAILED: $1"; poweroff -f; }
# By their paths: busybox has programs of the same names that can less.
/sbin/mke2fs -q -t ext4 -E nodiscard /dev/vda || fail format
mkdir -p /mnt
mount -t ext4 /dev/vda /mnt || fail mount
for i in $(seq 1 ROUNDS); do
    dd if=/dev/urandom of=/mnt/file$i bs=64k count=24 2>/dev/null || fail write
    (cd /mnt && md5sum file$i >> sums) || fail sum
    [ $((i % 3)) = 0 ] && { sync || fail sync; }
    echo "GUEST wrote $i"
done
umount /mnt || fail unmount
/sbin/e2fsck -fn /dev/vda || fail check
mount -t ext4 /dev/vda /mnt || fail "mount again"
(cd /mnt && md5sum -c sums > /sums.out) || fail "sums differ"
[ $(wc -l < /sums.out) = ROUNDS ] || fail "files are missing"
umount /mnt
echo "GUEST DONE"
poweroff -f
"#;

/// A kernel and its ramdisk.
pub struct Boot {
    /// The kernel.
    pub kernel: PathBuf,
    /// The ramdisk.
    pub ramdisk: PathBuf,
}

/// Makes them, in a folder. The kernel is downloaded once for all runs.
pub async fn make(folder: &Path, rounds: u32) -> Boot {
    let kernels = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels");
    let say = |line: &str| println!("{line}");
    let kernel = fetch_kernel(&kernels, Flavour::Cloud, &say).await.expect("a kernel");
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "proc", "sbin", "etc"] {
        archive.directory(folder);
    }
    archive.device("dev/console", 5, 1);
    let busybox = world::process::find("busybox").expect("looked for before");
    archive.file("bin/busybox", 0o755, &std::fs::read(busybox).expect("busybox"));
    for program in PROGRAMS {
        let path = world::process::find(program).expect("looked for before");
        archive.file(&format!("sbin/{program}"), 0o755, &std::fs::read(&path).expect("a program"));
        for library in libraries(&path) {
            let name = library.display().to_string();
            let bytes = std::fs::read(&library).expect("a library");
            archive.file(name.trim_start_matches('/'), 0o755, &bytes);
        }
    }
    let settings = std::fs::read("/etc/mke2fs.conf").expect("e2fsprogs has it");
    archive.file("etc/mke2fs.conf", 0o644, &settings);
    add_modules(&mut archive, &kernel);
    archive.file("init", 0o755, SCRIPT.replace("ROUNDS", &rounds.to_string()).as_bytes());
    let ramdisk = folder.join("ramdisk");
    std::fs::write(&ramdisk, archive.finish()).expect("a ramdisk");
    Boot { kernel: kernel.image, ramdisk }
}

fn add_modules(archive: &mut Archive, kernel: &Kernel) {
    let names: Vec<String> = MODULES.map(str::to_owned).to_vec();
    let chosen = modules::choose(&kernel.modules, &names).expect("the kernel's modules");
    let mut order = String::new();
    for module in chosen.modules {
        let place = format!("modules/{}.ko", module.name);
        archive.file(&place, 0o644, &module.bytes);
        order += &format!("{place}\n");
    }
    archive.file("modules.txt", 0o644, order.as_bytes());
}

/// The libraries that a program is linked to, and its loader.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd is part of libc-bin");
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text.lines().filter_map(|line| {
        line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from)
    });
    words.collect()
}
