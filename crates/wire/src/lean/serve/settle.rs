//! Carrying out what an actor has asked for.

use std::io;
use std::net::SocketAddr;

use net::{
    Closed, Crypto, Datagram, Effect, Input, Keep, Listen, ListenSecurity, Node, NodeId, RecordId,
    StreamEvent, Transport,
};

use super::{Lean, Listener, Token, UdpPort};
use crate::event::Event;
use crate::lean::batch::{BatchSocket, DATAGRAM_MAX, SendBatch};
use crate::lean::poll::Interest;
use crate::ports;
use crate::store::Write;

/// How many problems are remembered for whoever asks.
const PROBLEMS_MAX: usize = 64;

impl<N: Node> Lean<N> {
    /// Carries out what an actor has asked for, and what it asks for because of that.
    pub(super) fn settle(&mut self, who: NodeId) {
        let mut effects = std::mem::take(&mut self.effects);
        loop {
            self.slots[who.0 as usize].outbox.take_into(&mut effects);
            if effects.is_empty() && self.kept.is_empty() {
                break;
            }
            for effect in effects.drain(..) {
                self.carry_out(who, effect);
            }
            while let Some((whose, record)) = self.kept.pop_front() {
                let slot = &mut self.slots[whose.0 as usize];
                slot.node.handle(self.now, Input::Kept(record), &mut slot.outbox);
            }
        }
        self.effects = effects;
    }

    fn carry_out(&mut self, who: NodeId, effect: Effect) {
        match effect {
            Effect::Send(datagram) => self.send(who, &datagram),
            Effect::Write(stream, octets) => self.write(who, stream, &octets),
            Effect::Close(stream) => self.close(who, stream),
            Effect::Keep(id, keep) => self.keep(who, id, keep),
            Effect::Listen(listen) => self.listen(who, listen),
            Effect::Unlisten(transport, port) => self.unlisten(who, transport, port),
            Effect::Address(address) => self.slots[who.0 as usize].address = address,
            Effect::Open(stream, _) => {
                let slot = &mut self.slots[who.0 as usize];
                let over = StreamEvent::Closed(Closed::Unreachable);
                slot.node.handle(self.now, Input::Stream(stream, over), &mut slot.outbox);
            }
            // The outbox counts events and drops the rest.
            Effect::Note(_) => {}
        }
    }

    fn send(&mut self, who: NodeId, datagram: &Datagram) {
        let wanted = datagram.from.port();
        let mut ports = self.udp.iter_mut();
        let port = ports.find(|port| port.socket.is_some() && port.who == who && port.port == wanted);
        let Some(port) = port.filter(|_| datagram.payload.len() <= DATAGRAM_MAX) else { return };
        port.batch.push(self.ground.real_address(datagram.to), |octets| {
            octets.extend_from_slice(&datagram.payload);
        });
    }

    fn keep(&mut self, who: NodeId, id: RecordId, keep: Keep) {
        match &self.keeper {
            None => self.kept.push_back((who, id)),
            Some((keeper, _)) => {
                let owner = self.slots[who.0 as usize].name.clone();
                keeper.write(Write { who, cycle: 0, id, owner, keep });
            }
        }
    }

    /// Tells actors of what has reached the disk.
    pub(super) fn take_kept(&mut self) -> io::Result<()> {
        while let Some(event) = self.keeper.as_ref().and_then(|(_, events)| events.try_recv().ok()) {
            match event {
                Event::Kept(records) => {
                    for (who, _, id) in records {
                        self.handle(who, Input::Kept(id));
                    }
                }
                Event::DiskBroke(why) => return Err(io::Error::other(why)),
                _ => {}
            }
        }
        Ok(())
    }

    fn listen(&mut self, who: NodeId, Listen { port, security }: Listen) {
        let slot = &self.slots[who.0 as usize];
        // A server has its address before it listens.
        let Some(address) = slot.address else { return };
        let at = SocketAddr::new(address, port);
        let real = self.ground.real_address(at);
        let transport = match security {
            ListenSecurity::Udp => Transport::Udp,
            _ => Transport::Tcp,
        };
        self.unlisten(who, transport, port);
        let begun = match security {
            ListenSecurity::Udp => self.listen_udp(who, at, real),
            ListenSecurity::Tcp => self.listen_tcp(who, at, None),
            ListenSecurity::Tls(tls) => match tls.config(Crypto::System) {
                Ok(configuration) => self.listen_tcp(who, at, Some(configuration)),
                Err(why) => Err(io::Error::other(why)),
            },
            ListenSecurity::WebSocket(_) => Err(io::Error::other("no WebSocket is served under load")),
        };
        if let Err(why) = begun
            && self.problems.len() < PROBLEMS_MAX
        {
            let name = &self.slots[who.0 as usize].name;
            self.problems.push(ports::explain(name, transport, real, &why));
        }
    }

    fn listen_udp(&mut self, who: NodeId, at: SocketAddr, real: SocketAddr) -> io::Result<()> {
        let socket = BatchSocket::bind(real)?;
        let token = Token::Udp(u32::try_from(self.udp.len()).unwrap_or(u32::MAX));
        self.poller.add(&socket, token.number(), Interest::Read)?;
        let batch = SendBatch::new();
        let port = at.port();
        self.udp.push(UdpPort { who, port, at, socket: Some(socket), batch, is_full: false });
        Ok(())
    }

    fn listen_tcp(
        &mut self,
        who: NodeId,
        at: SocketAddr,
        tls: Option<std::sync::Arc<rustls::ServerConfig>>,
    ) -> io::Result<()> {
        let socket = super::accept::bind(self.ground.real_address(at))?;
        let real = socket.local_addr()?;
        let token = Token::Listener(u32::try_from(self.listeners.len()).unwrap_or(u32::MAX));
        self.poller.add(&socket, token.number(), Interest::Read)?;
        self.listeners.push(Listener { who, port: at.port(), at, real, tls, socket: Some(socket) });
        Ok(())
    }

    fn unlisten(&mut self, who: NodeId, transport: Transport, port: u16) {
        match transport {
            Transport::Udp => {
                for at in self.udp.iter_mut().filter(|it| it.who == who && it.port == port) {
                    if let Some(socket) = at.socket.take() {
                        super::add(&mut self.tally, &socket);
                    }
                }
            }
            Transport::Tcp => {
                for at in self.listeners.iter_mut().filter(|it| it.who == who && it.port == port) {
                    at.socket = None;
                }
            }
        }
    }
}
