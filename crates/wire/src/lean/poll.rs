//! Which of many sockets may be read or written: epoll, level-triggered.
//!
//! Level-triggered, one read an event is enough, and whoever stops reading a socket is told of it again later. That costs
//! less than the further read that edge-triggering asks for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

/// How many sockets are told of at once at most.
const EVENTS: usize = 1024;

/// What somebody wants to know of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Whether there is something to read, or it is over.
    Read,
    /// Whether more can be written.
    Write,
    /// Both.
    Both,
    /// Neither, but for the end of it.
    Nothing,
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Interest::Read => epoll::EventFlags::IN,
            Interest::Write => epoll::EventFlags::OUT,
            Interest::Both => epoll::EventFlags::IN | epoll::EventFlags::OUT,
            Interest::Nothing => epoll::EventFlags::empty(),
        }
    }
}

/// A socket of which something can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What it was called when it was added.
    pub token: u64,
    /// Reading it will not wait: there is something, or it is over.
    pub may_read: bool,
    /// Writing to it will not wait.
    pub may_write: bool,
}

/// Watches sockets. A socket that is closed is watched no more, but may be told of once again by a [`Poller::wait`] that had
/// begun: tokens should not mean another socket at once.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    waker: Arc<OwnedFd>,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Poller")
    }
}

/// Ends a [`Poller::wait`] from another thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Has the wait end, the next one if there is none now.
    pub fn wake(&self) {
        // A counter that is full has not been read, so that the wait ends anyway.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

/// What the waker's own events are called.
const WAKER: u64 = u64::MAX;

impl Poller {
    /// Watches nothing yet.
    ///
    /// # Errors
    ///
    /// If the process has too many files open.
    pub fn new() -> io::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let waker = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        epoll::add(&epoll, &*waker, epoll::EventData::new_u64(WAKER), epoll::EventFlags::IN)?;
        Ok(Poller { epoll, events: Vec::with_capacity(EVENTS), waker })
    }

    /// Wakes it from other threads.
    pub fn waker(&self) -> Waker {
        Waker(self.waker.clone())
    }

    /// Watches a socket, and calls it `token`: any number but the highest.
    ///
    /// # Errors
    ///
    /// If the machine has no room for it.
    pub fn add(&self, socket: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// Watches for something else.
    ///
    /// # Errors
    ///
    /// If the socket is not watched.
    pub fn change(&self, socket: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// Waits until something can be said of a socket, or [`Waker::wake`], or at most for `span`; puts all there is, up to
    /// 1,024 sockets, in place of what is in `ready`.
    ///
    /// # Errors
    ///
    /// If the poller itself is broken.
    pub fn wait(&mut self, span: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        let timeout = span.map(|span| Timespec {
            tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: span.subsec_nanos().into(),
        });
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(why) => return Err(why.into()),
        }
        for event in &self.events {
            let (flags, data) = (event.flags, event.data);
            let token = data.u64();
            if token == WAKER {
                let mut count = [0; 8];
                let _ = rustix::io::read(&*self.waker, &mut count);
                continue;
            }
            let is_over = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
            ready.push(Ready {
                token,
                may_read: is_over || flags.contains(epoll::EventFlags::IN),
                may_write: is_over || flags.contains(epoll::EventFlags::OUT),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_is_told_of_while_there_is_something_and_a_waker_ends_a_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let (server, _) = listener.accept().expect("it has connected");
        let mut poller = Poller::new().expect("a poller");
        let mut ready = Vec::new();
        poller.add(&server, 7, Interest::Read).expect("watched");
        poller.wait(Some(Duration::ZERO), &mut ready).expect("it works");
        assert_eq!(ready, []);
        client.write_all(b"hello").expect("written");
        for _ in 0..2 {
            poller.wait(None, &mut ready).expect("it works");
            assert_eq!(ready, [Ready { token: 7, may_read: true, may_write: false }]);
        }
        poller.change(&server, 8, Interest::Write).expect("watched");
        poller.wait(None, &mut ready).expect("it works");
        assert_eq!(ready, [Ready { token: 8, may_read: false, may_write: true }]);
        poller.change(&server, 8, Interest::Nothing).expect("watched");
        poller.waker().wake();
        poller.wait(None, &mut ready).expect("it was woken");
        assert_eq!(ready, []);
    }
}
