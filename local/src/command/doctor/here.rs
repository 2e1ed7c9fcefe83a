//! What can be wrong on this machine: the port, the data folder, the mail.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, SystemTime};

use lamplighter_core::EnvName;
use lamplighter_core::causes::in_one_line;
use lamplighter_core::moment::Moment;
use lamplighter_store::{OpenError, Store};

use super::finding::{Finding, Findings};
use crate::config::{Config, data_file};

/// Longest the question takes whether it is a Lamplighter that has the port.
const ASK_LIMIT: Duration = Duration::from_secs(3);

/// Who has the port that `serve` would listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// Nobody.
    Free,
    /// A Lamplighter that is serving already.
    Ours,
    /// Something else.
    Taken,
}

/// Looks whether the port is free.
pub(super) async fn port(listen: SocketAddr, findings: &mut Findings) -> io::Result<Port> {
    let about = listen.to_string();
    let error = match TcpListener::bind(listen) {
        Ok(_) => {
            findings.add(Finding::ok(&about, "the port is free"))?;
            return Ok(Port::Free);
        }
        Err(error) => error,
    };
    if error.kind() != io::ErrorKind::AddrInUse {
        let finding = Finding::fail(&about, format!("cannot be listened on: {error}"));
        findings.add(
            finding.hint("choose an address of this machine, and a port above 1023 unless you are root"),
        )?;
        return Ok(Port::Taken);
    }
    if is_lamplighter(listen).await {
        findings.add(Finding::ok(&about, "a Lamplighter is serving here already"))?;
        return Ok(Port::Ours);
    }
    let finding = Finding::fail(&about, "the port is taken by another program");
    findings.add(finding.hint(format!(
        "stop it (`ss -ltnp 'sport = :{}'` names it), or set `listen` to another port",
        listen.port()
    )))?;
    Ok(Port::Taken)
}

async fn is_lamplighter(listen: SocketAddr) -> bool {
    let host = match listen.ip() {
        ip if ip.is_unspecified() && ip.is_ipv6() => "[::1]".to_owned(),
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        std::net::IpAddr::V4(ip) => ip.to_string(),
    };
    let Ok(http) = reqwest::Client::builder().timeout(ASK_LIMIT).no_proxy().build() else { return false };
    let answer = http.get(format!("http://{host}:{}/livez", listen.port())).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// Looks whether the data of an env can be opened.
pub(super) async fn data(
    folder: &Path,
    env: &EnvName,
    port: Port,
    findings: &mut Findings,
) -> io::Result<()> {
    let file = data_file(folder, env);
    let about = file.display().to_string();
    if !file.exists() {
        return findings.add(writable(folder, &about));
    }
    let finding = match Store::open_file(&file, env, Moment::from(SystemTime::now())).await {
        Ok(_) => Finding::ok(&about, "the data file can be opened"),
        Err(OpenError::InUse { .. }) if port == Port::Ours => {
            Finding::ok(&about, "the data file is used by the server")
        }
        Err(error) => {
            let (what, hint) = crate::source::split(&in_one_line(&error));
            Finding { hint, ..Finding::fail(&about, what) }
        }
    };
    findings.add(finding)
}

/// A folder that is not there yet is made by `serve`, if the nearest one above it can be written.
fn writable(folder: &Path, about: &str) -> Finding {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(there) = absolute.ancestors().find(|path| path.exists()) else {
        return Finding::fail(about, "there is no such folder, nor one above it");
    };
    match tempfile::tempfile_in(there) {
        Ok(_) => Finding::ok(about, "there is no data yet; it can be written"),
        Err(error) => Finding::fail(about, format!("`{}` cannot be written: {error}", there.display()))
            .hint("set `data` to a folder of the user that runs the server"),
    }
}

/// Goes the whole way to the mail server, without a letter.
pub(super) async fn mail(config: &Config, findings: &mut Findings) -> io::Result<()> {
    let Some(post) = &config.post else {
        let folder = config.data.join("letters").display().to_string();
        let finding = Finding::warn(
            "mail",
            format!("no mail server is configured: letters become files in `{folder}`"),
        );
        return findings.add(finding.hint("write a `[mail]` section to have them sent"));
    };
    findings.add(match post.check().await {
        Ok(()) => Finding::ok("mail", "letters can be sent"),
        Err(error) => Finding::fail("mail", error.to_string())
            .hint("check `[mail]`: host, port, security, user and password"),
    })
}
