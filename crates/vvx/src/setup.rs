//! What a phone is made of: model, firmware, address, the roots it was born with, and where it belongs.

use std::collections::BTreeMap;
use std::time::Duration;

use net::{Crypto, Random};
use rustls::pki_types::CertificateDer;
use url::Url;

use crate::boot::BootSetup;
use crate::model::{Firmware, Mac, Model};
use crate::sign_in::web_code::Application;

/// The id under which phones of this make are known to the identity service.
pub const CLIENT_ID: &str = "a850aaae-d5a5-4e82-877c-ce54ff916282";
/// The id of the service that they want tokens for.
pub const RESOURCE: &str = "00000004-0000-0ff1-ce00-000000000000";

/// Everything that is decided before a phone gets power for the first time.
#[derive(Clone, Debug)]
pub struct PhoneSetup {
    /// What stories call it.
    pub name: String,
    /// The model.
    pub model: &'static Model,
    /// The firmware.
    pub firmware: Firmware,
    /// The hardware address.
    pub mac: Mac,
    /// The phone's own chance.
    pub random: Random,
    /// The cryptography of its world.
    pub crypto: Crypto,
    /// The roots that were built in. They vouch for everybody; a pool's own root, taken on first use, vouches for
    /// the pool alone.
    pub public_roots: Vec<CertificateDer<'static>>,
    /// Who the phone is to the identity service, and where that is.
    pub application: Application,
    /// Where an administrator signs common-area phones in; shown on the screen with the code.
    pub portal_page: String,
    /// Settings as if typed on the phone, name to value; they come back after a factory reset.
    pub parameters: BTreeMap<String, String>,
    /// The tone that stands for the voice of whoever speaks into this phone, in Hz ([`media::tone::tone_hz`]).
    pub voice_hz: u32,
    /// How it boots.
    pub boot: BootSetup,
    /// How fast its quartz runs: parts per million.
    pub clock_drift_ppm: i32,
    /// How long the prompt for a new lock code waits before the sign-in counts as not completed. The device has
    /// such a limit; its length is a guess.
    pub lock_prompt: Duration,
    /// How long an HTTP connection is kept without a request. A fleet keeps them shorter than the device does: a program
    /// may have no more sockets than its limit.
    pub link_idle: Duration,
}

/// The tone of the voice that stands at that place among the lab's, in Hz; there are 48, then they begin again.
pub fn voice_hz(place: usize) -> u32 {
    media::tone::tone_hz((place % media::tone::TONES as usize) as u32)
}

impl PhoneSetup {
    /// A phone of that name, with the settings of a lab whose identity service is at `authority`
    /// (`https://login.contoso.example/common`).
    pub fn new(
        name: &str,
        model: &'static Model,
        firmware: Firmware,
        mac: Mac,
        random: Random,
        authority: Url,
    ) -> PhoneSetup {
        let mut portal = authority.clone();
        portal.set_path("/cap");
        let application =
            Application { authority, client_id: CLIENT_ID.to_owned(), resource: RESOURCE.to_owned() };
        PhoneSetup {
            name: name.to_owned(),
            model,
            firmware,
            mac,
            random,
            crypto: Crypto::Seeded,
            public_roots: Vec::new(),
            application,
            portal_page: portal.to_string(),
            parameters: BTreeMap::new(),
            voice_hz: media::tone::tone_hz(mac.to_string().bytes().map(u32::from).sum()),
            boot: BootSetup::default(),
            clock_drift_ppm: 0,
            lock_prompt: Duration::from_secs(300),
            link_idle: crate::fetch::IDLE_LIMIT,
        }
    }
}
