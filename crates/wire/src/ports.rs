//! Ports and addresses: which socket stands for which port of which actor.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use net::Transport;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

/// Ports below this one need a privilege on most machines.
const FIRST_FREE_PORT: u16 = 1024;

/// How many connections wait to be accepted.
const BACKLOG: u32 = 4096;

/// How ports and addresses of the lab lie on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The network of 65,536 addresses that the lab's actors live in.
    pub network: Ipv4Addr,
    /// What is added to ports below 1024, where this program may not have those.
    pub offset: u16,
}

impl Ground {
    /// The ground on `network`, with the offset if privileged ports are not to be had there.
    ///
    /// # Errors
    ///
    /// If no socket can be bound in that network at all: it is not one of this machine's.
    pub fn probe(network: Ipv4Addr, offset: u16) -> Result<Ground, String> {
        // Nobody of the lab lives at the network's last address but one.
        let [a, b, ..] = network.octets();
        let probe = Ipv4Addr::new(a, b, 255, 254);
        let bind = |port| std::net::UdpSocket::bind((probe, port));
        bind(0).map_err(|why| {
            format!(
                "no socket can be bound in {network}/16 ({why}); addresses outside of 127.0.0.0/8 must be given to this \
                 machine first, such as with `ip addr add {probe}/16 dev lo`"
            )
        })?;
        // The port does not matter, as long as nobody has it: discard (RFC 863) and two neighbours.
        let refused = [9, 10, 12].map(|port| bind(port).err().map(|why| why.kind()));
        let may_not = refused.iter().all(|kind| *kind == Some(io::ErrorKind::PermissionDenied));
        Ok(Ground { network, offset: if may_not { offset } else { 0 } })
    }

    /// Whether an address belongs to the lab's network.
    pub fn has(self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return false };
        address.octets()[..2] == self.network.octets()[..2]
    }

    /// Where a port of the lab is on this machine.
    pub fn real(self, port: u16) -> u16 {
        if port != 0 && port < FIRST_FREE_PORT { port.saturating_add(self.offset) } else { port }
    }

    /// The address as sockets know it.
    pub fn real_address(self, address: SocketAddr) -> SocketAddr {
        match self.has(address.ip()) {
            true => SocketAddr::new(address.ip(), self.real(address.port())),
            false => address,
        }
    }

    /// The port of the lab that a port of this machine stands for.
    pub fn port(self, real: u16) -> u16 {
        match real.checked_sub(self.offset) {
            Some(port) if self.offset > 0 && port != 0 && port < FIRST_FREE_PORT => port,
            _ => real,
        }
    }

    /// The address as actors know it.
    pub fn address(self, real: SocketAddr) -> SocketAddr {
        match self.has(real.ip()) {
            true => SocketAddr::new(real.ip(), self.port(real.port())),
            false => real,
        }
    }

    /// Where an actor is that has no address yet: it needs one on this machine to be heard.
    pub(crate) fn provisional(self, index: u32) -> Ipv4Addr {
        let [a, b, ..] = self.network.octets();
        let [.., high, low] = (index % (5 * 256)).to_be_bytes();
        // x.y.250.0 to x.y.254.255.
        Ipv4Addr::new(a, b, 250 + high, low)
    }

    /// Whether an address stands for no address yet.
    pub(crate) fn is_provisional(self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(v4) if self.has(address) && (250..255).contains(&v4.octets()[2]))
    }
}

pub(crate) fn bind_udp(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(at)?;
    socket.set_nonblocking(true)?;
    // Room for a burst; the kernel gives what it allows.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20);
    UdpSocket::from_std(socket)
}

pub(crate) fn bind_tcp(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

/// What a person should know when a port cannot be had.
pub(crate) fn explain(who: &str, transport: Transport, at: SocketAddr, why: &io::Error) -> String {
    let transport = match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    };
    let what = format!("{who} cannot listen at {transport} {at}: {why}");
    match why.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{what}; another program has it, perhaps another lab: give this one another --network")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "{what}; give the address to this machine first, such as with `ip addr add {} dev lo`",
                at.ip()
            )
        }
        _ => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUND: Ground = Ground { network: Ipv4Addr::new(127, 20, 0, 0), offset: 10_000 };

    #[test]
    fn a_privileged_port_moves_and_comes_back() {
        let lab: SocketAddr = "127.20.2.10:443".parse().expect("an address");
        let real = GROUND.real_address(lab);
        assert_eq!(real.to_string(), "127.20.2.10:10443");
        assert_eq!(GROUND.address(real), lab);
    }

    #[test]
    fn addresses_of_others_and_free_ports_stay() {
        for text in ["127.0.0.1:443", "127.20.2.20:5061", "[::1]:443"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(GROUND.real_address(address), address);
            assert_eq!(GROUND.address(address), address);
        }
    }

    #[test]
    fn who_has_no_address_yet_is_known_by_it() {
        let provisional = IpAddr::V4(GROUND.provisional(7));
        assert!(GROUND.is_provisional(provisional));
        assert!(!GROUND.is_provisional("127.20.2.10".parse().expect("an address")));
        assert_ne!(GROUND.provisional(7), GROUND.provisional(8));
    }
}
