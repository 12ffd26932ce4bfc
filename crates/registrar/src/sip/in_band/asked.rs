//! What a client asks for: the groups named in the body of a provisioning SUBSCRIBE (MS-SIPREGE 2.2.2.4).
//!
//! The body comes from outside: no DTD, no entities of its own, limits on size, depth and number of elements.

use std::collections::BTreeSet;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::documents::Group;

/// The largest body that is read, in octets.
pub const BODY_LIMIT: usize = 16 * 1024;
/// The deepest nesting of elements; the known document has two levels.
const DEPTH_LIMIT: usize = 8;
/// The most elements; about a dozen groups are known.
const ELEMENTS_LIMIT: usize = 256;

/// The body is not a list of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no list of provisioning groups: {0}")]
pub struct BadBody(&'static str);

/// Reads which groups a body asks for; unknown ones are left out. An empty body asks for everything.
///
/// # Errors
///
/// If the body is too large, no XML, or another document.
pub fn groups(body: &[u8]) -> Result<Vec<Group>, BadBody> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Group::ALL.to_vec());
    }
    if body.len() > BODY_LIMIT {
        return Err(BadBody("too large"));
    }
    let text = std::str::from_utf8(body).map_err(|_| BadBody("not UTF-8"))?;
    let mut reader = quick_xml::Reader::from_str(text);
    let mut wanted = BTreeSet::new();
    let (mut depth, mut elements) = (0_usize, 0_usize);
    loop {
        let event = reader.read_event().map_err(|_| BadBody("not well-formed"))?;
        let (tag, opens) = match event {
            Event::Start(tag) => (tag, true),
            Event::Empty(tag) => (tag, false),
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                continue;
            }
            Event::DocType(_) => return Err(BadBody("has a document type")),
            Event::Eof if depth > 0 => return Err(BadBody("not well-formed")),
            Event::Eof if elements == 0 => return Err(BadBody("no element")),
            Event::Eof => break,
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::GeneralRef(_) => continue,
        };
        elements += 1;
        if elements > ELEMENTS_LIMIT || depth >= DEPTH_LIMIT {
            return Err(BadBody("too deep or too long"));
        }
        let wanted_name = if depth == 0 { "provisioningGroupList" } else { "provisioningGroup" };
        let is_known = local_name(&tag) == wanted_name;
        if depth == 0 && (!is_known || elements > 1) {
            return Err(BadBody("another document"));
        }
        if depth == 1 && is_known {
            wanted.extend(group(&tag)?);
        }
        depth += usize::from(opens);
    }
    Ok(Group::ALL.into_iter().filter(|group| wanted.contains(group)).collect())
}

fn local_name(tag: &BytesStart<'_>) -> String {
    String::from(tag.local_name().as_ref())
}

fn group(tag: &BytesStart<'_>) -> Result<Option<Group>, BadBody> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| BadBody("a broken attribute"))?;
        if attribute.key.local_name().as_ref() == "name" {
            let name = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| BadBody("a broken attribute"))?;
            return Ok(Group::ALL.into_iter().find(|group| group.name().eq_ignore_ascii_case(&name)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(inner: &str) -> String {
        format!(
            "<provisioningGroupList xmlns=\"http://schemas.microsoft.com/2006/09/sip/provisioninggrouplist\">{inner}</provisioningGroupList>"
        )
    }

    #[test]
    fn known_groups_are_found_and_unknown_ones_left_out() {
        let body = list(
            "<provisioningGroup name=\"ucPolicy\"/><provisioningGroup name=\"meetingPolicy\"/>\
             <p:provisioningGroup name='ServerConfiguration'></p:provisioningGroup>",
        );
        assert_eq!(groups(body.as_bytes()), Ok(vec![Group::ServerConfiguration, Group::UcPolicy]));
    }

    #[test]
    fn no_body_asks_for_everything() {
        assert_eq!(groups(b" \r\n"), Ok(Group::ALL.to_vec()));
    }

    #[test]
    fn other_documents_are_refused() {
        let deep = list(&("<a>".repeat(10) + &"</a>".repeat(10)));
        let cases = [
            "<contactList/>",
            "no xml",
            "<provisioningGroupList>",
            "<!DOCTYPE a><provisioningGroupList/>",
            "<provisioningGroupList/><provisioningGroupList/>",
            deep.as_str(),
        ];
        for case in cases {
            assert!(groups(case.as_bytes()).is_err(), "{case}");
        }
    }

    #[test]
    fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
        for (octets, is_taken) in [(BODY_LIMIT, true), (BODY_LIMIT + 1, false)] {
            let body = list("");
            let body = body.clone() + &" ".repeat(octets - body.len());
            assert_eq!(groups(body.as_bytes()).is_ok(), is_taken, "{octets}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = groups(&body);
        }

        #[test]
        fn no_list_panics(inner in "[<>/a-zA-Z\"'= &;!\\[\\]?-]{0,200}") {
            let _ = groups(list(&inner).as_bytes());
        }
    }
}
