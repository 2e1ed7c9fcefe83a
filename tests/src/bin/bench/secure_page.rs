//! A health page over TLS, as servers have them: a root that is trusted, an authority below it, and a certificate of the page.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Longest request that is read.
const REQUEST_BYTES_MAX: usize = 4_096;
/// The root, in the home of the fleet, for whoever is to trust it.
pub(crate) const ROOTS: &str = "roots.pem";

/// Serves the page of the host `name`, and puts the root to be trusted into `home`. Answers the port.
pub(crate) async fn serve(home: &Path, name: &str) -> anyhow::Result<u16> {
    let acceptor = TlsAcceptor::from(Arc::new(chain(home, name)?));
    let listener =
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.context("starting the page over TLS")?;
    let port = listener.local_addr().context("finding the page over TLS")?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever goes away in the middle is no matter of ours.
            tokio::spawn(answer(acceptor.clone(), stream));
        }
    });
    Ok(port)
}

async fn answer(acceptor: TlsAcceptor, stream: TcpStream) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwell").await?;
    stream.flush().await?;
    // The client ends it.
    stream.read_buf(&mut request).await.map(|_| ())
}

/// The page's certificate and what leads from it to the root, all of P-256.
fn chain(home: &Path, name: &str) -> anyhow::Result<ServerConfig> {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params
    };
    let (root, root_key) = (authority("bench root"), KeyPair::generate().context("making a key")?);
    std::fs::write(home.join(ROOTS), root.self_signed(&root_key).context("signing the root")?.pem())
        .context("writing the root down")?;
    let root = Issuer::new(root, root_key);
    let (middle, middle_key) = (authority("bench authority"), KeyPair::generate()?);
    let middle_certificate = middle.signed_by(&middle_key, &root).context("signing the authority")?;
    let middle = Issuer::new(middle, middle_key);
    let page_key = KeyPair::generate()?;
    let page = CertificateParams::new([name.to_owned()]).context("naming the page")?;
    let page = page.signed_by(&page_key, &middle).context("signing the page's certificate")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(
        vec![page.der().clone(), middle_certificate.der().clone()],
        PrivateKeyDer::Pkcs8(page_key.serialize_der().into()),
    )?)
}
