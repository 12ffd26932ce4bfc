//! The reflector's connections: TCP and TLS, a thread for each.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use net::{Crypto, Random, Wall};
use pki::{Authority, Validity};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sip::{Frame, Framer};

use super::judge::Judge;

/// The name in the certificate.
pub const NAME: &str = "contoso.example";

/// How long a read waits before it is looked whether all is over.
const LOOK: Duration = Duration::from_millis(5);

/// A configuration of a server called [`NAME`], and the root behind it as PEM text; another seed makes another root of the same name.
pub fn tls(seed: u64) -> (Arc<ServerConfig>, String) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = Wall::from_unix_secs(since.expect("the clock is set").as_secs() as i64);
    let life = Duration::from_secs(86_400);
    let mut random = Random::named(seed, "authority of a test");
    let mut authority = Authority::new("Test Root", Crypto::System, &mut random, now, life);
    let issued = authority.issue_server(&[NAME.to_owned()], Validity { from: now, life: life / 2 });
    let credentials = issued.expect("a name that can be certified");
    let configuration = ServerConfig::builder_with_provider(Crypto::System.provider())
        .with_safe_default_protocol_versions()
        .expect("versions that the provider has")
        .with_no_client_auth()
        .with_single_cert(credentials.chain, credentials.key)
        .expect("the key fits");
    (Arc::new(configuration), pki::pem::certificates([authority.root()]))
}

/// Serves connections until it is over.
pub fn serve(
    listener: &TcpListener,
    tls: Option<&Arc<ServerConfig>>,
    judge: &Arc<Mutex<Judge>>,
    is_over: &Arc<AtomicBool>,
    late: Duration,
) {
    listener.set_nonblocking(true).expect("a socket can");
    let mut threads = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let Ok((socket, peer)) = listener.accept() else {
            std::thread::sleep(LOOK / 5);
            continue;
        };
        judge.lock().expect("no thread panicked").told.connections += 1;
        socket.set_nonblocking(false).expect("a socket can");
        socket.set_read_timeout(Some(LOOK)).expect("a socket can wait so long");
        let (judge, is_over, tls) = (judge.clone(), is_over.clone(), tls.cloned());
        threads.push(std::thread::spawn(move || match tls {
            None => talk(socket, peer, &judge, &is_over, late),
            Some(tls) => {
                let connection = ServerConnection::new(tls).expect("the configuration is good");
                talk(StreamOwned::new(connection, socket), peer, &judge, &is_over, late);
            }
        }));
    }
    for thread in threads {
        thread.join().expect("the reflector does not panic");
    }
}

fn talk(
    mut stream: impl Read + Write,
    peer: SocketAddr,
    judge: &Mutex<Judge>,
    is_over: &AtomicBool,
    late: Duration,
) {
    let mut framer = Framer::for_server();
    let mut room = [0; 4_096];
    while !is_over.load(Ordering::Relaxed) {
        match stream.read(&mut room) {
            Ok(0) => return,
            Ok(length) => framer.push(&room[..length]),
            Err(why) if is_for_later(&why) => continue,
            Err(_) => return,
        }
        while let Some(frame) = framer.next() {
            let octets = match frame {
                Ok(Frame::Message(octets)) => octets,
                Ok(Frame::Ping) => {
                    judge.lock().expect("no thread panicked").told.pings += 1;
                    if stream.write_all(b"\r\n").is_err() {
                        return;
                    }
                    continue;
                }
                other => panic!("a phone does not say {other:?}"),
            };
            let verdict = judge.lock().expect("no thread panicked").judge(&octets, peer);
            if verdict.closes {
                return;
            }
            std::thread::sleep(late);
            for answer in verdict.answers {
                // In two pieces, as a network may have it.
                let (first, second) = answer.split_at(answer.len() / 2);
                if stream.write_all(first).and_then(|()| stream.write_all(second)).is_err() {
                    return;
                }
            }
        }
    }
}

fn is_for_later(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
