//! Calls as a story speaks of them: by the names of phones and people.

use net::World;
use vvx::call::{CallView, Party};

use super::Cast;
use crate::actor::Actor;

impl<W: World<Actor>> Cast<W> {
    /// The calls of the phone called `name`.
    pub fn calls(&self, name: &str) -> Vec<CallView> {
        self.phone(name).map_or_else(Vec::new, |phone| phone.calls(self.world.now()))
    }

    /// What to dial for a phone (whoever is signed in to it) or a person; `None` where it is neither.
    pub fn address_of(&self, name: &str) -> Option<String> {
        match self.phone(name) {
            Some(phone) => phone.account().map(str::to_owned),
            None => self.upn(name),
        }
    }

    /// Whether the other end of a call is `name`: a phone, a person, or a number or address.
    pub fn is_party(&self, party: &Party, name: &str) -> bool {
        let address = self.address_of(name).unwrap_or_else(|| name.to_owned());
        let uri = sip::Uri::parse(&party.address).ok();
        let user_at_host = uri.as_ref().and_then(|uri| uri.user_at_host());
        party.number() == address
            || party.address.eq_ignore_ascii_case(&address)
            || user_at_host.is_some_and(|known| known.eq_ignore_ascii_case(&address))
    }

    /// The phone whose voice is a tone of `hz`.
    pub fn speaker(&self, hz: u32) -> Option<String> {
        let is_it = |name: &&String| self.phone(name).is_some_and(|phone| phone.voice_hz() == hz);
        self.nodes.keys().find(is_it).cloned()
    }
}
