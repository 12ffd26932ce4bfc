//! The token endpoint (RFC 6749 §3.2): device codes, refresh tokens, and passwords where they are allowed.

use net::http::StatusCode;
use net::{Note, Outbox};

use crate::answer::Answer;
use crate::device_code::NoGrant;
use crate::errors::Fault;
use crate::events;
use crate::people::Tried;
use crate::policy::Way;
use crate::profile::Profile;
use crate::refresh::Held;
use crate::secret::Secret;
use crate::service::{Call, Service};
use crate::store::Change;
use crate::tokens::{Minting, Version, Wanted, is_general};

/// The grant type of RFC 8628 §3.4; version 1 clients send the last word alone.
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A refusal, and whom it concerns if that is known.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) fault: Fault,
    pub(crate) of: String,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Refused {
        Refused { fault, of: String::new() }
    }
}

impl Service {
    pub(crate) fn token(
        &mut self,
        call: &Call,
        tenant: &str,
        version: Version,
        out: &mut Outbox,
    ) -> Result<Answer, Fault> {
        let result = self.grant(call, tenant, version, out);
        result.map_err(|refused| {
            // A device that waits is no event; everything else ends something.
            if refused.fault.number != 70016 {
                let text = format!("AADSTS{} {}", refused.fault.number, refused.fault.error());
                let of = if refused.of.is_empty() { call.peer() } else { refused.of };
                out.note(Note::event(events::TOKEN_REFUSED, of, text));
            }
            refused.fault
        })
    }

    fn grant(
        &mut self,
        call: &Call,
        tenant: &str,
        version: Version,
        out: &mut Outbox,
    ) -> Result<Answer, Refused> {
        self.tenant(tenant)?;
        let field = |name| call.form.value(name);
        let grant_type = field("grant_type").ok_or_else(|| Fault::about(900144, "grant_type"))?;
        let client_id = field("client_id").ok_or_else(|| Fault::about(900144, "client_id"))?;
        let application = self.application(client_id)?;
        let (client_id, is_public) = (application.client_id.clone(), application.public);
        if !is_public {
            return Err(Fault::of(7000218).into());
        }
        let asker = format!("{client_id} {}", call.peer);
        let limit = self.setup.limits.token_requests_a_minute;
        if let Some(wait) = self.token_requests.wait(&asker, limit, call.now) {
            out.note(Note::event(events::REQUEST_THROTTLED, call.peer(), "too many token requests"));
            return Err(Fault::of(90055).after(wait.as_secs() + 1).into());
        }
        self.token_requests.count(&asker, call.now);
        match grant_type {
            DEVICE_CODE | "device_code" => self.by_device_code(call, tenant, version, &client_id, out),
            "refresh_token" => self.by_refresh_token(call, version, &client_id, out),
            "password" if self.setup.password_grant => {
                self.by_password(call, tenant, version, &client_id, out)
            }
            other => Err(Fault::about(70003, other).into()),
        }
    }

    fn by_device_code(
        &mut self,
        call: &Call,
        tenant: &str,
        version: Version,
        client_id: &str,
        out: &mut Outbox,
    ) -> Result<Answer, Refused> {
        let profile = self.setup.profile;
        let code = match (call.form.value("device_code"), call.form.value("code")) {
            (None, None) => return Err(Fault::about(900144, "device_code").into()),
            (Some(one), Some(other)) if !crate::secret::is_same(one, other) => {
                return Err(Fault::about(90023, "code and device_code differ").into());
            }
            (Some(code), _) | (None, Some(code)) => code,
        };
        let redeemed = self.codes.redeem(code, client_id, tenant, call.now);
        let (asked, approval) = redeemed.map_err(|why| match why {
            NoGrant::Pending | NoGrant::Claimed => Fault::of(70016),
            NoGrant::TooFast if profile.slows_down() => {
                self.codes.slow(code);
                Fault::of(70016).worded("slow_down")
            }
            NoGrant::TooFast => Fault::of(70016),
            NoGrant::Declined => Fault::of(70018).worded(profile.declined_word()),
            NoGrant::Expired => Fault::of(70020).worded(profile.expired_word()),
            NoGrant::Redeemed | NoGrant::OtherClient => Fault::of(70000),
            NoGrant::Unknown => Fault::of(7000014).worded(profile.unknown_code_word()),
            NoGrant::OtherTenant => Fault::of(700005),
        })?;
        let wanted = match call.form.value("resource") {
            Some(resource) if version == Version::V1 => Wanted::v1(&self.setup.resources, resource)?,
            _ => Wanted { version, ..asked.wanted },
        };
        let held = Held {
            oid: approval.oid,
            epoch: approval.epoch,
            client_id: client_id.to_owned(),
            family: self.tokens.fresh_family(),
            wanted,
            methods: approval.methods,
            auth_time: approval.auth_time,
            issued: call.at.unix_secs(),
            is_device_born: true,
            is_used: false,
        };
        self.check_holder(&held, call, Way::DeviceCode)?;
        let text = format!("for a device code, to {}", call.peer);
        self.issue(call, held, events::TOKEN_ISSUED, &text, out)
    }

    fn by_refresh_token(
        &mut self,
        call: &Call,
        version: Version,
        client_id: &str,
        out: &mut Outbox,
    ) -> Result<Answer, Refused> {
        let token = call.form.value("refresh_token").ok_or_else(|| Fault::about(900144, "refresh_token"))?;
        let (key, held) = self.tokens.find(token).ok_or_else(|| Fault::of(9002313))?;
        let held = held.clone();
        let of = self.people.get(&held.oid).map(|record| record.of()).unwrap_or_default();
        let refuse = |fault: Fault| Refused { fault, of: of.clone() };
        if !held.client_id.eq_ignore_ascii_case(client_id) {
            return Err(refuse(Fault::of(70000)));
        }
        if held.is_over(call.at, self.setup.refresh_token_life) {
            return Err(refuse(Fault::of(700082)));
        }
        if self.setup.profile.is_strict_about_refresh() {
            if held.is_used {
                self.tokens.end_family(held.family);
                self.keep(&Change::Ended(held.family), out);
                let text = "a refresh token came a second time, its family has ended";
                out.note(Note::event(events::TOKEN_REUSED, of.clone(), text));
                return Err(refuse(Fault::of(70008)));
            }
            self.tokens.mark_used(key);
            self.keep(&Change::Used(key.0), out);
        }
        let way = if held.is_device_born { Way::RefreshAfterDeviceCode } else { Way::Refresh };
        self.check_holder(&held, call, way)?;
        let wanted = self.refreshed(call, version, &held).map_err(refuse)?;
        let held = Held { wanted, issued: call.at.unix_secs(), is_used: false, ..held };
        self.issue(call, held, events::TOKEN_REFRESHED, &format!("to {}", call.peer), out)
    }

    /// What a refresh is for: as before, or another resource (version 1), or fewer or other scopes of a
    /// resource that exists (version 2). Refresh tokens of the copied service are bound to no resource.
    fn refreshed(&self, call: &Call, version: Version, held: &Held) -> Result<Wanted, Fault> {
        let resources = &self.setup.resources;
        let is_rfc = self.setup.profile == Profile::Rfc8628;
        match (version, call.form.value("resource"), call.form.value("scope")) {
            (Version::V1, Some(resource), _) => Wanted::v1(resources, resource),
            (Version::V2, Some(_), _) => Err(Fault::of(901002)),
            (Version::V2, None, Some(scope)) => {
                let wanted = Wanted::v2(resources, scope)?;
                // RFC 6749 §6: a refresh must not widen what was granted.
                let is_wider = wanted.resource != held.wanted.resource
                    || wanted.rights.iter().any(|right| !held.wanted.rights.contains(right));
                if is_rfc && is_wider && !wanted.rights.is_empty() {
                    return Err(Fault::about(70011, scope));
                }
                Ok(wanted)
            }
            (_, None, _) => Ok(Wanted { version, ..held.wanted.clone() }),
        }
    }

    fn by_password(
        &mut self,
        call: &Call,
        tenant: &str,
        version: Version,
        client_id: &str,
        out: &mut Outbox,
    ) -> Result<Answer, Refused> {
        if version == Version::V2 && is_general(tenant) && tenant != "organizations" {
            return Err(Fault::about(9001023, tenant).into());
        }
        let upn = call.form.value("username").ok_or_else(|| Fault::about(900144, "username"))?;
        let password = call.form.value("password").ok_or_else(|| Fault::about(900144, "password"))?;
        let wanted = match version {
            Version::V1 => {
                let resource = call.form.value("resource");
                let resource = resource.ok_or_else(|| Fault::about(900144, "resource"))?;
                Wanted::v1(&self.setup.resources, resource)?
            }
            Version::V2 => {
                let scope = call.form.value("scope").ok_or_else(|| Fault::about(900144, "scope"))?;
                Wanted::v2(&self.setup.resources, scope)?
            }
        };
        let tells = self.tells_unknown_accounts();
        let oid = self.try_password(upn, &Secret::from(password), call.now, out).map_err(|tried| {
            let oid = match &tried {
                Tried::Unknown | Tried::Right(_) => None,
                Tried::Locked(oid) | Tried::Wrong(oid, _) => self.people.get(oid).map(|record| record.of()),
            };
            let number = match tried {
                Tried::Unknown if tells => 50034,
                Tried::Locked(_) => 50053,
                Tried::Unknown | Tried::Wrong(..) | Tried::Right(_) => 50126,
            };
            Refused { fault: Fault::of(number), of: oid.unwrap_or_default() }
        })?;
        let record = self.people.get(&oid).expect("a right password belongs to an account");
        let epoch = record.epoch;
        let held = Held {
            oid,
            epoch,
            client_id: client_id.to_owned(),
            family: self.tokens.fresh_family(),
            wanted,
            methods: vec!["pwd".into()],
            auth_time: call.at.unix_secs(),
            issued: call.at.unix_secs(),
            is_device_born: false,
            is_used: false,
        };
        self.check_holder(&held, call, Way::Password)?;
        let text = format!("for a password, to {}", call.peer);
        self.issue(call, held, events::TOKEN_ISSUED, &text, out)
    }

    /// Tries a password and notes how it went.
    pub(crate) fn try_password(
        &mut self,
        upn: &str,
        password: &Secret,
        now: net::Time,
        out: &mut Outbox,
    ) -> Result<String, Tried> {
        let rule = self.policies.lock_out;
        let tried = self.people.try_password(upn, password, &rule, now);
        match &tried {
            Tried::Right(oid) => return Ok(oid.clone()),
            Tried::Unknown => self.note_unknown(upn, out),
            Tried::Locked(oid) | Tried::Wrong(oid, _) => {
                if let Some(record) = self.people.get(oid) {
                    let (text, until) = match tried {
                        Tried::Wrong(_, until) => ("AADSTS50126, wrong password", until),
                        _ => ("AADSTS50053, the account is locked", None),
                    };
                    out.note(Note::event(events::SIGN_IN_FAILED, record.of(), text));
                    self.note_lock(record, until, out);
                }
            }
        }
        Err(tried)
    }

    /// Notes that somebody tried a name that nobody has. People type passwords into name fields, so what does
    /// not look like a name is not shown.
    pub(crate) fn note_unknown(&self, typed: &str, out: &mut Outbox) {
        let is_name = typed.len() <= crate::people::UPN_LIMIT
            && typed.rsplit_once('@').is_some_and(|(_, domain)| crate::discovery::is_tenant_like(domain))
            && !typed.chars().any(char::is_control);
        let of = if is_name { typed.trim() } else { "•••" };
        out.note(Note::event(events::SIGN_IN_FAILED, of, "AADSTS50034, no such account"));
    }

    /// Whether the account behind a grant may have tokens now.
    fn check_holder(&self, held: &Held, call: &Call, way: Way) -> Result<(), Refused> {
        let Some(record) = self.people.get(&held.oid) else {
            return Err(Fault::of(50034).into());
        };
        let refuse = |fault: Fault| Err(Refused { fault, of: record.of() });
        if !record.enabled {
            return refuse(Fault::of(50057));
        }
        if record.epoch != held.epoch {
            return refuse(Fault::of(50173));
        }
        if record.is_password_expired && way == Way::Password {
            return refuse(Fault::of(50055));
        }
        let has_second = held.methods.iter().any(|method| method == "mfa");
        // At the token endpoint nobody can be asked; later grants stand on what the person gave at the page.
        let is_asked =
            self.policies.requires_second_factor || (way == Way::Password && record.totp.is_some());
        if is_asked && !has_second {
            let number = if record.totp.is_some() { 50076 } else { 50079 };
            return refuse(Fault::about(number, &held.wanted.resource));
        }
        if let Some(frequency) = self.policies.sign_in_frequency
            && call.at.unix_secs().saturating_sub(held.auth_time) >= frequency.as_secs() as i64
        {
            return refuse(Fault::of(70043));
        }
        if let Err(fault) = self.policies.check(record, way) {
            return refuse(fault);
        }
        let application = self.application(&held.client_id)?;
        if !application.consented {
            return refuse(Fault::about(65001, &held.client_id));
        }
        Ok(())
    }

    fn issue(
        &mut self,
        call: &Call,
        held: Held,
        event: &'static str,
        text: &str,
        out: &mut Outbox,
    ) -> Result<Answer, Refused> {
        let setup = &self.setup;
        let refresh = held.wanted.has_offline.then(|| {
            let limit = setup.limits.refresh_tokens;
            self.tokens.issue(held.clone(), setup.profile, limit, &mut self.random)
        });
        if let Some((_, key)) = &refresh {
            self.store.keep(&Change::token(*key, &held), out);
        }
        let life = match (setup.profile, held.wanted.version) {
            // Later services draw an access token's life between an hour and an hour and a half.
            (Profile::EntraV2In2024, Version::V2) => 3600 + self.random.below(1800) as i64,
            _ => i64::try_from(self.setup.access_token_life.as_secs()).unwrap_or(i64::MAX),
        };
        let issuer_v2 = self.issuer_v2();
        let account = self.people.get(&held.oid).ok_or_else(|| Fault::of(50034))?;
        let minting = Minting {
            key: self.setup.keys.current(self.rolls),
            tenant: &self.setup.tenant.id,
            issuer_v1: &self.setup.issuer,
            issuer_v2: &issuer_v2,
            account,
            client_id: &held.client_id,
            wanted: &held.wanted,
            methods: &held.methods,
            auth_time: held.auth_time,
            address: &call.peer(),
            at: call.at,
            life,
        };
        let wants_client_info = call.form.value("client_info") == Some("1");
        let is_rfc = self.setup.profile == Profile::Rfc8628;
        let token = refresh.as_ref().map(|(token, _)| token.expose());
        let answer = minting.answer(token, wants_client_info, is_rfc, &mut self.random);
        out.note(Note::event(event, account.of(), text));
        Ok(Answer::json(StatusCode::OK, &answer, "tokens"))
    }
}
