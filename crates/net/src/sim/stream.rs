//! Streams: what TCP promises, over links that lose packets.
//!
//! Each direction sends its pieces in order. A piece that is lost stalls the direction; it is tried again with
//! doubling waits, and after the last try the sender gives the connection up. TLS, where a stream has it, runs
//! at both ends between the actor and the wire, so the links carry ciphertext.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::node::{NodeId, StreamId};
use crate::tls::TlsSession;

/// The wait before the first repetition of a piece; each further wait is twice as long.
const FIRST_REPETITION: Duration = Duration::from_secs(1);

/// How often a connection request is repeated before the dial is given up: 15 s after the first.
const DIAL_REPETITIONS: u32 = 4;

/// How often any other piece is repeated before the connection is given up: 63 s after the first.
const REPETITIONS: u32 = 6;

/// One of the two ends of a connection: 0 dialled, 1 listened.
pub(super) type Side = usize;

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// Asks for a connection.
    Syn,
    /// Grants it.
    SynAck,
    /// Refuses it, or says that the receiver does not know it.
    Rst,
    /// Carries bytes.
    Data(Bytes),
    /// Says that nothing follows.
    Fin,
}

impl Piece {
    /// What the links see of it.
    pub(super) fn octets(&self) -> Bytes {
        match self {
            Piece::Syn => Bytes::from_static(b"SYN"),
            Piece::SynAck => Bytes::from_static(b"SYN ACK"),
            Piece::Rst => Bytes::from_static(b"RST"),
            Piece::Fin => Bytes::from_static(b"FIN"),
            Piece::Data(bytes) => bytes.clone(),
        }
    }
}

/// A piece with its place in what its direction carries.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    /// How many octets of data the direction carries before it.
    pub(super) offset: u64,
    pub(super) piece: Piece,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Pieces that wait for a stalled one in front of them, the stalled one first.
    pub(super) backlog: VecDeque<Queued>,
    /// How many octets of data the direction was given so far, a FIN counted as one.
    octets: u64,
    pub(super) is_stalled: bool,
    repetitions: u32,
}

/// What follows when a piece was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    RepeatAfter(Duration),
    GiveUp,
}

impl Half {
    /// Lines a piece up.
    pub(super) fn put(&mut self, piece: Piece) {
        let offset = self.octets;
        self.octets += match &piece {
            Piece::Data(bytes) => bytes.len() as u64,
            Piece::Fin => 1,
            Piece::Syn | Piece::SynAck | Piece::Rst => 0,
        };
        self.backlog.push_back(Queued { offset, piece });
    }

    /// Forgets what is lined up, as if it had never been given.
    pub(super) fn clear(&mut self) {
        if let Some(first) = self.backlog.front() {
            self.octets = first.offset;
        }
        self.backlog.clear();
    }

    /// The first piece of the backlog was lost once more.
    pub(super) fn lost(&mut self) -> Lost {
        let is_dial = matches!(self.backlog.front(), Some(Queued { piece: Piece::Syn, .. }));
        let limit = if is_dial { DIAL_REPETITIONS } else { REPETITIONS };
        if self.repetitions >= limit {
            return Lost::GiveUp;
        }
        self.is_stalled = true;
        self.repetitions += 1;
        Lost::RepeatAfter(FIRST_REPETITION * (1 << (self.repetitions - 1)))
    }

    /// A piece got through.
    pub(super) fn passed(&mut self) {
        self.is_stalled = false;
        self.repetitions = 0;
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) node: NodeId,
    /// In which of the actor's power cycles the end was made; another one knows nothing of it.
    pub(super) cycle: u32,
    pub(super) address: SocketAddr,
    /// What the actor calls it; `None` when the actor does not know of it (yet, or any more).
    pub(super) stream: Option<StreamId>,
    pub(super) tls: Option<TlsSession>,
    /// The actor was told that the stream is up.
    pub(super) is_up: bool,
    /// The end is over; pieces that still arrive are thrown away.
    pub(super) is_gone: bool,
}

/// A connection between two actors.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) ends: [End; 2],
    /// `halves[side]` carries what `ends[side]` sends.
    pub(super) halves: [Half; 2],
    /// The port that was dialled.
    pub(super) port: u16,
    /// How the dialling end wants its TLS, until the connection is granted.
    pub(super) dial_tls: Option<crate::tls::ClientTls>,
    /// How a capture sees it, if there was one when it was dialled.
    pub(super) tapped: Option<super::tap::Tapped>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits_until_given_up(first: Piece) -> Vec<u64> {
        let mut half = Half::default();
        half.put(first);
        let mut waits = Vec::new();
        while let Lost::RepeatAfter(wait) = half.lost() {
            waits.push(wait.as_secs());
        }
        waits
    }

    #[test]
    fn a_dial_is_given_up_sooner_than_a_connection() {
        assert_eq!(waits_until_given_up(Piece::Syn), [1, 2, 4, 8]);
        assert_eq!(waits_until_given_up(Piece::Fin), [1, 2, 4, 8, 16, 32]);
    }
}
