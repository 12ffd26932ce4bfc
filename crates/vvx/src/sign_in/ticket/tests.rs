//! Web tickets as strangers may write them.

use super::*;
use proptest::prelude::*;

const CERTIFICATES_MEX: &str = r##"<wsdl:definitions xmlns:wsdl="w" xmlns:wsp="p" xmlns:wsu="u" xmlns:sp="s" xmlns:wsa="a" xmlns:soap="o">
 <wsp:Policy wsu:Id="CertProvisioningServiceWebTicketProof_SHA1_policy"><wsp:ExactlyOne><wsp:All>
  <sp:EndorsingSupportingTokens><wsp:Policy><sp:IssuedToken><sp:Issuer>
   <wsa:Address>https://fe.contoso.example/WebTicket/WebTicketService.svc</wsa:Address>
  </sp:Issuer></sp:IssuedToken></wsp:Policy></sp:EndorsingSupportingTokens></wsp:All></wsp:ExactlyOne></wsp:Policy>
 <wsdl:service name="CertProvisioningService"><wsdl:port name="CertProvisioningServiceWebTicketProof_SHA1">
  <soap:address location="https://fe.contoso.example/CertProv/CertProvisioningService.svc/WebTicket_Proof_SHA1"/>
 </wsdl:port></wsdl:service></wsdl:definitions>"##;

fn issuer_mex(ports: &[(&str, &str)]) -> String {
    let ports: String = ports
        .iter()
        .map(|(name, path)| {
            format!("<port name='{name}'><address location='https://fe.contoso.example{path}'/></port>")
        })
        .collect();
    format!("<definitions><service>{ports}</service></definitions>")
}

const TICKET: &str = r##"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<RequestSecurityTokenResponseCollection xmlns="t"><RequestSecurityTokenResponse Context="c">
 <RequestedSecurityToken><saml:Assertion xmlns:saml="x" AssertionID="ID-1"><saml:Conditions/></saml:Assertion></RequestedSecurityToken>
 <Entropy><BinarySecret>AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=</BinarySecret></Entropy>
 <Lifetime><wsu:Created xmlns:wsu="u">2018-10-09T09:00:00Z</wsu:Created><wsu:Expires xmlns:wsu="u">2018-10-09T17:00:00Z</wsu:Expires></Lifetime>
</RequestSecurityTokenResponse></RequestSecurityTokenResponseCollection></s:Body></s:Envelope>"##;

fn answer(status: u16, body: &str) -> Answer {
    Ok(Response::builder().status(status).body(Bytes::from(body.to_owned())).expect("a response"))
}

fn service() -> Url {
    Url::parse("https://fe.contoso.example/CertProv/CertProvisioningService.svc").expect("a URL")
}

fn ticket(proof: Proof) -> (Ticket, Ask) {
    Ticket::for_certificates(service(), "alice@contoso.example", "device-1".to_owned(), proof, [7; 32])
}

fn token() -> Proof {
    Proof::Token(Secret::new("a.b.c"))
}

fn password() -> Proof {
    Proof::Password { user: "alice".to_owned(), password: Secret::new("Tr4in-Lamp!") }
}

fn asked(outcome: Outcome) -> Ask {
    match outcome {
        Outcome::Ask(ask) => ask,
        other => panic!("asks, not {other:?}"),
    }
}

fn header<'a>(ask: &'a Ask, name: &str) -> Option<&'a str> {
    ask.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

const OAUTH: (&str, &str) = ("WebTicketServiceOAuth", "/WebTicket/WebTicketService.svc/oauth");
const BASIC: (&str, &str) = ("WebTicketServiceWinNegotiate", "/WebTicket/WebTicketService.svc/Auth");

#[test]
fn a_token_buys_a_ticket_at_the_door_that_the_issuer_names() {
    let (mut ticket, ask) = ticket(token());
    assert_eq!(ask.url.path(), "/CertProv/CertProvisioningService.svc/mex");
    let ask = asked(ticket.answered(answer(200, CERTIFICATES_MEX)));
    assert_eq!(ask.url.path(), "/WebTicket/WebTicketService.svc/mex");
    let ask = asked(ticket.answered(answer(200, &issuer_mex(&[BASIC, OAUTH]))));
    assert_eq!(ask.url.path(), "/WebTicket/WebTicketService.svc/oauth");
    assert_eq!(header(&ask, "authorization"), Some("Bearer a.b.c"));
    let request = xml::read(&ask.body).expect("XML");
    let claim = request.below("Value").expect("a claim").trimmed();
    assert_eq!(claim, "sip:alice@contoso.example");
    assert_eq!(
        request.below("AppliesTo").and_then(|to| to.below("Address")).expect("an address").trimmed(),
        "https://fe.contoso.example/CertProv/CertProvisioningService.svc/WebTicket_Proof_SHA1"
    );
    let Outcome::Issued(issued) = ticket.answered(answer(200, TICKET)) else { panic!("a ticket") };
    assert_eq!(issued.assertion_id, "ID-1");
    assert_eq!(
        issued.assertion.expose(),
        "<saml:Assertion xmlns:saml=\"x\" AssertionID=\"ID-1\"><saml:Conditions/></saml:Assertion>"
    );
    assert_eq!(
        (issued.created.as_str(), issued.expires.as_str()),
        ("2018-10-09T09:00:00Z", "2018-10-09T17:00:00Z")
    );
    assert!(issued.proof_key.is_some());
}

#[test]
fn a_password_goes_to_the_basic_door_only_where_no_tokens_are_wanted() {
    let (mut modern, _) = ticket(password());
    asked(modern.answered(answer(200, CERTIFICATES_MEX)));
    assert!(matches!(modern.answered(answer(200, &issuer_mex(&[BASIC, OAUTH]))), Outcome::WantsToken(None)));

    let (mut plain, _) = ticket(password());
    asked(plain.answered(answer(200, CERTIFICATES_MEX)));
    let ask = asked(plain.answered(answer(200, &issuer_mex(&[BASIC]))));
    assert_eq!(header(&ask, "authorization"), Some("Basic YWxpY2U6VHI0aW4tTGFtcCE="));
    let outcome = plain.answered(answer(401, ""));
    assert!(matches!(outcome, Outcome::Refused(why) if why.starts_with("User name or password is wrong")));
}

#[test]
fn a_pool_without_a_door_for_tokens_takes_no_web_sign_in() {
    let (mut ticket, _) = ticket(token());
    asked(ticket.answered(answer(200, CERTIFICATES_MEX)));
    let outcome = ticket.answered(answer(200, &issuer_mex(&[BASIC])));
    assert!(matches!(outcome, Outcome::Failed(why) if why == "This pool takes no web sign-in."));
}

#[test]
fn credentials_never_go_to_a_door_without_tls() {
    let (mut ticket, _) = ticket(token());
    let plain = CERTIFICATES_MEX
        .replace("https://fe.contoso.example/WebTicket", "http://fe.contoso.example/WebTicket");
    assert!(matches!(ticket.answered(answer(200, &plain)), Outcome::Failed(_)));
}

#[test]
fn the_proof_key_is_p_sha1_over_both_halves() {
    // Computed apart with Python's hmac: key 32 times 07, seed 00 01 … 1f.
    let seed: Vec<u8> = (0..32).collect();
    let key = p_sha1(&[7; 32], &seed);
    let hex: String = key.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, P_SHA1_EXAMPLE);
}

const P_SHA1_EXAMPLE: &str = "1c33b68ab783b98cd20a8d4fd405335c55b9bf68b6cdfdc59d7559a5b6ea8b92";

proptest! {
    #[test]
    fn no_answer_makes_the_machine_panic(first in ".{0,200}", second in ".{0,200}", third in ".{0,200}", status in 100u16..600) {
        for (a, b) in [(first.as_str(), second.as_str()), (CERTIFICATES_MEX, second.as_str())] {
            let (mut machine, _) = ticket(token());
            let _ = machine.answered(answer(200, a));
            let _ = machine.answered(answer(200, b));
        }
        let (mut machine, _) = ticket(token());
        let _ = machine.answered(answer(200, CERTIFICATES_MEX));
        let _ = machine.answered(answer(200, &issuer_mex(&[OAUTH])));
        let _ = machine.answered(answer(status, &third));
    }
}
