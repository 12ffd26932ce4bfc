//! WebSocket over byte buffers: the server's side of RFC 6455 with the subprotocol `sip` (RFC 7118).
//!
//! tungstenite reads and writes a pipe in memory that says "would block" when it is empty, so that the same machine
//! stands on plain TCP and on TLS.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio_tungstenite::tungstenite;
use tungstenite::handshake::server::{ErrorResponse, Request, Response, ServerHandshake};
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket as Socket};

/// The largest message that is taken: what a SIP message may be on a stream.
const MESSAGE_MAX: usize = 1 << 20;

/// The longest request that may ask for a WebSocket. tungstenite has a limit of its own, which counts reads.
const REQUEST_MAX: usize = 16 * 1024;

/// The subprotocol (RFC 7118 §4).
const SIP: &str = "sip";

/// Octets on their way in and out.
#[derive(Debug, Default)]
struct Pipe {
    inbox: BytesMut,
    outbox: BytesMut,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.inbox.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = buffer.len().min(self.inbox.len());
        self.inbox.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl Write for Pipe {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.outbox.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decides over a request: it must offer the subprotocol. What it gives back is tungstenite's to say.
type Judge = fn(&Request, Response) -> Result<Response, ErrorResponse>;

#[expect(clippy::result_large_err, reason = "the shape is tungstenite's")]
fn judge(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let has_sip = offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case(SIP));
    if has_sip {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SIP));
        return Ok(response);
    }
    let text = "this port speaks SIP: offer the subprotocol `sip` (RFC 7118)\n".to_owned();
    let mut refusal = ErrorResponse::new(Some(text));
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    Err(refusal)
}

enum State {
    Shaking(Box<MidHandshake<ServerHandshake<Pipe, Judge>>>, usize),
    Up(Box<Socket<Pipe>>),
    Over(Pipe),
}

/// The server's side of one WebSocket.
pub(crate) struct WebSocket {
    state: Option<State>,
}

/// What arrived.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) came_up: bool,
    pub(crate) messages: Vec<Bytes>,
    pub(crate) is_over: bool,
}

impl WebSocket {
    pub(crate) fn new() -> WebSocket {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX))
            .read_buffer_size(4096);
        let judge: Judge = judge;
        let state = match tungstenite::accept_hdr_with_config(Pipe::default(), judge, Some(config)) {
            Err(HandshakeError::Interrupted(shaking)) => State::Shaking(Box::new(shaking), 0),
            // Nothing was sent yet, so that it can neither be done nor have failed.
            Ok(_) | Err(HandshakeError::Failure(_)) => State::Over(Pipe::default()),
        };
        WebSocket { state: Some(state) }
    }

    /// Takes in octets. An error ends the connection; what is to be sent before that is in the output.
    pub(crate) fn receive(&mut self, octets: &[u8]) -> Result<Arrived, String> {
        let mut arrived = Arrived::default();
        match self.state.take() {
            Some(State::Shaking(mut shaking, mut got)) => {
                got += octets.len();
                if got > REQUEST_MAX {
                    self.state = Some(State::Over(Pipe::default()));
                    return Err(format!("the request for a WebSocket is longer than {REQUEST_MAX} octets"));
                }
                shaking.get_mut().get_mut().inbox.extend_from_slice(octets);
                match shaking.handshake() {
                    Ok(socket) => {
                        arrived.came_up = true;
                        self.state = Some(State::Up(Box::new(socket)));
                        self.read(&mut arrived)?;
                    }
                    Err(HandshakeError::Interrupted(shaking)) => {
                        self.state = Some(State::Shaking(Box::new(shaking), got));
                    }
                    Err(HandshakeError::Failure(why)) => {
                        self.state = Some(State::Over(refusal(&why)));
                        return Err(why.to_string());
                    }
                }
            }
            Some(State::Up(mut socket)) => {
                socket.get_mut().inbox.extend_from_slice(octets);
                self.state = Some(State::Up(socket));
                self.read(&mut arrived)?;
            }
            over => self.state = over,
        }
        Ok(arrived)
    }

    fn read(&mut self, arrived: &mut Arrived) -> Result<(), String> {
        let Some(State::Up(socket)) = &mut self.state else { return Ok(()) };
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => arrived.messages.push(text.into()),
                Ok(Message::Binary(octets)) => arrived.messages.push(octets),
                // tungstenite answers pings and the closing frame by itself.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) => arrived.is_over = true,
                Err(tungstenite::Error::Io(why)) if why.kind() == io::ErrorKind::WouldBlock => break,
                Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => {
                    arrived.is_over = true;
                    break;
                }
                Err(why) => return Err(why.to_string()),
            }
        }
        // Answers to pings leave with the next flush.
        let _ = socket.flush();
        Ok(())
    }

    /// Sends one message: as text if it is (RFC 7118 §4.2 allows both).
    pub(crate) fn write(&mut self, octets: &Bytes) {
        if let Some(State::Up(socket)) = &mut self.state {
            let message = match std::str::from_utf8(octets) {
                Ok(text) => Message::text(text),
                Err(_) => Message::binary(octets.clone()),
            };
            // The pipe takes everything; an error here means that the socket is closing.
            let _ = socket.send(message);
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self) {
        if let Some(State::Up(socket)) = &mut self.state {
            let _ = socket.close(None);
            let _ = socket.flush();
        }
    }

    /// Takes out what must go to the other end.
    pub(crate) fn take_output(&mut self) -> Bytes {
        let pipe = match &mut self.state {
            Some(State::Shaking(shaking, _)) => shaking.get_mut().get_mut(),
            Some(State::Up(socket)) => socket.get_mut(),
            Some(State::Over(pipe)) => pipe,
            None => return Bytes::new(),
        };
        pipe.outbox.split().freeze()
    }
}

/// A refused request is answered in plain HTTP; tungstenite has thrown its pipe away.
fn refusal(why: &tungstenite::Error) -> Pipe {
    let (status, text) = match why {
        tungstenite::Error::Http(response) => {
            let body = response.body().clone().unwrap_or_default();
            (response.status(), String::from_utf8_lossy(&body).into_owned())
        }
        other => (StatusCode::BAD_REQUEST, format!("{other}\n")),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    let mut pipe = Pipe::default();
    pipe.outbox.extend_from_slice(head.as_bytes());
    pipe.outbox.extend_from_slice(text.as_bytes());
    pipe
}
