//! A server on loopback that does as it is told, on threads of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::ServerConfig;

use super::connections;
use super::judge::{Judge, Manner, Told};

/// How often a thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(5);

/// A reflector.
pub struct Reflector {
    pub address: SocketAddr,
    judge: Arc<Mutex<Judge>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reflector {
    /// One that hears datagrams at an address of this machine.
    pub fn udp(at: &str, manner: Manner) -> Reflector {
        let socket = UdpSocket::bind(at).expect("the address is free");
        socket.set_read_timeout(Some(LOOK)).expect("a socket can wait so long");
        let address = socket.local_addr().expect("it is bound");
        Reflector::start(address, manner, move |judge, is_over, late| hear(&socket, &judge, &is_over, late))
    }

    /// One that takes connections at an address of this machine, and hears TLS on them if it has a configuration.
    pub fn stream(at: &str, manner: Manner, tls: Option<Arc<ServerConfig>>) -> Reflector {
        let listener = TcpListener::bind(at).expect("the address is free");
        let address = listener.local_addr().expect("it is bound");
        Reflector::start(address, manner, move |judge, is_over, late| {
            connections::serve(&listener, tls.as_ref(), &judge, &is_over, late);
        })
    }

    fn start(
        address: SocketAddr,
        manner: Manner,
        work: impl FnOnce(Arc<Mutex<Judge>>, Arc<AtomicBool>, Duration) + Send + 'static,
    ) -> Reflector {
        let late = manner.late;
        let judge = Arc::new(Mutex::new(Judge::new(manner)));
        let is_over = Arc::new(AtomicBool::new(false));
        let (its_judge, its_end) = (judge.clone(), is_over.clone());
        let thread = std::thread::spawn(move || work(its_judge, its_end, late));
        Reflector { address, judge, is_over, thread: Some(thread) }
    }

    /// Ends it, and says what it has to tell.
    pub fn end(mut self) -> Told {
        self.stop();
        self.judge.lock().expect("no thread panicked").told.clone()
    }

    fn stop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reflector does not panic");
        }
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// An answer that waits: when it is due, in which order, to whom.
type Late = Reverse<(Instant, u64, SocketAddr, Bytes)>;

fn hear(socket: &UdpSocket, judge: &Mutex<Judge>, is_over: &AtomicBool, late: Duration) {
    let mut room = vec![0; 65_536];
    let mut waiting: BinaryHeap<Late> = BinaryHeap::new();
    let mut order = 0;
    while !is_over.load(Ordering::Relaxed) {
        if let Ok((length, peer)) = socket.recv_from(&mut room) {
            let verdict = judge.lock().expect("no thread panicked").judge(&room[..length], peer);
            for answer in verdict.answers {
                if late.is_zero() {
                    socket.send_to(&answer, peer).expect("loopback takes it");
                } else {
                    order += 1;
                    waiting.push(Reverse((Instant::now() + late, order, peer, answer)));
                }
            }
        }
        let now = Instant::now();
        while waiting.peek().is_some_and(|Reverse((at, ..))| *at <= now)
            && let Some(Reverse((_, _, peer, answer))) = waiting.pop()
        {
            socket.send_to(&answer, peer).expect("loopback takes it");
        }
    }
}
