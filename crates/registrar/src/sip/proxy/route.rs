//! Where a request goes (RFC 3261 §16.5): along its dialog's Route, or to every endpoint of the address it names.

use std::collections::{BTreeMap, VecDeque};

use sip::{Message, NameAddr, Uri};

use crate::sip::bindings::Binding;
use crate::sip::flow::{Flow, Named};
use crate::sip::plain::Addressee;
use crate::sip::refusal::Refusal;
use crate::sip::register::may_be_served;
use crate::sip::{FrontEnd, Turn};

/// One endpoint that a request may go to.
#[derive(Clone, Debug)]
pub(in crate::sip) struct Hop {
    pub(super) flow: Flow,
    /// The Request-URI that it gets.
    pub(super) uri: String,
    /// The Route that it gets.
    pub(super) route: Vec<String>,
}

/// The Route of a request, with the pool's own entries taken off its front.
#[derive(Clone, Debug, Default)]
pub(in crate::sip) struct Route {
    /// What the last of the pool's own entries names: the flow to the next party of a dialog.
    pub(super) named: Option<Named>,
    /// Whether an entry of the pool's own names what is not there any more, or never was.
    pub(super) is_void: bool,
    /// The entries that are left.
    pub(super) rest: Vec<String>,
}

impl FrontEnd {
    /// Takes the pool's own entries off a request's Route.
    pub(super) fn route_of(&mut self, request: &Message, turn: &mut Turn<'_, '_>) -> Route {
        let mut route = Route::default();
        for value in request.list("Route").unwrap_or_default() {
            let own = NameAddr::parse(value).ok().filter(|hop| self.is_own_host(&hop.uri, turn.parts));
            match own {
                Some(hop) if route.rest.is_empty() => {
                    if let Some(token) = hop.uri.user {
                        route.named = self.plain.secrets(turn.parts).tokens.read(token);
                        route.is_void = route.named.is_none();
                    }
                }
                _ => route.rest.push(value.to_owned()),
            }
        }
        route
    }

    /// The endpoint at the other end of a dialog.
    pub(super) fn along(&mut self, request: &Message, route: &Route, turn: &Turn<'_, '_>) -> Option<Hop> {
        let uri = request.uri()?;
        let flow = route.named.as_ref().and_then(|named| self.flow_named(named, turn));
        // A stream that is gone may have been replaced: whoever has registered that address is asked instead.
        let flow = flow.or_else(|| {
            let user = uri.user_at_host()?;
            let all = self.bindings.all(turn.now);
            let binding = all.into_iter().find(|held| {
                held.contact.contains(uri.user.unwrap_or(&user))
                    && Uri::parse(&held.contact).is_ok_and(|it| it.same_as(&uri))
            });
            self.flow_to(&binding?.clone())
        })?;
        Some(Hop { flow, uri: uri.as_str().to_owned(), route: route.rest.clone() })
    }

    /// The endpoints of an address, in the order in which they are to be tried (RFC 3261 §16.6): those of the highest
    /// preference first, those of one preference at once.
    ///
    /// # Errors
    ///
    /// If there is no such address, or nobody can be reached there.
    pub(super) fn endpoints_of(
        &mut self,
        uri: &Uri<'_>,
        turn: &Turn<'_, '_>,
    ) -> Result<(String, VecDeque<Vec<Hop>>), Refusal> {
        let aor = match self.addressee(uri, turn.parts) {
            Addressee::User(aor) => aor,
            Addressee::Unsupported => return Err(Refusal::UnsupportedScheme),
            Addressee::Pool | Addressee::Foreign => return Err(Refusal::NoSuchDestination),
        };
        match may_be_served(turn.parts.accounts, &aor) {
            Ok(()) => {}
            // Who may not sign in is not to be had, and nobody needs to know why.
            Err(Refusal::Disabled) => return Err(Refusal::NotRegistered),
            Err(why) => return Err(why),
        }
        let mut held: Vec<Binding> = self.bindings.of(&aor, turn.now);
        held.sort_by_key(|binding| std::cmp::Reverse(binding.until));
        let mut instances: Vec<&str> = Vec::new();
        // A GRUU names one endpoint (MS-SIPRE; RFC 5627).
        let one = uri.params.has("gruu").then(|| uri.params.get("opaque")).flatten().map(str::to_owned);
        let mut groups: BTreeMap<u16, Vec<Hop>> = BTreeMap::new();
        for binding in &held {
            let is_meant = one.as_ref().is_none_or(|opaque| {
                Uri::parse(&binding.gruu).is_ok_and(|gruu| gruu.params.get("opaque") == Some(opaque))
            });
            // Two flows of one instance are two ways to one phone (RFC 5626 §6): the newest that holds is taken.
            let instance = binding.endpoint.split_once(";reg-id=").map(|(instance, _)| instance);
            if instance.is_some_and(|instance| instances.contains(&instance)) {
                continue;
            }
            let Some(flow) = self.flow_to(binding).filter(|_| is_meant) else { continue };
            instances.extend(instance);
            let q = binding.plain.as_ref().map_or(1_000, |plain| plain.q);
            let route = binding.plain.as_ref().map_or(Vec::new(), |plain| plain.path.clone());
            let hop = Hop { flow, uri: binding.contact.clone(), route };
            groups.entry(1_000 - q.min(1_000)).or_default().push(hop);
        }
        if groups.is_empty() {
            Err(Refusal::NotRegistered)
        } else {
            Ok((aor, groups.into_values().collect()))
        }
    }

    /// The way to a binding, if there is one now.
    fn flow_to(&mut self, binding: &Binding) -> Option<Flow> {
        let Some(plain) = &binding.plain else {
            let stream = binding.connection?;
            // An endpoint without an epid goes by its instance id, which is no epid.
            let epid = (binding.endpoint != binding.instance).then(|| binding.endpoint.clone());
            let connection = self.connections.get_mut(&stream)?;
            connection.association_of(&binding.aor, epid.as_deref())?;
            return Some(Flow::Signed { aor: binding.aor.clone(), epid, stream, peer: connection.peer });
        };
        if let Some(first) = plain.path.first() {
            let hop = NameAddr::parse(first).ok()?;
            let is_udp = hop.uri.params.get("transport").is_none_or(|it| it.eq_ignore_ascii_case("udp"));
            // Whoever brought the REGISTER is the nearest proxy; another one is reached by its address alone.
            return match (is_udp, hop.uri.host_ip()) {
                (true, Some(ip)) => Some(Flow::Datagram((ip, hop.uri.port.unwrap_or(5060)).into())),
                _ => self.stream_of(binding, plain.carrier),
            };
        }
        match plain.target {
            Some(target) => Some(Flow::Datagram(target)),
            None => self.stream_of(binding, plain.carrier),
        }
    }

    fn stream_of(&self, binding: &Binding, carrier: crate::sip::flow::Carrier) -> Option<Flow> {
        let stream = binding.connection?;
        let connection = self.connections.get(&stream)?;
        Some(Flow::Stream(stream, carrier, connection.peer))
    }

    fn flow_named(&mut self, named: &Named, turn: &Turn<'_, '_>) -> Option<Flow> {
        match named {
            Named::Datagram(peer) => Some(Flow::Datagram(*peer)),
            Named::Stream(stream) => {
                let connection = self.connections.get(stream)?;
                Some(Flow::Stream(*stream, connection.carrier, connection.peer))
            }
            Named::Endpoint { aor, epid } => {
                let held = self.bindings.of(aor, turn.now).into_iter();
                let held = held.filter(|held| held.plain.is_none()).find(|held| match epid {
                    Some(epid) => held.endpoint == *epid,
                    None => held.endpoint == held.instance,
                });
                let held = held?.clone();
                self.flow_to(&held)
            }
        }
    }
}
