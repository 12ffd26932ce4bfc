//! The *User ID* way: a password typed on the phone, for a token where the pool wants one.
//!
//! The resource owner password grant (RFC 6749 §4.3) at the tenant that owns the user's domain. It knows no
//! second factor: an account that needs one is refused, and the screen says which way is left. The same file
//! holds the other request of one round trip, the exchange of a refresh token (RFC 6749 §6).

use url::Url;

use crate::sign_in::ask::{Answer, Ask, Failure, Vouching};
use crate::sign_in::tokens::{self, Refused, Secret, Tokens};
use crate::sign_in::web_code::Application;

/// The numbers by which such a service says that a second factor is missing.
const SECOND_FACTOR: &[u32] = &[50072, 50074, 50076, 50078, 50079, 50158];

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The service said no; in words for the screen.
    Refused(String),
    /// Nobody said anything; worth trying again.
    Trouble(Failure),
    /// The service is in trouble itself; worth trying again.
    Overload(u16),
}

impl NoToken {
    /// In words for the screen.
    pub fn spell(&self) -> String {
        match self {
            NoToken::Refused(why) => why.clone(),
            NoToken::Trouble(why) => crate::sign_in::web_code::spell_failure(why),
            NoToken::Overload(status) => format!("The sign-in service is out of order (status {status})."),
        }
    }
}

/// The token endpoint of the tenant that owns `domain`, at the authority that a pool named
/// (`https://login.contoso.example/common/oauth2/authorize`) or the phone's own.
pub fn endpoint(named: Option<&Url>, application: &Application, domain: &str) -> Url {
    let mut url = named.unwrap_or(&application.authority).clone();
    url.set_path(&format!("/{domain}/oauth2/token"));
    url.set_query(None);
    url
}

/// Trades a password for tokens.
pub fn password_grant(endpoint: Url, application: &Application, user: &str, password: &Secret) -> Ask {
    let fields = [
        ("grant_type", "password"),
        ("client_id", application.client_id.as_str()),
        ("resource", application.resource.as_str()),
        ("username", user),
        ("password", password.expose()),
        ("scope", "openid"),
    ];
    Ask::form(endpoint, &fields, "sign in by password", Vouching::BuiltIn)
}

/// Trades a refresh token for new tokens.
pub fn refresh_grant(endpoint: Url, application: &Application, refresh: &Secret) -> Ask {
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", application.client_id.as_str()),
        ("resource", application.resource.as_str()),
        ("refresh_token", refresh.expose()),
    ];
    Ask::form(endpoint, &fields, "refresh the tokens", Vouching::BuiltIn)
}

/// Reads what came of either.
///
/// # Errors
///
/// Why there are no tokens.
pub fn read(answer: Answer) -> Result<Tokens, NoToken> {
    let answer = answer.map_err(NoToken::Trouble)?;
    let status = answer.status();
    if status.is_server_error() || status == 429 {
        return Err(NoToken::Overload(status.as_u16()));
    }
    tokens::read_tokens(&answer).map_err(|refused| NoToken::Refused(spell(&refused)))
}

fn spell(refused: &Refused) -> String {
    match refused.code {
        code if SECOND_FACTOR.contains(&code) => {
            format!("This account needs a second factor ({code}). Use Web Sign-in.")
        }
        50126 => "User name or password is wrong (50126).".to_owned(),
        50034 => "The account does not exist (50034).".to_owned(),
        50053 => "The account is locked for a while (50053).".to_owned(),
        50055 => "The password has expired (50055).".to_owned(),
        50057 => "The account is disabled (50057).".to_owned(),
        53003 => "A policy of the organization does not allow this sign-in (53003).".to_owned(),
        65001 => "The organization has not allowed this phone's application (65001).".to_owned(),
        50173 | 50132 | 50133 | 70008 | 700_082 | 70043 => {
            format!("The sign-in has ended ({}). Sign in again.", refused.code)
        }
        _ => format!("The sign-in service refused: {refused}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use net::http::Response;

    fn application() -> Application {
        Application {
            authority: Url::parse("https://login.contoso.example/common").expect("a URL"),
            client_id: "the-phone".to_owned(),
            resource: "the-pool".to_owned(),
        }
    }

    fn answer(status: u16, body: &str) -> Answer {
        Ok(Response::builder().status(status).body(Bytes::from(body.to_owned())).expect("a response"))
    }

    #[test]
    fn the_password_goes_to_the_tenant_of_the_users_domain() {
        let named = Url::parse("https://sts.contoso.example/common/oauth2/authorize?x=y").expect("a URL");
        let url = endpoint(Some(&named), &application(), "contoso.example");
        assert_eq!(url.as_str(), "https://sts.contoso.example/contoso.example/oauth2/token");
        let own = endpoint(None, &application(), "contoso.example");
        assert_eq!(own.as_str(), "https://login.contoso.example/contoso.example/oauth2/token");
        let ask = password_grant(own, &application(), "alice@contoso.example", &Secret::new("Tr4in-Lamp!"));
        let body = String::from_utf8(ask.body.to_vec()).expect("text");
        assert!(body.contains("grant_type=password") && body.contains("username=alice%40contoso.example"));
        assert!(!format!("{ask:?}").contains("Tr4in"));
    }

    #[test]
    fn a_second_factor_is_named_as_the_reason_and_the_way_out_too() {
        let refusal = answer(400, r#"{"error":"invalid_grant","error_codes":[50076]}"#);
        let why = read(refusal).expect_err("no token");
        assert_eq!(
            why,
            NoToken::Refused("This account needs a second factor (50076). Use Web Sign-in.".to_owned())
        );
    }

    #[test]
    fn trouble_is_told_from_a_refusal() {
        assert!(matches!(read(answer(503, "")), Err(NoToken::Overload(503))));
        assert!(matches!(read(Err(Failure::Late { host: "x".to_owned() })), Err(NoToken::Trouble(_))));
        assert!(matches!(read(answer(400, "nonsense")), Err(NoToken::Refused(_))));
    }
}
