//! From a host's name to a TCP connection.

use std::net::{IpAddr, SocketAddr};

use lamplighter_core::HostAddress;
use lamplighter_core::sight::{Fault, UnreachableKind};
use tokio::net::TcpStream;

use crate::deadline::Deadline;

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Connects to the first address of a host that answers.
pub(crate) async fn connect(
    address: &HostAddress,
    deadline: Deadline,
) -> Result<TcpStream, Fault<UnreachableKind>> {
    let addresses = resolve(address, deadline).await?;
    let mut last = Fault::new(UnreachableKind::NoSuchName, "the name has no address");
    for (index, socket) in addresses.iter().enumerate() {
        // One dead address must leave time for the next.
        let share = deadline.left() / u32::try_from(addresses.len() - index).unwrap_or(1);
        last = match deadline.clipped_to(share).bound(TcpStream::connect(socket)).await {
            Ok(Ok(stream)) => {
                // Small messages back and forth: waiting to fill a packet would cost 40 ms each.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => Fault::new(UnreachableKind::Connect, &said_by_system(&error)),
            Err(_) => Fault::new(UnreachableKind::TimedOut, &format!("no answer from {socket}")),
        };
    }
    Err(last)
}

async fn resolve(
    address: &HostAddress,
    deadline: Deadline,
) -> Result<Vec<SocketAddr>, Fault<UnreachableKind>> {
    if let Ok(ip) = address.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, address.port())]);
    }
    match deadline.bound(tokio::net::lookup_host((address.host(), address.port()))).await {
        Ok(Ok(found)) => Ok(found.take(MAX_ADDRESSES).collect()),
        Ok(Err(_)) => Err(Fault::new(UnreachableKind::NoSuchName, &format!("`{}`", address.host()))),
        Err(_) => Err(Fault::new(UnreachableKind::TimedOut, "the name was not resolved in time")),
    }
}

/// An operating system's error in lower case and without its number, as it stands in the middle of a sentence.
pub(crate) fn said_by_system(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase()
}
