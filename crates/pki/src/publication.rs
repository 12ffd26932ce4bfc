//! Publication: what an authority serves at its [`Places`], whatever carries it there.
//!
//! Three things are asked for by HTTP: the list of revoked certificates and the authority's own certificate (RFC 5280
//! §4.2.1.13, §4.2.2.1), and OCSP answers, by GET or POST (RFC 6960 Appendix A.1). Lists and answers are made when they are
//! asked for, so a revocation shows at once.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use net::Wall;

use crate::authority::Authority;
use crate::certificate::Serial;
use crate::ocsp::{REQUEST_LIMIT, Responder, Standing, Trouble};
use crate::places::Places;
use crate::revocation::Revocations;

/// For how long a list of revoked certificates is good.
pub const CRL_LIFE: Duration = Duration::from_secs(86_400);

/// For how long an OCSP answer is good.
pub const OCSP_LIFE: Duration = Duration::from_secs(10 * 60);

/// Base64 as it comes in URLs: some leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What comes of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is served.
    Served {
        /// The media type (RFC 2585 §4, RFC 6960 Appendix C).
        content_type: &'static str,
        /// The octets.
        body: Vec<u8>,
        /// For how long caches may keep it.
        max_age: Duration,
    },
    /// There is something at this path, and these are the methods for it, as the header `Allow` lists them.
    WrongMethod(&'static str),
    /// There is nothing of an authority at this path.
    Elsewhere,
}

/// Whether this path is one of an authority's places, so that its request should be read.
pub fn is_at(places: &Places, path: &str) -> bool {
    let below = |path: &str| path.strip_prefix(&places.ocsp_path()).is_some_and(|rest| rest.starts_with('/'));
    path == places.crl_path()
        || path == places.certificate_path()
        || path == places.ocsp_path()
        || below(path)
}

/// Answers a request by HTTP for `path` (without query) at the moment `now`. `standing` says what is known of a
/// certificate that is not on the list; only the serials of this authority are asked for.
pub fn serve(
    authority: &Authority,
    revocations: &Revocations,
    now: Wall,
    (method, path, body): (&str, &str, &[u8]),
    mut standing: impl FnMut(&Serial) -> Standing,
) -> Reply {
    let Some(places) = authority.places().filter(|places| is_at(places, path)) else {
        return Reply::Elsewhere;
    };
    let is_get = matches!(method, "GET" | "HEAD");
    if path == places.crl_path() {
        return match is_get {
            true => Reply::Served {
                content_type: "application/pkix-crl",
                body: authority.revocation_list(revocations, now, CRL_LIFE),
                // Whoever keeps it longer misses what is revoked meanwhile; in a lab that is seldom wanted.
                max_age: OCSP_LIFE,
            },
            false => Reply::WrongMethod("GET, HEAD"),
        };
    }
    if path == places.certificate_path() {
        return match is_get {
            true => Reply::Served {
                content_type: "application/pkix-cert",
                body: authority.certificate().to_vec(),
                max_age: CRL_LIFE,
            },
            false => Reply::WrongMethod("GET, HEAD"),
        };
    }
    let request = match method {
        "POST" => Some(body.to_vec()),
        _ if is_get => path.strip_prefix(&places.ocsp_path()).and_then(from_path),
        _ => return Reply::WrongMethod("GET, HEAD, POST"),
    };
    let standing = |serial: &Serial| match revocations.find(serial) {
        Some(revoked) => Standing::Revoked(revoked),
        None => standing(serial),
    };
    let body = match request {
        Some(request) => Responder::of(authority).answer(&request, now, OCSP_LIFE, standing),
        None => Trouble::MalformedRequest.response(),
    };
    Reply::Served { content_type: "application/ocsp-response", body, max_age: OCSP_LIFE }
}

/// The request in the last part of a path: base64, of which some characters are percent-encoded.
fn from_path(rest: &str) -> Option<Vec<u8>> {
    let text = rest.strip_prefix('/')?.as_bytes();
    if text.len() > 3 * REQUEST_LIMIT {
        return None;
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut octets = text.iter();
    while let Some(octet) = octets.next() {
        plain.push(match octet {
            b'%' => {
                let mut digit = || char::from(*octets.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            octet => *octet,
        });
    }
    BASE64.decode(plain).ok()
}

#[cfg(test)]
mod tests {
    use net::{Crypto, Random};
    use proptest::prelude::*;

    use super::*;
    use crate::revocation::Reason;

    fn now() -> Wall {
        Wall::parse("2018-10-09T09:00:00Z").expect("a date")
    }

    fn authority() -> Authority {
        let mut random = Random::named(1, "ca");
        let life = Duration::from_secs(10 * 365 * 86_400);
        let mut authority = Authority::new("Contoso Root", Crypto::Seeded, &mut random, now(), life);
        authority.tell_at(Places::new("fe.contoso.example", "/pki", "fe"));
        authority
    }

    fn ask(method: &str, path: &str) -> Reply {
        serve(&authority(), &Revocations::new(), now(), (method, path, b""), |_| Standing::Unknown)
    }

    #[test]
    fn what_stands_in_certificates_is_served_and_nothing_else() {
        let kind = |reply| match reply {
            Reply::Served { content_type, .. } => content_type,
            Reply::WrongMethod(allow) => allow,
            Reply::Elsewhere => "elsewhere",
        };
        for (method, path, wanted) in [
            ("GET", "/pki/fe.crl", "application/pkix-crl"),
            ("HEAD", "/pki/fe.crt", "application/pkix-cert"),
            ("POST", "/pki/fe/ocsp", "application/ocsp-response"),
            ("GET", "/pki/fe/ocsp", "application/ocsp-response"),
            ("GET", "/pki/fe/ocsp/MFIw%2B", "application/ocsp-response"),
            ("PUT", "/pki/fe/ocsp", "GET, HEAD, POST"),
            ("POST", "/pki/fe.crl", "GET, HEAD"),
            ("DELETE", "/pki/fe.crt", "GET, HEAD"),
            ("GET", "/pki/fe/ocspx", "elsewhere"),
            ("GET", "/fe.crl", "elsewhere"),
            ("GET", "/pki/other.crl", "elsewhere"),
        ] {
            assert_eq!(kind(ask(method, path)), wanted, "{method} {path}");
        }
    }

    #[test]
    fn a_revocation_is_on_the_next_list() {
        let authority = authority();
        let mut revocations = Revocations::new();
        let list = |revocations: &Revocations| match serve(
            &authority,
            revocations,
            now(),
            ("GET", "/pki/fe.crl", b""),
            |_| Standing::Good,
        ) {
            Reply::Served { body, .. } => body,
            other => panic!("{other:?}"),
        };
        let before = list(&revocations);
        let serial = [0x5a; 16];
        revocations.revoke(Serial::from_be_bytes(&serial), now(), Reason::KeyCompromise);
        let after = list(&revocations);
        let has = |list: &[u8]| list.windows(serial.len()).any(|window| window == serial);
        assert!(!has(&before) && has(&after));
    }

    proptest! {
        #[test]
        fn no_path_and_no_body_make_it_panic(rest in ".{0,200}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let path = format!("/pki/fe/ocsp/{rest}");
            let nobody = |_: &Serial| Standing::Unknown;
            serve(&authority(), &Revocations::new(), now(), ("GET", &path, &body), nobody);
            serve(&authority(), &Revocations::new(), now(), ("POST", "/pki/fe/ocsp", &body), nobody);
        }
    }
}
