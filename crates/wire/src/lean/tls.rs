//! Either end of TLS, that holds no buffers while nothing is said.
//!
//! rustls reads from and writes to room that all connections of a thread share ([`Room`]); a connection keeps only the
//! octets of a record that has not arrived as a whole. Connections share one configuration, made once.

use std::io;
use std::sync::Arc;

use net::Wall;
use net::tls::TlsError;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, ServerConfig};

/// How much is read from a socket at a time.
const READ_SIZE: usize = 64 << 10;

/// The longest record with its header (RFC 8446 §5.2); more than that never waits for its rest but of a broken peer.
const RECORD_MAX: usize = 16_384 + 256 + 5;

/// How long a flight of a handshake may be before it is whole: certificates of strangers come in several records.
const LEFT_MAX: usize = 4 * RECORD_MAX;

/// Room that the connections of a thread use by turns.
#[derive(Debug)]
pub struct Room {
    /// Octets from the network.
    incoming: Vec<u8>,
    /// What they said.
    pub plain: Vec<u8>,
    /// Octets for the network.
    pub outgoing: Vec<u8>,
}

impl Default for Room {
    fn default() -> Room {
        Room { incoming: vec![0; READ_SIZE + LEFT_MAX], plain: Vec::new(), outgoing: Vec::new() }
    }
}

impl Room {
    /// Room for whoever has no use for TLS to read into.
    pub fn bare(&mut self) -> &mut [u8] {
        &mut self.incoming[..READ_SIZE]
    }

    /// What was read into [`Room::bare`].
    pub fn read(&self, length: usize) -> &[u8] {
        &self.incoming[..length]
    }
}

/// What came of what was read.
#[derive(Debug, Default)]
pub struct Arrived {
    /// The handshake is done with it.
    pub came_up: bool,
    /// The other end said goodbye.
    pub is_closed: bool,
}

/// What both ends have in common.
pub trait Unbuffered {
    /// What rustls keeps of an end.
    type Data;

    /// Looks at what came, and says what is to be done next.
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Unbuffered for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Unbuffered for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

/// One end of one connection's TLS.
pub struct End<C> {
    connection: C,
    /// Octets of a record that is not whole yet.
    left: Vec<u8>,
    is_up: bool,
    /// TLS has given up: rustls must not be asked anything any more.
    is_broken: bool,
}

/// The listening end.
pub type ServerEnd = End<UnbufferedServerConnection>;

/// The dialling end.
pub type ClientEnd = End<UnbufferedClientConnection>;

impl<C> std::fmt::Debug for End<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "End(up: {})", self.is_up)
    }
}

impl ClientEnd {
    /// A connection whose first flight is in `outgoing`, behind what is there.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be used.
    pub fn dial(
        configuration: Arc<ClientConfig>,
        name: ServerName<'static>,
        outgoing: &mut Vec<u8>,
    ) -> Result<ClientEnd, TlsError> {
        let connection = UnbufferedClientConnection::new(configuration, name).map_err(|why| explain(&why))?;
        let mut end = End { connection, left: Vec::new(), is_up: false, is_broken: false };
        end.digest(&mut [], &mut 0, &mut Vec::new(), outgoing)?;
        Ok(end)
    }
}

impl ServerEnd {
    /// A connection that has said nothing yet.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be served.
    pub fn new(configuration: Arc<ServerConfig>) -> Result<ServerEnd, TlsError> {
        let connection = UnbufferedServerConnection::new(configuration).map_err(|why| explain(&why))?;
        Ok(End { connection, left: Vec::new(), is_up: false, is_broken: false })
    }
}

impl<C: Unbuffered> End<C> {
    /// Has `read` read from the network into room that is given to it. What that said is then in `room.plain`, and what must
    /// go to the network in `room.outgoing`, behind what is there: with an error, the alert that explains it.
    ///
    /// # Errors
    ///
    /// If reading failed, or TLS refuses what was read.
    pub fn receive(
        &mut self,
        room: &mut Room,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> Result<Arrived, ReceiveError> {
        let Room { incoming, plain, outgoing } = room;
        let kept = self.left.len();
        incoming[..kept].copy_from_slice(&self.left);
        let length = read(&mut incoming[kept..]).map_err(ReceiveError::Read)?;
        if length == 0 {
            return Err(ReceiveError::Over);
        }
        let end = kept + length;
        let mut taken = 0;
        let arrived = match self.digest(&mut incoming[..end], &mut taken, plain, outgoing) {
            Ok(arrived) => arrived,
            Err(why) => {
                self.queued(&mut incoming[taken..end], outgoing);
                self.is_broken = true;
                return Err(ReceiveError::Tls(why));
            }
        };
        if end - taken > LEFT_MAX {
            return Err(ReceiveError::Tls(TlsError::Protocol("a record that does not end".to_owned())));
        }
        match (taken == end, self.left.is_empty()) {
            (true, true) => {}
            // An idle connection holds nothing.
            (true, false) => self.left = Vec::new(),
            (false, _) => {
                self.left.clear();
                self.left.extend_from_slice(&incoming[taken..end]);
            }
        }
        Ok(arrived)
    }

    /// Takes in what came; `taken` counts what of it is not needed any more, with an error too.
    fn digest(
        &mut self,
        incoming: &mut [u8],
        taken: &mut usize,
        plain: &mut Vec<u8>,
        outgoing: &mut Vec<u8>,
    ) -> Result<Arrived, TlsError> {
        let mut arrived = Arrived::default();
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process(&mut incoming[*taken..]);
            let mut is_done = false;
            let state = state.map_err(|why| {
                *taken += discard;
                explain(&why)
            })?;
            match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|why| explain(&why))?;
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => encode(outgoing, |room| data.encode(room))?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(_) => {
                    arrived.came_up = !std::mem::replace(&mut self.is_up, true);
                    is_done = true;
                }
                ConnectionState::PeerClosed => arrived.is_closed = true,
                // Early data is not offered, and nothing else comes here.
                _ => is_done = true,
            }
            *taken += discard;
            if is_done {
                return Ok(arrived);
            }
        }
    }

    /// Encrypts `plain` into `outgoing`, behind what is there; before the handshake is done there is nobody to hear it.
    pub fn write(&mut self, plain: &[u8], outgoing: &mut Vec<u8>) {
        if self.is_broken {
            return;
        }
        // Nothing in what is left makes a record, so that the state is that of the connection.
        let status = self.connection.process(&mut self.left);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
            // What does not fit even into the room that was asked for is an end of keys; the connection is of no use then.
            let _ = encode(outgoing, |room| traffic.encrypt(plain, room));
        }
    }

    /// Says goodbye (close_notify).
    pub fn close(&mut self, outgoing: &mut Vec<u8>) {
        if self.is_broken {
            return;
        }
        let status = self.connection.process(&mut self.left);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
            let _ = encode(outgoing, |room| traffic.queue_close_notify(room));
        }
    }

    /// What TLS has to say for itself after it gave up: the alert. rustls may still hold places in what it was given, so
    /// that it must be given all that it has not let go of; and it must be asked once only, because it would look at the
    /// same octets again, and complain a second time.
    fn queued(&mut self, left: &mut [u8], outgoing: &mut Vec<u8>) {
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = self.connection.process(left).state {
            // An alert that cannot be encoded is one that is not sent.
            let _ = encode(outgoing, |room| data.encode(room));
        }
    }
}

/// Why nothing came of reading.
#[derive(Debug)]
pub enum ReceiveError {
    /// The other end is gone without a goodbye.
    Over,
    /// The socket says so.
    Read(io::Error),
    /// TLS refuses.
    Tls(TlsError),
}

fn explain(why: &rustls::Error) -> TlsError {
    TlsError::from_rustls(why, "", Wall::UNIX_EPOCH)
}

/// How much room something needs that did not fit.
trait Short {
    /// The room, if that was all.
    fn required(&self) -> Option<usize>;
}

impl Short for EncodeError {
    fn required(&self) -> Option<usize> {
        match self {
            EncodeError::InsufficientSize(short) => Some(short.required_size),
            EncodeError::AlreadyEncoded => None,
        }
    }
}

impl Short for EncryptError {
    fn required(&self) -> Option<usize> {
        match self {
            EncryptError::InsufficientSize(short) => Some(short.required_size),
            EncryptError::EncryptExhausted => None,
        }
    }
}

/// Appends what `write` writes, which is asked again with as much room as it says it needs.
fn encode<E: Short + std::fmt::Display>(
    outgoing: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), TlsError> {
    let start = outgoing.len();
    let mut room = 1024;
    loop {
        outgoing.resize(start + room, 0);
        match write(&mut outgoing[start..]) {
            Ok(length) => {
                outgoing.truncate(start + length);
                return Ok(());
            }
            Err(why) => match why.required() {
                Some(required) if required > room => room = required,
                _ => {
                    outgoing.truncate(start);
                    return Err(TlsError::Protocol(why.to_string()));
                }
            },
        }
    }
}
