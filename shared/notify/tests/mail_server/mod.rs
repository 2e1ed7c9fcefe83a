//! A small mail server inside the test: real sockets, real TLS, a script of answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a server does at a step of the conversation instead of agreeing: answer this, say nothing more, or hang up.
#[derive(Debug, Clone)]
pub(crate) enum Instead {
    Answer(String),
    Hang,
    HangUp,
}

/// What a server saw, in order.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Every command, with `TLS` before those that came encrypted.
    pub(crate) commands: Vec<String>,
    /// Every letter that was accepted, as bytes.
    pub(crate) letters: Vec<Vec<u8>>,
}

#[derive(Clone)]
pub(crate) struct MailServer {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

/// What the server is like.
pub(crate) struct Manner {
    /// Steps by their command word (`CONNECT` for the greeting, `BODY` for the end of the letter).
    pub(crate) instead: BTreeMap<&'static str, Instead>,
    /// TLS from the first byte.
    pub(crate) implicit_tls: bool,
    /// `STARTTLS` is offered.
    pub(crate) starttls: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { instead: BTreeMap::new(), implicit_tls: false, starttls: true }
    }
}

impl Manner {
    pub(crate) fn but(mut self, step: &'static str, instead: Instead) -> Self {
        self.instead.insert(step, instead);
        self
    }
}

/// A certificate for `name` and its key; its PEM is written to `dir`, for clients that are to trust it.
pub(crate) struct Identity {
    acceptor: TlsAcceptor,
    pub(crate) ca_file: PathBuf,
}

impl Identity {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let ca_file = dir.join(format!("{name}.pem"));
        std::fs::write(&ca_file, cert.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), ca_file }
    }
}

impl MailServer {
    /// Begins to listen on a free port of this machine; ends with the test's runtime.
    pub(crate) async fn start(identity: &Identity, manner: Manner) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (acceptor, manner, for_tasks) = (identity.acceptor.clone(), Arc::new(manner), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, acceptor.clone(), Arc::clone(&manner), Arc::clone(&for_tasks)));
            }
        });
        Self { port, seen }
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.seen.lock().unwrap().commands.clone()
    }

    pub(crate) fn letters(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().letters.clone()
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, manner: Arc<Manner>, seen: Arc<Mutex<Seen>>) {
    if manner.implicit_tls {
        if let Ok(stream) = acceptor.accept(stream).await {
            let mut stream = BufReader::new(stream);
            if step(&mut stream, &manner, "CONNECT", "220 mail.test ready").await {
                speak(&mut stream, &manner, &seen, "TLS ").await;
            }
        }
        return;
    }
    let mut stream = BufReader::new(stream);
    if !step(&mut stream, &manner, "CONNECT", "220 mail.test ready").await {
        return;
    }
    if speak(&mut stream, &manner, &seen, "").await == End::StartTls
        && let Ok(stream) = acceptor.accept(stream.into_inner()).await
    {
        speak(&mut BufReader::new(stream), &manner, &seen, "TLS ").await;
    }
}

#[derive(PartialEq)]
enum End {
    Over,
    StartTls,
}

async fn speak<S>(stream: &mut BufReader<S>, manner: &Manner, seen: &Mutex<Seen>, layer: &str) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let offer = match (layer, manner.starttls) {
        ("", true) => "250-mail.test\r\n250 STARTTLS",
        ("", false) => "250-mail.test\r\n250 8BITMIME",
        _ => "250-mail.test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
    };
    let mut line = String::new();
    loop {
        line.clear();
        if !matches!(stream.read_line(&mut line).await, Ok(1..)) {
            return End::Over;
        }
        let command = line.trim_end().to_owned();
        seen.lock().unwrap().commands.push(format!("{layer}{command}"));
        let word = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let went_on = match word.as_str() {
            "EHLO" => step(stream, manner, "EHLO", offer).await,
            "STARTTLS" => {
                let agreed = match manner.instead.get("STARTTLS") {
                    Some(Instead::Answer(answer)) => answer.starts_with("220"),
                    Some(Instead::Hang | Instead::HangUp) => false,
                    None => true,
                };
                if step(stream, manner, "STARTTLS", "220 go on").await && agreed {
                    return End::StartTls;
                }
                false
            }
            "AUTH" => step(stream, manner, "AUTH", "235 welcome").await,
            "MAIL" => step(stream, manner, "MAIL", "250 ok").await,
            "RCPT" => step(stream, manner, "RCPT", "250 ok").await,
            "NOOP" => step(stream, manner, "NOOP", "250 ok").await,
            "DATA" => {
                step(stream, manner, "DATA", "354 go on").await && take_letter(stream, manner, seen).await
            }
            "QUIT" => step(stream, manner, "QUIT", "221 bye").await,
            _ => step(stream, manner, "", "500 what?").await,
        };
        if !went_on {
            return End::Over;
        }
    }
}

async fn take_letter<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    manner: &Manner,
    seen: &Mutex<Seen>,
) -> bool {
    let mut letter = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if !matches!(stream.read_until(b'\n', &mut line).await, Ok(1..)) {
            return false;
        }
        if line == b".\r\n" {
            break;
        }
        letter.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
    if !manner.instead.contains_key("BODY") {
        seen.lock().unwrap().letters.push(letter);
    }
    step(stream, manner, "BODY", "250 queued").await
}

/// Answers one step; false if the conversation is over.
async fn step<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    manner: &Manner,
    name: &str,
    usual: &str,
) -> bool {
    let answer = match manner.instead.get(name) {
        None => usual,
        Some(Instead::Answer(answer)) => answer,
        Some(Instead::HangUp) => return false,
        Some(Instead::Hang) => return std::future::pending().await,
    };
    let sent = stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.is_ok();
    sent && stream.get_mut().flush().await.is_ok()
}
