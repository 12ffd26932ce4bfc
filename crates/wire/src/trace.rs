//! What goes over the sockets, told to a capture.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use net::capture::{Capture, End, Flow, Interface, TlsSecrets};
use net::{Time, Wall};

/// A capture that all tasks of a world tell.
#[derive(Clone, Debug)]
pub(crate) struct Tracer {
    capture: Arc<Mutex<Told>>,
    secrets: Arc<TlsSecrets>,
}

#[derive(Debug)]
struct Told {
    capture: Capture,
    interface: Interface,
    names: BTreeMap<IpAddr, String>,
}

impl Tracer {
    pub(crate) fn new(epoch: Wall, about: &str) -> Tracer {
        let mut capture = Capture::new(epoch, about);
        let interface = capture.interface("wire", "the lab's own sockets");
        let told = Told { capture, interface, names: BTreeMap::new() };
        Tracer { capture: Arc::new(Mutex::new(told)), secrets: Arc::new(TlsSecrets::default()) }
    }

    pub(crate) fn secrets(&self) -> &Arc<TlsSecrets> {
        &self.secrets
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_secrets(&self) -> MutexGuard<'_, Told> {
        let mut told = self.told();
        let lines = self.secrets.take();
        told.capture.secrets(lines.iter().map(String::as_str));
        told
    }

    pub(crate) fn name(&self, address: IpAddr, name: &str) {
        let mut told = self.told();
        if told.names.get(&address).map(String::as_str) != Some(name) {
            told.names.insert(address, name.to_owned());
            told.capture.name(address, name);
        }
    }

    pub(crate) fn remark(&self, at: Time, text: &str) {
        self.told().capture.remark(at, text);
    }

    pub(crate) fn datagram(&self, at: Time, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let mut told = self.told();
        let interface = told.interface;
        told.capture.datagram(at, interface, from, to, payload, None);
    }

    /// A connection that is up; told by one of its ends only if both are the world's.
    pub(crate) fn connected(&self, at: Time, client: SocketAddr, server: SocketAddr, own: End) -> Traced {
        let mut told = self.told();
        let interface = told.interface;
        let flow = told.capture.connected(at, interface, client, server);
        Traced { tracer: self.clone(), flow, own, is_over: false }
    }

    /// What is to be appended to the file.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.told().capture.take_output()
    }

    pub(crate) fn finish(&self, at: Time) -> Vec<u8> {
        let mut told = self.told();
        told.capture.finish(at);
        told.capture.take_output()
    }
}

/// One connection of a capture.
#[derive(Debug)]
pub(crate) struct Traced {
    tracer: Tracer,
    flow: Flow,
    own: End,
    is_over: bool,
}

impl Traced {
    pub(crate) fn sent(&mut self, at: Time, octets: &[u8]) {
        self.tracer.with_secrets().capture.data(at, self.flow, self.own, octets);
    }

    pub(crate) fn received(&mut self, at: Time, octets: &[u8]) {
        self.tracer.with_secrets().capture.data(at, self.flow, self.own.other(), octets);
    }

    pub(crate) fn closed(&mut self, at: Time) {
        if !std::mem::replace(&mut self.is_over, true) {
            let mut told = self.tracer.told();
            told.capture.closed(at, self.flow, self.own);
            told.capture.closed(at, self.flow, self.own.other());
        }
    }

    pub(crate) fn reset(&mut self, at: Time) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.tracer.told().capture.reset(at, self.flow, self.own);
        }
    }
}
