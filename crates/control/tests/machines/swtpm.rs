//! A software TPM of its own for each machine: a process, its socket, its state.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use attest::tpm::{SocketTransport, Tpm};

use crate::house::Folder;

/// A running swtpm without an endorsement certificate. It ends with the test.
pub struct SwTpm {
    process: Child,
    folder: Folder,
}

impl SwTpm {
    /// Starts one; `None`, with a sentence, where swtpm is not installed.
    pub fn start() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join("swtpm").is_file()) {
            println!("skipped: swtpm is not installed (apt-get install swtpm)");
            return None;
        }
        let folder = Folder::new();
        let socket = folder.path().join("tpm.sock");
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", folder.path().display()))
            .arg("--server")
            .arg(format!("type=unixio,path={}", socket.display()))
            .stdin(Stdio::null())
            .spawn()
            .expect("swtpm starts");
        let mut tpm = Self { process, folder };
        tpm.wait_for(&socket);
        Some(tpm)
    }

    fn wait_for(&mut self, socket: &Path) {
        for _ in 0..1_500 {
            if socket.exists() {
                return;
            }
            let ended = self.process.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "swtpm ended at once: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("swtpm does not listen");
    }

    /// The machine's side of it. It serves one connection, so this is asked once.
    pub fn open(&self) -> Tpm<SocketTransport> {
        let socket = self.folder.path().join("tpm.sock");
        Tpm::new(SocketTransport::unix(&socket).expect("swtpm listens"))
    }
}

impl Drop for SwTpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
