//! The documents of in-band provisioning and of a user's own state, as text.
//!
//! Element names are those of MS-SIPREGE 2.2.2.5; which of them a pool sends is a choice: here the ones that a desk
//! phone acts on, and enough around them that other clients take the document. Everything that came from outside
//! is escaped.

use std::fmt::Write as _;

use crate::accounts::PhonePolicy;

/// One part of the provisioning document (MS-SIPREGE 2.2.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What holds for the whole pool, phone lock included.
    ServerConfiguration,
    /// What the user may do with calls.
    UcPolicy,
    /// What holds for this kind of device.
    EndpointConfiguration,
}

impl Group {
    /// Every group this pool knows, in the order in which it sends them.
    pub const ALL: [Group; 3] = [Group::ServerConfiguration, Group::UcPolicy, Group::EndpointConfiguration];

    /// The group's name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Group::ServerConfiguration => "ServerConfiguration",
            Group::UcPolicy => "ucPolicy",
            Group::EndpointConfiguration => "endpointConfiguration",
        }
    }
}

/// The provisioning document with these groups, for an account under `policy` in the SIP domain `domain`.
pub fn provisioning(groups: &[Group], policy: &PhonePolicy, domain: &str) -> String {
    let mut xml = String::from(
        "<provisionGroupList xmlns=\"http://schemas.microsoft.com/2006/09/sip/provisiongrouplist-notification\">\r\n",
    );
    for group in groups {
        let name = group.name();
        // Writing to a String cannot fail.
        let _ = write!(xml, " <provisionGroup name=\"{name}\">\r\n");
        match group {
            Group::ServerConfiguration => server_configuration(&mut xml, policy, domain),
            Group::UcPolicy => uc_policy(&mut xml, policy),
            Group::EndpointConfiguration => endpoint_configuration(&mut xml),
        }
        xml.push_str(" </provisionGroup>\r\n");
    }
    xml.push_str("</provisionGroupList>\r\n");
    xml
}

/// MS-SIPREGE 2.2.2.5.1: a flat list of elements. The idle time goes out in whole minutes, rounded up, so that a
/// policy of half a minute does not turn into no lock at all.
fn server_configuration(xml: &mut String, policy: &PhonePolicy, domain: &str) {
    let idle_minutes = policy.phone_lock_timeout.as_secs().div_ceil(60);
    let elements = [
        ("organization", domain.to_owned()),
        ("ucPortRangeEnabled", "false".to_owned()),
        ("ucPC2PCAVEncryption", "SupportEncryption".to_owned()),
        ("ucDiffServVoice", "40".to_owned()),
        ("ucVoice802_1p", "0".to_owned()),
        ("ucEnforcePinLock", policy.enforce_phone_lock.to_string()),
        ("ucMinPinLength", policy.min_phone_pin_length.to_string()),
        ("ucPhoneTimeOut", idle_minutes.to_string()),
        ("ucExchangeMWIPoll", "3".to_owned()),
        ("ucEnableSIPSecurityMode", policy.sip_security_mode.clone()),
        ("ucEnableUserLogging", "false".to_owned()),
        ("loggingLevel", "Off".to_owned()),
    ];
    for (name, value) in elements {
        let value = escape(&value);
        let _ = write!(xml, "  <{name}>{value}</{name}>\r\n");
    }
}

/// MS-SIPREGE 2.2.2.5.3: one instance of named properties.
fn uc_policy(xml: &mut String, policy: &PhonePolicy) {
    let voice = if policy.voice_enabled { "true" } else { "false" };
    xml.push_str("  <instance>\r\n");
    properties(
        xml,
        &[("AllowSimultaneousRinging", voice), ("AllowCallForwarding", voice), ("EnableDelegation", voice)],
    );
    xml.push_str("  </instance>\r\n");
}

/// MS-SIPREGE 2.2.2.5.6. The wrapper element and the form of the time-out are guesses from a published sample of a
/// neighbouring group.
fn endpoint_configuration(xml: &mut String) {
    xml.push_str("  <propertyEntryList>\r\n");
    properties(xml, &[("EnableHotdesking", "false"), ("HotdeskingTimeout", "00:05:00")]);
    xml.push_str("  </propertyEntryList>\r\n");
}

fn properties(xml: &mut String, list: &[(&str, &str)]) {
    for (name, value) in list {
        let _ = write!(xml, "   <property name=\"{name}\">{value}</property>\r\n");
    }
}

/// The contact list of somebody who has no contacts: one group, as every client expects to find one.
pub fn contacts() -> String {
    concat!(
        "<contactList deltaNum=\"1\" xmlns=\"http://schemas.microsoft.com/winrtc/2002/11/sip\">",
        "<group id=\"1\" name=\"~\" externalURI=\"\"/></contactList>"
    )
    .to_owned()
}

/// The own state of somebody who has published nothing.
pub fn roaming_self(aor: &str) -> String {
    let uri = escape(aor);
    format!(
        concat!(
            "<roamingData xmlns=\"http://schemas.microsoft.com/2006/09/sip/roaming-self\">\r\n",
            " <categories xmlns=\"http://schemas.microsoft.com/2006/09/sip/categories\" uri=\"sip:{uri}\"/>\r\n",
            " <containers xmlns=\"http://schemas.microsoft.com/2006/09/sip/containers\"/>\r\n",
            " <subscribers xmlns=\"http://schemas.microsoft.com/2006/09/sip/presence-subscribers\"/>\r\n",
            "</roamingData>\r\n"
        ),
        uri = uri
    )
}

fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
