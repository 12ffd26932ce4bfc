//! Challenges and credentials: what is read, what is refused, and that it prints as it was.

use proptest::prelude::*;
use sip::auth::{Auth, AuthError};

#[test]
fn a_challenge_is_read_and_printed_as_it_was() {
    let text = "TLS-DSK realm=\"SIP Communications Service\", targetname=\"fe.contoso.example\", version=4, \
                sts-uri=\"https://fe.contoso.example:443/CertProv/CertProvisioningService.svc\"";
    let auth = Auth::parse(text).unwrap();
    assert!(auth.is("tls-dsk"));
    assert_eq!(auth.get("REALM").as_deref(), Some("SIP Communications Service"));
    assert_eq!(auth.get("version").as_deref(), Some("4"));
    assert_eq!(auth.get("opaque"), None);
    assert_eq!(auth.to_string(), text);
}

#[test]
fn commas_and_blanks_may_come_in_any_number() {
    let auth = Auth::parse(" TLS-DSK  , qop = \"auth\",, opaque=\"a,b\" ,version=4, ").unwrap();
    assert_eq!(auth.to_string(), "TLS-DSK qop=\"auth\", opaque=\"a,b\", version=4");
    assert_eq!(Auth::parse("Negotiate").unwrap().to_string(), "Negotiate");
}

#[test]
fn escapes_are_undone_and_made() {
    let auth = Auth::new("X").quoted("name", "a\"b\\c");
    assert_eq!(auth.to_string(), "X name=\"a\\\"b\\\\c\"");
    assert_eq!(Auth::parse(&auth.to_string()).unwrap().get("name").as_deref(), Some("a\"b\\c"));
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    assert_eq!(Auth::parse(""), Err(AuthError::NoScheme));
    assert_eq!(Auth::parse("=x"), Err(AuthError::NoScheme));
    assert_eq!(Auth::parse("S a=1, b"), Err(AuthError::NotParam(2)));
    assert_eq!(Auth::parse("S a=\"1"), Err(AuthError::NotParam(1)));
    assert_eq!(Auth::parse("S a=\"1\"2"), Err(AuthError::NotParam(1)));
    assert_eq!(Auth::parse("S a=1 b=2"), Err(AuthError::NotParam(1)));
    assert_eq!(Auth::parse("S a=1, A=2"), Err(AuthError::Twice("A".to_owned())));
    let many: String = (0..33).map(|n| format!("p{n}=1, ")).collect();
    assert_eq!(Auth::parse(&format!("S {many}")), Err(AuthError::TooMany));
}

proptest! {
    #[test]
    fn reading_never_panics_and_printing_is_stable(text in ".{0,200}") {
        if let Ok(auth) = Auth::parse(&text) {
            let printed = auth.to_string();
            prop_assert_eq!(Auth::parse(&printed).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn any_value_survives_quoting(value in "[^\\x00-\\x1f\\x7f]{0,40}") {
        let auth = Auth::new("TLS-DSK").quoted("opaque", &value);
        let read = Auth::parse(&auth.to_string()).unwrap();
        prop_assert_eq!(read.get("opaque").unwrap(), value.as_str());
    }
}
