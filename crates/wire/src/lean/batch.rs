//! A UDP socket that sends and receives many datagrams with one call (`sendmmsg`, `recvmmsg`).
//!
//! Nothing is allocated for a datagram, and nothing is hidden: what the kernel did not take, or took and could not keep, is
//! counted. The socket is apart from the buffers, so that thousands of sockets on a thread share one [`Inbox`] and one
//! [`SendBatch`]:
//!
//! ```
//! use wire::lean::batch::{BatchSocket, Inbox, SendBatch, Sent};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut sockets = vec![
//!     BatchSocket::bind("127.0.0.1:0".parse().unwrap())?,
//!     BatchSocket::bind("127.0.0.2:0".parse().unwrap())?,
//! ];
//! let server = BatchSocket::bind("127.0.0.3:0".parse().unwrap())?;
//! let (mut batch, mut inbox) = (SendBatch::new(), Inbox::new());
//! for socket in &mut sockets {
//!     for number in 0..3 {
//!         // Written where it is sent from; a full batch must be sent before more is pushed.
//!         batch.push(server.address(), |octets| octets.extend_from_slice(format!("{number}").as_bytes()));
//!     }
//!     match socket.send(&mut batch) {
//!         Sent::All => {}
//!         // The kernel has no room: what it did not take is still in the batch. Send again once the socket is writable
//!         // (`lean::poll`), or give up on it with `batch.clear()`.
//!         Sent::Full => panic!("three datagrams fill no buffer"),
//!     }
//! }
//! let mut server = server;
//! let mut count = 0;
//! // Again and again until nothing is left; fewer than a full inbox means that nothing is.
//! while count < 6 {
//!     server.receive(&mut inbox, |_octets, _from| count += 1)?;
//! }
//! assert_eq!(sockets[0].counts().sent, 3);
//! # Ok(())
//! # }
//! ```

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, setsockopt, sockopt,
};

/// How many datagrams one call moves at most. More gains nothing: at 64 the call itself is a hundredth of the work.
pub const BATCH: usize = 64;

/// The largest UDP payload (RFC 768 over IPv4).
pub const DATAGRAM_MAX: usize = 65_507;

/// How much a socket asks the kernel to hold in each direction, in octets: half a second of 30,000 datagrams a second.
const SOCKET_BUFFER: usize = 16 << 20;

/// What a socket has moved, and what it could not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Datagrams that came.
    pub received: u64,
    /// Datagrams that the kernel refused for good: no route, too long, forbidden.
    pub refused: u64,
    /// How often the kernel had no room for more and something had to wait.
    pub full: u64,
}

/// A UDP socket that never waits.
#[derive(Debug)]
pub struct BatchSocket {
    socket: UdpSocket,
    address: SocketAddr,
    counts: Counts,
}

/// Whether a batch has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of it, but for what was refused; the batch is empty.
    All,
    /// The kernel has no room now; what is left is still in the batch.
    Full,
}

impl BatchSocket {
    /// A socket at `at`, with as much room in the kernel as it gives.
    ///
    /// # Errors
    ///
    /// If the address is taken or not this machine's, or the process has too many files open.
    pub fn bind(at: SocketAddr) -> io::Result<BatchSocket> {
        let socket = UdpSocket::bind(at)?;
        socket.set_nonblocking(true)?;
        // Past the machine's usual limit where that is allowed, else up to it.
        if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER);
        }
        if setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BUFFER).is_err() {
            let _ = setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER);
        }
        let address = socket.local_addr()?;
        Ok(BatchSocket { socket, address, counts: Counts::default() })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has moved so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Sends what is in the batch, oldest first.
    pub fn send(&mut self, batch: &mut SendBatch) -> Sent {
        while batch.next < batch.ends.len() {
            match batch.send_some(self.socket.as_raw_fd()) {
                Ok(count) => {
                    self.counts.sent += count as u64;
                    batch.next += count;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    self.counts.full += 1;
                    return Sent::Full;
                }
                // It concerns the first one that was offered.
                Err(_) => {
                    self.counts.refused += 1;
                    batch.next += 1;
                }
            }
        }
        batch.clear();
        Sent::All
    }

    /// Has the kernel note when each datagram arrives, for [`BatchSocket::receive_noted`].
    pub fn note_arrivals(&self) {
        super::stamp::note_arrivals(&self.socket);
    }

    /// Takes in up to [`BATCH`] datagrams that are there, hands each to `visit`, and says how many there were. Fewer than
    /// [`BATCH`] means that no more are there now.
    ///
    /// # Errors
    ///
    /// If the socket is broken. That nothing is there is no error.
    pub fn receive(
        &mut self,
        inbox: &mut Inbox,
        mut visit: impl FnMut(&[u8], SocketAddr),
    ) -> io::Result<usize> {
        self.receive_noted(inbox, |octets, from, _| visit(octets, from))
    }

    /// As [`BatchSocket::receive`], with the moment of the kernel's calendar at which each datagram arrived, if that was
    /// noted ([`BatchSocket::note_arrivals`]).
    ///
    /// # Errors
    ///
    /// If the socket is broken. That nothing is there is no error.
    pub fn receive_noted(
        &mut self,
        inbox: &mut Inbox,
        mut visit: impl FnMut(&[u8], SocketAddr, Option<Duration>),
    ) -> io::Result<usize> {
        let count = loop {
            match inbox.fill(self.socket.as_raw_fd()) {
                Ok(count) => break count,
                Err(Errno::EAGAIN) => return Ok(0),
                // Somebody else's refusal, told late; it concerns no datagram here.
                Err(Errno::EINTR | Errno::ECONNREFUSED) => {}
                Err(why) => return Err(why.into()),
            }
        };
        self.counts.received += count as u64;
        for (index, (length, from, noted)) in inbox.arrived.iter().enumerate() {
            let start = index * DATAGRAM_MAX;
            visit(&inbox.octets[start..start + length], *from, *noted);
        }
        Ok(count)
    }
}

impl AsFd for BatchSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Datagrams that are to leave together. It holds any number; a call to the kernel takes [`BATCH`] of them.
///
/// It is made on the thread that uses it.
#[derive(Debug)]
pub struct SendBatch {
    octets: Vec<u8>,
    /// Where each datagram ends in `octets`.
    ends: Vec<usize>,
    to: Vec<Option<SockaddrStorage>>,
    /// The first that has not left.
    next: usize,
    headers: MultiHeaders<SockaddrStorage>,
}

impl Default for SendBatch {
    fn default() -> SendBatch {
        SendBatch::new()
    }
}

impl SendBatch {
    /// An empty batch.
    pub fn new() -> SendBatch {
        SendBatch {
            octets: Vec::new(),
            ends: Vec::new(),
            to: Vec::new(),
            next: 0,
            headers: MultiHeaders::preallocate(BATCH, None),
        }
    }

    /// Adds a datagram for `to`, whose octets `write` appends to what it is given.
    pub fn push(&mut self, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.octets);
        self.ends.push(self.octets.len());
        self.to.push(Some(to.into()));
    }

    /// How many have not left.
    pub fn len(&self) -> usize {
        self.ends.len() - self.next
    }

    /// Whether all have left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is as much in it as one call takes: the time to send.
    pub fn is_full(&self) -> bool {
        self.len() >= BATCH
    }

    /// Gives up on what has not left, and says how many datagrams that were.
    pub fn clear(&mut self) -> usize {
        let left = self.len();
        self.octets.clear();
        self.ends.clear();
        self.to.clear();
        self.next = 0;
        left
    }

    fn send_some(&mut self, socket: i32) -> Result<usize, Errno> {
        let count = self.len().min(BATCH);
        let mut start = match self.next {
            0 => 0,
            next => self.ends[next - 1],
        };
        let mut slices = [[IoSlice::new(&[])]; BATCH];
        for (slice, end) in slices.iter_mut().zip(&self.ends[self.next..]) {
            *slice = [IoSlice::new(&self.octets[start..*end])];
            start = *end;
        }
        let to = &self.to[self.next..self.next + count];
        let nothing: [ControlMessage<'_>; 0] = [];
        let sent = sendmmsg(
            socket,
            &mut self.headers,
            &slices[..count],
            to,
            nothing,
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        )?;
        Ok(sent.count())
    }
}

/// Room for what arrives. Only what is written to takes memory: 256 KiB for messages of a few hundred octets.
///
/// It is made on the thread that uses it.
#[derive(Debug)]
pub struct Inbox {
    octets: Vec<u8>,
    /// Length and sender of each, and when it arrived if that was noted.
    arrived: Vec<(usize, SocketAddr, Option<Duration>)>,
    headers: MultiHeaders<SockaddrStorage>,
}

impl Default for Inbox {
    fn default() -> Inbox {
        Inbox::new()
    }
}

impl Inbox {
    /// Room for [`BATCH`] datagrams of any length.
    pub fn new() -> Inbox {
        Inbox {
            octets: vec![0; BATCH * DATAGRAM_MAX],
            arrived: Vec::with_capacity(BATCH),
            headers: MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(nix::sys::time::TimeSpec))),
        }
    }

    fn fill(&mut self, socket: i32) -> Result<usize, Errno> {
        let Inbox { octets, arrived, headers } = self;
        arrived.clear();
        let mut chunks = octets.chunks_exact_mut(DATAGRAM_MAX);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
        let messages = recvmmsg(socket, headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        for message in messages {
            let from = message.address.as_ref().and_then(spell).unwrap_or(NOBODY);
            let noted =
                message.cmsgs().ok().and_then(|mut all| all.find_map(|one| super::stamp::noted(&one)));
            arrived.push((message.bytes, from, noted));
        }
        Ok(arrived.len())
    }
}

/// Who sent a datagram without a sender, which UDP does not know.
const NOBODY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, 0));

fn spell(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    address.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into())
}

/// How many datagrams the kernel had to throw away because the sockets at `address` were not read in time; `None` if it does
/// not say. It counts from when the sockets were bound.
pub fn dropped(address: SocketAddr) -> Option<u64> {
    let table = match address {
        SocketAddr::V4(_) => "/proc/net/udp",
        SocketAddr::V6(_) => "/proc/net/udp6",
    };
    dropped_in(&std::fs::read_to_string(table).ok()?, address)
}

/// Reads the kernel's table of sockets: the local address is the second word of a line, the count the last.
fn dropped_in(table: &str, address: SocketAddr) -> Option<u64> {
    let wanted = match address {
        // Each group of four octets stands as the number that they are on this machine.
        SocketAddr::V4(v4) => {
            format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), v4.port())
        }
        SocketAddr::V6(v6) => {
            let octets = v6.ip().octets();
            let words =
                octets.as_chunks::<4>().0.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word)));
            format!("{}:{:04X}", words.collect::<String>(), v6.port())
        }
    };
    let mut all = None;
    for line in table.lines() {
        let mut words = line.split_ascii_whitespace();
        if words.nth(1) == Some(&wanted)
            && let Some(count) = words.next_back().and_then(|word| word.parse::<u64>().ok())
        {
            all = Some(all.unwrap_or(0) + count);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(at: &str) -> BatchSocket {
        BatchSocket::bind(at.parse().expect("an address")).expect("a socket")
    }

    /// Receives until so many are there; the kernel of a loopback has them at once.
    fn receive(socket: &mut BatchSocket, inbox: &mut Inbox, wanted: usize) -> Vec<(String, SocketAddr)> {
        let mut all = Vec::new();
        for _ in 0..1000 {
            let visit = |octets: &[u8], from| all.push((String::from_utf8_lossy(octets).into_owned(), from));
            socket.receive(inbox, visit).expect("it is not broken");
            if all.len() >= wanted {
                break;
            }
            std::thread::yield_now();
        }
        all
    }

    #[test]
    fn what_is_sent_in_batches_arrives_in_order_with_its_sender() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let (mut from, mut to) = (socket(host), socket(host));
            let (mut batch, mut inbox) = (SendBatch::new(), Inbox::new());
            for number in 0..150 {
                batch.push(to.address(), |octets| octets.extend_from_slice(number.to_string().as_bytes()));
            }
            assert!(batch.is_full());
            assert_eq!(from.send(&mut batch), Sent::All);
            assert!(batch.is_empty());
            let all = receive(&mut to, &mut inbox, 150);
            let expected: Vec<_> = (0..150).map(|number| (number.to_string(), from.address())).collect();
            assert_eq!(all, expected);
            assert_eq!((from.counts().sent, to.counts().received), (150, 150));
        }
    }

    #[test]
    fn nothing_there_is_no_error_and_empty_datagrams_are_something() {
        let (mut from, mut to) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let (mut batch, mut inbox) = (SendBatch::new(), Inbox::new());
        assert_eq!(to.receive(&mut inbox, |_, _| panic!("nobody sent anything")).expect("no error"), 0);
        batch.push(to.address(), |_| {});
        batch.push(to.address(), |octets| octets.resize(DATAGRAM_MAX, b'x'));
        from.send(&mut batch);
        let all = receive(&mut to, &mut inbox, 2);
        assert_eq!(all.iter().map(|(text, _)| text.len()).collect::<Vec<_>>(), [0, DATAGRAM_MAX]);
    }

    #[test]
    fn one_that_cannot_be_sent_is_counted_and_holds_nobody_up() {
        let (mut from, mut to) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let (mut batch, mut inbox) = (SendBatch::new(), Inbox::new());
        batch.push(to.address(), |octets| octets.extend_from_slice(b"before"));
        // Port 0 is nobody's.
        batch.push("127.0.0.1:0".parse().expect("an address"), |octets| octets.extend_from_slice(b"nobody"));
        batch.push(to.address(), |octets| octets.resize(70_000, 0));
        batch.push(to.address(), |octets| octets.extend_from_slice(b"after"));
        assert_eq!(from.send(&mut batch), Sent::All);
        let texts: Vec<String> = receive(&mut to, &mut inbox, 2).into_iter().map(|(text, _)| text).collect();
        assert_eq!(texts, ["before", "after"]);
        assert_eq!((from.counts().sent, from.counts().refused), (2, 2));
    }

    #[test]
    fn what_the_kernel_throws_away_is_counted() {
        let (mut from, to) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        setsockopt(&to.socket, sockopt::RcvBuf, &4096).expect("less room");
        let mut batch = SendBatch::new();
        for _ in 0..64 {
            batch.push(to.address(), |octets| octets.resize(1000, 0));
        }
        assert_eq!(from.send(&mut batch), Sent::All);
        let dropped = dropped(to.address()).expect("the kernel says");
        assert!(dropped > 32, "{dropped} of 64 datagrams, more than fit");
    }

    #[test]
    fn the_table_of_sockets_is_read_by_address() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            2177: 0100007F:0277 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1234 2 0000000000000000 0\n\
            2178: 0107007F:3AD4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1235 2 0000000000000000 17\n";
        let at = |text: &str| dropped_in(table, text.parse().expect("an address"));
        if cfg!(target_endian = "little") {
            assert_eq!(at("127.0.7.1:15060"), Some(17));
            assert_eq!(at("127.0.0.1:631"), Some(0));
        }
        assert_eq!(at("127.0.7.1:15061"), None);
    }
}
