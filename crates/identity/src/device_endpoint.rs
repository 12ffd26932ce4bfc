//! The device authorization endpoint (RFC 8628 §3.1, §3.2), in version 1 and version 2 clothes.

use net::http::StatusCode;
use net::{Note, Outbox, Time};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::device_code::Asked;
use crate::errors::Fault;
use crate::events;
use crate::profile::Profile;
use crate::service::{Call, Service};
use crate::tokens::{Version, Wanted};

impl Service {
    pub(crate) fn device_code(
        &mut self,
        call: &Call,
        tenant: &str,
        version: Version,
        out: &mut Outbox,
    ) -> Result<Answer, Fault> {
        self.tenant(tenant)?;
        let field = |name| call.form.value(name);
        let client_id = field("client_id").ok_or_else(|| Fault::about(900144, "client_id"))?;
        let application = self.application(client_id)?;
        let (client_id, name) = (application.client_id.clone(), application.name.clone());
        if !application.public {
            return Err(Fault::of(7000218));
        }
        let wanted = match version {
            Version::V1 => {
                let resource = field("resource").ok_or_else(|| Fault::about(900144, "resource"))?;
                Wanted::v1(&self.setup.resources, resource)?
            }
            Version::V2 => {
                if field("resource").is_some() {
                    return Err(Fault::of(901002));
                }
                let scope = field("scope").ok_or_else(|| Fault::about(900144, "scope"))?;
                Wanted::v2(&self.setup.resources, scope)?
            }
        };
        let limits = self.setup.limits;
        let asker = format!("{client_id} {}", call.peer);
        if let Some(wait) = self.code_requests.wait(&asker, limits.device_codes_a_minute, call.now) {
            out.note(Note::event(events::REQUEST_THROTTLED, call.peer(), "too many device codes"));
            return Err(Fault::of(90055).after(wait.as_secs() + 1));
        }
        self.code_requests.count(&asker, call.now);
        let asked = Asked {
            client_id,
            tenant: tenant.to_owned(),
            wanted,
            address: call.peer(),
            at: call.at.unix_secs(),
        };
        let fresh = self.codes.issue(asked, &mut self.random, call.now);
        let fresh = fresh.map_err(|free: Time| Fault::of(90055).after(free.since(call.now).as_secs() + 1))?;
        let text = format!("to {}, good for {}", call.peer, net::time::spell(self.setup.code_life));
        out.note(Note::event(events::DEVICE_CODE_ISSUED, name, text));
        let answer = self.device_answer(version, fresh.device_code.expose(), fresh.user_code.expose());
        Ok(Answer::json(StatusCode::OK, &answer, "device code"))
    }

    /// Version 1 writes numbers as strings and `verification_url`; version 2 and the RFC numbers and
    /// `verification_uri`. One object never has both: some clients take them for the same field.
    fn device_answer(&self, version: Version, device_code: &str, user_code: &str) -> Value {
        let setup = &self.setup;
        let (life, interval) = (setup.code_life.as_secs(), setup.poll_interval.as_secs());
        let url = &setup.verification_url;
        let message = format!("To sign in, open {url} in a web browser and enter the code {user_code}.");
        let mut answer = json!({ "user_code": user_code, "device_code": device_code, "message": message });
        if version == Version::V1 && setup.profile != Profile::Rfc8628 {
            answer["verification_url"] = url.clone().into();
            answer["expires_in"] = life.to_string().into();
            answer["interval"] = interval.to_string().into();
        } else {
            answer["verification_uri"] = url.clone().into();
            answer["expires_in"] = life.into();
            answer["interval"] = interval.into();
        }
        answer
    }
}
