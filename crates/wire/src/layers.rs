//! What stands between a socket and an actor: TLS, WebSocket, or nothing.

use std::sync::Arc;

use bytes::Bytes;
use net::capture::TlsSecrets;
use net::tls::{ClientTls, ServerTls, TlsError, TlsSession};
use net::{Closed, Crypto, Random, Security, Time};

use crate::websocket::WebSocket;

/// The layers of one connection, as machines over byte buffers.
pub(crate) struct Layers {
    tls: Option<TlsSession>,
    websocket: Option<WebSocket>,
    /// Real cryptography draws from the operating system; the machines' interface asks for a generator all the same.
    random: Random,
    is_up: bool,
}

/// What came of octets from the socket.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Everything is shaken: the actor may be told.
    pub(crate) came_up: bool,
    /// For the actor, one by one.
    pub(crate) octets: Vec<Bytes>,
    /// The other end said goodbye.
    pub(crate) is_over: bool,
}

impl Layers {
    /// The dialling end.
    pub(crate) fn dialling(
        security: &Security,
        now: Time,
        secrets: Option<&Arc<TlsSecrets>>,
    ) -> Result<Layers, TlsError> {
        let mut random = Random::named(0, "");
        let tls = match security {
            Security::Plain => None,
            Security::Tls(tls) => Some(client(tls, now, &mut random, secrets)?),
        };
        Ok(Layers { is_up: tls.is_none(), tls, websocket: None, random })
    }

    /// The listening end.
    pub(crate) fn listening(
        tls: Option<&ServerTls>,
        speaks_websocket: bool,
        secrets: Option<&Arc<TlsSecrets>>,
    ) -> Result<Layers, TlsError> {
        let mut random = Random::named(0, "");
        let tls = match tls {
            None => None,
            Some(tls) => Some(TlsSession::server_telling(tls, Crypto::System, &mut random, secrets)?),
        };
        let websocket = speaks_websocket.then(WebSocket::new);
        Ok(Layers { is_up: tls.is_none() && websocket.is_none(), tls, websocket, random })
    }

    /// Whether the actor may use the connection.
    pub(crate) fn is_up(&self) -> bool {
        self.is_up
    }

    /// Takes in octets from the socket.
    pub(crate) fn receive(&mut self, octets: &[u8], now: Time) -> Result<Arrived, Closed> {
        let mut arrived = Arrived::default();
        let plain = match &mut self.tls {
            None => Bytes::copy_from_slice(octets),
            Some(tls) => {
                let received = tls.receive(octets, now, &mut self.random).map_err(Closed::Tls)?;
                arrived.is_over = received.is_closed;
                arrived.came_up = received.came_up && self.websocket.is_none();
                received.plaintext.into()
            }
        };
        match &mut self.websocket {
            None if plain.is_empty() => {}
            None => arrived.octets.push(plain),
            Some(_) if plain.is_empty() => {}
            Some(websocket) => {
                // A refusal of WebSocket is told to the other end in HTTP; here it is a connection that ended.
                let shaken = websocket.receive(&plain).map_err(|_| Closed::Reset)?;
                arrived.came_up = shaken.came_up;
                arrived.octets = shaken.messages;
                arrived.is_over |= shaken.is_over;
            }
        }
        self.is_up |= arrived.came_up;
        Ok(arrived)
    }

    /// Takes in octets from the actor.
    pub(crate) fn write(&mut self, octets: &Bytes) {
        if let Some(websocket) = &mut self.websocket {
            websocket.write(octets);
        } else if let Some(tls) = &mut self.tls {
            tls.write(octets, &mut self.random);
        }
    }

    /// Whether octets go through as they are.
    pub(crate) fn is_bare(&self) -> bool {
        self.tls.is_none() && self.websocket.is_none()
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self) {
        if let Some(websocket) = &mut self.websocket {
            websocket.close();
        }
        self.push_through();
        if let Some(tls) = &mut self.tls {
            tls.close();
        }
    }

    /// Takes out what must go to the socket.
    pub(crate) fn take_output(&mut self) -> Bytes {
        self.push_through();
        match (&mut self.tls, &mut self.websocket) {
            (Some(tls), _) => tls.take_output(),
            (None, Some(websocket)) => websocket.take_output(),
            (None, None) => Bytes::new(),
        }
    }

    /// Moves what the upper layer has said into the lower one.
    fn push_through(&mut self) {
        if let (Some(tls), Some(websocket)) = (&mut self.tls, &mut self.websocket) {
            let said = websocket.take_output();
            if !said.is_empty() {
                tls.write(&said, &mut self.random);
            }
        }
    }
}

fn client(
    tls: &ClientTls,
    now: Time,
    random: &mut Random,
    secrets: Option<&Arc<TlsSecrets>>,
) -> Result<TlsSession, TlsError> {
    TlsSession::client_telling(tls, now, Crypto::System, random, secrets)
}
