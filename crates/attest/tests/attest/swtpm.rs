//! A software TPM of its own for each test: a process, its sockets, its state.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use attest::tpm::{SocketTransport, Tpm, Transport};

/// Says whether programs are installed; prints the one that is missing.
pub fn installed(programs: &[(&str, &str)]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = programs.iter().find(|(program, _)| {
        !std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    if let Some((program, package)) = missing {
        println!("skipped: {program} is not installed (apt-get install {package})");
    }
    missing.is_none()
}

/// A folder that goes when the test does.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bedplate-attest-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new folder");
        Folder(path)
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), bytes).expect("to write into a test's folder");
        self.path(name)
    }
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("to read from a test's folder")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a program to its end; its output, or all it said when it failed.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().expect("an installed program starts");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    Err(format!("{command:?}: {}\n{}{}", output.status, said(&output.stdout), said(&output.stderr)))
}

/// A running swtpm.
pub struct SwTpm {
    process: Child,
    pub folder: Folder,
}

impl SwTpm {
    /// A TPM as it comes, without an endorsement certificate or a stored key.
    pub fn bare() -> Option<SwTpm> {
        installed(&[("swtpm", "swtpm")]).then(|| SwTpm::start(Folder::new()))
    }

    /// A TPM with a stored endorsement key and its certificate, and the PEM
    /// certificate of the authority that issued it.
    pub fn certified() -> Option<(SwTpm, String)> {
        let needed =
            [("swtpm", "swtpm"), ("swtpm_setup", "swtpm-tools"), ("swtpm_localca", "swtpm-tools")];
        if !installed(&needed) {
            return None;
        }
        let folder = Folder::new();
        let authority = folder.path("issuer.pem");
        let state = folder.path("");
        let state = state.to_str().expect("a temporary folder with a plain name");
        folder.write(
            "localca.conf",
            format!(
                "statedir = {state}\nsigningkey = {state}signing.pem\n\
                 issuercert = {state}issuer.pem\ncertserial = {state}serial\n"
            )
            .as_bytes(),
        );
        folder.write(
            "localca.options",
            b"--platform-manufacturer Bedplate\n--platform-version 1\n--platform-model Test\n",
        );
        let setup = format!(
            "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {state}localca.conf\n\
             create_certs_tool_options = {state}localca.options\n"
        );
        let setup = folder.write("setup.conf", setup.as_bytes());
        run(Command::new("swtpm_setup")
            .args([
                "--tpm2",
                "--createek",
                "--create-ek-cert",
                "--lock-nvram",
                "--pcr-banks",
                "sha256",
            ])
            .args([Path::new("--tpmstate"), &folder.path(""), Path::new("--config"), &setup]))
        .expect("swtpm_setup makes a TPM");
        let authority = std::fs::read_to_string(authority).expect("the authority's certificate");
        Some((SwTpm::start(folder), authority))
    }

    fn start(folder: Folder) -> SwTpm {
        let socket = folder.path("tpm.sock");
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", folder.path("").display()))
            .arg("--server")
            .arg(format!("type=unixio,path={}", socket.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}.ctrl", socket.display()))
            .stdin(Stdio::null())
            .spawn()
            .expect("swtpm starts");
        let mut tpm = SwTpm { process, folder };
        tpm.wait_for(&socket);
        tpm
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

    /// The way to it.
    pub fn transport(&self) -> SocketTransport {
        SocketTransport::unix(&self.folder.path("tpm.sock")).expect("swtpm listens")
    }

    /// A session with it. swtpm serves one at a time: drop it before the next.
    pub fn open(&self) -> Tpm<SocketTransport> {
        Tpm::new(self.transport())
    }

    /// What the tools of tpm2-tools find it by.
    pub fn tcti(&self) -> String {
        format!("swtpm:path={}", self.folder.path("tpm.sock").display())
    }

    /// `TPM2_PCR_Extend` (part 3 section 22.2) with one SHA-256 digest, as firmware does.
    pub fn extend(&self, events: impl IntoIterator<Item = (u8, [u8; 32])>) {
        let mut transport = self.transport();
        for (pcr, digest) in events {
            let mut command = vec![0x80, 0x02, 0, 0, 0, 65, 0, 0, 0x01, 0x82, 0, 0, 0, pcr];
            // One authorisation of nine bytes: the empty password.
            command.extend_from_slice(&[0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0]);
            command.extend_from_slice(&[0, 0, 0, 1, 0, 0x0b]);
            command.extend_from_slice(&digest);
            assert_eq!(command.len(), 65);
            let answer = transport.transmit(&command).expect("swtpm answers");
            assert_eq!(answer[6..10], [0; 4], "swtpm refused to extend PCR {pcr}");
        }
    }
}

impl Drop for SwTpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
