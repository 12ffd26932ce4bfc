//! Datagrams that are handed over inside the program: nobody notices, and whoever is outside is reached by a socket.

#![expect(clippy::disallowed_types, reason = "real sockets are what is tested")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use net::sim::LinkModel;
use net::{Datagram, Input, ListenSecurity, Node, Outbox, Time, World as _};
use wire::{Among, Ground, Setup, Wire};

const NETWORK: Ipv4Addr = Ipv4Addr::new(127, 61, 0, 0);
const PORT: u16 = 20_067;

/// Listens, and remembers what it heard.
#[derive(Debug, Default)]
struct Ear {
    address: Option<Ipv4Addr>,
    heard: Vec<(SocketAddr, SocketAddr, String)>,
    /// Answers everything that is a question by broadcast.
    answers: bool,
}

impl Node for Ear {
    fn handle(&mut self, _: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(_) => {
                out.address(self.address.map(Into::into));
                out.listen(PORT, ListenSecurity::Udp);
            }
            Input::Datagram(Datagram { from, to, payload }) => {
                let text = String::from_utf8_lossy(&payload).into_owned();
                if self.answers && text == "question" {
                    out.send(own(), everybody(), &b"answer"[..]);
                }
                self.heard.push((from, to, text));
            }
            _ => {}
        }
    }

    fn wake_at(&self) -> Option<Time> {
        None
    }
}

fn own() -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, PORT).into()
}

fn everybody() -> SocketAddr {
    (Ipv4Addr::BROADCAST, PORT).into()
}

fn world() -> Wire<Ear> {
    let mut setup = Setup::on(Ground { network: NETWORK, offset: 0 });
    setup.among = Among::Handed;
    setup.journal = Some(0);
    Wire::new(setup).expect("a world")
}

fn let_it_settle(world: &mut Wire<Ear>) {
    let until = world.now() + Duration::from_millis(20);
    while world.now() < until {
        world.step(until);
    }
}

#[test]
fn answers_by_broadcast_reach_whoever_has_no_address_or_asked_and_not_the_crowd() {
    let mut world = world();
    let office = world.add_segment("office", LinkModel::default());
    let ear = |host| Ear { address: Some(Ipv4Addr::new(127, 61, 128, host)), ..Ear::default() };
    let server = world.add_node("server", Ear { answers: true, ..ear(1) }, office);
    let settled = world.add_node("settled", ear(2), office);
    let asking = world.add_node("asking", ear(3), office);
    let fresh = world.add_node("fresh", Ear::default(), office);
    let elsewhere = world.add_segment("elsewhere", LinkModel::default());
    let stranger = world.add_node("stranger", Ear::default(), elsewhere);
    for who in [server, settled, asking, fresh, stranger] {
        world.power_on(who);
    }
    world.act(fresh, |_, _, out| out.send(own(), everybody(), &b"question"[..]));
    let_it_settle(&mut world);
    let nobody: SocketAddr = own();
    let from_server: SocketAddr = (Ipv4Addr::new(127, 61, 128, 1), PORT).into();
    let question = (nobody, everybody(), "question".to_owned());
    let answer = (from_server, everybody(), "answer".to_owned());
    assert_eq!(world.look(server).heard, [question]);
    assert_eq!(world.look(fresh).heard, [answer]);
    assert!(world.look(stranger).heard.is_empty());
    // Everybody on the segment hears a question that is asked of everybody; answers are for whoever asked.
    let heard_before = world.look(settled).heard.len();
    world.act(asking, |_, _, out| out.send(own(), from_server, &b"question"[..]));
    let_it_settle(&mut world);
    assert_eq!(world.look(settled).heard.len(), heard_before);
    assert_eq!(world.look(asking).heard.last().map(|(.., text)| text.as_str()), Some("answer"));
}

#[test]
fn a_port_gets_a_socket_when_it_speaks_to_somebody_outside() {
    let outside = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    outside.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
    let to = outside.local_addr().expect("its address");
    let mut world = world();
    let office = world.add_segment("office", LinkModel::default());
    let own_address = Ipv4Addr::new(127, 61, 128, 9);
    let desk = world.add_node("desk", Ear { address: Some(own_address), ..Ear::default() }, office);
    world.power_on(desk);
    // Nobody has the port: it can still be had.
    drop(UdpSocket::bind((own_address, PORT)).expect("a port that has no socket yet"));
    world.act(desk, |_, _, out| out.send(own(), to, &b"hello"[..]));
    let mut buffer = [0; 16];
    let (length, from) = outside.recv_from(&mut buffer).expect("a datagram");
    assert_eq!((&buffer[..length], from), (&b"hello"[..], SocketAddr::from((own_address, PORT))));
    outside.send_to(b"good day", from).expect("sent");
    let until = world.now() + Duration::from_secs(10);
    while world.look(desk).heard.is_empty() && world.now() < until {
        world.step(until);
    }
    assert_eq!(world.look(desk).heard.first().map(|(.., text)| text.as_str()), Some("good day"));
}
