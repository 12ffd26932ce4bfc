//! What goes over the sockets, told to a capture.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use net::capture::{Capture, End, Flow, Interface, TlsSecrets};
use net::{Time, Wall};

/// How many octets come together before the file is written to.
const WORTH_WRITING: usize = 16 * 1024;

/// A capture that all tasks of a world tell.
#[derive(Clone, Debug)]
pub(crate) struct Tracer {
    capture: Arc<Mutex<Told>>,
    secrets: Arc<TlsSecrets>,
}

struct Told {
    capture: Capture,
    interface: Interface,
    names: BTreeMap<IpAddr, String>,
    file: Box<dyn Write + Send>,
    trouble: Option<io::Error>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").field("capture", &self.capture).finish_non_exhaustive()
    }
}

impl Told {
    /// Writes what has come together, once it is worth it.
    fn write(&mut self, least: usize) {
        if self.capture.output_len() < least {
            return;
        }
        let output = self.capture.take_output();
        if self.trouble.is_none()
            && let Err(why) = self.file.write_all(&output).and_then(|()| self.file.flush())
        {
            self.trouble = Some(why);
        }
    }
}

impl Tracer {
    pub(crate) fn new(epoch: Wall, about: &str, file: Box<dyn Write + Send>) -> Tracer {
        let mut capture = Capture::new(epoch, about);
        let interface = capture.interface("wire", "the lab's own sockets");
        let told = Told { capture, interface, names: BTreeMap::new(), file, trouble: None };
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
        told.write(WORTH_WRITING);
    }

    /// A connection that is up; told by one of its ends only if both are the world's.
    pub(crate) fn connected(&self, at: Time, client: SocketAddr, server: SocketAddr, own: End) -> Traced {
        let mut told = self.told();
        let interface = told.interface;
        let flow = told.capture.connected(at, interface, client, server);
        Traced { tracer: self.clone(), flow, own, is_over: false }
    }

    /// Ends the capture.
    pub(crate) fn finish(&self, at: Time) -> io::Result<()> {
        let mut told = self.told();
        told.capture.finish(at);
        told.write(0);
        told.trouble.take().map_or(Ok(()), Err)
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
        let mut told = self.tracer.with_secrets();
        told.capture.data(at, self.flow, self.own, octets);
        told.write(WORTH_WRITING);
    }

    pub(crate) fn received(&mut self, at: Time, octets: &[u8]) {
        let mut told = self.tracer.with_secrets();
        told.capture.data(at, self.flow, self.own.other(), octets);
        told.write(WORTH_WRITING);
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
