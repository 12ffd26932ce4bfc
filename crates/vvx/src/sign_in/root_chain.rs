//! The pool's own root certificate, downloaded before anything else can be trusted: trust on first use.
//!
//! A private pool's certificates stand on a root that no phone was born with. The phone asks the pool's
//! certificate service for it over plain HTTP, without proof, the first time it meets an unknown authority; pins
//! what it gets; and never asks again until a factory reset. Whoever can answer in the pool's place at that one
//! moment is trusted for good: that is how such phones work, and why the fingerprint is logged.
//!
//! The operation's name, GetRootCertChains, is known; the layout of its answer is this project's guess: one
//! `X509Certificate` element per certificate, base64 DER.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use url::Url;

use crate::sign_in::ask::{Answer, Ask};
use crate::sign_in::soap;

const ACTION: &str = "http://schemas.microsoft.com/OCS/AuthWebServices/GetRootCertChains";
/// How many roots one pool may have.
pub const ROOTS_MAX: usize = 4;

/// A root that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its SHA-256 fingerprint in hexadecimal, for people to compare.
    pub fingerprint: String,
}

/// Asks `host` for its root chain.
pub fn ask(host: &str) -> Option<Ask> {
    let url = Url::parse(&format!("http://{host}/CertProv/CertProvisioningService.svc/Anon")).ok()?;
    let body = "<GetRootCertChains xmlns=\"http://schemas.microsoft.com/OCS/AuthWebServices/\"/>";
    Some(Ask::soap(url, ACTION, soap::envelope("", body), "ask for the pool's root"))
}

/// Reads the roots in the answer: certificates that may sign others.
///
/// # Errors
///
/// In words, if there is none.
pub fn read(answer: Answer) -> Result<Vec<Root>, String> {
    let answer = answer.map_err(|why| why.to_string())?;
    let body = soap::body_of(&answer)?;
    let mut roots: Vec<Root> = Vec::new();
    let mut waiting = vec![&body];
    while let Some(element) = waiting.pop() {
        if element.name == "X509Certificate" && roots.len() < ROOTS_MAX {
            let text: String = element.text.split_whitespace().collect();
            let Ok(der) = STANDARD.decode(text) else { continue };
            let certificate = CertificateDer::from(der);
            match pki::Certificate::read(&certificate) {
                Ok(read) if read.is_authority => {
                    roots.push(Root { fingerprint: read.fingerprint_hex(), certificate });
                }
                _ => {}
            }
        }
        waiting.extend(element.children.iter().rev());
    }
    if roots.is_empty() { Err("the pool shows no root certificate".to_owned()) } else { Ok(roots) }
}
