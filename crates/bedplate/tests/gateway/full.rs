//! The disk is full: writes are refused with the code for that, reads go on, deletions go
//! through, also after a start, and all is well when space returns. The disk is a file
//! system in a file, in a mount namespace of the process's own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::client::content;
use crate::process::{Gateway, Scratch, arguments, program, until};

/// A file system of so many MiB. `None`: this machine cannot have one.
fn disk(scratch: &Scratch, mebibytes: u64) -> Option<PathBuf> {
    let (image, data) = (scratch.path("disk.img"), scratch.path("data"));
    std::fs::create_dir_all(&data).expect("a directory");
    std::fs::File::create(&image).and_then(|it| it.set_len(mebibytes << 20)).expect("a file");
    let made = Command::new("mkfs.ext4").arg("-q").args(["-m", "0"]).arg(&image).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mkfs.ext4 is not installed (apt-get install e2fsprogs)");
        return None;
    }
    let mount = on(&image, scratch, "true").stderr(Stdio::null()).status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this process may not mount a file system (needs root and /dev/loop*)");
        return None;
    }
    Some(image)
}

/// Something in a namespace in which the data directory is that file system.
fn on(image: &Path, scratch: &Scratch, word: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg("mount -o loop \"$0\" \"$1\" && shift && exec \"$@\"");
    command.arg(image).arg(scratch.path("data")).arg(word);
    command
}

fn start(image: &Path, scratch: &Scratch) -> Gateway {
    let mut command = on(image, scratch, program());
    arguments(&mut command, scratch, &[]);
    Gateway::run(command)
}

/// Writes until there is no more room; how many went in.
fn fill(gateway: &Gateway, name: &str, size: usize) -> usize {
    let mut client = gateway.client();
    for number in 0..20_000 {
        let target = format!("/kept/{name}-{number}");
        let body = content(number as u64, size);
        let Ok(reply) = client.ask("PUT", &target, &body) else {
            // Refused before it was read, and cut: asked again, it must say why.
            client = gateway.client();
            let refused = client.ask("PUT", &target, &body[..1]).map(|reply| reply.status);
            assert!(matches!(refused, Ok(507 | 200)), "{refused:?}");
            return number;
        };
        if reply.status != 200 {
            assert_eq!((reply.status, reply.code()), (507, "InsufficientStorage".to_owned()));
            return number;
        }
    }
    panic!("it never fills up");
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let scratch = Scratch::new("full");
    let Some(image) = disk(&scratch, 320) else { return };
    let gateway = start(&image, &scratch);
    let mut client = gateway.client();
    client.put("/kept", b"");
    let large = fill(&gateway, "large", 4 << 20);
    assert!(large > 20, "{large}");
    let small = fill(&gateway, "small", 60_000);
    let check = |gateway: &Gateway, from: usize| {
        let mut client = gateway.client();
        for (name, size, count) in [("large", 4 << 20, large), ("small", 60_000, small)] {
            for number in from..count {
                let found = client.get(&format!("/kept/{name}-{number}"));
                assert!(found == content(number as u64, size), "{name}-{number}");
            }
        }
    };
    check(&gateway, 0);
    // Everything goes on where it is full at start, too.
    gateway.stop();
    let gateway = start(&image, &scratch);
    check(&gateway, 0);
    gateway.kill();
    let gateway = start(&image, &scratch);
    let _ = fill(&gateway, "more", 4 << 20);
    let mut client = gateway.client();
    for number in 0..8 {
        client.done("DELETE", &format!("/kept/large-{number}"), b"");
    }
    // Space returns when it is nobody's any more.
    until("there is room again", || {
        let reply = client.ask("PUT", "/kept/again", &content(5, 4 << 20));
        let Ok(reply) = reply else {
            client = gateway.client();
            return false;
        };
        assert!(matches!(reply.status, 200 | 507), "{reply:?}");
        reply.status == 200
    });
    assert!(gateway.client().get("/kept/again") == content(5, 4 << 20));
    check(&gateway, 8);
    gateway.kill();
    let gateway = start(&image, &scratch);
    assert!(gateway.client().get("/kept/again") == content(5, 4 << 20));
    check(&gateway, 8);
    gateway.stop();
}
