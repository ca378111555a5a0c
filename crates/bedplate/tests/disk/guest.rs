//! A Linux guest formats a volume, writes to it while the service is replaced and
//! killed under it, and finds everything as it wrote it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::initrd::{self, Boot};
use crate::service::{Service, have};

/// Files that the guest writes.
const ROUNDS: u32 = 24;
/// Software emulation is slow, and slower on a busy machine.
const PATIENCE: Duration = Duration::from_secs(420);
const PROGRAMS: [(&str, &str); 5] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("mke2fs", "e2fsprogs"),
    ("e2fsck", "e2fsprogs"),
    ("dpkg-deb", "dpkg"),
];

/// A virtual machine, until it is dropped.
struct Guest {
    qemu: Child,
    lines: Receiver<String>,
    console: Vec<String>,
}

impl Guest {
    fn start(boot: &Boot, socket: &Path) -> Self {
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-machine", "q35,memory-backend=mem", "-accel", "tcg,thread=multi"]);
        command.args(["-cpu", "max", "-smp", "2", "-m", "384M", "-nodefaults", "-no-reboot"]);
        command.args(["-object", "memory-backend-memfd,id=mem,size=384M,share=on"]);
        command.arg("-chardev").arg(format!("socket,id=disk,path={}", socket.display()));
        command.args(["-device", "vhost-user-blk-pci,chardev=disk,num-queues=1"]);
        command.args(["-display", "none", "-serial", "stdio", "-monitor", "none"]);
        command.arg("-kernel").arg(&boot.kernel).arg("-initrd").arg(&boot.ramdisk);
        command.args(["-append", "console=ttyS0 panic=-1 quiet loglevel=4 mitigations=off"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut qemu = command.spawn().expect("qemu was looked for");
        let out = qemu.stdout.take().expect("piped");
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                let _ = send.send(String::from_utf8_lossy(&line).trim().to_owned());
            }
        });
        Self { qemu, lines, console: Vec::new() }
    }

    /// Waits until the guest says something; fails when it says that something failed.
    fn says(&mut self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("the guest never said {wanted:?}: {}", self.console.join("\n"));
            };
            self.console.push(line.clone());
            let failed = line.contains("GUEST FAILED") || line.contains("I/O error");
            assert!(!failed, "{}", self.console.join("\n"));
            if line.contains(wanted) {
                return;
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

#[tokio::test]
async fn a_linux_guest_survives_replacements_and_kills_of_the_disk_service() {
    if !have(&PROGRAMS) {
        return;
    }
    let service = Service::start("guest", 512);
    service.volume("guest", 128, true);
    let boot = initrd::make(&service.directory, ROUNDS).await;
    let socket = service.attach("guest");
    let mut guest = Guest::start(&boot, &socket);
    for (wrote, kill) in [(2, false), (6, true), (10, false), (14, true)] {
        guest.says(&format!("GUEST wrote {wrote}"));
        if kill { service.kill() } else { service.replace() }
    }
    guest.says("GUEST DONE");
    let status = service.status();
    assert!(status.generation >= 5, "two replacements and two kills: {status:?}");
}
