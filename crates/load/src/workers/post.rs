//! The broker: saying something within a time and a size. Nothing outside `workers` knows that it is NATS.

use std::fmt;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr, Subscriber};
use bytes::Bytes;

use super::WorkersError;

/// How long a message may wait to be taken by the connection; one that was not is sent again by whoever wants it confirmed.
const SEND_WITHIN: Duration = Duration::from_secs(1);

/// How many messages may wait to be read; the broker's further ones are dropped, and sent again by who misses an answer.
const WAITING_MAX: usize = 1_024;

/// What a broker must take at once: the largest beat there can be is shorter.
const PAYLOAD_MIN: usize = 768 << 10;

/// Where workers and coordinators meet.
#[derive(Clone)]
pub struct Broker {
    url: ServerAddr,
    room: String,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} room {}", self.at(), self.room)
    }
}

impl Broker {
    /// A room of the broker at `url`: `nats://host:port`, `tls://host:port`, with `token@` or `user:password@` before the host
    /// if it asks for that.
    ///
    /// # Errors
    ///
    /// If it is no such address, or the room's name has other characters than letters, digits, `-` and `_`.
    pub fn new(url: &str, room: &str) -> Result<Broker, WorkersError> {
        if !is_name(room) {
            return Err(WorkersError::Name(shown(room)));
        }
        let parsed: ServerAddr = url.parse().map_err(|why: std::io::Error| WorkersError::Address {
            // Whoever mistypes an address with a password in it does not want it repeated.
            url: shown(url.rsplit_once('@').map_or(url, |(_, place)| place)),
            why: why.to_string(),
        })?;
        if !matches!(parsed.scheme(), "nats" | "tls") {
            let why = "it must begin with nats:// or tls://".to_owned();
            return Err(WorkersError::Address { url: format!("{}://…", parsed.scheme()), why });
        }
        Ok(Broker { url: parsed, room: room.to_owned() })
    }

    /// The broker's address without secrets.
    pub fn at(&self) -> String {
        let host = self.url.host();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{}://{host}:{}", self.url.scheme(), self.url.port())
    }

    /// The room.
    pub fn room(&self) -> &str {
        &self.room
    }

    /// Where calls are heard.
    pub(super) fn calls(&self) -> String {
        format!("lab-load.{}.call", self.room)
    }

    /// Where a worker hears what is said to it alone.
    pub(super) fn worker(&self, id: &str) -> String {
        format!("lab-load.{}.worker.{id}", self.room)
    }

    /// Where a run's coordinator hears.
    pub(super) fn run(&self, run: &str) -> String {
        format!("lab-load.{}.run.{run}", self.room)
    }

    fn error(&self, why: impl fmt::Display) -> WorkersError {
        WorkersError::Broker { at: self.at(), why: why.to_string() }
    }
}

/// Whether something can be a part of a subject, and of a line on somebody's screen.
pub(super) fn is_name(text: &str) -> bool {
    (1..=48).contains(&text.len())
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
}

/// Text of strangers, as it may be shown.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(200).map(|sign| if sign.is_control() { '\u{fffd}' } else { sign }).collect()
}

/// A connection to the broker.
#[derive(Clone)]
pub(super) struct Post {
    client: Client,
    broker: Broker,
}

impl Post {
    /// Connects, or says within some seconds why not.
    pub async fn connect(broker: &Broker, name: &str) -> Result<Post, WorkersError> {
        let options = ConnectOptions::new()
            .name(format!("lab {name}"))
            .connection_timeout(Duration::from_secs(5))
            .ping_interval(Duration::from_secs(2))
            .subscription_capacity(WAITING_MAX)
            // A broker's list of further brokers may name addresses that only it can reach.
            .ignore_discovered_servers()
            .reconnect_delay_callback(|tries| Duration::from_millis(if tries < 3 { 100 } else { 1_000 }));
        let connecting = tokio::time::timeout(Duration::from_secs(6), options.connect(broker.url.clone()));
        let client = match connecting.await {
            Ok(Ok(client)) => client,
            Ok(Err(why)) if matches!(why.kind(), ConnectErrorKind::Io | ConnectErrorKind::TimedOut) => {
                return Err(WorkersError::Unreachable { at: broker.at(), why: why.to_string() });
            }
            Ok(Err(why)) => return Err(broker.error(why)),
            Err(_) => {
                return Err(WorkersError::Unreachable {
                    at: broker.at(),
                    why: "it does not answer".to_owned(),
                });
            }
        };
        let most = client.max_payload();
        if most < PAYLOAD_MIN {
            return Err(broker.error(format!(
                "it takes messages of {most} octets, and {PAYLOAD_MIN} are needed: raise its max_payload"
            )));
        }
        Ok(Post { client, broker: broker.clone() })
    }

    /// Listens. What is said from now on is heard, however often the connection breaks; what is said while it is broken is
    /// not.
    pub async fn listen(&self, subject: String) -> Result<Subscriber, WorkersError> {
        let listening = self.client.subscribe(subject).await.map_err(|why| self.broker.error(why))?;
        // The broker has heard of it once it answers what was sent behind it.
        let flushed = tokio::time::timeout(Duration::from_secs(5), self.client.flush()).await;
        flushed
            .map_err(|_| self.broker.error("it does not answer"))?
            .map_err(|why| self.broker.error(why))?;
        Ok(listening)
    }

    /// Says something. That it was taken does not mean that it was heard.
    pub async fn say(&self, subject: String, octets: Vec<u8>) {
        let _ = tokio::time::timeout(SEND_WITHIN, self.client.publish(subject, octets.into())).await;
    }

    /// Answers somebody.
    pub async fn answer(&self, to: Option<async_nats::Subject>, octets: Vec<u8>) {
        if let Some(to) = to {
            let _ = tokio::time::timeout(SEND_WITHIN, self.client.publish(to, octets.into())).await;
        }
    }

    /// Asks somebody, up to three times.
    pub async fn ask(&self, subject: &str, octets: Vec<u8>, within: Duration) -> Result<Bytes, String> {
        let octets = Bytes::from(octets);
        let mut why = String::new();
        for _ in 0..3 {
            let asking = self.client.request(subject.to_owned(), octets.clone());
            match tokio::time::timeout(within, asking).await {
                Ok(Ok(answer)) => return Ok(answer.payload),
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = format!("nothing within {within:?}"),
            }
        }
        Err(why)
    }

    /// Sees to it that what was said has left.
    pub async fn flush(&self) {
        let _ = tokio::time::timeout(SEND_WITHIN, self.client.flush()).await;
    }

    /// Whether the connection stands.
    pub fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Where all this is.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        let broker = Broker::new("nats://lab:s3cret@127.0.0.1:4333", "load").expect("an address");
        assert_eq!(broker.at(), "nats://127.0.0.1:4333");
        assert!(!format!("{broker:?}").contains("s3cret"));
        let wrong =
            Broker::new("http://lab:s3cret@127.0.0.1:4333", "load").expect_err("not NATS").to_string();
        assert!(!wrong.contains("s3cret") && wrong.contains("nats://"), "{wrong}");
    }

    #[test]
    fn a_room_is_a_single_word() {
        for wrong in ["", "a.b", "a b", ">", "*", "é"] {
            assert!(Broker::new("nats://127.0.0.1", wrong).is_err(), "{wrong}");
        }
        assert_eq!(Broker::new("127.0.0.1", "lab-2").expect("a place").at(), "nats://127.0.0.1:4222");
    }
}
