//! Offer and answer (RFC 3264) for one audio stream: what this end offers, how it answers, what both agreed on.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use super::{Direction, Media, Sdp};

/// A way to encode sound that a telephone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    /// G.711 µ-law, payload type 0.
    Pcmu,
    /// G.711 A-law, payload type 8.
    Pcma,
}

impl Codec {
    /// The codec's name in `rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        }
    }

    /// Its static payload type (RFC 3551 §6).
    pub fn payload_type(self) -> u8 {
        match self {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        }
    }

    fn find(name: &str, clock: u32) -> Option<Codec> {
        let all = [Codec::Pcmu, Codec::Pcma];
        all.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name) && clock == 8000)
    }
}

/// The payload type under which this end offers telephone events (RFC 4733).
pub const EVENTS: u8 = 101;

/// What this end has to say for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The session's number.
    pub session: u64,
    /// The version: one more each time that anything else here changes.
    pub version: u64,
    /// Where it receives.
    pub socket: SocketAddr,
    /// The codecs that it has, best first.
    pub codecs: Vec<Codec>,
    /// Which way it wants media to flow, as far as the other end agrees.
    pub direction: Direction,
}

/// What both ends agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Where the other end receives.
    pub remote: SocketAddr,
    /// How sound is encoded, and under which payload type the other end wants it.
    pub codec: (Codec, u8),
    /// The payload type under which the other end takes telephone events.
    pub events: Option<u8>,
    /// Which way media flow, from this end's point of view.
    pub direction: Direction,
}

/// Why there is no agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// No section that is audio over plain RTP with an address: answer 488.
    #[error("no audio over plain RTP")]
    NoAudio,
    /// No codec that both have: answer 488.
    #[error("no codec that both ends have")]
    NoCodec,
}

impl Local {
    /// The offer.
    pub fn offer(&self) -> String {
        let mut text = self.head();
        self.section(&mut text, &self.codecs, Some(EVENTS), self.direction);
        text
    }

    /// The answer to an offer: one section for each of the offer's, the first good one accepted and all others
    /// refused (RFC 3264 §6).
    ///
    /// # Errors
    ///
    /// If no section of the offer suits.
    pub fn answer(&self, offer: &Sdp) -> Result<(String, Agreed), Refused> {
        let place = audio(offer).ok_or(Refused::NoAudio)?;
        let media = &offer.media()[place];
        let agreed = self.agree(offer, media)?;
        let mut text = self.head();
        for (at, other) in offer.media().iter().enumerate() {
            if at == place {
                self.section_as(&mut text, agreed.codec, agreed.events, agreed.direction);
            } else {
                // A refused section repeats its formats, for their number tells nothing (RFC 3264 §6).
                let formats = other.formats().join(" ");
                let _ = write!(text, "m={} 0 {} {formats}\r\n", other.kind(), other.protocol());
            }
        }
        Ok((text, agreed))
    }

    /// What an answer to this end's offer agrees to.
    ///
    /// # Errors
    ///
    /// If it refuses the stream, or takes nothing that was offered.
    pub fn accept(&self, answer: &Sdp) -> Result<Agreed, Refused> {
        let place = audio(answer).ok_or(Refused::NoAudio)?;
        self.agree(answer, &answer.media()[place])
    }

    fn agree(&self, theirs: &Sdp, media: &Media) -> Result<Agreed, Refused> {
        let remote = theirs.socket(media).ok_or(Refused::NoAudio)?;
        let types = || media.formats().iter().filter_map(|format| format.parse::<u8>().ok());
        let known = |payload_type| {
            let (name, clock) = media.encoding(payload_type)?;
            Codec::find(name, clock).filter(|codec| self.codecs.contains(codec))
        };
        let codec = types().find_map(|payload_type| Some((known(payload_type)?, payload_type)));
        let events = types().find(|payload_type| {
            let encoding = media.encoding(*payload_type);
            encoding
                .is_some_and(|(name, clock)| name.eq_ignore_ascii_case("telephone-event") && clock == 8000)
        });
        Ok(Agreed {
            remote,
            codec: codec.ok_or(Refused::NoCodec)?,
            events,
            direction: self.direction.and(theirs.direction(media).mirrored()),
        })
    }

    fn head(&self) -> String {
        let Local { session, version, socket, .. } = self;
        let kind = match socket.ip() {
            IpAddr::V4(_) => "IP4",
            IpAddr::V6(_) => "IP6",
        };
        let address = socket.ip();
        format!(
            "v=0\r\no=- {session} {version} IN {kind} {address}\r\ns=-\r\nc=IN {kind} {address}\r\nt=0 0\r\n"
        )
    }

    fn section(&self, text: &mut String, codecs: &[Codec], events: Option<u8>, direction: Direction) {
        let types: Vec<(Codec, u8)> = codecs.iter().map(|codec| (*codec, codec.payload_type())).collect();
        self.print_section(text, &types, events, direction);
    }

    fn section_as(&self, text: &mut String, codec: (Codec, u8), events: Option<u8>, direction: Direction) {
        self.print_section(text, &[codec], events, direction);
    }

    fn print_section(
        &self,
        text: &mut String,
        codecs: &[(Codec, u8)],
        events: Option<u8>,
        direction: Direction,
    ) {
        let formats: Vec<String> =
            codecs.iter().map(|(_, number)| *number).chain(events).map(|number| number.to_string()).collect();
        let _ = write!(text, "m=audio {} RTP/AVP {}\r\n", self.socket.port(), formats.join(" "));
        for (codec, number) in codecs {
            let _ = write!(text, "a=rtpmap:{number} {}/8000\r\n", codec.name());
        }
        if let Some(number) = events {
            let _ = write!(text, "a=rtpmap:{number} telephone-event/8000\r\na=fmtp:{number} 0-15\r\n");
        }
        let _ = write!(text, "a=ptime:20\r\na={}\r\n", direction.name());
    }
}

/// The place of the first section that is audio over plain RTP and not refused.
fn audio(sdp: &Sdp) -> Option<usize> {
    sdp.media().iter().position(|media| {
        media.kind() == "audio"
            && media.port() != 0
            && matches!(media.protocol(), "RTP/AVP" | "RTP/AVPF")
            && sdp.address(media).is_some()
    })
}
