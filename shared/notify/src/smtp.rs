//! Letters to a mail server.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lamplighter_core::Mailbox;
use lamplighter_core::causes::in_one_line;
use lamplighter_core::sight::one_line;
use lettre::address::Address;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt};
use lettre::transport::smtp::extension::ClientId;

use crate::careful::CarefulStream;
use crate::letter::Letter;
use crate::mail;
use crate::post::{BadPost, MAX_REPLY_CHARS, SendError, sender};
use crate::secret::Secret;

/// The whole of one delivery, from the name's look-up to the server's last word.
pub const SEND_LIMIT: Duration = Duration::from_secs(30);
/// The goodbye after a letter was accepted or not: politeness must not turn a delivery into a time-out.
const QUIT_LIMIT: Duration = Duration::from_secs(1);
/// Largest certificate file read: a whole system's bundle is a quarter of it.
const MAX_CA_BYTES: u64 = 1 << 20;

/// How the conversation is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the first byte, usually port 465. The best choice where it is offered.
    Tls,
    /// TLS by `STARTTLS`, usually port 587; a server that does not offer it gets no letter.
    StartTls,
    /// No protection: only to a server on the same machine, usually port 25.
    Plain,
    /// No protection, to any server. Passwords are still not sent unprotected.
    #[serde(rename = "plain-anywhere")]
    PlainAnywhere,
}

/// A mail server and how to use it.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// Its name, which its certificate must show.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// How the conversation is protected.
    pub security: Security,
    /// The login, if it wants one.
    pub user: Option<String>,
    /// The password of the login.
    pub password: Option<Secret>,
    /// The address letters come from; its domain stands in their ids.
    pub from: Mailbox,
    /// The longest one delivery may take; [`SEND_LIMIT`] unless there is a reason.
    pub timeout: Duration,
    /// A PEM file of certificates to trust besides the system's own.
    pub extra_ca: Option<PathBuf>,
}

/// A mail server, ready to be used. Each letter has its own connection.
#[derive(Clone)]
pub struct Smtp {
    settings: SmtpSettings,
    from: Address,
    tls: Option<TlsParameters>,
    hello: ClientId,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings.fmt(f)
    }
}

impl Smtp {
    pub(crate) fn new(settings: SmtpSettings) -> Result<Self, BadPost> {
        if settings.host.is_empty() || settings.host.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(BadPost::new(
                "host",
                "missing or not a name; write the mail server's name, such as `mail.example.com`",
            ));
        }
        if settings.port == 0 {
            return Err(BadPost::new("port", "a port is 1 to 65535; 465 for `tls`, 587 for `starttls`"));
        }
        if settings.timeout.is_zero() {
            return Err(BadPost::new("timeout", "no letter is sent in no time; leave it out or write `30s`"));
        }
        if settings.user.is_some() != settings.password.is_some() {
            return Err(BadPost::new(
                "password",
                "a login needs both `user` and `password`; give both or neither",
            ));
        }
        let from = sender(&settings.from)?;
        let tls = match settings.security {
            Security::Tls | Security::StartTls => Some(tls(&settings)?),
            Security::Plain if !is_this_machine(&settings.host) => {
                return Err(BadPost::new(
                    "security",
                    "`plain` is only for a mail server on this machine; choose `tls` or `starttls`",
                ));
            }
            Security::PlainAnywhere if settings.user.is_some() && !is_this_machine(&settings.host) => {
                return Err(BadPost::new(
                    "security",
                    "a password is never sent unprotected; choose `tls` or `starttls`, or leave out the login",
                ));
            }
            Security::Plain | Security::PlainAnywhere => None,
        };
        let hello = ClientId::Domain(from.domain().to_owned());
        Ok(Self { settings, from, tls, hello })
    }

    pub(crate) async fn send(&self, letter: &Letter) -> Result<(), SendError> {
        let unfit = |error: String| {
            SendError::Refused(format!("`{}` cannot be put on an envelope: {error}", letter.to))
        };
        let to = mail::address(&letter.to).map_err(|error| unfit(error.to_string()))?;
        let message =
            mail::message(letter, &self.from).map_err(|error| unfit(error.to_string()))?.formatted();
        let limit = self.settings.timeout;
        let delivery = async {
            let mut connection = self.open().await?;
            let outcome = self.hand_over(&mut connection, to, &message).await;
            Ok((connection, outcome))
        };
        let (connection, outcome) =
            tokio::time::timeout(limit, Box::pin(delivery)).await.map_err(|_| self.too_slow())??;
        say_goodbye(connection).await;
        outcome
    }

    pub(crate) async fn check(&self) -> Result<(), SendError> {
        let conversation = async {
            let mut connection = self.open().await?;
            connection
                .command(Noop)
                .await
                .map_err(|error| self.later("asking whether it is well", &error))?;
            Ok(connection)
        };
        let connection = tokio::time::timeout(self.settings.timeout, Box::pin(conversation))
            .await
            .map_err(|_| self.too_slow())??;
        say_goodbye(connection).await;
        Ok(())
    }

    /// Connects, encrypts and logs in. Whatever goes wrong here is no fault of the letter.
    async fn open(&self) -> Result<AsyncSmtpConnection, SendError> {
        let mut connection = match self.settings.security {
            Security::Tls => self.connect(self.tls.clone()).await?,
            Security::Plain | Security::PlainAnywhere => self.connect(None).await?,
            Security::StartTls => self.connect_and_start_tls().await?,
        };
        if let (Some(user), Some(password)) = (&self.settings.user, &self.settings.password) {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection
                .auth(&mechanisms, &credentials)
                .await
                .map_err(|error| self.later("logging in", &error))?;
        }
        Ok(connection)
    }

    async fn connect(&self, tls: Option<TlsParameters>) -> Result<AsyncSmtpConnection, SendError> {
        let SmtpSettings { host, port, .. } = &self.settings;
        AsyncSmtpConnection::connect_tokio1(
            (host.as_str(), *port),
            Some(self.connect_limit()),
            &self.hello,
            tls,
            None,
        )
        .await
        .map_err(|error| self.later("connecting", &error))
    }

    async fn connect_and_start_tls(&self) -> Result<AsyncSmtpConnection, SendError> {
        let SmtpSettings { host, port, .. } = &self.settings;
        let stream = CarefulStream::connect(host, *port, self.connect_limit())
            .await
            .map_err(|error| SendError::Later(format!("mail server `{host}:{port}`: connecting: {error}")))?;
        let mut connection = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello)
            .await
            .map_err(|error| self.later("connecting", &error))?;
        if let Some(tls) = &self.tls {
            connection
                .starttls(tls.clone(), &self.hello)
                .await
                .map_err(|error| self.later("starting TLS", &error))?;
        }
        Ok(connection)
    }

    /// What one address of the server may take to connect, so that a dead first one leaves time for the next.
    fn connect_limit(&self) -> Duration {
        self.settings.timeout / 3
    }

    /// Hands over the letter. A final no to the recipient or the letter is final; a no to our own address is a
    /// mistake of ours that somebody will mend.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        to: Address,
        message: &[u8],
    ) -> Result<(), SendError> {
        let sender = Mail::new(Some(self.from.clone()), Vec::new());
        connection.command(sender).await.map_err(|error| self.later("naming the sender", &error))?;
        connection
            .command(Rcpt::new(to, Vec::new()))
            .await
            .map_err(|error| self.judge("naming the recipient", &error))?;
        connection.command(Data).await.map_err(|error| self.judge("offering the letter", &error))?;
        connection.message(message).await.map_err(|error| self.judge("handing over the letter", &error))?;
        Ok(())
    }

    fn judge(&self, doing: &str, error: &SmtpError) -> SendError {
        // Some servers ask for the login only here; and 421 says goodbye to everybody, not to this letter.
        let about_us = error
            .status()
            .is_some_and(|code| matches!(code.to_string().as_str(), "530" | "534" | "535" | "538"));
        if error.is_permanent() && !about_us {
            SendError::Refused(self.sentence(doing, error))
        } else {
            self.later(doing, error)
        }
    }

    fn later(&self, doing: &str, error: &SmtpError) -> SendError {
        SendError::Later(self.sentence(doing, error))
    }

    fn too_slow(&self) -> SendError {
        let SmtpSettings { host, port, timeout, .. } = &self.settings;
        SendError::Later(format!(
            "mail server `{host}:{port}`: no end within {}",
            lamplighter_core::moment::spoken(*timeout)
        ))
    }

    /// One line about a failure. A server may say anything, even our password.
    fn sentence(&self, doing: &str, error: &SmtpError) -> String {
        let said = one_line(&self.without_password(&in_one_line(error)), MAX_REPLY_CHARS);
        format!("mail server `{}:{}`: {doing}: {said}", self.settings.host, self.settings.port)
    }

    fn without_password(&self, said: &str) -> String {
        let (Some(user), Some(password)) = (&self.settings.user, &self.settings.password) else {
            return said.to_owned();
        };
        let password = password.expose();
        let forms =
            [BASE64.encode(format!("\0{user}\0{password}")), BASE64.encode(password), password.to_owned()];
        let hide = |said: String, form: &String| {
            if form.is_empty() { said } else { said.replace(form.as_str(), "[secret]") }
        };
        forms.iter().fold(said.to_owned(), hide)
    }
}

async fn say_goodbye(mut connection: AsyncSmtpConnection) {
    // The outcome is known; how the server takes its leave changes nothing.
    let _ = tokio::time::timeout(QUIT_LIMIT, connection.quit()).await;
}

fn tls(settings: &SmtpSettings) -> Result<TlsParameters, BadPost> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.extra_ca {
        let bad = |problem: String| BadPost::new("extra_ca", format!("`{}`: {problem}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?.len();
        if size > MAX_CA_BYTES {
            return Err(bad(format!("larger than {MAX_CA_BYTES} bytes; name a PEM file of certificates")));
        }
        let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(bad(
                "no certificate in it; write it as PEM, `-----BEGIN CERTIFICATE-----`".to_owned()
            ));
        }
        builder = builder
            .add_root_certificate(Certificate::from_pem(&pem).map_err(|error| bad(error.to_string()))?);
    }
    builder.build_rustls().map_err(|error| BadPost::new("security", format!("TLS cannot be set up: {error}")))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
