//! What clients read before they ask: OpenID Connect discovery, RFC 8414 metadata, keys, instances and realms.

use net::http::StatusCode;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::errors::Fault;
use crate::service::Service;
use crate::tokens::{Version, is_general};

impl Service {
    /// The discovery document of a tenant.
    pub(crate) fn openid_configuration(&self, tenant: &str, version: Version) -> Result<Answer, Fault> {
        self.tenant(tenant)?;
        let document = self.metadata(tenant, version);
        Ok(Answer::json(StatusCode::OK, &document, "discovery"))
    }

    /// The issuer is always the tenant's own, also under a word such as `common`: strict clients compare it,
    /// and this service has no other tenant.
    fn metadata(&self, tenant: &str, version: Version) -> Value {
        let setup = &self.setup;
        let host = &setup.host;
        let (oauth, keys, issuer) = match version {
            Version::V1 => ("oauth2", "discovery/keys", setup.issuer.clone()),
            Version::V2 => ("oauth2/v2.0", "discovery/v2.0/keys", self.issuer_v2()),
        };
        let base = format!("https://{host}/{tenant}");
        let mut grants = vec!["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"];
        if setup.password_grant {
            grants.push("password");
        }
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{base}/{oauth}/authorize"),
            "token_endpoint": format!("{base}/{oauth}/token"),
            "device_authorization_endpoint": format!("{base}/{oauth}/devicecode"),
            "jwks_uri": format!("{base}/{keys}"),
            "userinfo_endpoint": format!("https://{host}/oidc/userinfo"),
            "end_session_endpoint": format!("{base}/{oauth}/logout"),
            "grant_types_supported": grants,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "token_endpoint_auth_methods_supported": ["none"],
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "amr", "nonce", "name", "tid",
                "ver", "upn", "preferred_username"],
            "http_logout_supported": true,
            "frontchannel_logout_supported": true,
            "tenant_region_scope": "LAB",
            "cloud_instance_name": host,
        })
    }

    pub(crate) fn keys(&self, tenant: &str, version: Version) -> Result<Answer, Fault> {
        self.tenant(tenant)?;
        let issuer = self.issuer_v2();
        let issuer = (version == Version::V2).then_some(issuer.as_str());
        Ok(Answer::json(StatusCode::OK, &self.setup.keys.published(self.rolls, issuer), "keys"))
    }

    /// Instance discovery: the one authority host that there is.
    pub(crate) fn instances(&self, endpoint: Option<&str>) -> Result<Answer, Fault> {
        let host = &self.setup.host;
        let endpoint = endpoint.ok_or_else(|| Fault::about(900144, "authorization_endpoint"))?;
        let asked = url::Url::parse(endpoint).map_err(|_| Fault::of(50050))?;
        if asked.host_str().is_none_or(|asked| !asked.eq_ignore_ascii_case(host)) {
            return Err(Fault::of(50049));
        }
        let tenant = asked.path_segments().and_then(|mut parts| parts.next().map(str::to_owned));
        let tenant = tenant.filter(|tenant| self.tenant(tenant).is_ok()).unwrap_or_else(|| "common".into());
        let document = json!({
            "tenant_discovery_endpoint": format!("https://{host}/{tenant}/.well-known/openid-configuration"),
            "api-version": "1.1",
            "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
        });
        Ok(Answer::json(StatusCode::OK, &document, "instances"))
    }

    /// The realm of a sign-in name: accounts of this tenant are managed here, all others unknown. It goes by
    /// the domain alone, so it does not tell whether the account exists.
    pub(crate) fn realm(&self, upn: &str) -> Value {
        let domain = upn.rsplit_once('@').map_or("", |(_, domain)| domain);
        let own = &self.setup.tenant.domains;
        if !own.iter().any(|known| known.eq_ignore_ascii_case(domain)) {
            return json!({ "ver": "1.0", "account_type": "Unknown" });
        }
        json!({
            "ver": "1.0",
            "account_type": "Managed",
            "domain_name": domain.to_ascii_lowercase(),
            "cloud_instance_name": self.setup.host,
            "cloud_audience_urn": "urn:federation:MicrosoftOnline",
        })
    }

    pub(crate) fn user_realm(&self, upn: &str) -> Answer {
        Answer::json(StatusCode::OK, &self.realm(upn), "realm")
    }

    /// The older realm answer, as XML or JSON.
    pub(crate) fn old_realm(&self, upn: &str, is_xml: bool) -> Answer {
        let realm = self.realm(upn);
        let kind = realm["account_type"].as_str().unwrap_or("Unknown").to_owned();
        let domain = realm["domain_name"].as_str().unwrap_or_default().to_owned();
        let name = if domain.is_empty() { "" } else { self.setup.tenant.display_name.as_str() };
        if !is_xml {
            let answer = json!({
                "NameSpaceType": kind, "DomainName": domain, "FederationBrandName": name,
                "CloudInstanceName": self.setup.host,
            });
            return Answer::json(StatusCode::OK, &answer, "realm");
        }
        let text = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><RealmInfo Success=\"true\"><NameSpaceType>{}</NameSpaceType>\
             <DomainName>{}</DomainName><FederationBrandName>{}</FederationBrandName>\
             <CloudInstanceName>{}</CloudInstanceName></RealmInfo>",
            text(&kind),
            text(&domain),
            text(name),
            text(&self.setup.host)
        );
        Answer::xml(xml, "realm")
    }
}

/// Whether a path part can be a tenant at all, so that it may be named in an answer.
pub(crate) fn is_tenant_like(part: &str) -> bool {
    is_general(part)
        || (part.len() <= 253 && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.'))
}
