//! TLS of the server's side: certificates, and a connection that is encrypted.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use thiserror::Error;

/// Encrypted bytes that may wait to be sent.
const WAITING: usize = 256 << 10;

/// Why TLS cannot be offered.
#[derive(Debug, Error)]
pub enum TlsError {
    /// Not PEM, or nothing in it.
    #[error("the {0} cannot be read as PEM: {1}")]
    Pem(&'static str, String),
    /// The certificates and the key do not go together, or are of no use.
    #[error("the certificate, key or client authority is refused: {0}")]
    Refused(String),
}

/// What a server needs to offer TLS.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// From PEM: the certificate's chain, its key, and, when clients must show a
    /// certificate of their own, the authority that signs those.
    pub fn from_pem(chain: &[u8], key: &[u8], clients: Option<&[u8]>) -> Result<Self, TlsError> {
        let chain = certificates("certificate", chain)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| TlsError::Pem("key", error.to_string()))?;
        let builder = match clients {
            None => ServerConfig::builder().with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("client authority", authority)? {
                    roots.add(certificate).map_err(refused)?;
                }
                let verifier = WebPkiClientVerifier::builder(roots.into()).build();
                ServerConfig::builder().with_client_cert_verifier(verifier.map_err(refused)?)
            }
        };
        let config = builder.with_single_cert(chain, key).map_err(refused)?;
        Ok(Self { config: Arc::new(config) })
    }
}

fn refused(error: impl std::fmt::Display) -> TlsError {
    TlsError::Refused(error.to_string())
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| TlsError::Pem(what, error.to_string()))?;
    if all.is_empty() {
        return Err(TlsError::Pem(what, "there is no certificate in it".to_owned()));
    }
    Ok(all)
}

/// A socket as rustls wants it. Whether it blocks is the socket's own setting.
struct Wire<'a>(&'a OwnedFd);

impl Read for Wire<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self.0, into, RecvFlags::empty())?.0)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, from, SendFlags::NOSIGNAL)?)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket with TLS on it.
pub struct TlsSocket {
    socket: OwnedFd,
    tls: ServerConnection,
}

impl TlsSocket {
    /// Begins; the client says hello.
    pub fn new(socket: OwnedFd, server: &ServerTls) -> Result<Self, TlsError> {
        let mut tls = ServerConnection::new(server.config.clone()).map_err(refused)?;
        tls.set_buffer_limit(Some(WAITING));
        Ok(Self { socket, tls })
    }

    /// The socket, to be waited for.
    pub fn socket(&self) -> rustix::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether bytes wait to be sent that were encrypted already.
    pub fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Reads what is decrypted; goes to the socket when nothing is. `WouldBlock` when
    /// the socket has nothing; 0 at the end.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Whoever hangs up without saying goodbye has hung up all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            if self.tls.read_tls(&mut Wire(&self.socket))? == 0 {
                return Ok(0);
            }
            if let Err(error) = self.tls.process_new_packets() {
                // The client is told why, if it still listens.
                let _ = self.tls.write_tls(&mut Wire(&self.socket));
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            if self.tls.wants_write() {
                self.flush_or_wait()?;
            }
        }
    }

    /// Encrypts as much as may wait, and says how much that was.
    pub fn write(&mut self, from: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.tls.writer().write_vectored(from)
    }

    /// Sends what is encrypted. `WouldBlock` when the socket takes no more.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut Wire(&self.socket))?;
        }
        Ok(())
    }

    fn flush_or_wait(&mut self) -> io::Result<()> {
        match self.flush() {
            Err(error) if error.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) => Ok(()),
            other => other,
        }
    }

    /// Tells the client that no more comes. Best effort: it may be gone.
    pub fn goodbye(&mut self) {
        self.tls.send_close_notify();
        let _ = self.flush();
    }
}
