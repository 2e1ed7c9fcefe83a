//! Checks made from here: HTTP and plain TCP, guarded against addresses that checks may not reach.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lamplighter_core::moment::spoken;
use lamplighter_core::sight::{DownKind, Fault, Sight};
use lamplighter_core::spec::{HttpCheck, ServiceSpec};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, Url, redirect};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::look::connect_fault;
use crate::network::{Network, Reach, Target};

/// Most of a body that is read, in bytes: health pages are small, and whoever sends more is not waited for.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// The clients that checks are made with: one per kind of target, since who may be reached depends on it.
#[derive(Debug)]
pub(crate) struct Web {
    reach: Arc<Reach>,
    own_host: Client,
    elsewhere: Client,
}

impl Web {
    pub(crate) fn new(allowed: Vec<Network>) -> Result<Self, WebError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let tls = tls.with_platform_verifier()?.with_no_client_auth();
        Self::trusting(allowed, always_anew(tls))
    }

    fn trusting(allowed: Vec<Network>, tls: ClientConfig) -> Result<Self, WebError> {
        let reach = Arc::new(Reach::new(allowed));
        let own_host = client(&reach, Target::OwnHost, tls.clone())?;
        let elsewhere = client(&reach, Target::Elsewhere, tls)?;
        Ok(Self { reach, own_host, elsewhere })
    }

    /// Makes one request and judges the answer.
    pub(crate) async fn look(&self, check: &HttpCheck, spec: &ServiceSpec, deadline: Deadline) -> Sight {
        let deadline = deadline.clipped_to(spec.policy.http_limit);
        match deadline.bound(self.judge(check, spec)).await {
            Ok(Ok(())) => Sight::Up,
            Ok(Err(fault)) => Sight::Down(fault),
            Err(_) => Sight::Down(Fault::new(DownKind::TimedOut, "")),
        }
    }

    async fn judge(&self, check: &HttpCheck, spec: &ServiceSpec) -> Result<(), Fault<DownKind>> {
        let started = Instant::now();
        let url = Url::parse(&check.url)
            .map_err(|_| Fault::new(DownKind::BadAnswer, "the check's URL cannot be read"))?;
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let target =
            if host.eq_ignore_ascii_case(spec.address.host()) { Target::OwnHost } else { Target::Elsewhere };
        // A literal address never meets the resolver. The parser has already read every spelling of it.
        if let Ok(address) = host.parse::<IpAddr>()
            && !self.reach.permits(address, target)
        {
            return Err(forbidden(address));
        }
        let client = match target {
            Target::OwnHost => &self.own_host,
            Target::Elsewhere => &self.elsewhere,
        };
        let response = client.get(url).send().await.map_err(|error| fault_of(&error))?;
        let status = response.status();
        let is_expected = check.status.map_or(status.is_success(), |expected| status.as_u16() == expected);
        if !is_expected {
            return Err(Fault::new(DownKind::WrongStatus, status.as_str()));
        }
        if check.contains.is_none() && check.within.is_none() {
            return Ok(());
        }
        let body = body(response).await?;
        if let Some(text) = &check.contains
            && !contains(&body, text.as_bytes())
        {
            return Err(Fault::new(DownKind::WrongBody, ""));
        }
        let took = started.elapsed();
        match check.within {
            Some(within) if took > within => Err(too_slow(took, within)),
            Some(_) | None => Ok(()),
        }
    }

    /// Connects to a port of a service's own host.
    pub(crate) async fn connect(
        &self,
        host: &str,
        port: u16,
        deadline: Deadline,
    ) -> Result<TcpStream, Fault<DownKind>> {
        let late = |_| Fault::new(DownKind::TimedOut, "");
        let addresses =
            deadline.bound(resolve(host, port, &self.reach, Target::OwnHost)).await.map_err(late)??;
        let mut last = Fault::new(DownKind::NoSuchName, "the name has no address");
        for (index, address) in addresses.iter().enumerate() {
            let share = deadline.left() / u32::try_from(addresses.len() - index).unwrap_or(1);
            last = match deadline.clipped_to(share).bound(TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => connect_fault(&error),
                Err(_) => Fault::new(DownKind::TimedOut, ""),
            };
        }
        Err(last)
    }
}

/// Why no check can be made from here.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The certificates that this machine trusts cannot be used.
    #[error("the certificates that this machine trusts")]
    Tls(#[from] rustls::Error),
    /// The client itself could not be built.
    #[error("the client itself")]
    Client(#[from] reqwest::Error),
}

/// The same, without taking up a session that there was: no certificate is shown then, so one that has run out, or was
/// changed for another, would be seen hours later.
fn always_anew(mut tls: ClientConfig) -> ClientConfig {
    tls.resumption = Resumption::disabled();
    tls
}

fn client(reach: &Arc<Reach>, target: Target, tls: ClientConfig) -> Result<Client, reqwest::Error> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        // A redirect is an answer, judged by its status: following it would let a host send us anywhere.
        .redirect(redirect::Policy::none())
        // A proxy would resolve names by itself, behind the guard.
        .no_proxy()
        .dns_resolver(Guard { reach: Arc::clone(reach), target })
        // Whether a new connection is accepted is part of what is checked.
        .pool_max_idle_per_host(0)
        .user_agent("Lamplighter")
        .build()
}

/// Resolves names, and refuses those that lead where checks may not go.
struct Guard {
    reach: Arc<Reach>,
    target: Target,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, target) = (Arc::clone(&self.reach), self.target);
        Box::pin(async move {
            // The port is filled in by the client.
            let found = resolve(name.as_str(), 0, &reach, target).await.map_err(Refusal)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Resolves a name. One forbidden address among several condemns them all: the next answer may hold only that one.
async fn resolve(
    host: &str,
    port: u16,
    reach: &Reach,
    target: Target,
) -> Result<Vec<SocketAddr>, Fault<DownKind>> {
    let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => match tokio::net::lookup_host((host, port)).await {
            Ok(found) => found.take(MAX_ADDRESSES).collect(),
            Err(_) => return Err(Fault::new(DownKind::NoSuchName, &format!("`{host}`"))),
        },
    };
    match found.iter().find(|address| !reach.permits(address.ip(), target)) {
        Some(address) => Err(forbidden(address.ip())),
        None => Ok(found),
    }
}

/// Carries a fault through the HTTP client's error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(Fault<DownKind>);

fn forbidden(address: IpAddr) -> Fault<DownKind> {
    Fault::new(
        DownKind::ForbiddenAddress,
        &format!("{address}; an operator can list private networks in `allowed_networks`"),
    )
}

fn too_slow(took: Duration, within: Duration) -> Fault<DownKind> {
    Fault::new(DownKind::TooSlow, &format!("{}, allowed are {}", spoken(took), spoken(within)))
}

/// The first [`MAX_BODY_BYTES`] of a body.
async fn body(mut response: Response) -> Result<Vec<u8>, Fault<DownKind>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| fault_of(&error))? {
        let room = MAX_BODY_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(body)
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len().max(1)).any(|window| window == text)
}

/// What an error of the HTTP client means: the deepest cause that says something is the one that counts.
fn fault_of(error: &reqwest::Error) -> Fault<DownKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut last = String::new();
    while let Some(error) = cause {
        if let Some(Refusal(fault)) = error.downcast_ref::<Refusal>() {
            return fault.clone();
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionRefused
                    | std::io::ErrorKind::HostUnreachable
                    | std::io::ErrorKind::NetworkUnreachable
                    | std::io::ErrorKind::TimedOut
            )
        {
            return connect_fault(error);
        }
        last = error.to_string();
        cause = error.source();
    }
    Fault::new(DownKind::BadAnswer, &last.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{HandshakeKind, RootCertStore, ServerConfig};
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A health page over TLS, whose server would let every session be taken up again. Says how to reach it, whom to trust,
    /// and what each handshake was.
    async fn page() -> (ServiceSpec, RootCertStore, mpsc::UnboundedReceiver<Option<HandshakeKind>>) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate: CertificateDer<'static> = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("https://{}/health", listener.local_addr().unwrap());
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = acceptor.accept(stream).await.unwrap();
                let mut request = [0; 1_024];
                let _ = stream.read(&mut request).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwell").await.unwrap();
                tell.send(stream.get_ref().1.handshake_kind()).unwrap();
                // Until the client has gone, or its session's ticket would be lost on the way.
                let _ = stream.read(&mut request).await;
            }
        });
        let spec = json!({"id": "page", "address": "127.0.0.1", "check": {"http": url}, "restart": "never"});
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        (serde_json::from_value(spec).unwrap(), roots, told)
    }

    /// How two looks at a page shake hands.
    async fn handshakes(change: fn(ClientConfig) -> ClientConfig) -> [HandshakeKind; 2] {
        let (spec, roots, mut told) = page().await;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let web = Web::trusting(vec!["127.0.0.0/8".parse().unwrap()], change(tls)).unwrap();
        let lamplighter_core::spec::Check::Http(check) = &spec.check else { panic!("it is checked by HTTP") };
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let sight = web.look(check, &spec, Deadline::after(Duration::from_secs(10))).await;
            assert_eq!(sight, Sight::Up);
            kinds.push(told.recv().await.unwrap().unwrap());
        }
        [kinds[0], kinds[1]]
    }

    #[tokio::test]
    async fn every_look_is_shown_the_certificate() {
        assert_eq!(handshakes(always_anew).await, [HandshakeKind::Full, HandshakeKind::Full]);
        // Left alone, the second look would be shown none.
        assert_eq!(handshakes(|tls| tls).await, [HandshakeKind::Full, HandshakeKind::Resumed]);
    }
}
