//! When octets arrived, as the kernel noted it: whoever looks at many sockets only now and then still knows when each answer
//! was there.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;

/// How far back a note may lie: one from further back is one of a calendar that was set in between.
const BACK_MAX: Duration = Duration::from_secs(1);

/// Has the kernel note when what a socket receives has arrived (SO_TIMESTAMPNS). Where it cannot, nothing is noted, and
/// what arrives counts from when it was looked at.
pub fn note_arrivals(socket: &impl AsFd) {
    let _ = setsockopt(socket, sockopt::ReceiveTimestampns, &true);
}

/// The note among what the kernel says besides: a moment of its calendar.
pub(super) fn noted(message: &ControlMessageOwned) -> Option<Duration> {
    match message {
        ControlMessageOwned::ScmTimestampns(at) => Some((*at).into()),
        _ => None,
    }
}

/// A moment of the kernel's calendar beside the same moment of one's own clock.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    own: Duration,
    calendar: Duration,
}

impl Now {
    /// This moment, which one's own clock calls `own`.
    pub fn is(own: Duration) -> Now {
        let calendar = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { own, calendar }
    }

    /// What one's own clock showed when something arrived; this moment if nobody noted it.
    pub fn when(self, noted: Option<Duration>) -> Duration {
        let ago = noted.and_then(|noted| self.calendar.checked_sub(noted)).filter(|ago| *ago <= BACK_MAX);
        self.own.saturating_sub(ago.unwrap_or_default())
    }
}

/// Reads from streams, and keeps when the last of what was read had arrived.
#[derive(Debug)]
pub struct StampedReader {
    control: Vec<u8>,
    noted: Option<Duration>,
}

impl Default for StampedReader {
    fn default() -> StampedReader {
        StampedReader { control: nix::cmsg_space!(TimeSpec), noted: None }
    }
}

impl StampedReader {
    /// Reads once, as a socket that never waits does.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub fn read(&mut self, socket: &impl AsFd, into: &mut [u8]) -> io::Result<usize> {
        let mut slices = [IoSliceMut::new(into)];
        let fd = socket.as_fd().as_raw_fd();
        let received = recvmsg::<()>(fd, &mut slices, Some(&mut self.control), MsgFlags::MSG_DONTWAIT);
        let message = received.map_err(|why: Errno| io::Error::from(why))?;
        self.noted = message.cmsgs().ok().and_then(|mut all| all.find_map(|one| noted(&one)));
        Ok(message.bytes)
    }

    /// When the last of what was read had arrived; nothing if the kernel did not say.
    pub fn noted(&self) -> Option<Duration> {
        self.noted
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_note_is_of_the_moment_of_arrival_and_one_that_makes_no_sense_is_none() {
        let now = Now { own: Duration::from_secs(10), calendar: Duration::from_secs(1_000) };
        assert_eq!(now.when(Some(Duration::from_millis(999_750))), Duration::from_millis(9_750));
        for none in [None, Some(Duration::from_secs(1_001)), Some(Duration::from_secs(900))] {
            assert_eq!(now.when(none), Duration::from_secs(10));
        }
    }

    #[test]
    fn what_comes_over_a_stream_is_noted() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let (server, _) = listener.accept().expect("it has connected");
        note_arrivals(&server);
        let mut reader = StampedReader::default();
        let mut room = [0; 16];
        let nothing = reader.read(&server, &mut room).expect_err("nothing is there");
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        // The kernel begins to take notes a little after it was asked to.
        let (before, noted) = (0..10_000)
            .find_map(|_| {
                let before = Now::is(Duration::ZERO).calendar;
                client.write_all(b"hello").expect("written");
                while reader.read(&server, &mut room).is_err() {
                    std::thread::yield_now();
                }
                assert_eq!(&room[..5], b"hello");
                reader.noted().map(|noted| (before, noted))
            })
            .expect("Linux notes it");
        assert!(before <= noted && noted <= Now::is(Duration::ZERO).calendar, "{before:?} {noted:?}");
        drop(client);
        assert_eq!(reader.read(&server, &mut room).expect("the end"), 0);
    }
}
