//! nginx, in two ways. As those set it up who want all it has: one worker on the core of
//! the servers, sendfile(2), heads and content in one packet, open files kept, no access
//! log; TLS as ours chooses it: version 1.3, AES-128-GCM, in the process (kernels with TLS
//! are rare, and then both could). And as its package in Debian sets it up: the lines of
//! `/etc/nginx/nginx.conf` and of its one site, with paths of our own.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Bench;
use crate::bench::process::family;
use crate::run::{command, output};

/// An nginx that runs until it is dropped.
pub struct Nginx {
    child: Child,
    /// Where it serves, plain.
    pub host: String,
    /// Where it serves by TLS, when it has a certificate.
    pub tls: String,
    /// The folder that it serves.
    pub files: PathBuf,
}

impl Nginx {
    /// Starts one with all it has, on an empty folder of the disk.
    pub fn start(bench: &Bench, certificate: Option<&Path>) -> Result<Self> {
        let home = bench.path("nginx");
        std::fs::create_dir_all(&home)?;
        let name = home.file_name().context("a path has a name")?;
        let files = bench.disk.join(name);
        std::fs::create_dir_all(&files)?;
        let (host, tls) = (free_address()?, free_address()?);
        let configuration = configuration(&home, &files, &host, &tls, certificate);
        Self::start_with(bench, &home, (files, 1), (host, tls), &configuration)
    }

    /// Starts another as its package sets it up, for the same files.
    pub fn packaged(&self, bench: &Bench) -> Result<Self> {
        let home = bench.path("nginx-packaged");
        std::fs::create_dir_all(&home)?;
        let host = free_address()?;
        let configuration = as_packaged(&home, &self.files, &host);
        // As many workers as there are processors, all on the core of the servers.
        let workers = std::thread::available_parallelism()?.get();
        let files = self.files.clone();
        Self::start_with(bench, &home, (files, workers), (host, String::new()), &configuration)
    }

    fn start_with(
        bench: &Bench,
        home: &Path,
        (files, workers): (PathBuf, usize),
        (host, tls): (String, String),
        configuration: &str,
    ) -> Result<Self> {
        let config = home.join("nginx.conf");
        std::fs::write(&config, configuration)?;
        let mut command = bench.pinned(true, "nginx");
        command.arg("-c").arg(&config).arg("-p").arg(home).arg("-e").arg(home.join("error.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("nginx could not be started")?;
        let mut nginx = Self { child, host, tls, files };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&nginx.host).is_err() || nginx.processes().len() < 1 + workers {
            if nginx.child.try_wait()?.is_some() || Instant::now() > until {
                let log = std::fs::read_to_string(home.join("error.log")).unwrap_or_default();
                bail!("nginx does not start: {}", log.trim());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }

    /// Its processes.
    pub fn processes(&self) -> Vec<u32> {
        family(self.child.id())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It ends its workers when it is asked to end.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// An address where nobody listens.
pub fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn configuration(
    home: &Path,
    files: &Path,
    host: &str,
    tls: &str,
    certificate: Option<&Path>,
) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    // As many open files as it may have, but for its connections.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let open = limit.unwrap_or(1 << 20).saturating_sub(2048).clamp(64, 200_000);
    let encrypted = certificate.map_or_else(String::new, |folder| {
        let folder = folder.display();
        format!(
            "listen {tls} ssl reuseport; ssl_certificate {folder}/certificate.pem; \
             ssl_certificate_key {folder}/key.pem; ssl_protocols TLSv1.3; \
             ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_conf_command Options -KTLS;"
        )
    });
    let (home, files) = (home.display(), files.display());
    format!(
        "{user} worker_processes 1; daemon off; pid {home}/pid; error_log {home}/error.log; \
         events {{ worker_connections 1024; multi_accept on; }} \
         http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; \
         keepalive_requests 1000000000; keepalive_timeout 300; \
         open_file_cache max={open} inactive=600s; open_file_cache_valid 600s; \
         open_file_cache_min_uses 1; \
         client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; \
         fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi; \
         scgi_temp_path {home}/scgi; \
         server {{ listen {host} reuseport; {encrypted} root {files}; }} }}\n"
    )
}

/// The lines of the package (1.22), in its order.
fn as_packaged(home: &Path, files: &Path, host: &str) -> String {
    // Its files may be where only we may read.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let (home, files) = (home.display(), files.display());
    format!(
        "{user} worker_processes auto; daemon off; pid {home}/pid; error_log {home}/error.log; \
         events {{ worker_connections 768; }} \
         http {{ sendfile on; tcp_nopush on; types_hash_max_size 2048; \
         include /etc/nginx/mime.types; default_type application/octet-stream; \
         access_log {home}/access.log; gzip on; \
         client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; \
         fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi; \
         scgi_temp_path {home}/scgi; \
         server {{ listen {host} default_server; root {files}; \
         index index.html index.htm index.nginx-debian.html; server_name _; \
         location / {{ try_files $uri $uri/ =404; }} }} }}\n"
    )
}

/// A certificate that nobody trusts, and its key, in a folder.
pub fn certificate(bench: &Bench) -> Result<PathBuf> {
    let folder = bench.path("certificate");
    std::fs::create_dir_all(&folder)?;
    let path = |name: &str| folder.join(name).display().to_string();
    let (key, certificate) = (path("key.pem"), path("certificate.pem"));
    let words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let more = ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", &key];
    let mut make = command("openssl", &words);
    make.args(more).args(["-out", &certificate]);
    output(make)?;
    Ok(folder)
}
