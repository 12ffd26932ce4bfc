//! The web ticket service (MS-OCAUTHWS 3.2): RST in, RSTR out.

use bytes::Bytes;
use net::http::{Response, StatusCode};
use net::{Random, Wall};

use super::keys;
use super::site::{Service, Site};
use super::soap::{ENVELOPE, Refusal, TRUST, UTILITY, answer, operation};
use super::tickets::{Method, Ticket, Tickets};
use super::xml::{Document, Node, escape};
use crate::accounts::{Account, normal};

/// Fewest octets of a client's entropy.
pub const ENTROPY_MIN: usize = 16;
/// Most octets of a client's entropy.
pub const ENTROPY_LIMIT: usize = 64;
/// The most characters of a `Context` that is repeated in the answer.
const CONTEXT_LIMIT: usize = 128;
/// The most characters of a URL that a ticket is for.
const AUDIENCE_LIMIT: usize = 512;

/// A request for a web ticket that has been read.
#[derive(Debug)]
pub struct TicketRequest {
    context: Option<String>,
    audience: String,
    /// The address of the account that is claimed; `None` claims whoever is logged in.
    pub claimed: Option<String>,
    /// `None` asks for a bearer ticket.
    entropy: Option<Vec<u8>>,
}

impl TicketRequest {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// If it is none, asks for a kind of ticket that there is not, or for another site.
    pub fn read(body: &[u8], site: &Site) -> Result<TicketRequest, Refusal> {
        let document = Document::read(body).map_err(Refusal::unreadable)?;
        let request = operation(&document, "RequestSecurityToken")?;
        let said = |path: &[&str]| request.path(path).map(Node::text);
        if said(&["RequestType"]).is_some_and(|kind| !kind.ends_with("/Issue")) {
            return Err(Refusal::unreadable("only issue is asked for here"));
        }
        if said(&["TokenType"]).is_some_and(|kind| !kind.ends_with("#SAMLV1.1")) {
            return Err(Refusal::unreadable("only SAML 1.1 tokens are given"));
        }
        let audience = said(&["AppliesTo", "EndpointReference", "Address"])
            .ok_or_else(|| Refusal::unreadable("no address that the ticket is for"))?;
        let is_ours = [Service::Certificate, Service::User].iter().any(|s| site.is_url_of(audience, *s));
        if !is_ours || audience.len() > AUDIENCE_LIMIT {
            return Err(Refusal::forbidden("tickets are not given for that address"));
        }
        let is_bearer = said(&["KeyType"]).is_some_and(|kind| kind.ends_with("/Bearer"));
        let entropy = if is_bearer { None } else { Some(read_entropy(request)?) };
        let context = request.attribute("Context").map(str::to_owned);
        if context.as_ref().is_some_and(|context| context.len() > CONTEXT_LIMIT) {
            return Err(Refusal::unreadable("context is too long"));
        }
        let claimed = said(&["Claims", "ClaimType", "Value"]).map(normal);
        Ok(TicketRequest { context, audience: audience.to_owned(), claimed, entropy })
    }

    /// Issues the ticket to `account`, which has proved itself by `method`.
    pub fn grant(
        self,
        account: &Account,
        method: Method,
        site: &Site,
        now: Wall,
        tickets: &mut Tickets,
        random: &mut Random,
    ) -> Response<Bytes> {
        let issued = Wall::from_unix_secs(now.unix_secs());
        let expires = issued.plus(life(site, random));
        let server_entropy = random.bytes::<32>();
        let proof_key = self.entropy.as_ref().map(|entropy| keys::proof_key(entropy, &server_entropy));
        let ticket = Ticket {
            id: Tickets::fresh_id(random),
            user: account.address.clone(),
            device: self.context.as_deref().map(device),
            audience: self.audience,
            issued,
            expires,
            proof_key,
        };
        let proof = match ticket.proof_key {
            Some(_) => format!(
                "<RequestedProofToken><ComputedKey>{TRUST}/CK/PSHA1</ComputedKey></RequestedProofToken>\
                 <Entropy><BinarySecret>{}</BinarySecret></Entropy>",
                keys::to_base64(&server_entropy)
            ),
            None => String::new(),
        };
        let assertion = tickets.issue(ticket, method);
        answer(StatusCode::OK, response(self.context.as_deref(), &assertion, &proof, issued, expires))
    }
}

/// Written so that clients may cut it up as text: the first `Assertion`, `BinarySecret` and `Lifetime` are the
/// right ones, the assertion declares its own prefixes, and the lifetime is already canonical for a place where
/// `wsu` is declared.
fn response(context: Option<&str>, assertion: &str, proof: &str, issued: Wall, expires: Wall) -> String {
    let context = context.map_or(String::new(), |context| format!(" Context=\"{}\"", escape(context)));
    format!(
        "<s:Envelope xmlns:s=\"{ENVELOPE}\" xmlns:wsu=\"{UTILITY}\"><s:Header><Action \
         xmlns=\"http://www.w3.org/2005/08/addressing\">{TRUST}/RSTRC/IssueFinal</Action></s:Header><s:Body>\
         <RequestSecurityTokenResponseCollection xmlns=\"{TRUST}\"><RequestSecurityTokenResponse{context}>\
         <TokenType>http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1#SAMLV1.1</TokenType>\
         <RequestedSecurityToken>{assertion}</RequestedSecurityToken>{proof}<Lifetime><wsu:Created>{issued}\
         </wsu:Created><wsu:Expires>{expires}</wsu:Expires></Lifetime></RequestSecurityTokenResponse>\
         </RequestSecurityTokenResponseCollection></s:Body></s:Envelope>"
    )
}

fn read_entropy(request: Node<'_>) -> Result<Vec<u8>, Refusal> {
    let secret = request
        .path(&["Entropy", "BinarySecret"])
        .ok_or_else(|| Refusal::unreadable("no entropy for a proof key"))?;
    let entropy = keys::from_base64(secret.text(), ENTROPY_LIMIT)
        .ok_or_else(|| Refusal::unreadable("entropy is not base64, or too long"))?;
    if entropy.len() < ENTROPY_MIN {
        return Err(Refusal::unreadable("entropy is too short"));
    }
    Ok(entropy)
}

/// A device's id as it is compared: without braces, lower case.
pub fn device(id: &str) -> String {
    id.trim_matches(['{', '}']).to_ascii_lowercase()
}

/// A strict pool gives tickets for 10 to 60 minutes, so that no client relies on the usual eight hours.
fn life(site: &Site, random: &mut Random) -> std::time::Duration {
    if site.strict {
        let secs = 600 + random.below(3000);
        site.ticket_life.min(std::time::Duration::from_secs(secs))
    } else {
        site.ticket_life
    }
}
