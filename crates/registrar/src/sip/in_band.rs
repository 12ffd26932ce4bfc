//! In-band documents: what a registered client may subscribe to, and the subscriptions that hold.
//!
//! Three event packages are served: the provisioning document, an empty contact list, and an empty own state. A
//! document goes out inside the 200 if the client can take it there (`ms-piggyback-first-notify`), else as the
//! first notice. Only the provisioning document ever changes; a subscriber then gets the new one as a notice.
//! Subscriptions live in memory, on their connection: a client that reconnects subscribes again.

pub mod asked;
pub mod documents;

use std::collections::BTreeMap;
use std::time::Duration;

use net::{StreamId, Time};
use sip::Message;
use sip::value::Contacts;

use self::documents::Group;
use super::notice::Dialog;
use super::refusal::Refusal;
use super::register::may_be_remembered;
use crate::accounts::{Account, PhonePolicy};

/// The most subscriptions on one connection; a client of this kind needs three.
pub const SUBSCRIPTIONS_PER_CONNECTION: usize = 16;
/// The longest subscription that is granted: 8 hours.
pub const LONGEST: Duration = Duration::from_secs(28_800);

/// The event packages that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// What the pool tells its clients to do (MS-SIPREGE 2.2.2.5).
    Provisioning,
    /// The user's contact list.
    Contacts,
    /// What the user has published.
    OwnState,
}

impl Package {
    const ALL: [Package; 3] = [Package::Provisioning, Package::Contacts, Package::OwnState];

    /// Its name in the Event header.
    pub const fn name(self) -> &'static str {
        match self {
            Package::Provisioning => "vnd-microsoft-provisioning-v2",
            Package::Contacts => "vnd-microsoft-roaming-contacts",
            Package::OwnState => "vnd-microsoft-roaming-self",
        }
    }

    /// The media type of its document.
    pub const fn content_type(self) -> &'static str {
        match self {
            Package::Provisioning => "application/vnd-microsoft-roaming-provisioning-v2+xml",
            Package::Contacts => "application/vnd-microsoft-roaming-contacts+xml",
            Package::OwnState => "application/vnd-microsoft-roaming-self+xml",
        }
    }

    fn of(request: &Message) -> Option<Package> {
        let event = request.header("Event")?;
        let name = event.split(';').next().unwrap_or("").trim();
        Package::ALL.into_iter().find(|package| package.name().eq_ignore_ascii_case(name))
    }
}

/// One subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Whose it is: the address without its scheme.
    pub aor: String,
    /// To what.
    pub package: Package,
    /// Where its notices go.
    pub dialog: Dialog,
    /// BENOTIFY, or NOTIFY for a client that does not know the other.
    pub method: &'static str,
    /// When it ends.
    pub until: Time,
    groups: Vec<Group>,
    sent: String,
}

/// What a SUBSCRIBE got.
#[derive(Debug)]
pub struct Granted {
    /// To what.
    pub package: Package,
    /// For how many seconds; 0 was one question and one answer, or the end.
    pub expires_s: u64,
    /// The document.
    pub document: String,
    /// Whether the document goes into the 200; else it follows as a notice.
    pub piggybacks: bool,
    /// The subscription as it stands, to send notices in.
    pub subscription: Subscription,
}

/// Who subscribes, over what.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber<'a> {
    /// The account that has proved to be it.
    pub account: &'a Account,
    /// Its connection.
    pub stream: StreamId,
    /// Its endpoint's Contact, used if the SUBSCRIBE has none.
    pub contact: Option<&'a str>,
}

type Key = (StreamId, String, String);

/// The subscriptions that hold.
#[derive(Debug, Default)]
pub struct Subscriptions(BTreeMap<Key, Subscription>);

impl Subscriptions {
    /// Takes a SUBSCRIBE in. `fresh_tag` is the pool's tag if this begins a subscription.
    ///
    /// # Errors
    ///
    /// If the event is not served here, the request is for somebody else's state, the body cannot be read, or
    /// there are too many subscriptions.
    pub fn subscribe(
        &mut self,
        request: &Message,
        who: Subscriber<'_>,
        domain: &str,
        fresh_tag: &str,
        now: Time,
    ) -> Result<Granted, Refusal> {
        let package = Package::of(request).ok_or(Refusal::UnknownEvent)?;
        let of = request.to().uri.user_at_host().map(|of| of.to_ascii_lowercase());
        if of.as_deref() != Some(who.account.address.as_str()) {
            return Err(Refusal::NoSuchDestination);
        }
        let asked = request.expires().map_or(LONGEST, |secs| Duration::from_secs(secs.into()));
        let expires = asked.min(LONGEST);
        let local_tag = request.to().tag().unwrap_or(fresh_tag).to_owned();
        let key = (who.stream, request.call_id().to_owned(), local_tag.clone());
        // What is refused leaves the subscription as it was (RFC 6665 §4.1.2.2).
        let held = self.0.get(&key).filter(|held| now < held.until && held.package == package).cloned();
        if held.is_none() && request.to().tag().is_some() {
            return Err(Refusal::NoSuchDialog);
        }
        let groups = match package {
            Package::Provisioning => match &held {
                // A refresh without a body asks for the same again.
                Some(held) if request.body().is_empty() => held.groups.clone(),
                _ => asked::groups(&request.body()).map_err(|_| Refusal::BadBody)?,
            },
            Package::Contacts | Package::OwnState => Vec::new(),
        };
        let mut subscription = Subscription {
            aor: who.account.address.clone(),
            package,
            dialog: dialog(request, local_tag, who, held.as_ref())?,
            method: if request.lists("Supported", "ms-benotify") { "BENOTIFY" } else { "NOTIFY" },
            until: now + expires,
            groups,
            sent: String::new(),
        };
        let document = subscription.document(&who.account.policy, domain);
        subscription.sent.clone_from(&document);
        if expires.is_zero() {
            self.0.remove(&key);
        } else {
            if held.is_none() && self.on(who.stream, now) >= SUBSCRIPTIONS_PER_CONNECTION {
                return Err(Refusal::Busy { retry_after_s: 60 });
            }
            self.0.insert(key, subscription.clone());
        }
        Ok(Granted {
            package,
            expires_s: expires.as_secs(),
            document,
            piggybacks: request.lists("Supported", "ms-piggyback-first-notify"),
            subscription,
        })
    }

    /// The subscriptions of `aor` whose document is another one under `policy`, each with its new document. They
    /// count as told.
    pub fn changed(
        &mut self,
        aor: &str,
        policy: &PhonePolicy,
        domain: &str,
        now: Time,
    ) -> Vec<(StreamId, &mut Subscription, String)> {
        self.0.retain(|_, held| now < held.until);
        let mine = self.0.iter_mut().filter(|(_, held)| held.aor == aor);
        mine.filter_map(|((stream, _, _), held)| {
            let document = held.document(policy, domain);
            if document == held.sent {
                return None;
            }
            held.sent.clone_from(&document);
            Some((*stream, held, document))
        })
        .collect()
    }

    /// Remembers the number of a notice that was sent outside [`Subscriptions::changed`].
    pub fn notified(&mut self, stream: StreamId, dialog: &Dialog) {
        let key = (stream, dialog.call_id.clone(), dialog.local_tag.clone());
        if let Some(held) = self.0.get_mut(&key) {
            held.dialog.cseq = dialog.cseq;
        }
    }

    /// Ends one subscription.
    pub fn end(&mut self, stream: StreamId, call_id: &str, local_tag: &str) {
        self.0.remove(&(stream, call_id.to_owned(), local_tag.to_owned()));
    }

    /// Ends everything on a connection.
    pub fn connection_closed(&mut self, stream: StreamId) {
        let over: Vec<Key> = self.keys_on(stream).cloned().collect();
        for key in over {
            self.0.remove(&key);
        }
    }

    /// Ends everything of an address.
    pub fn end_all_of(&mut self, aor: &str) {
        self.0.retain(|_, held| held.aor != aor);
    }

    /// How many hold on a connection; those that have ended are forgotten.
    fn on(&mut self, stream: StreamId, now: Time) -> usize {
        let over: Vec<Key> = self.keys_on(stream).filter(|key| self.0[*key].until <= now).cloned().collect();
        for key in over {
            self.0.remove(&key);
        }
        self.keys_on(stream).count()
    }

    fn keys_on(&self, stream: StreamId) -> impl Iterator<Item = &Key> {
        let first = (stream, String::new(), String::new());
        self.0.range(first..).map(|(key, _)| key).take_while(move |(on, _, _)| *on == stream)
    }
}

impl Subscription {
    fn document(&self, policy: &PhonePolicy, domain: &str) -> String {
        match self.package {
            Package::Provisioning => documents::provisioning(&self.groups, policy, domain),
            Package::Contacts => documents::contacts(),
            Package::OwnState => documents::roaming_self(&self.aor),
        }
    }
}

fn dialog(
    request: &Message,
    local_tag: String,
    who: Subscriber<'_>,
    held: Option<&Subscription>,
) -> Result<Dialog, Refusal> {
    let (from, to) = (request.from(), request.to());
    let contact = match request.contacts() {
        Ok(Contacts::List(list)) => list.first().map(|contact| contact.uri.as_str().to_owned()),
        Ok(Contacts::All) | Err(_) => None,
    };
    let target = contact
        .or_else(|| held.map(|held| held.dialog.target.clone()))
        .or_else(|| who.contact.map(str::to_owned))
        .ok_or(Refusal::BadContact("A SUBSCRIBE wants a Contact"))?;
    may_be_remembered(request, &target)?;
    Ok(Dialog {
        target,
        call_id: request.call_id().to_owned(),
        local_uri: to.uri.as_str().to_owned(),
        local_tag,
        remote_uri: from.uri.as_str().to_owned(),
        remote_tag: from.tag().unwrap_or("").to_owned(),
        remote_epid: from.epid().map(str::to_owned),
        cseq: held.map_or(1, |held| held.dialog.cseq),
    })
}
