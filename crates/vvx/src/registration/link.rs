//! The way to the pool: names, streams, and what to do when one fails.

use std::net::SocketAddr;
use std::time::Duration;

use net::tls::{ClientTls, TlsError};
use net::{Closed, Dial, Outbox, Security, Time};

use super::{BUSY_MAX, CONNECT_WITHIN, Link, Patience, Registration, Said, Step, Timers, Tools};

impl Registration {
    pub(super) fn connect(&mut self, now: Time) -> Vec<Said> {
        let Some(server) = self.servers.get(self.server) else {
            self.step = Step::Stopped;
            return vec![Said::Failed("no pool is known".to_owned())];
        };
        self.link = Link::Resolving;
        self.timers.connect_until = Some(now + CONNECT_WITHIN);
        vec![Said::LookUp(server.host.clone())]
    }

    pub(super) fn dial(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) {
        let (Some(server), Some(address)) = (self.servers.get(self.server), self.addresses.first()) else {
            return;
        };
        let to = SocketAddr::new(*address, server.port);
        let tls = ClientTls {
            server_name: server.host.clone(),
            trust: tools.trust.clone(),
            clock: tools.clock,
            names: tools.names,
        };
        let stream = out.open(Dial { to, security: Security::Tls(tls) });
        self.timers.connect_until = Some(now + CONNECT_WITHIN);
        self.link = Link::Dialling(stream);
    }

    pub(super) fn closed(
        &mut self,
        why: &Closed,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        let was_dialling = matches!(self.link, Link::Dialling(..));
        self.link = Link::Down;
        self.timers.connect_until = None;
        if matches!(self.step, Step::Enrolling) {
            // Nobody needs the stream before the certificate is there.
            self.forget_association();
            return Vec::new();
        }
        match why {
            Closed::Tls(TlsError::UnknownIssuer) if was_dialling => {
                let host = self.servers.get(self.server).map(|server| server.host.clone());
                self.step = Step::Untrusted;
                vec![Said::UnknownIssuer(host.unwrap_or_default())]
            }
            Closed::Tls(TlsError::NotYetValid { .. }) => {
                self.setback("The time is not set".to_owned(), None, now, tools, out)
            }
            other => self.setback(other.to_string(), None, now, tools, out),
        }
    }

    /// Something kept the phone from its registration: tries elsewhere, later, or gives up.
    pub(super) fn setback(
        &mut self,
        why: String,
        asked: Option<Duration>,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        self.drop_link(out);
        self.moves = 0;
        let is_last = self.server + 1 >= self.servers.len();
        self.server = if is_last { 0 } else { self.server + 1 };
        if self.patience == Patience::Interactive {
            if !is_last && asked.is_none() {
                return self.connect(now);
            }
            self.busy += 1;
            if asked.is_none() || self.busy >= BUSY_MAX {
                self.step = Step::Stopped;
                self.timers = Timers::default();
                return vec![Said::Failed(why)];
            }
        }
        self.timers.retry_at = Some(now + self.backoff.next(asked, tools.random));
        let is_news = !std::mem::replace(&mut self.has_been_lost, true);
        if is_news && self.patience == Patience::Endless { vec![Said::Lost(why)] } else { Vec::new() }
    }

    /// The pool let go of the phone, to be registered elsewhere.
    pub(super) fn deactivated(&mut self, why: String, now: Time, out: &mut Outbox) -> Vec<Said> {
        self.has_been_lost = true;
        let mut said = vec![Said::Lost(why)];
        said.extend(self.start(now, out));
        said
    }

    pub(super) fn stop(&mut self, out: &mut Outbox) {
        self.drop_link(out);
        self.step = Step::Stopped;
        self.timers = Timers::default();
    }

    pub(super) fn drop_link(&mut self, out: &mut Outbox) {
        match std::mem::replace(&mut self.link, Link::Down) {
            Link::Dialling(stream) => out.close(stream),
            Link::Up(up) => out.close(up.stream),
            Link::Down | Link::Resolving => {}
        }
        self.forget_association();
        self.register = None;
        self.subscribe = None;
        self.step = Step::Idle;
        self.timers = Timers { retry_at: self.timers.retry_at, ..Timers::default() };
    }

    pub(super) fn forget_association(&mut self) {
        self.association = None;
        self.timers.prove_at = None;
    }
}
