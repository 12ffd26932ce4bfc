//! HTTP/1.1 over byte buffers: hyper, polled by hand.
//!
//! A connection is one more state machine: bytes from the stream in, requests or answers and bytes for the
//! stream out. hyper does the protocol; nothing here waits. A server's request rests in a slot until its actor
//! answers it, in the same call or later. Limits are fixed here; deadlines are the actor's own.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};

/// What one connection may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a message's body.
    pub body: usize,
    /// Octets of a message's head.
    pub head: usize,
    /// Header fields of a message.
    pub headers: usize,
}

impl Default for Limits {
    /// 64 KiB of body, 16 KiB of head, 100 header fields: what a sign-in needs, several times over.
    fn default() -> Limits {
        Limits { body: 64 << 10, head: 16 << 10, headers: 100 }
    }
}

/// Why a connection is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// What arrived is not HTTP, or breaks a limit.
    #[error("bad HTTP: {0}")]
    Bad(String),
    /// The stream ended before the answer did.
    #[error("connection closed before the answer was complete")]
    Cut,
    /// The body is larger than allowed.
    #[error("body larger than {0} octets")]
    TooLarge(usize),
}

/// The two byte buffers that hyper reads and writes.
#[derive(Debug, Default)]
struct Pipe {
    inbox: VecDeque<u8>,
    outbox: Vec<u8>,
    is_ended: bool,
    moves: u64,
}

#[derive(Clone, Debug, Default)]
struct PipeEnd(Arc<Mutex<Pipe>>);

impl PipeEnd {
    fn lock(&self) -> MutexGuard<'_, Pipe> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for PipeEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut pipe = self.lock();
        if pipe.inbox.is_empty() {
            return if pipe.is_ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let (first, _) = pipe.inbox.as_slices();
        let count = first.len().min(buffer.remaining());
        buffer.put_slice(&first[..count]);
        pipe.inbox.drain(..count);
        pipe.moves += 1;
        Poll::Ready(Ok(()))
    }
}

impl Write for PipeEnd {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.lock();
        pipe.outbox.extend_from_slice(bytes);
        pipe.moves += 1;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn poll_once<T>(future: &mut BoxFuture<T>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Where a server's request waits for its answer.
#[derive(Default)]
struct Exchange {
    request: Option<Request<Bytes>>,
    answer: Option<Response<Bytes>>,
    moves: u64,
}

/// The serving end of a connection.
pub struct ServerConnection {
    pipe: PipeEnd,
    exchange: Arc<Mutex<Exchange>>,
    connection: Option<BoxFuture<Result<(), hyper::Error>>>,
}

impl std::fmt::Debug for ServerConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerConnection").field("is_done", &self.is_done()).finish_non_exhaustive()
    }
}

fn hold(exchange: &Arc<Mutex<Exchange>>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ServerConnection {
    /// A fresh connection.
    pub fn new(limits: Limits) -> ServerConnection {
        let pipe = PipeEnd::default();
        let exchange = Arc::new(Mutex::new(Exchange::default()));
        let service_exchange = exchange.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let exchange = service_exchange.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = match Limited::new(body, limits.body).collect().await {
                    Ok(body) => body.to_bytes(),
                    Err(why) if why.is::<http_body_util::LengthLimitError>() => {
                        return Ok(too_large(limits.body));
                    }
                    Err(why) => return Err(io::Error::other(why)),
                };
                {
                    let mut slot = hold(&exchange);
                    slot.request = Some(Request::from_parts(head, body));
                    slot.moves += 1;
                }
                let answer = std::future::poll_fn(|_| match hold(&exchange).answer.take() {
                    Some(answer) => Poll::Ready(answer),
                    None => Poll::Pending,
                })
                .await;
                Ok::<_, io::Error>(answer.map(Full::new))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .auto_date_header(false)
            .max_buf_size(limits.head.max(8192))
            .max_headers(limits.headers)
            .serve_connection(pipe.clone(), service);
        ServerConnection { pipe, exchange, connection: Some(Box::pin(connection)) }
    }

    /// Takes in bytes from the stream.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.connection.is_some() {
            self.pipe.lock().inbox.extend(bytes);
            self.run();
        }
    }

    /// The next request, if one is complete and not yet taken. Answer it before the next one comes.
    pub fn take_request(&mut self) -> Option<Request<Bytes>> {
        hold(&self.exchange).request.take()
    }

    /// Answers the request that was taken last.
    pub fn answer(&mut self, answer: Response<Bytes>) {
        {
            let mut slot = hold(&self.exchange);
            slot.answer = Some(answer);
            slot.moves += 1;
        }
        self.run();
    }

    /// Bytes for the stream.
    pub fn take_output(&mut self) -> Bytes {
        std::mem::take(&mut self.pipe.lock().outbox).into()
    }

    /// The connection is over: write out what is left, then close the stream.
    pub fn is_done(&self) -> bool {
        self.connection.is_none()
    }

    fn run(&mut self) {
        loop {
            let before = (self.pipe.lock().moves, hold(&self.exchange).moves);
            let Some(connection) = &mut self.connection else {
                return;
            };
            if poll_once(connection).is_ready() {
                self.connection = None;
                return;
            }
            if before == (self.pipe.lock().moves, hold(&self.exchange).moves) {
                return;
            }
        }
    }
}

fn too_large(limit: usize) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(format!(
        "The request's body is larger than the {limit} octets that are taken here.\n"
    ))));
    *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;
type Answering = BoxFuture<Result<Response<Bytes>, HttpError>>;

/// The asking end of a connection. One request is under way at a time; further ones wait their turn.
pub struct ClientConnection {
    pipe: PipeEnd,
    limits: Limits,
    sender: Option<Sender>,
    connection: Option<BoxFuture<Result<(), hyper::Error>>>,
    waiting: VecDeque<Request<Bytes>>,
    answering: Option<Answering>,
}

impl std::fmt::Debug for ClientConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientConnection")
            .field("waiting", &self.waiting.len())
            .field("is_busy", &self.answering.is_some())
            .finish_non_exhaustive()
    }
}

impl ClientConnection {
    /// A fresh connection.
    pub fn new(limits: Limits) -> ClientConnection {
        let pipe = PipeEnd::default();
        let mut builder = hyper::client::conn::http1::Builder::new();
        builder.max_buf_size(limits.head.max(8192)).max_headers(limits.headers);
        let mut shake: BoxFuture<_> = Box::pin(builder.handshake::<_, Full<Bytes>>(pipe.clone()));
        let (sender, connection) = match poll_once(&mut shake) {
            Poll::Ready(Ok((sender, connection))) => {
                let connection: BoxFuture<Result<(), hyper::Error>> = Box::pin(connection);
                (Some(sender), Some(connection))
            }
            // hyper's handshake does no I/O; without a connection every request is answered by `Cut`.
            _ => (None, None),
        };
        ClientConnection { pipe, limits, sender, connection, waiting: VecDeque::new(), answering: None }
    }

    /// Asks. The request needs a path-only URI and a `Host` header, as HTTP/1.1 wants it.
    pub fn ask(&mut self, request: Request<Bytes>) {
        self.waiting.push_back(request);
        self.start_next();
        self.run();
    }

    /// Takes in bytes from the stream.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.pipe.lock().inbox.extend(bytes);
        self.run();
    }

    /// The stream has ended: an answer without a length is complete now, any other is cut.
    pub fn end(&mut self) {
        self.pipe.lock().is_ended = true;
        self.run();
    }

    /// The next answer, if one is complete. After an error the connection is of no more use.
    pub fn take_answer(&mut self) -> Option<Result<Response<Bytes>, HttpError>> {
        self.run();
        let answering = self.answering.as_mut()?;
        let Poll::Ready(answer) = poll_once(answering) else {
            let is_cut = self.pipe.lock().is_ended && self.connection.is_none();
            return is_cut.then(|| {
                self.answering = None;
                Err(HttpError::Cut)
            });
        };
        self.answering = None;
        self.run();
        self.start_next();
        self.run();
        Some(answer)
    }

    /// Bytes for the stream.
    pub fn take_output(&mut self) -> Bytes {
        std::mem::take(&mut self.pipe.lock().outbox).into()
    }

    /// Whether a request waits for its answer.
    pub fn is_busy(&self) -> bool {
        self.answering.is_some() || !self.waiting.is_empty()
    }

    /// Whether the other end has closed, or must be closed: it takes no further request.
    pub fn is_done(&self) -> bool {
        self.connection.is_none()
    }

    fn start_next(&mut self) {
        if self.answering.is_some() {
            return;
        }
        let Some(request) = self.waiting.pop_front() else {
            return;
        };
        let Some(sender) = &mut self.sender else {
            self.answering = Some(Box::pin(std::future::ready(Err(HttpError::Cut))));
            return;
        };
        let sent = sender.send_request(request.map(Full::new));
        let limit = self.limits.body;
        self.answering = Some(Box::pin(async move {
            let (head, body) = sent.await.map_err(|why| translate(&why))?.into_parts();
            match Limited::new(body, limit).collect().await {
                Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
                Err(why) if why.is::<http_body_util::LengthLimitError>() => Err(HttpError::TooLarge(limit)),
                Err(why) => match why.downcast_ref::<hyper::Error>() {
                    Some(why) => Err(translate(why)),
                    None => Err(HttpError::Bad(why.to_string())),
                },
            }
        }));
    }

    fn run(&mut self) {
        let mut quiet_rounds = 0;
        loop {
            let before = self.pipe.lock().moves;
            let mut is_over = false;
            if let Some(connection) = &mut self.connection {
                is_over = poll_once(connection).is_ready();
            }
            if is_over {
                self.connection = None;
            }
            // The answer's future drains the body, which lets the connection read on.
            if let Some(answering) = &mut self.answering
                && let Poll::Ready(answer) = poll_once(answering)
            {
                self.answering = Some(Box::pin(std::future::ready(answer)));
                return;
            }
            // hyper may spend a round on handing a chunk on, without a move; only a second one means rest.
            quiet_rounds = if self.pipe.lock().moves == before { quiet_rounds + 1 } else { 0 };
            if quiet_rounds == 2 {
                return;
            }
        }
    }
}

fn translate(why: &hyper::Error) -> HttpError {
    let cause = std::error::Error::source(why);
    let is_eof = cause
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof);
    if is_eof || why.is_incomplete_message() || why.is_canceled() || why.is_closed() {
        return HttpError::Cut;
    }
    HttpError::Bad(match cause {
        Some(cause) => format!("{why}: {cause}"),
        None => why.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Request<Bytes> {
        Request::get(path).header("host", "lab.example").body(Bytes::new()).expect("a request")
    }

    fn shuttle(client: &mut ClientConnection, server: &mut ServerConnection) {
        for _ in 0..4 {
            let up = client.take_output();
            server.receive(&up);
            let down = server.take_output();
            client.receive(&down);
        }
    }

    #[test]
    fn two_requests_are_answered_in_order_on_one_connection() {
        let mut client = ClientConnection::new(Limits::default());
        let mut server = ServerConnection::new(Limits::default());
        client.ask(get("/one"));
        client.ask(get("/two"));
        for path in ["/one", "/two"] {
            shuttle(&mut client, &mut server);
            let asked = server.take_request().expect("a request");
            assert_eq!(asked.uri().path(), path);
            assert!(client.take_answer().is_none(), "nothing was answered yet");
            server.answer(Response::new(Bytes::from(path.to_owned())));
            shuttle(&mut client, &mut server);
            let answer = client.take_answer().expect("an answer").expect("a good one");
            assert_eq!(answer.body(), path.as_bytes());
        }
        assert!(!client.is_busy());
    }

    #[test]
    fn a_body_past_the_limit_is_refused_and_nothing_of_it_reaches_the_actor() {
        let limits = Limits { body: 10, ..Limits::default() };
        let mut server = ServerConnection::new(limits);
        server.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n01234567890");
        assert!(server.take_request().is_none());
        let out = server.take_output();
        assert!(out.starts_with(b"HTTP/1.1 413 "), "{out:?}");
    }

    #[test]
    fn garbage_is_answered_with_400_and_the_end() {
        let mut server = ServerConnection::new(Limits::default());
        server.receive(b"\x16\x03\x01\x00\x05hello\r\n\r\n");
        assert!(server.take_output().starts_with(b"HTTP/1.1 400 "));
        assert!(server.is_done());
    }

    #[test]
    fn an_answer_that_breaks_off_is_an_error() {
        let mut client = ClientConnection::new(Limits::default());
        client.ask(get("/"));
        client.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
        assert!(client.take_answer().is_none());
        client.end();
        assert_eq!(client.take_answer().expect("a verdict").err(), Some(HttpError::Cut));
    }

    #[test]
    fn a_large_body_arrives_whole_however_it_is_cut() {
        let mut client = ClientConnection::new(Limits::default());
        let mut server = ServerConnection::new(Limits::default());
        client.ask(get("/"));
        let body = vec![b'x'; 60_000];
        server.receive(&client.take_output());
        assert!(server.take_request().is_some());
        server.answer(Response::new(Bytes::from(body.clone())));
        let out = server.take_output();
        for piece in out.chunks(7) {
            client.receive(piece);
        }
        let answer = client.take_answer().expect("an answer").expect("a good one");
        assert_eq!(answer.body().len(), body.len());
    }
}
