//! The gate of a connection: which host key is let through, and what a host may ask of us. The answer is: nothing.

use std::sync::Arc;

use lamplighter_core::sight::{Fault, UnreachableKind};
use russh::Channel;
use russh::client::{self, ChannelOpenHandle, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::public::KeyData;

use super::fault_of;
use crate::trust::Trust;

/// What is done with the key a host shows.
pub(crate) enum Gate {
    /// Only keys of this trust are let through.
    Trusting(Arc<Trust>),
    /// None is let through: the key itself is what was wanted.
    Asking,
}

/// Why a connection came to nothing.
#[derive(Debug)]
pub(crate) enum GateError {
    /// The key the host showed was not let through.
    Refused(Fault<UnreachableKind>),
    /// The key the host showed, as wanted.
    Shown(KeyData),
    /// Everything else.
    Ssh(russh::Error),
}

impl From<russh::Error> for GateError {
    fn from(error: russh::Error) -> Self {
        GateError::Ssh(error)
    }
}

impl GateError {
    pub(super) fn into_fault(self) -> Fault<UnreachableKind> {
        match self {
            GateError::Refused(fault) => fault,
            GateError::Shown(_) => Fault::new(UnreachableKind::Protocol, "asked for the key only"),
            GateError::Ssh(error) => fault_of(&error),
        }
    }
}

impl client::Handler for Gate {
    type Error = GateError;

    /// Judges the key of the first key exchange, which is the only one this is called for.
    ///
    /// The key of a later exchange is not compared, and need not be. The messages of a later exchange travel inside the
    /// encryption of the one before, so only whoever proved to hold the accepted key can begin it, and the session's
    /// identity stays that of the first exchange. A host that signs a later exchange with another key shows that it holds
    /// that one as well; it does not become another host, and could have gone on with the old keys just the same. To refuse
    /// later exchanges would cost more than it brings: hosts with a `RekeyLimit` would lose commands half-way.
    /// A key that is revoked or replaced in the configuration is another matter: its connections are not used any more.
    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, GateError> {
        let key = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.key_data(),
            PublicKeyOrCertificate::Certificate(_) => return Ok(false),
        };
        match self {
            Gate::Trusting(trust) => trust.judge(key).map(|()| true).map_err(GateError::Refused),
            Gate::Asking => Err(GateError::Shown(key.clone())),
        }
    }

    // A host has no business opening channels to us. Dropping the reply refuses; the library's default accepts.

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        drop(reply);
        Ok(())
    }

    async fn openssh_ext_host_keys_announced(
        &mut self,
        _: Vec<russh::keys::PublicKey>,
        _: &mut client::Session,
    ) -> Result<(), GateError> {
        Ok(())
    }
}
