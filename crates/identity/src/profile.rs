//! Profiles: which year's service, or which RFC, the identity service behaves like.

use std::str::FromStr;

/// A set of habits that clients meet: field names, number formats, words of refusal, pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Profile {
    /// The first device-code service: `/oauth2/*` only, numbers as strings, CR LF in error texts.
    #[default]
    EntraV1In2016,
    /// With `/oauth2/v2.0/*` beside it.
    EntraV2In2020,
    /// Blanks in error texts, number 7000014 for unknown codes, a last question before approval.
    EntraV2In2024,
    /// RFC 8628 to the letter, with RFC 8414 metadata and RFC 9700's answer to replayed refresh tokens.
    Rfc8628,
}

impl Profile {
    /// The name that lab files use.
    pub fn name(self) -> &'static str {
        match self {
            Profile::EntraV1In2016 => "entra-v1-2016",
            Profile::EntraV2In2020 => "entra-v2-2020",
            Profile::EntraV2In2024 => "entra-v2-2024",
            Profile::Rfc8628 => "rfc8628",
        }
    }

    /// Every profile, oldest first.
    pub const ALL: [Profile; 4] =
        [Profile::EntraV1In2016, Profile::EntraV2In2020, Profile::EntraV2In2024, Profile::Rfc8628];

    pub(crate) fn has_v2(self) -> bool {
        self != Profile::EntraV1In2016
    }

    /// What stands between the parts of an error text. RFC 6749 §5.2 forbids CR LF there; older services
    /// sent it all the same.
    pub(crate) fn separator(self) -> &'static str {
        match self {
            Profile::EntraV1In2016 | Profile::EntraV2In2020 => "\r\n",
            Profile::EntraV2In2024 | Profile::Rfc8628 => " ",
        }
    }

    pub(crate) fn declined_word(self) -> &'static str {
        if self == Profile::Rfc8628 { "access_denied" } else { "authorization_declined" }
    }

    pub(crate) fn expired_word(self) -> &'static str {
        if self == Profile::EntraV1In2016 { "code_expired" } else { "expired_token" }
    }

    /// The word for a device code that nobody issued. That the two older profiles used the word of the
    /// public documentation is a guess.
    pub(crate) fn unknown_code_word(self) -> &'static str {
        match self {
            Profile::EntraV1In2016 | Profile::EntraV2In2020 => "bad_verification_code",
            Profile::EntraV2In2024 | Profile::Rfc8628 => "invalid_grant",
        }
    }

    /// Polls that come too early get `slow_down` (RFC 8628 §3.5); the copied service never sends it.
    pub(crate) fn slows_down(self) -> bool {
        self == Profile::Rfc8628
    }

    /// A page right after the code names the application and asks whether to go on.
    pub(crate) fn confirms_first(self) -> bool {
        matches!(self, Profile::EntraV1In2016 | Profile::EntraV2In2020)
    }

    /// A refresh token that is used twice ends its whole family (RFC 9700 §4.14.2).
    pub(crate) fn is_strict_about_refresh(self) -> bool {
        self == Profile::Rfc8628
    }

    /// Whether unknown accounts are told apart from wrong passwords unless the policies say otherwise.
    pub(crate) fn tells_unknown_accounts(self) -> bool {
        self != Profile::Rfc8628
    }
}

/// A profile's name is none of [`Profile::ALL`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no identity profile is called `{0}`")]
pub struct UnknownProfile(pub String);

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Profile, UnknownProfile> {
        Profile::ALL
            .into_iter()
            .find(|profile| profile.name() == name)
            .ok_or_else(|| UnknownProfile(name.to_owned()))
    }
}
