//! Whole sign-ins against scripted services: each answer, and what the phone asks next.

use bytes::Bytes;
use net::Closed;
use net::http::Response;
use net::tls::TlsError;
use pki::{Authority, Holder, Validity};
use std::time::Duration;

use super::ask::Failure;
use super::*;

const NOON: i64 = 1_539_086_400;

/// A sign-in, and everybody whom it asks.
struct Bench {
    sign_in: SignIn,
    /// What it wants and nobody did yet.
    wants: Vec<Want>,
    authority: Authority,
    is_modern: bool,
    /// What was asked, one line each.
    asked: Vec<String>,
    token_answer: (u16, String),
    /// What it wanted in flash before it had a certificate.
    kept_early: Option<Credential>,
}

fn context() -> Context {
    Context {
        application: Application {
            authority: Url::parse("https://login.contoso.example/common").expect("a URL"),
            client_id: "the-phone".to_owned(),
            resource: "the-pool".to_owned(),
        },
        hints: Hints::default(),
        device: "ae867955-8531-51f0-8311-890640b13d35".to_owned(),
        pinned: Vec::new(),
        may_take_roots: true,
        crypto: Crypto::Seeded,
    }
}

fn random() -> Random {
    Random::named(7, "desk")
}

fn answer(status: u16, body: impl Into<String>) -> Answer {
    Ok(Response::builder().status(status).body(Bytes::from(body.into())).expect("a response"))
}

fn discovery(body: &str) -> Answer {
    let kind = "application/vnd.microsoft.rtc.autodiscover+xml; v=1";
    Ok(Response::builder()
        .header("content-type", kind)
        .body(Bytes::from(body.to_owned()))
        .expect("a response"))
}

/// A token that says whose it is.
fn tokens(upn: &str) -> (u16, String) {
    use base64::Engine as _;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{{\"upn\":\"{upn}\"}}"));
    (
        200,
        format!("{{\"token_type\":\"Bearer\",\"access_token\":\"e30.{claims}.x\",\"refresh_token\":\"rr\"}}"),
    )
}

impl Bench {
    fn new((sign_in, wants): (SignIn, Vec<Want>)) -> Bench {
        let from = Wall::from_unix_secs(NOON - 86_400);
        let mut random = Random::named(1, "authority");
        let authority =
            Authority::new("Pool", Crypto::Seeded, &mut random, from, Duration::from_secs(1 << 30));
        let token_answer = tokens("alice@contoso.example");
        Bench {
            sign_in,
            wants,
            authority,
            is_modern: true,
            asked: Vec::new(),
            token_answer,
            kept_early: None,
        }
    }

    fn by_code() -> Bench {
        Bench::new(SignIn::by_code(Method::Web, context(), random()))
    }

    fn by_password() -> Bench {
        let password = Secret::new("Tr4in-Lamp!");
        let user = "contoso\\alice".to_owned();
        let begun = SignIn::by_password("Alice@Contoso.example", user, password, context(), random());
        Bench::new(begun.expect("an address"))
    }

    fn renewal() -> Bench {
        let credential = Credential::Refresh {
            endpoint: Url::parse("https://login.contoso.example/common/oauth2/token").expect("a URL"),
            token: Secret::new("old"),
        };
        let service = "https://fe.contoso.example/CertProv/CertProvisioningService.svc";
        let service = Url::parse(service).expect("a URL");
        let address = "alice@contoso.example".to_owned();
        Bench::new(SignIn::renewal(Method::Web, address, credential, service, context(), random()))
    }

    /// Everybody answers until the sign-in wants something that is not on the web.
    fn run(&mut self) -> Want {
        for _ in 0..100 {
            match self.wants.remove(0) {
                Want::Ask(ask) => {
                    self.asked.push(format!("{} {}", ask.method, ask.url.path()));
                    let answer = self.reply(&ask);
                    self.hear(answer);
                }
                Want::KeepCredential(credential) => {
                    self.asked.push("(keep the new refresh token)".to_owned());
                    self.kept_early = Some(*credential);
                }
                other => return other,
            }
            if self.wants.is_empty() {
                self.wants = self.sign_in.woken(self.sign_in.wake_at().expect("something to wait for"));
            }
        }
        panic!("it asks for ever: {:?}", self.asked);
    }

    fn hear(&mut self, answer: Answer) {
        let wall = Wall::from_unix_secs(NOON);
        let wants = self.sign_in.answered(Time::ZERO, wall, answer);
        self.wants.splice(0..0, wants);
    }

    fn reply(&mut self, ask: &Ask) -> Answer {
        let sent = String::from_utf8_lossy(&ask.body).into_owned();
        match (host_of(&ask.url), ask.url.path()) {
            ("login.contoso.example", "/common/oauth2/devicecode") => answer(
                200,
                "{\"user_code\":\"BXJK4PQ7Z\",\"device_code\":\"dd\",\"verification_url\":\"https://x.example/d\"}",
            ),
            ("login.contoso.example", path) if path.ends_with("/oauth2/token") => {
                let (status, body) = &self.token_answer;
                answer(*status, body.as_str())
            }
            ("lyncdiscoverinternal.contoso.example", _) => discovery(
                "<r><Root><Link token='Redirect' href='https://fe.contoso.example/root'/></Root></r>",
            ),
            ("fe.contoso.example", "/root") => {
                discovery("<r><Root><Link token='User' href='https://fe.contoso.example/user'/></Root></r>")
            }
            ("fe.contoso.example", "/user") => self.user(ask),
            ("fe.contoso.example", "/WebTicket/WebTicketService.svc/mex") => {
                let token_port = if self.is_modern {
                    "<port name='WebTicketServiceOAuth'><address location='https://fe.contoso.example/oauth'/></port>"
                } else {
                    ""
                };
                answer(
                    200,
                    format!(
                        "<definitions><service>{token_port}<port name='WebTicketServiceWinNegotiate'><address location='https://fe.contoso.example/basic'/></port></service></definitions>"
                    ),
                )
            }
            ("fe.contoso.example", "/oauth" | "/basic") => answer(
                200,
                "<e><Body><RequestSecurityTokenResponse><Assertion AssertionID='a'/><Entropy><BinarySecret>AAAA</BinarySecret></Entropy>\
                 <Lifetime><Created>2018-10-09T12:00:00Z</Created><Expires>2018-10-09T20:00:00Z</Expires></Lifetime>\
                 </RequestSecurityTokenResponse></Body></e>",
            ),
            ("fe.contoso.example", "/CertProv/CertProvisioningService.svc/mex") => answer(
                200,
                "<definitions><Policy Id='CertProvisioningServiceWebTicketProof_SHA1_policy'><ExactlyOne><All><EndorsingSupportingTokens>\
                 <Policy><IssuedToken><Issuer><Address>https://fe.contoso.example/WebTicket/WebTicketService.svc</Address></Issuer></IssuedToken></Policy>\
                 </EndorsingSupportingTokens></All></ExactlyOne></Policy><service><port name='CertProvisioningServiceWebTicketProof_SHA1'>\
                 <address location='https://fe.contoso.example/proof'/></port></service></definitions>",
            ),
            ("fe.contoso.example", "/proof") => answer(200, self.certificate(&sent)),
            (host, path) => panic!("nobody answers {host}{path}"),
        }
    }

    fn user(&self, ask: &Ask) -> Answer {
        if ask.headers.iter().any(|(name, _)| *name == "x-ms-webticket") {
            return discovery(
                "<r><User><SipClientInternalAccess fqdn='fe.contoso.example' port='5061'/></User></r>",
            );
        }
        let mut challenge = Response::builder()
            .status(401)
            .header("x-ms-webticketurl", "https://fe.contoso.example/WebTicket/WebTicketService.svc");
        if self.is_modern {
            let bearer = "Bearer authorization_uri=\"https://login.contoso.example/common/oauth2/authorize\"";
            challenge = challenge.header("www-authenticate", bearer);
        }
        Ok(challenge.body(Bytes::new()).expect("a response"))
    }

    fn certificate(&mut self, sent: &str) -> String {
        use base64::Engine as _;
        let document = xml::read(sent.as_bytes()).expect("XML");
        let request =
            document.at(&["Body"]).and_then(|body| body.below("BinarySecurityToken")).expect("a CSR");
        let request = base64::engine::general_purpose::STANDARD.decode(request.trimmed()).expect("base64");
        let request = pki::CertificateRequest::parse(&request).expect("a good request");
        let validity = Validity::days(Wall::from_unix_secs(NOON - 600), 180);
        let holder = Holder::new("alice@contoso.example");
        let certificate = self.authority.issue_user(&request, &holder, validity).expect("a certificate");
        let text = base64::engine::general_purpose::STANDARD.encode(&certificate);
        format!(
            "<e><Body><GetAndPublishCertResponse><RequestSecurityTokenResponse><RequestedSecurityToken><BinarySecurityToken>{text}</BinarySecurityToken></RequestedSecurityToken></RequestSecurityTokenResponse></GetAndPublishCertResponse></Body></e>"
        )
    }

    /// From the pool's first 401 to a certificate in flash.
    fn enroll(&mut self) {
        self.wants = self
            .sign_in
            .needs_certificate(https("https://fe.contoso.example/CertProv/CertProvisioningService.svc"));
        assert!(matches!(self.run(), Want::Keep(_)));
        self.wants = self.sign_in.kept();
        assert!(matches!(self.wants.remove(0), Want::Certified(_)));
    }
}

fn https(text: &str) -> Option<Url> {
    ticket::https(text)
}

#[test]
fn a_web_sign_in_goes_from_a_code_to_a_certificate() {
    let mut bench = Bench::by_code();
    assert!(matches!(bench.run(), Want::ShowCode));
    assert_eq!(bench.sign_in.shown().map(|shown| shown.user_code.as_str()), Some("BXJK4PQ7Z"));
    bench.wants = bench.sign_in.woken(Time::from_secs(5));
    assert!(matches!(bench.run(), Want::Owner(owner) if owner == "alice@contoso.example"));
    let Want::Register(servers) = bench.run() else { panic!("the pool is found") };
    assert_eq!(servers[0].host, "fe.contoso.example");
    bench.enroll();
    assert_eq!(
        bench.asked,
        [
            "POST /common/oauth2/devicecode",
            "POST /common/oauth2/token",
            "GET /",
            "GET /root",
            "GET /user",
            "GET /WebTicket/WebTicketService.svc/mex",
            "POST /oauth",
            "GET /user",
            "GET /CertProv/CertProvisioningService.svc/mex",
            "GET /WebTicket/WebTicketService.svc/mex",
            "POST /oauth",
            "POST /proof",
        ]
    );
    assert!(matches!(bench.sign_in.credential(), Some(Credential::Refresh { .. })));
}

#[test]
fn a_password_is_traded_for_a_token_where_the_pool_wants_one() {
    let mut bench = Bench::by_password();
    assert!(matches!(bench.run(), Want::Owner(owner) if owner == "alice@contoso.example"));
    assert!(matches!(bench.run(), Want::Register(_)));
    assert!(bench.asked.contains(&"POST /contoso.example/oauth2/token".to_owned()));
    assert!(!bench.asked.contains(&"POST /basic".to_owned()));
    bench.enroll();
    assert!(matches!(bench.sign_in.credential(), Some(Credential::Refresh { .. })));
}

#[test]
fn a_password_goes_to_a_pool_without_an_identity_service_itself() {
    let mut bench = Bench::by_password();
    bench.is_modern = false;
    assert!(matches!(bench.run(), Want::Owner(_)));
    assert!(matches!(bench.run(), Want::Register(_)));
    bench.enroll();
    assert!(bench.asked.contains(&"POST /basic".to_owned()));
    assert!(!bench.asked.iter().any(|line| line.contains("oauth2")));
    assert!(matches!(bench.sign_in.credential(), Some(Credential::Password { .. })));
}

#[test]
fn an_account_with_a_second_factor_is_refused_with_the_reason() {
    let mut bench = Bench::by_password();
    bench.token_answer = (400, "{\"error\":\"invalid_grant\",\"error_codes\":[50076]}".to_owned());
    assert!(matches!(bench.run(), Want::Owner(_)));
    let Want::Failed { why, is_refusal: true } = bench.run() else { panic!("refused") };
    assert_eq!(why, "This account needs a second factor (50076). Use Web Sign-in.");
}

#[test]
fn an_address_that_is_nobodys_is_refused_before_anything_is_asked() {
    for address in ["", "alice", "alice@", "a@b c"] {
        let begun = SignIn::by_password(address, String::new(), Secret::new("x"), context(), random());
        assert!(begun.is_err(), "{address:?}");
    }
}

#[test]
fn an_unknown_root_is_taken_once_on_first_use_and_the_request_repeated() {
    let unknown = || {
        Err(Failure::Broken {
            host: "fe.contoso.example".to_owned(),
            why: Closed::Tls(TlsError::UnknownIssuer),
        })
    };
    let mut bench = Bench::by_password();
    assert!(matches!(bench.run(), Want::Owner(_)));
    let Want::Ask(first) = bench.wants.remove(0) else { panic!("asks") };
    let redirect = bench.reply(&first);
    bench.hear(redirect);
    bench.wants.clear();
    bench.hear(unknown());
    let Want::Ask(root) = bench.wants.remove(0) else { panic!("asks for the root") };
    assert_eq!(root.url.as_str(), "http://fe.contoso.example/CertProv/CertProvisioningService.svc/Anon");
    use base64::Engine as _;
    let der = base64::engine::general_purpose::STANDARD.encode(bench.authority.root());
    bench.hear(answer(200, format!("<e><Body><GetRootCertChainsResponse><X509Certificate>{der}</X509Certificate></GetRootCertChainsResponse></Body></e>")));
    let Want::Pin(host, roots) = bench.wants.remove(0) else { panic!("pins") };
    assert_eq!((host.as_str(), roots.len(), roots[0].fingerprint.len()), ("fe.contoso.example", 1, 64));
    let Want::Ask(again) = bench.wants.remove(0) else { panic!("asks again") };
    assert_eq!(again.url.path(), "/root");
    bench.hear(unknown());
    assert!(
        !matches!(&bench.wants[..], [Want::Ask(ask)] if ask.url.path().contains("Anon")),
        "a pinned host is never asked for another root"
    );
}

#[test]
fn a_root_is_not_taken_where_that_is_switched_off_or_for_the_identity_service() {
    let unknown = || Err(Failure::Broken { host: "x".to_owned(), why: Closed::Tls(TlsError::UnknownIssuer) });
    let mut bench = Bench::by_code();
    bench.wants.clear();
    bench.hear(unknown());
    assert!(matches!(&bench.wants[..], [Want::Failed { .. }]), "the identity service needs a public root");

    let off = Context { may_take_roots: false, ..context() };
    let begun =
        SignIn::by_password("alice@contoso.example", "alice".to_owned(), Secret::new("x"), off, random());
    let (mut sign_in, _) = begun.expect("an address");
    let wants = sign_in.answered(Time::ZERO, Wall::from_unix_secs(NOON), unknown());
    assert!(
        matches!(&wants[..], [Want::Ask(ask)] if ask.url.host_str() == Some("lyncdiscoverinternal.contoso.example"))
    );
}

#[test]
fn a_renewal_trades_the_refresh_token_and_keeps_the_new_one() {
    let mut bench = Bench::renewal();
    assert!(matches!(bench.run(), Want::Keep(_)));
    let Some(Credential::Refresh { token, .. }) = bench.sign_in.credential() else {
        panic!("a refresh token")
    };
    assert_eq!(token.expose(), "rr");
    // It goes into flash before the pool is asked for anything: the old one may be worth nothing any more.
    let Some(Credential::Refresh { token, .. }) = &bench.kept_early else { panic!("kept early") };
    assert_eq!(token.expose(), "rr");
    let kept = bench.asked.iter().position(|line| line.starts_with("(keep")).expect("kept");
    let ticket = bench.asked.iter().position(|line| line.contains("WebTicket")).expect("a ticket");
    assert!(kept < ticket, "{:?}", bench.asked);
}

#[test]
fn a_renewal_that_is_refused_is_told_from_one_that_nobody_answered() {
    for (token_answer, refused) in [
        ((400, "{\"error\":\"invalid_grant\",\"error_codes\":[50173]}".to_owned()), true),
        ((503, String::new()), false),
    ] {
        let mut bench = Bench::renewal();
        bench.token_answer = token_answer;
        assert!(matches!(bench.run(), Want::Failed { is_refusal, .. } if is_refusal == refused));
    }
}

#[test]
fn a_token_of_somebody_else_signs_nobody_in() {
    let mut bench = Bench::renewal();
    bench.token_answer = tokens("mallory@contoso.example");
    assert!(matches!(bench.run(), Want::Failed { is_refusal: true, .. }));
}

#[test]
fn a_certificate_for_somebody_else_or_another_key_is_of_no_use() {
    let mut bench = Bench::renewal();
    let key = Crypto::Seeded.p256_key(&mut Random::named(3, "other"));
    let request = pki::make_request(&key, "alice@contoso.example").expect("a request");
    let request = pki::CertificateRequest::parse(&request).expect("a good request");
    let validity = Validity::days(Wall::from_unix_secs(NOON), 180);
    let mut issue = |name: &str| {
        bench.authority.issue_user(&request, &Holder::new(name), validity).expect("a certificate")
    };
    let (own, others) = (issue("alice@contoso.example"), issue("mallory@contoso.example"));
    assert!(Enrolled::read(own.clone(), key.clone_key(), "alice@contoso.example").is_ok());
    assert!(Enrolled::read(others, key.clone_key(), "alice@contoso.example").is_err());
    let foreign = Crypto::Seeded.p256_key(&mut Random::named(4, "foreign"));
    assert!(Enrolled::read(own, foreign, "alice@contoso.example").is_err());
}

#[test]
fn the_proof_digests_the_timestamp_as_it_is_sent() {
    use base64::Engine as _;
    use sha1::Digest as _;
    let mut bench = Bench::renewal();
    let mut body = String::new();
    loop {
        match bench.wants.remove(0) {
            Want::Ask(ask) => {
                body = String::from_utf8(ask.body.to_vec()).expect("text");
                let reply = bench.reply(&ask);
                bench.hear(reply);
            }
            Want::KeepCredential(_) => {}
            _ => break,
        }
    }
    let cut = |from: &str, to: &str| {
        let start = body.find(from).expect(from);
        let end = body[start..].find(to).expect(to) + start + to.len();
        body[start..end].to_owned()
    };
    let base64 = base64::engine::general_purpose::STANDARD;
    let document = xml::read(body.as_bytes()).expect("XML");
    let text = |name: &str| document.below(name).expect(name).trimmed().to_owned();
    let timestamp = cut("<wsu:Timestamp", "</wsu:Timestamp>");
    assert_eq!(text("DigestValue"), base64.encode(sha1::Sha1::digest(timestamp.as_bytes())));
    assert!(timestamp.contains("2018-10-09T20:00:00Z"));
    assert_eq!(base64.decode(text("SignatureValue")).expect("base64").len(), 20);
}
