//! TLS to Postgres by rustls, where the URL asks for it.

/// The connector handed to each new connection.
pub type Tls = tokio_postgres_rustls::MakeRustlsConnect;

/// Trusts the public roots; `sslmode` in the URL decides whether TLS is used.
pub fn tls() -> super::Result<Tls> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| super::StoreError::Open(format!("TLS cannot start: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Tls::new(config))
}
