//! Who is to bear the load, as written.

use std::net::{IpAddr, SocketAddr};

use scenario::mistakes::Mistake;
use scenario::schema::Shapes;
use scenario::yaml::{Located, Node, Reader, Value};
use scenario::{record, words};
use serde_json::{Value as Json, json};

/// A place that can be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This lab's own pool, started for the run.
    Lab,
    /// Somebody's server.
    At(SocketAddr),
}

impl Value for Place {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, "`lab`, or an address and port such as `127.0.7.1:5060`", |text| {
            if text == "lab" {
                return Ok(Place::Lab);
            }
            match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
                (Ok(at), _) if at.port() != 0 => Ok(Place::At(at)),
                (Ok(_), _) => Err("port 0 is nobody's".to_owned()),
                (_, Ok(_)) => Err("the port is missing: `:5060`, or `:5061` for TLS".to_owned()),
                _ => Err(String::new()),
            }
        })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string" })
    }
}

words! {
    /// How phones reach the target.
    "`udp`, `tcp` or `tls`" pub enum TransportWritten {
        /// Datagrams.
        "udp" Udp,
        /// A TCP connection for each phone.
        "tcp" Tcp,
        /// A TLS connection for each phone.
        "tls" Tls,
    }
}

words! {
    /// How the lab's own pool asks phones who they are.
    "`none`, `md5` or `sha-256`" pub enum DigestWritten {
        /// Not at all.
        "none" None,
        /// By MD5, as most user agents answer.
        "md5" Md5,
        /// By SHA-256.
        "sha-256" Sha256,
    }
}

record! {
    /// Who is to bear the load. A word alone is the `server`.
    short "server" "a target" pub struct TargetWritten {
        /// `lab`, which is this lab's own pool, started for the run; or a server's address and port.
        "server" server: Located<Place>,
        /// How phones reach it.
        "transport" transport: TransportWritten = TransportWritten::Udp,
        /// The SIP domain that phones register at; a server's address if not written. The lab's pool has its own.
        "domain" domain: Option<Located<String>> => domain_is_right,
        /// Over TLS: the name that the server's certificate must have; the domain if not written.
        "certificate" certificate: Option<Located<String>> => domain_is_right,
        /// Over TLS: a PEM file with the roots whose word counts, or `any` to take every certificate.
        "roots" roots: Option<Located<String>>,
        /// How the lab's own pool asks phones who they are.
        "digest" digest: Option<Located<DigestWritten>>,
        /// The lab whose pool it is; one made for the purpose if not written.
        "lab" lab: Option<Located<String>>,
    }
    check whole_is_right
}

fn domain_is_right(domain: &Option<Located<String>>, node: &Node, reader: &mut Reader) -> Option<()> {
    let Some(domain) = domain else { return Some(()) };
    let is_right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if !domain.value.is_empty() && domain.value.len() <= 253 && domain.value.chars().all(is_right) {
        return Some(());
    }
    reader.wrong(Mistake::new(node.place, "a host name or an address is wanted here"));
    None
}

fn whole_is_right(target: &TargetWritten, _: &Node, reader: &mut Reader) -> Option<()> {
    let before = reader.mistakes.len();
    let is_lab = target.server.value == Place::Lab;
    let mut only = |place: Option<scenario::mistakes::Place>, is_for: bool, what: &str| {
        if let Some(place) = place.filter(|_| !is_for) {
            reader.wrong(Mistake::new(place, what));
        }
    };
    only(
        target.digest.as_ref().map(|it| it.place),
        is_lab,
        "`digest` is for the lab's own pool; a server asks as it likes",
    );
    only(target.lab.as_ref().map(|it| it.place), is_lab, "`lab` is for the lab's own pool");
    only(
        target.domain.as_ref().map(|it| it.place),
        !is_lab,
        "`domain` is for somebody's server; the lab's pool has its own",
    );
    let is_their_tls = !is_lab && target.transport == TransportWritten::Tls;
    only(
        target.certificate.as_ref().map(|it| it.place),
        is_their_tls,
        "`certificate` is for somebody's server over `tls`",
    );
    only(
        target.roots.as_ref().map(|it| it.place),
        is_their_tls,
        "`roots` are for somebody's server over `tls`",
    );
    if is_their_tls && target.roots.is_none() {
        let mistake = Mistake::new(target.server.place, "nobody has said whose certificates count");
        reader.wrong(
            mistake.help("name a PEM file: `roots: roots.pem`, or take every certificate: `roots: any`"),
        );
    }
    (reader.mistakes.len() == before).then_some(())
}
