//! Places: where an authority tells the world about itself, over plain HTTP.
//!
//! The addresses stand in every certificate that it issues: the list of revoked certificates (RFC 5280 §4.2.1.13), the
//! OCSP responder and the authority's own certificate (RFC 5280 §4.2.2.1). They are plain HTTP, since whoever asks is
//! about to find out whether TLS can be trusted.

use rcgen::{CrlDistributionPoint, CustomExtension};
use yasna::models::ObjectIdentifier;
use yasna::{Tag, construct_der};

/// id-pe-authorityInfoAccess (RFC 5280 §4.2.2.1).
const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
/// id-ad-ocsp and id-ad-caIssuers.
const OCSP: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1];
const CA_ISSUERS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 2];

/// Where an authority tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    host: String,
    folder: String,
    name: String,
}

impl Places {
    /// At `host`, in `folder` (`/pki`, say, or empty for the root of the host), in files called `name`. Each must be
    /// fit for a URL as it is.
    pub fn new(host: &str, folder: &str, name: &str) -> Places {
        Places { host: host.to_owned(), folder: folder.to_owned(), name: name.to_owned() }
    }

    /// The path of the list of revoked certificates.
    pub fn crl_path(&self) -> String {
        format!("{}/{}.crl", self.folder, self.name)
    }

    /// The path of the authority's own certificate.
    pub fn certificate_path(&self) -> String {
        format!("{}/{}.crt", self.folder, self.name)
    }

    /// The path of the OCSP responder.
    pub fn ocsp_path(&self) -> String {
        format!("{}/{}/ocsp", self.folder, self.name)
    }

    /// The URL of one of the paths.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    pub(crate) fn distribution_points(&self) -> Vec<CrlDistributionPoint> {
        vec![CrlDistributionPoint { uris: vec![self.url(&self.crl_path())] }]
    }

    pub(crate) fn information_access(&self) -> CustomExtension {
        let entries = [(OCSP, self.ocsp_path()), (CA_ISSUERS, self.certificate_path())];
        let content = construct_der(|writer| {
            writer.write_sequence(|writer| {
                for (method, path) in &entries {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(method));
                        // GeneralName: uniformResourceIdentifier [6] IMPLICIT IA5String.
                        writer.next().write_tagged_implicit(Tag::context(6), |writer| {
                            writer.write_ia5_string(&self.url(path));
                        });
                    });
                }
            });
        });
        CustomExtension::from_oid_content(AUTHORITY_INFO_ACCESS, content)
    }
}
