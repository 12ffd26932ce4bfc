//! Tokens: what a grant buys, as version 1 and version 2 of the service write it (RFC 7519, RS256).
//!
//! Tokens are dated back by five minutes to forgive clocks that are slow. Version 1 answers write every
//! number as a string, and their id tokens carry no signature; both are habits that clients depend on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use net::{Random, Wall};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::errors::Fault;
use crate::keys::SigningKey;
use crate::people::Record;
use crate::setup::{DIRECTORY, Resource};

/// Seconds by which tokens are dated back.
const BACKDATED: i64 = 300;
/// Scopes that one request may name.
const SCOPE_LIMIT: usize = 20;
/// Scopes that belong to sign-in itself and to no resource.
const SIGN_IN_SCOPES: [&str; 3] = ["openid", "profile", "offline_access"];

/// Which of the two endpoints was asked; each has its own formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    /// `/oauth2/token`.
    #[default]
    V1,
    /// `/oauth2/v2.0/token`.
    V2,
}

/// What a client wants tokens for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) version: Version,
    /// The resource as the client named it: it becomes `aud`.
    pub(crate) resource: String,
    /// The rights, as `scp` lists them.
    pub(crate) rights: Vec<String>,
    /// The scopes, as the answer repeats them.
    pub(crate) scope: String,
    pub(crate) has_openid: bool,
    pub(crate) has_offline: bool,
}

fn find<'a>(resources: &'a [Resource], name: &str) -> Option<&'a Resource> {
    let name = name.trim_end_matches('/');
    resources.iter().find(|resource| {
        let names = std::iter::once(&resource.id).chain(&resource.uris);
        names.into_iter().any(|known| known.trim_end_matches('/').eq_ignore_ascii_case(name))
    })
}

impl Wanted {
    /// What a version 1 request wants.
    pub(crate) fn v1(resources: &[Resource], resource: &str) -> Result<Wanted, Fault> {
        let found = find(resources, resource).ok_or_else(|| Fault::about(500011, resource))?;
        if !found.enabled {
            return Err(Fault::about(500014, resource));
        }
        Ok(Wanted {
            version: Version::V1,
            resource: resource.to_owned(),
            rights: vec!["user_impersonation".into()],
            scope: "user_impersonation".into(),
            has_openid: true,
            has_offline: true,
        })
    }

    /// What a version 2 request wants: scopes of one resource, and of sign-in itself.
    pub(crate) fn v2(resources: &[Resource], scope: &str) -> Result<Wanted, Fault> {
        let mut wanted = Wanted { version: Version::V2, ..Wanted::default() };
        let mut granted: Vec<&str> = Vec::new();
        let mut owner: Option<&Resource> = None;
        for part in scope.split(' ').filter(|part| !part.is_empty()) {
            if granted.len() >= SCOPE_LIMIT {
                return Err(Fault::about(70011, "list"));
            }
            if granted.contains(&part) {
                continue;
            }
            granted.push(part);
            if SIGN_IN_SCOPES.contains(&part) {
                wanted.has_openid |= part == "openid";
                wanted.has_offline |= part == "offline_access";
                continue;
            }
            let (name, right) = match part.rsplit_once('/') {
                Some((name, right)) => (name, right),
                None => (DIRECTORY, part),
            };
            let found = find(resources, name).ok_or_else(|| Fault::about(70011, part))?;
            if !found.enabled {
                return Err(Fault::about(500014, name));
            }
            let is_known = right == ".default" || found.permissions.iter().any(|known| known == right);
            if !is_known {
                return Err(Fault::about(70011, part));
            }
            if owner.is_some_and(|owner| owner.id != found.id) {
                return Err(Fault::of(700022));
            }
            let has_default = wanted.rights.iter().any(|right| right == ".default");
            if has_default || (right == ".default" && !wanted.rights.is_empty()) {
                return Err(Fault::about(70011, part));
            }
            owner = Some(found);
            wanted.resource = name.to_owned();
            wanted.rights.push(right.to_owned());
        }
        if let Some(owner) = owner
            && wanted.rights == [".default"]
        {
            wanted.rights = owner.permissions.clone();
        }
        if owner.is_none() {
            wanted.resource = DIRECTORY.to_owned();
        }
        wanted.scope = granted.join(" ");
        Ok(wanted)
    }
}

/// Everything that tokens are made from.
#[derive(Debug)]
pub(crate) struct Minting<'a> {
    pub(crate) key: &'a SigningKey,
    pub(crate) tenant: &'a str,
    pub(crate) issuer_v1: &'a str,
    pub(crate) issuer_v2: &'a str,
    pub(crate) account: &'a Record,
    pub(crate) client_id: &'a str,
    pub(crate) wanted: &'a Wanted,
    pub(crate) methods: &'a [String],
    pub(crate) auth_time: i64,
    pub(crate) address: &'a str,
    pub(crate) at: Wall,
    /// Seconds that the access token is valid.
    pub(crate) life: i64,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(•••)")
    }
}

impl Minting<'_> {
    fn times(&self) -> (i64, i64) {
        let now = self.at.unix_secs();
        (now.saturating_sub(BACKDATED), now.saturating_add(self.life))
    }

    /// The name of the account that this client alone knows it by.
    fn pairwise(&self) -> String {
        let parts = [b"sub".as_slice(), self.account.oid.as_bytes(), self.client_id.as_bytes()];
        URL_SAFE_NO_PAD.encode(crate::secret::Fingerprint::of_parts(&parts).0)
    }

    fn access_token(&self, random: &mut Random) -> String {
        let (from, until) = self.times();
        let account = self.account;
        let shared = json!({
            "aud": self.wanted.resource, "iat": from, "nbf": from, "exp": until,
            "oid": account.oid, "tid": self.tenant, "sub": self.pairwise(), "name": account.display_name,
            "scp": self.wanted.rights.join(" "), "uti": opaque::<16>(random), "rh": opaque::<24>(random),
            "aio": opaque::<32>(random),
        });
        let own = match self.wanted.version {
            Version::V1 => json!({
                "iss": self.issuer_v1, "ver": "1.0", "appid": self.client_id, "appidacr": "0", "acr": "1",
                "amr": self.methods, "upn": account.upn, "unique_name": account.upn, "ipaddr": self.address,
                "auth_time": self.auth_time,
            }),
            Version::V2 => json!({
                "iss": self.issuer_v2, "ver": "2.0", "azp": self.client_id, "azpacr": "0",
                "preferred_username": account.upn,
            }),
        };
        self.key.sign(&merged(shared, own), self.wanted.version == Version::V1)
    }

    fn id_token(&self, is_signed: bool, random: &mut Random) -> String {
        let (from, until) = self.times();
        let account = self.account;
        let shared = json!({
            "aud": self.client_id, "iat": from, "nbf": from, "exp": until, "oid": account.oid,
            "tid": self.tenant, "sub": self.pairwise(), "name": account.display_name,
            "uti": opaque::<16>(random), "rh": opaque::<24>(random),
        });
        let own = match self.wanted.version {
            Version::V1 => json!({
                "iss": self.issuer_v1, "ver": "1.0", "amr": self.methods, "upn": account.upn,
                "unique_name": account.upn, "ipaddr": self.address,
            }),
            Version::V2 => json!({
                "iss": self.issuer_v2, "ver": "2.0", "preferred_username": account.upn,
            }),
        };
        let claims = merged(shared, own);
        if is_signed {
            return self.key.sign(&claims, false);
        }
        // RFC 7519 §6: a token without a signature still has the dot before it.
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({ "typ": "JWT", "alg": "none" })), part(&claims))
    }

    /// The answer of the token endpoint (RFC 6749 §5.1). `has_strings` writes numbers as strings.
    pub(crate) fn answer(
        &self,
        refresh_token: Option<&str>,
        wants_client_info: bool,
        is_rfc: bool,
        random: &mut Random,
    ) -> Value {
        let has_strings = self.wanted.version == Version::V1 && !is_rfc;
        let number = |n: i64| if has_strings { Value::from(n.to_string()) } else { Value::from(n) };
        let (from, until) = self.times();
        let mut answer = json!({
            "token_type": "Bearer",
            "scope": self.wanted.scope,
            "expires_in": number(self.life),
            "ext_expires_in": number(self.life),
            "access_token": self.access_token(random),
        });
        if self.wanted.version == Version::V1 {
            answer["expires_on"] = number(until);
            answer["not_before"] = number(from);
            answer["resource"] = self.wanted.resource.clone().into();
        }
        if let Some(refresh_token) = refresh_token {
            answer["refresh_token"] = refresh_token.into();
        }
        if self.wanted.has_openid {
            answer["id_token"] = self.id_token(!has_strings, random).into();
        }
        if wants_client_info {
            let info = json!({ "uid": self.account.oid, "utid": self.tenant });
            answer["client_info"] = URL_SAFE_NO_PAD.encode(info.to_string()).into();
        }
        answer
    }
}

fn opaque<const N: usize>(random: &mut Random) -> String {
    URL_SAFE_NO_PAD.encode(random.bytes::<N>())
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        let other: Map<String, Value> = other;
        one.extend(other);
    }
    one
}

/// Whether `alias` is one of the words for no particular tenant.
pub(crate) fn is_general(alias: &str) -> bool {
    matches!(alias, "common" | "organizations" | "consumers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::PHONE_SYSTEM;

    fn number(result: Result<Wanted, Fault>) -> u32 {
        result.expect_err("a fault").number
    }

    #[test]
    fn scopes_belong_to_one_resource_and_are_known() {
        let known = Resource::usual();
        let phone = format!("{PHONE_SYSTEM}/.default openid offline_access");
        let wanted = Wanted::v2(&known, &phone).expect("good scopes");
        assert_eq!(
            (wanted.resource.as_str(), wanted.has_openid, wanted.has_offline),
            (PHONE_SYSTEM, true, true)
        );
        assert_eq!(number(Wanted::v2(&known, "Sing.Loudly")), 70011);
        assert_eq!(
            number(Wanted::v2(&known, &format!("User.Read {PHONE_SYSTEM}/user_impersonation"))),
            700022
        );
        assert_eq!(
            number(Wanted::v2(&known, &format!("{PHONE_SYSTEM}/.default {PHONE_SYSTEM}/user_impersonation"))),
            70011
        );
    }

    #[test]
    fn a_resource_is_found_by_any_of_its_names() {
        let mut known = Resource::usual();
        known[0].uris.push("https://fe.contoso.example/".into());
        assert!(Wanted::v1(&known, "https://FE.contoso.example").is_ok());
        assert!(Wanted::v1(&known, &PHONE_SYSTEM.to_uppercase()).is_ok());
        assert_eq!(number(Wanted::v1(&known, "https://elsewhere.example")), 500011);
        known[0].enabled = false;
        assert_eq!(number(Wanted::v1(&known, PHONE_SYSTEM)), 500014);
    }
}
