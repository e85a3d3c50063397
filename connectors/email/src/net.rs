//! Lines to a server: resolved under the network rule, bounded, with TLS where it is asked for.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use huiliu_core::connector::{ConnectorError, Cx, Result};
use huiliu_rest::address;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::settings::{Security, Server, Settings};

/// A line gives up after this many bytes from the server. The largest page is 20 mails of the configured size, 20 MiB
/// by default; a server that sends more than this in one session is not answering our question.
const RECEIVED_BYTES_MAX: u64 = 256 << 20;

/// A line to a server that reads no more than it was promised.
#[derive(Debug)]
pub struct Line {
    inner: Inner,
    left_bytes: u64,
}

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects; with [`Security::Tls`] the line is protected from the first byte.
///
/// # Errors
/// [`ConnectorError::Transient`] if the server cannot be reached, [`ConnectorError::Broken`] if the network rule or the
/// certificate forbids it.
pub async fn connect(cx: &Cx, settings: &Settings, server: &Server) -> Result<Line> {
    let addresses = resolve(cx, settings, server).await?;
    let mut failure = None;
    for address in addresses {
        match within(settings.timeout, TcpStream::connect(address)).await {
            Ok(stream) => {
                // Commands are small and wait for their answers.
                stream.set_nodelay(true).ok();
                let line = Line { inner: Inner::Plain(stream), left_bytes: RECEIVED_BYTES_MAX };
                return if server.security == Security::Tls { protect(line, settings, server).await } else { Ok(line) };
            }
            Err(error) => failure = Some(error),
        }
    }
    let why = failure.map_or_else(|| "the name leads to no address".to_owned(), |error| error.kind().to_string());
    Err(ConnectorError::transient(format!("{}:{} cannot be reached: {why}", server.host, server.port)))
}

/// Puts TLS on a plain line.
///
/// # Errors
/// [`ConnectorError::Broken`] if the certificate is refused, [`ConnectorError::Transient`] if the line breaks.
pub async fn protect(line: Line, settings: &Settings, server: &Server) -> Result<Line> {
    let Inner::Plain(stream) = line.inner else { return Ok(line) };
    let name = ServerName::try_from(server.host.clone())
        .map_err(|_| ConnectorError::broken(format!("`{}` is not a host name; correct the settings", server.host)))?;
    let connector = TlsConnector::from(Arc::new(tls_config(settings)?));
    let shaken = within(settings.timeout, connector.connect(name, stream)).await;
    let stream = shaken.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => ConnectorError::broken(format!(
            "TLS with {}:{} failed: {error}; check host, port and security, or name the server's authority in config.ca_file",
            server.host, server.port
        )),
        kind => ConnectorError::transient(format!("TLS with {}:{} broke off: {kind}", server.host, server.port)),
    })?;
    Ok(Line { inner: Inner::Tls(Box::new(stream)), left_bytes: line.left_bytes })
}

/// Runs a step for so long at most.
///
/// # Errors
/// The step's own, or [`io::ErrorKind::TimedOut`].
pub async fn within<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The PEM text of the private authority, if one is named.
///
/// # Errors
/// [`ConnectorError::Broken`] if the file cannot be read.
pub fn ca_pem(settings: &Settings) -> Result<Option<Vec<u8>>> {
    let Some(path) = &settings.ca_file else { return Ok(None) };
    let text = std::fs::read(path);
    text.map(Some).map_err(|error| ConnectorError::broken(format!("config.ca_file {path} cannot be read: {error}")))
}

fn tls_config(settings: &Settings) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match ca_pem(settings)? {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
                added.ok_or_else(|| ConnectorError::broken("config.ca_file holds no valid PEM certificates"))?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| ConnectorError::broken(format!("TLS cannot be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The check and the connection use the same answer, so that a name cannot change its mind between them.
async fn resolve(cx: &Cx, settings: &Settings, server: &Server) -> Result<Vec<SocketAddr>> {
    let found = within(settings.timeout, tokio::net::lookup_host((server.host.as_str(), server.port))).await;
    let found = found.map_err(|error| {
        ConnectorError::transient(format!("the name {} cannot be resolved: {}", server.host, error.kind()))
    })?;
    let found: Vec<SocketAddr> = found.collect();
    address::check_found(&server.host, &found, cx.network)
        .map_err(|refused| ConnectorError::broken(refused.to_string()))?;
    if server.security == Security::None && found.iter().any(|address| address::is_public(address.ip())) {
        return Err(ConnectorError::broken(format!(
            "{} is on a public network: set config.security to tls or starttls, the password would travel in the clear",
            server.host
        )));
    }
    Ok(found)
}

impl Line {
    /// The other end.
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        match &self.inner {
            Inner::Plain(stream) => stream.peer_addr(),
            Inner::Tls(stream) => stream.get_ref().0.peer_addr(),
        }
    }
}

impl lettre::transport::smtp::client::AsyncTokioStream for Line {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer()
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        let before = buffer.filled().len();
        let polled = match &mut line.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Inner::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        let received = (buffer.filled().len() - before) as u64;
        if received > line.left_bytes {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        line.left_bytes -= received;
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().inner {
            Inner::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Inner::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
