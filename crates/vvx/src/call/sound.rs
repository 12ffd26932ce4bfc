//! A call's sound: from what both ends agreed on to packets, and back.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use media::session::Law;
use media::{Session, SessionSetup, Wire};
use net::Time;
use sip::sdp::{Agreed, Codec, Direction, Sdp};

use super::MediaView;
use super::one::{Call, Phase};
use super::way::{Act, Hands};
use crate::events;

/// How long nothing at all may come from the other end, reports included, before the call counts as dead. A guess;
/// without it a power cut at one end would leave the other end in the call for ever.
pub const PATIENCE: Duration = Duration::from_secs(30);

impl Call {
    /// Makes the sound what both ends agreed on.
    pub(super) fn agree(&mut self, agreed: Agreed, hands: &mut Hands<'_>) {
        let setup = self.session_setup(&agreed);
        match &mut self.sound {
            Some(sound) => sound.change(setup, hands.now),
            None => {
                let cname = self.local.address.trim_start_matches("sip:").to_owned();
                let random = hands.random.fork("sound");
                let mut sound = Session::new(setup, hands.settings.voice_hz, &cname, random, hands.now);
                sound.mute(self.is_muted);
                self.sound = Some(sound);
            }
        }
        self.agreed = Some(agreed);
    }

    /// Whether this end holds changed: speaks or not, with what is agreed already.
    pub(super) fn agree_again(&mut self, hands: &Hands<'_>) {
        if let Some(agreed) = self.agreed.clone() {
            let setup = self.session_setup(&agreed);
            if let Some(sound) = &mut self.sound {
                sound.change(setup, hands.now);
            }
        }
    }

    fn session_setup(&self, agreed: &Agreed) -> SessionSetup {
        let law = match agreed.codec.0 {
            Codec::Pcmu => Law::Mu,
            Codec::Pcma => Law::A,
        };
        // Before the call is answered this end hears announcements and says nothing; who holds has no music to play.
        let speaks = matches!(self.phase, Phase::Talking) && !self.is_holding && self.wants != Some(true);
        SessionSetup {
            law,
            payload_type: agreed.codec.1,
            events: agreed.events,
            sends: agreed.direction.sends() && speaks && !agreed.remote.ip().is_unspecified(),
            receives: agreed.direction.receives(),
        }
    }

    /// Whether the other end holds this one.
    pub(super) fn is_held(&self) -> bool {
        let agreed = self.agreed.as_ref().map_or(Direction::SendRecv, |agreed| agreed.direction);
        self.sdp.direction.sends() && !agreed.sends()
    }

    pub(super) fn sound_wakes_at(&self) -> Option<Time> {
        let sound = self.sound.as_ref()?;
        Some(sound.wake_at().min(sound.alive_at() + PATIENCE))
    }

    /// Sends what is due. Whether the other end has been silent for too long.
    pub(super) fn sound_woken(&mut self, hands: &mut Hands<'_>) -> bool {
        let (Some(sound), Some(agreed)) = (&mut self.sound, &self.agreed) else {
            return false;
        };
        let is_dead = matches!(self.phase, Phase::Talking) && sound.alive_at() + PATIENCE <= hands.now;
        for wire in sound.wake(hands.now, hands.unix_nanos) {
            hands.acts.extend(act(self.port, agreed.remote, wire));
        }
        is_dead
    }

    /// A datagram came to one of this call's ports.
    pub(super) fn sound_came(&mut self, port: u16, octets: &Bytes, hands: &mut Hands<'_>) {
        let Some(sound) = &mut self.sound else { return };
        if port == self.port {
            if sound.receive(hands.now, octets).is_some() {
                // Which digit is between the two ends: it may be part of a code.
                hands.event(events::DIGIT_HEARD, format!("from {}", self.remote.shown()));
            }
        } else {
            sound.receive_report(hands.now, hands.unix_nanos, octets);
        }
    }

    /// The sound is over.
    pub(super) fn hush(&mut self, hands: &mut Hands<'_>) {
        if let (Some(sound), Some(agreed)) = (&mut self.sound, &self.agreed) {
            let wire = sound.goodbye(hands.now);
            hands.acts.extend(act(self.port, agreed.remote, wire));
        }
        self.last_heard = self.media_view(hands.now);
        self.sound = None;
        hands.acts.extend([Act::Unlisten(self.port), Act::Unlisten(self.port + 1)]);
    }

    /// What was measured.
    pub(super) fn media_view(&self, now: Time) -> MediaView {
        let Some(sound) = &self.sound else {
            return MediaView { port: self.port, heard_hz: None, ..self.last_heard.clone() };
        };
        let report = sound.report(now);
        MediaView {
            port: self.port,
            codec: self.agreed.as_ref().map_or("", |agreed| agreed.codec.0.name()),
            sent: report.sent,
            received: report.received,
            lost: report.lost,
            reordered: report.reordered,
            late: report.late,
            jitter: report.jitter,
            lost_there: report.lost_there,
            round_trip: report.round_trip,
            heard_hz: report.heard_hz,
            digits: report.digits,
        }
    }
}

fn act(port: u16, remote: SocketAddr, wire: Wire) -> Option<Act> {
    if remote.ip().is_unspecified() {
        return None;
    }
    Some(match wire {
        Wire::Rtp(octets) => Act::Sound { port, to: remote, octets },
        Wire::Rtcp(octets) => {
            // RTCP goes to the port above RTP's (RFC 3550 §11).
            let to = SocketAddr::new(remote.ip(), remote.port().checked_add(1)?);
            Act::Sound { port: port + 1, to, octets }
        }
    })
}

/// The session description in a message's body, if it is one.
pub(super) fn described(message: &sip::Message) -> Option<Sdp> {
    if !message.is_content(sip::sdp::MEDIA_TYPE) {
        return None;
    }
    Sdp::parse(message.body_text()?).ok()
}
