//! What the token endpoint answers, read as a foreign product's JSON.
//!
//! Numbers come as numbers from one generation of such services and as text from another; unknown members are
//! harmless, unknown errors are final (RFC 8628 §3.5). A token is opaque here, but for the name of its owner,
//! which the phone needs as sign-in address and reads without checking a signature: it came from the authority
//! itself over TLS (OpenID Connect Core 3.1.3.7, rule 6).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use net::http::Response;
use serde_json::Value;

/// The most octets of a token that are taken.
const TOKEN_LIMIT: usize = 16 << 10;
/// The most characters of a text from outside that reach the display or the log.
const TEXT_LIMIT: usize = 200;

/// A secret that never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, to be put on the wire or into the flash.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("•••")
    }
}

/// Tokens, as granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// For the pool, as `Authorization: Bearer`.
    pub access: Secret,
    /// For new tokens later; absent if the service gives none.
    pub refresh: Option<Secret>,
    /// Whose they are: the user principal name, in lower case.
    pub upn: Option<String>,
}

/// Why no tokens came, in the service's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The `error` member (RFC 6749 §5.2), or `http-<status>` if there was none.
    pub error: String,
    /// The service's own number, such as 50076; 0 if it gave none.
    pub code: u32,
    /// Its sentence, cut to what fits a log.
    pub text: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            0 => write!(f, "{}", self.error),
            code => write!(f, "{} ({code})", self.error),
        }
    }
}

/// Reads the answer of a token endpoint.
///
/// # Errors
///
/// The refusal, when the answer is not a 200 with an `access_token` and a bearer `token_type`.
pub fn read_tokens(answer: &Response<Bytes>) -> Result<Tokens, Refused> {
    let body = json(answer.body());
    if answer.status() != 200 {
        return Err(read_refusal(answer));
    }
    let bad = |text: &str| Refused { error: "bad-answer".to_owned(), code: 0, text: text.to_owned() };
    let access =
        text(&body, "access_token").filter(|token| is_token(token)).ok_or_else(|| bad("no token"))?;
    if !text(&body, "token_type").is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(bad("the token is of a type that phones do not know"));
    }
    let refresh = text(&body, "refresh_token").filter(|token| is_token(token)).map(Secret::new);
    let upn = text(&body, "id_token").and_then(owner).or_else(|| owner(access));
    Ok(Tokens { access: Secret::new(access), refresh, upn })
}

/// Reads an error answer (RFC 6749 §5.2) with the members that some services add.
pub fn read_refusal(answer: &Response<Bytes>) -> Refused {
    let body = json(answer.body());
    let error = match text(&body, "error") {
        Some(error) if !error.is_empty() => cut(error),
        _ => format!("http-{}", answer.status().as_u16()),
    };
    let sentence = cut(text(&body, "error_description").unwrap_or_default());
    let listed = body.get("error_codes").and_then(Value::as_array).and_then(|codes| codes.first());
    let code = listed.and_then(Value::as_u64).and_then(|code| u32::try_from(code).ok());
    let code = code.or_else(|| {
        let digits = sentence.strip_prefix("AADSTS")?;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    Refused { error, code: code.unwrap_or(0), text: sentence }
}

/// The body as JSON; `null` if it is none.
pub fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

/// A member that is text.
pub fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name)?.as_str()
}

/// A member that is a whole number, written as a number or as text.
pub fn number(body: &Value, name: &str) -> Option<u64> {
    let value = body.get(name)?;
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// At most [`TEXT_LIMIT`] characters of `text`, on one line, without control characters.
pub fn cut(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_LIMIT).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether `address` can be a sign-in address: one `@` between two visible parts, nothing that would break a
/// header or a URI.
pub fn is_address(address: &str) -> bool {
    let odd = |c: char| !(c.is_ascii_alphanumeric() || "!#$%*+-/=?^_{|}~.'@".contains(c));
    match address.split_once('@') {
        Some((user, domain)) => {
            !user.is_empty()
                && !domain.is_empty()
                && !domain.contains('@')
                && !domain.starts_with('.')
                && address.len() <= 256
                && !address.contains(odd)
        }
        None => false,
    }
}

fn is_token(token: &str) -> bool {
    !token.is_empty() && token.len() <= TOKEN_LIMIT && token.bytes().all(|b| b.is_ascii_graphic())
}

fn owner(jwt: &str) -> Option<String> {
    let claims = jwt.split('.').nth(1)?;
    if claims.len() > TOKEN_LIMIT {
        return None;
    }
    let claims = json(&URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?);
    ["upn", "preferred_username", "unique_name"]
        .iter()
        .filter_map(|name| text(&claims, name))
        .map(str::to_ascii_lowercase)
        .find(|name| is_address(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(status: u16, body: &str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::from(body.to_owned())).expect("a response")
    }

    fn jwt(claims: &str) -> String {
        format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn tokens_are_read_with_numbers_as_text_and_name_their_owner() {
        let body = format!(
            r#"{{"token_type":"Bearer","expires_in":"3599","access_token":"aa.bb.cc","refresh_token":"rr","id_token":"{}"}}"#,
            jwt(r#"{"upn":"Alice@Contoso.example"}"#)
        );
        let tokens = read_tokens(&answer(200, &body)).expect("tokens");
        assert_eq!(tokens.upn.as_deref(), Some("alice@contoso.example"));
        assert_eq!(tokens.refresh, Some(Secret::new("rr")));
        assert_eq!(format!("{:?}", tokens.access), "•••");
    }

    #[test]
    fn a_refusal_keeps_word_number_and_sentence() {
        let body = r#"{"error":"invalid_grant","error_description":"AADSTS50076: Due to a change\r\nTrace ID: x","error_codes":[50076]}"#;
        let refused = read_tokens(&answer(400, body)).expect_err("a refusal");
        assert_eq!((refused.error.as_str(), refused.code), ("invalid_grant", 50076));
        assert!(refused.text.starts_with("AADSTS50076: Due to a change Trace ID"));
        let listed_nowhere = read_refusal(&answer(400, r#"{"error":"x","error_description":"AADSTS7: y"}"#));
        assert_eq!(listed_nowhere.code, 7);
    }

    #[test]
    fn an_owner_whose_name_would_break_a_header_is_no_owner() {
        assert!(is_address("alice@contoso.example"));
        for odd in
            ["alice", "a@b@c", "@contoso.example", "alice@", "a lice@x", "a@x>\r\nVia: y", "a<@x", "a@.x"]
        {
            assert!(!is_address(odd), "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(status in 100u16..600, body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let answer = Response::builder().status(status).body(Bytes::from(body)).expect("a response");
            let _ = read_tokens(&answer);
        }

        #[test]
        fn no_token_text_makes_the_owner_panic(token in ".{0,200}") {
            let _ = owner(&token);
        }
    }
}
