//! The SSH transport, written out by hand: the only way to say what no SSH library would ever say.
//!
//! One suite is enough: `curve25519-sha256`, `ssh-ed25519`, `aes256-gcm@openssh.com`.

use std::io::{self, Error};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The messages used here, by their numbers in RFC 4250.
pub mod message {
    pub const DISCONNECT: u8 = 1;
    pub const SERVICE_REQUEST: u8 = 5;
    pub const SERVICE_ACCEPT: u8 = 6;
    pub const KEXINIT: u8 = 20;
    pub const NEWKEYS: u8 = 21;
    pub const KEX_ECDH_INIT: u8 = 30;
    pub const KEX_ECDH_REPLY: u8 = 31;
    pub const USERAUTH_REQUEST: u8 = 50;
    pub const USERAUTH_FAILURE: u8 = 51;
    pub const USERAUTH_SUCCESS: u8 = 52;
    pub const USERAUTH_PK_OK: u8 = 60;
    pub const USERAUTH_INFO_REQUEST: u8 = 60;
    pub const CHANNEL_OPEN: u8 = 90;
    pub const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
    pub const CHANNEL_OPEN_FAILURE: u8 = 92;
    pub const CHANNEL_DATA: u8 = 94;
    pub const CHANNEL_EXTENDED_DATA: u8 = 95;
    pub const CHANNEL_EOF: u8 = 96;
    pub const CHANNEL_CLOSE: u8 = 97;
    pub const CHANNEL_REQUEST: u8 = 98;
    pub const CHANNEL_SUCCESS: u8 = 99;
}

/// Largest packet that is read: a client of ours sends nothing near it.
const MAX_PACKET_BYTES: usize = 256 * 1024;
const OUR_VERSION: &str = "SSH-2.0-Trouble_1.0";

/// A host key.
pub struct Identity {
    key: Ed25519KeyPair,
}

impl Identity {
    pub fn new() -> Self {
        Self { key: Ed25519KeyPair::generate().unwrap() }
    }

    fn blob(&self) -> Vec<u8> {
        Payload::new().text("ssh-ed25519").bytes(self.key.public_key().as_ref()).0
    }

    /// As a fleet file pins it.
    pub fn line(&self) -> String {
        format!("ssh-ed25519 {}", base64::engine::general_purpose::STANDARD.encode(self.blob()))
    }
}

/// A message being written.
#[derive(Clone)]
pub struct Payload(pub Vec<u8>);

impl Payload {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn of(message: u8) -> Self {
        Self(vec![message])
    }

    pub fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    pub fn number(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut payload = self.number(u32::try_from(bytes.len()).unwrap());
        payload.0.extend(bytes);
        payload
    }

    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// A positive number of any length, as SSH writes it.
    fn mpint(self, big_endian: &[u8]) -> Self {
        let digits: Vec<u8> = big_endian.iter().copied().skip_while(|byte| *byte == 0).collect();
        let needs_sign = digits.first().is_some_and(|byte| byte & 0x80 != 0);
        let signed: Vec<u8> = std::iter::repeat_n(0, usize::from(needs_sign)).chain(digits).collect();
        self.bytes(&signed)
    }
}

/// A message being read. Whatever is missing reads as empty: the client is ours, and not on trial for its grammar here.
pub struct Reading<'a>(pub &'a [u8]);

impl<'a> Reading<'a> {
    pub fn number(&mut self) -> u32 {
        let Some((number, rest)) = self.0.split_first_chunk::<4>() else { return 0 };
        self.0 = rest;
        u32::from_be_bytes(*number)
    }

    pub fn bytes(&mut self) -> &'a [u8] {
        let length = self.number() as usize;
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub fn flag(&mut self) -> bool {
        let Some((byte, rest)) = self.0.split_first() else { return false };
        self.0 = rest;
        *byte != 0
    }
}

/// What the server offers, and how it answers the key exchange.
#[derive(Clone)]
pub struct Offer {
    pub kex: &'static str,
    pub cipher: &'static str,
    pub mac: &'static str,
    /// Sent in place of the server's share of the exchange.
    pub share: Option<Vec<u8>>,
    /// Sent in place of the right signature.
    pub signature: Option<Vec<u8>>,
}

impl Default for Offer {
    fn default() -> Self {
        let kex = "curve25519-sha256,kex-strict-s-v00@openssh.com";
        Self {
            kex,
            cipher: "aes256-gcm@openssh.com",
            mac: "hmac-sha2-256-etm@openssh.com",
            share: None,
            signature: None,
        }
    }
}

/// One direction's key and counter.
struct Gcm {
    key: LessSafeKey,
    iv: [u8; 12],
}

impl Gcm {
    fn new(key: &[u8], iv: &[u8]) -> Self {
        Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap()),
            iv: iv[..12].try_into().unwrap(),
        }
    }

    fn nonce(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.iv);
        let counter = u64::from_be_bytes(self.iv[4..].try_into().unwrap()).wrapping_add(1);
        self.iv[4..].copy_from_slice(&counter.to_be_bytes());
        nonce
    }
}

/// One connection, as packets.
pub struct Wire {
    pub stream: TcpStream,
    seal: Option<Gcm>,
    open: Option<Gcm>,
    client_version: String,
    session_id: Option<Vec<u8>>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, seal: None, open: None, client_version: String::new(), session_id: None }
    }

    /// Exchanges version lines.
    pub async fn greet(&mut self) -> io::Result<()> {
        self.stream.write_all(format!("{OUR_VERSION}\r\n").as_bytes()).await?;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') && line.len() < 256 {
            line.push(self.stream.read_u8().await?);
        }
        self.client_version = String::from_utf8_lossy(&line).trim_end().to_owned();
        Ok(())
    }

    pub async fn send(&mut self, payload: &Payload) -> io::Result<()> {
        let (block, outside) = if self.seal.is_some() { (16, 0) } else { (8, 4) };
        let bare = 1 + payload.0.len();
        let mut padding = block - (outside + bare) % block;
        if padding < 4 {
            padding += block;
        }
        let length = u32::try_from(bare + padding).unwrap().to_be_bytes();
        let mut packet = vec![u8::try_from(padding).unwrap()];
        packet.extend(&payload.0);
        packet.extend(std::iter::repeat_n(0, padding));
        if let Some(seal) = &mut self.seal {
            let nonce = seal.nonce();
            seal.key
                .seal_in_place_append_tag(nonce, Aad::from(length), &mut packet)
                .map_err(|_| Error::other("sealing"))?;
        }
        self.stream.write_all(&[&length[..], &packet].concat()).await
    }

    pub async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let length = self.stream.read_u32().await?;
        let size = length as usize + if self.open.is_some() { 16 } else { 0 };
        if size > MAX_PACKET_BYTES {
            return Err(Error::other("the client sent a packet that is too large"));
        }
        let mut packet = vec![0; size];
        self.stream.read_exact(&mut packet).await?;
        if let Some(open) = &mut self.open {
            let nonce = open.nonce();
            open.key
                .open_in_place(nonce, Aad::from(length.to_be_bytes()), &mut packet)
                .map_err(|_| Error::other("opening"))?;
            packet.truncate(length as usize);
        }
        let padding = usize::from(*packet.first().ok_or_else(|| Error::other("an empty packet"))?);
        let end = packet
            .len()
            .checked_sub(padding)
            .filter(|end| *end > 1)
            .ok_or_else(|| Error::other("all padding"))?;
        Ok(packet[1..end].to_vec())
    }

    /// Reads on until a message of this kind comes; what comes before it is passed over.
    pub async fn receive_kind(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            let payload = self.receive().await?;
            match payload[0] {
                got if got == kind => return Ok(payload),
                message::DISCONNECT => return Err(Error::other("the client hung up")),
                _ => {}
            }
        }
    }

    pub fn kexinit(offer: &Offer) -> Payload {
        let mut payload = Payload::of(message::KEXINIT);
        payload.0.extend([7; 16]);
        for list in [
            offer.kex,
            "ssh-ed25519",
            offer.cipher,
            offer.cipher,
            offer.mac,
            offer.mac,
            "none",
            "none",
            "",
            "",
        ] {
            payload = payload.text(list);
        }
        payload.byte(0).number(0)
    }

    /// Exchanges keys, for the first time or anew.
    pub async fn exchange_keys(&mut self, identity: &Identity, offer: &Offer) -> io::Result<()> {
        let ours = Self::kexinit(offer);
        self.send(&ours).await?;
        let theirs = self.receive_kind(message::KEXINIT).await?;
        let init = self.receive_kind(message::KEX_ECDH_INIT).await?;
        let client_share = Reading(&init[1..]).bytes().to_vec();
        let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).unwrap();
        let share = private.compute_public_key().unwrap().as_ref().to_vec();
        let agreed = agree_ephemeral(
            private,
            UnparsedPublicKey::new(&X25519, &client_share),
            Error::other("agreeing"),
            |secret| Ok(secret.to_vec()),
        );
        let secret = Payload::new().mpint(&agreed?).0;
        let hashed = Payload::new()
            .text(&self.client_version)
            .text(OUR_VERSION)
            .bytes(&theirs)
            .bytes(&ours.0)
            .bytes(&identity.blob())
            .bytes(&client_share)
            .bytes(&share);
        let hash = digest(&SHA256, &[hashed.0, secret.clone()].concat()).as_ref().to_vec();
        let signature = offer.signature.clone().unwrap_or_else(|| identity.key.sign(&hash).as_ref().to_vec());
        let signature = Payload::new().text("ssh-ed25519").bytes(&signature).0;
        let reply = Payload::of(message::KEX_ECDH_REPLY)
            .bytes(&identity.blob())
            .bytes(offer.share.as_ref().unwrap_or(&share))
            .bytes(&signature);
        self.send(&reply).await?;
        self.send(&Payload::of(message::NEWKEYS)).await?;
        let session_id = self.session_id.get_or_insert_with(|| hash.clone()).clone();
        let derive = |letter: u8| {
            digest(&SHA256, &[&secret[..], &hash, &[letter], &session_id].concat()).as_ref().to_vec()
        };
        self.seal = Some(Gcm::new(&derive(b'D'), &derive(b'B')));
        self.receive_kind(message::NEWKEYS).await?;
        self.open = Some(Gcm::new(&derive(b'C'), &derive(b'A')));
        Ok(())
    }
}
