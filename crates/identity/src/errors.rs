//! Error numbers: what each is called in OAuth words, its HTTP status, and the JSON that carries it.
//!
//! The words are the lab's own. Numbers and their pairing with OAuth words follow what clients of the copied
//! service meet; callers must not depend on texts (RFC 6749 §5.2).

use net::Wall;
use net::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::profile::Profile;

/// One refusal: a number of the table, and the fact that makes it useful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The number; [`Fault::of`] makes sure that it is in the table.
    pub(crate) number: u32,
    /// What the text's `{}` stands for.
    pub(crate) detail: String,
    /// Another OAuth word than the table's.
    pub(crate) word: Option<&'static str>,
    /// After how many seconds to try again.
    pub(crate) retry_after: Option<u64>,
}

impl Fault {
    pub(crate) fn of(number: u32) -> Fault {
        debug_assert!(row(number).number == number, "{number} is not in the table");
        Fault { number, detail: String::new(), word: None, retry_after: None }
    }

    pub(crate) fn about(number: u32, detail: impl Into<String>) -> Fault {
        // RFC 6749 §5.2 allows neither quotes nor backslashes nor anything outside ASCII in a description.
        let is_plain = |c: char| (' '..='~').contains(&c) && c != '"' && c != '\\';
        let detail: String = detail.into().chars().filter(|&c| is_plain(c)).take(100).collect();
        Fault { detail, ..Fault::of(number) }
    }

    pub(crate) fn worded(mut self, word: &'static str) -> Fault {
        self.word = Some(word);
        self
    }

    pub(crate) fn after(mut self, secs: u64) -> Fault {
        self.retry_after = Some(secs.max(1));
        self
    }

    /// The OAuth word.
    pub(crate) fn error(&self) -> &'static str {
        self.word.unwrap_or(row(self.number).error)
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(row(self.number).status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What it says, for people.
    pub(crate) fn text(&self) -> String {
        row(self.number).text.replace("{}", &self.detail)
    }

    /// The JSON object of RFC 6749 §5.2 with the members that the copied service adds.
    pub(crate) fn json(&self, trace: &Trace, at: Wall, profile: Profile, host: &str) -> Value {
        let stamp = stamp(at);
        let parts = [
            format!("AADSTS{}: {}", self.number, self.text()),
            format!("Trace ID: {}", trace.id),
            format!("Correlation ID: {}", trace.correlation),
            format!("Timestamp: {stamp}"),
        ];
        let mut object = Map::new();
        object.insert("error".into(), self.error().into());
        object.insert("error_description".into(), parts.join(profile.separator()).into());
        object.insert("error_codes".into(), json!([self.number]));
        object.insert("timestamp".into(), stamp.into());
        object.insert("trace_id".into(), trace.id.clone().into());
        object.insert("correlation_id".into(), trace.correlation.clone().into());
        object.insert("error_uri".into(), format!("https://{host}/error?code={}", self.number).into());
        if let Some(suberror) = row(self.number).suberror {
            object.insert("suberror".into(), suberror.into());
        }
        match self.number {
            50076 | 50079 => {
                // The claims challenge that a client sends back when it starts over interactively.
                let claims = r#"{"access_token":{"capolids":{"essential":true,"values":["lab"]}}}"#;
                object.insert("claims".into(), claims.into());
            }
            50055 => {
                object.insert("password_change_url".into(), format!("https://{host}/password").into());
            }
            _ => {}
        }
        Value::Object(object)
    }
}

/// The ids that join an answer, a page and a log.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// Of this answer.
    pub(crate) id: String,
    /// Of the conversation; the client may have chosen it.
    pub(crate) correlation: String,
}

/// `2018-10-09 09:00:00Z`.
pub(crate) fn stamp(at: Wall) -> String {
    let at = at.date_time();
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) number: u32,
    error: &'static str,
    suberror: Option<&'static str>,
    status: u16,
    text: &'static str,
}

pub(crate) fn row(number: u32) -> &'static Row {
    match TABLE.binary_search_by_key(&number, |row| row.number) {
        Ok(found) => &TABLE[found],
        Err(_) => &TABLE[0],
    }
}

/// Whether the service knows `number`.
pub fn is_known(number: u32) -> bool {
    row(number).number == number
}

const fn bad(number: u32, error: &'static str, text: &'static str) -> Row {
    Row { number, error, suberror: None, status: 400, text }
}

const fn sub(number: u32, error: &'static str, suberror: &'static str, text: &'static str) -> Row {
    Row { number, error, suberror: Some(suberror), status: 400, text }
}

const fn at(status: u16, number: u32, error: &'static str, text: &'static str) -> Row {
    Row { number, error, suberror: None, status, text }
}

/// Every number the service knows, in order.
pub(crate) static TABLE: &[Row] = &[
    at(500, 50000, "server_error", "The token could not be issued because of a fault in the service."),
    bad(50001, "invalid_resource", "The resource {} is unknown or switched off."),
    bad(50011, "invalid_request", "The reply address does not belong to the application."),
    bad(50020, "invalid_grant", "The account {} does not belong to this tenant."),
    bad(50034, "invalid_grant", "There is no account with this name in the tenant."),
    bad(50049, "invalid_instance", "The authority is unknown."),
    bad(50050, "invalid_instance", "The request for discovery is malformed."),
    bad(
        50053,
        "invalid_grant",
        "The account is locked because of too many failed sign-ins. Try again later.",
    ),
    sub(50055, "invalid_grant", "user_password_expired", "The password has expired and must be changed."),
    bad(50056, "invalid_grant", "The account has no password, or not the right one, in this directory."),
    bad(50057, "invalid_grant", "The account is disabled."),
    bad(50058, "interaction_required", "Nobody is signed in, so nothing can be done silently."),
    bad(50059, "invalid_request", "The request names no tenant and none can be inferred."),
    bad(50072, "interaction_required", "The account must first register a second factor."),
    bad(50074, "interaction_required", "A second factor is required and was not given."),
    sub(50076, "invalid_grant", "basic_action", "A second factor is required to reach {}."),
    sub(50079, "invalid_grant", "basic_action", "A second factor must be registered to reach {}."),
    at(503, 50086, "temporarily_unavailable", "The second factor service failed."),
    bad(50089, "invalid_request", "The page was open for too long or was used already. Start again."),
    bad(50105, "invalid_grant", "The account may not use this application."),
    bad(50126, "invalid_grant", "The user name or the password is wrong."),
    bad(50128, "invalid_request", "The domain is not one of this tenant."),
    sub(50133, "invalid_grant", "bad_token", "The session ended because a password changed or expired."),
    bad(50140, "interaction_required", "The person is asked whether to stay signed in."),
    sub(50173, "invalid_grant", "bad_token", "The grant was revoked; a person must sign in again."),
    bad(50199, "interaction_required", "The person is asked whether the application is the right one."),
    bad(53000, "invalid_grant", "The device is not managed, and the tenant demands it."),
    sub(53003, "invalid_grant", "message_only", "Access is blocked by the tenant's conditions."),
    bad(65001, "invalid_grant", "Nobody agreed to the application {}."),
    bad(65004, "access_denied", "The person did not agree to the application."),
    bad(70000, "invalid_grant", "The grant is not valid: it was used already or belongs to another client."),
    bad(70001, "unauthorized_client", "The application {} is switched off."),
    bad(70003, "unsupported_grant_type", "The grant type {} is not offered."),
    sub(70008, "invalid_grant", "token_expired", "The grant has expired or was revoked."),
    bad(70011, "invalid_scope", "The scope {} is not valid."),
    bad(70016, "authorization_pending", "Nobody has finished the sign-in yet. Ask again after the interval."),
    bad(70018, "authorization_declined", "The person declined."),
    bad(70019, "expired_token", "The code has expired. Ask the device for a new one."),
    bad(70020, "expired_token", "The value of device_code is not valid any more because it expired."),
    sub(70043, "invalid_grant", "token_expired", "The sign-in is older than the tenant allows."),
    bad(90002, "invalid_request", "There is no tenant called {}."),
    bad(90014, "invalid_request", "The field {} has no value."),
    bad(90023, "invalid_request", "The request is malformed: {}."),
    at(503, 90033, "temporarily_unavailable", "The service has a passing fault. Try again."),
    at(429, 90055, "temporarily_unavailable", "There are too many requests. Try again later."),
    bad(90094, "interaction_required", "An administrator must agree to the application first."),
    bad(90119, "invalid_request", "The user code is empty."),
    bad(90120, "invalid_request", "The code was approved or declined already."),
    bad(120000, "invalid_request", "The new password was not taken."),
    bad(500011, "invalid_resource", "The resource {} was not found in the tenant."),
    bad(500014, "invalid_resource", "The resource {} is switched off in the tenant."),
    bad(500121, "interaction_required", "The second factor was not given correctly."),
    bad(530033, "invalid_grant", "The tenant demands a managed device, which a device code cannot prove."),
    bad(530036, "invalid_grant", "The tenant blocks sign-ins that came about by a device code."),
    bad(700003, "invalid_grant", "The device was not found."),
    bad(700005, "invalid_grant", "The code was issued for another tenant."),
    bad(700016, "unauthorized_client", "There is no application {} in the tenant."),
    bad(700022, "invalid_scope", "The scopes belong to more than one resource."),
    sub(700082, "invalid_grant", "token_expired", "The refresh token was not used for too long."),
    bad(900144, "invalid_request", "The request must have a field called {}."),
    at(405, 900561, "invalid_request", "The endpoint takes only {} requests."),
    bad(901002, "invalid_request", "The field resource is not supported here; use scope."),
    bad(7000014, "invalid_grant", "The value of device_code is not valid."),
    at(401, 7000218, "invalid_client", "The application must show a secret or an assertion."),
    bad(9001023, "invalid_request", "This grant needs the tenant's own address, not {}."),
    bad(9002313, "invalid_grant", "The request is malformed or not valid."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_speaks_the_ascii_of_rfc_6749() {
        assert!(TABLE.is_sorted_by(|a, b| a.number < b.number));
        let is_allowed = |c: char| matches!(c, ' '..='!' | '#'..='[' | ']'..='~');
        for row in TABLE {
            assert!(row.text.chars().all(is_allowed), "{row:?}");
            assert!(row.error.chars().all(is_allowed), "{row:?}");
        }
    }

    #[test]
    fn a_detail_cannot_leave_the_allowed_characters() {
        let fault = Fault::about(90002, "a\"b\\c\r\nü{}");
        assert_eq!(fault.text(), "There is no tenant called abc{}.");
    }
}
