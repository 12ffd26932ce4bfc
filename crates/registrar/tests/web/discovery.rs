//! Autodiscover and metadata.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registrar::Exchange;

use crate::harness::{Pool, body, header, setup};
use crate::phone::{BASIC, Ticket, USER, basic, rst};
use crate::{identity, phone};

#[test]
fn plain_http_gives_the_way_to_the_https_root_and_nothing_else() {
    let mut pool = Pool::new();
    let answer = pool.get(80, "http://lyncdiscover.contoso.example/?sipuri=alice@contoso.example", &[]);
    assert_eq!(answer.status(), 200);
    assert!(header(&answer, "content-type").starts_with("application/vnd.microsoft.rtc.autodiscover+xml"));
    assert_eq!(
        body(&answer),
        "<AutodiscoverResponse AccessLocation=\"External\"><Root><Link token=\"Redirect\" \
         href=\"https://fe.contoso.example/Autodiscover/AutodiscoverService.svc/root?sipuri=alice@contoso.example\"/>\
         </Root></AutodiscoverResponse>"
    );
    for path in [USER, BASIC, phone::CERTIFICATE, "/WebTicket/WebTicketService.svc/mex"] {
        assert_eq!(pool.get(80, path, &[]).status(), 404, "{path}");
    }
}

#[test]
fn the_https_root_names_the_users_document_in_either_case_and_with_or_without_scheme() {
    let mut pool = Pool::new();
    for url in [
        "https://lyncdiscoverinternal.contoso.example/?sipuri=sip:Alice@contoso.example",
        "https://fe.contoso.example/autodiscover/autodiscoverservice.svc/ROOT?sipuri=alice@contoso.example",
    ] {
        let answer = pool.get(443, url, &[]);
        assert!(
            body(&answer)
                .contains(&format!("<Link token=\"User\" href=\"{USER}?sipuri=alice@contoso.example\"/>")),
            "{}",
            body(&answer)
        );
        let location = if url.contains("internal") { "Internal" } else { "External" };
        assert!(body(&answer).contains(&format!("AccessLocation=\"{location}\"")));
    }
    let answer = pool.get(443, "/?sipuri=%22%3E%3Cscript%3E@x", &[]);
    assert!(!body(&answer).contains("<script"), "{}", body(&answer));
}

#[test]
fn the_users_document_is_closed_to_strangers_and_says_where_to_prove_oneself() {
    let mut pool = Pool::new();
    let answer = pool.get(443, USER, &[]);
    assert_eq!(answer.status(), 401);
    assert_eq!(
        header(&answer, "x-ms-webticketurl"),
        "https://fe.contoso.example/WebTicket/WebTicketService.svc"
    );
    assert_eq!(header(&answer, "x-ms-webticketsupported"), "cwt,saml");
    let challenge = header(&answer, "www-authenticate");
    assert!(challenge.starts_with("Bearer trusted_issuers=\""), "{challenge}");
    assert!(challenge.contains("client_id=\"00000004-0000-0ff1-ce00-000000000000\""));
    assert!(
        challenge.ends_with("authorization_uri=\"https://login.contoso.example/common/oauth2/authorize\"")
    );
    let mut old = setup();
    old.modern_auth = None;
    let answer = Pool::of(old).get(443, USER, &[]);
    assert_eq!(answer.status(), 401);
    assert!(!answer.headers().contains_key("www-authenticate"), "no challenge that a client could take up");
}

fn user_ticket(pool: &mut Pool, user: &str) -> String {
    let body = rst(user, phone::DEVICE, &format!("{USER}?sipuri={user}"));
    let answer = pool.post(443, BASIC, &[("authorization", &basic(user, "Passw0rd!"))], &body);
    format!("opaque={}", STANDARD.encode(Ticket::of(&answer).assertion))
}

#[test]
fn a_web_ticket_opens_the_users_own_document() {
    let mut pool = Pool::new();
    let shown = user_ticket(&mut pool, "alice@contoso.example");
    let own = format!("{USER}?sipuri=alice@contoso.example");
    let answer = pool.get(443, &own, &[("x-ms-webticket", &shown)]);
    assert_eq!(answer.status(), 200);
    assert!(body(&answer).contains("<SipClientExternalAccess fqdn=\"fe.contoso.example\" port=\"5061\"/>"));
    assert!(body(&answer).contains("<SipClientInternalAccess fqdn=\"fe.contoso.example\" port=\"5061\"/>"));

    let bobs = format!("{USER}?sipuri=bob@contoso.example");
    assert_eq!(pool.get(443, &bobs, &[("x-ms-webticket", &shown)]).status(), 403);
    let mut spoiled = STANDARD.decode(&shown[7..]).unwrap();
    let at = String::from_utf8_lossy(&spoiled).find("alice").unwrap();
    spoiled[at..at + 5].copy_from_slice(b"carol");
    let spoiled = format!("opaque={}", STANDARD.encode(spoiled));
    let answer = pool.get(443, USER, &[("x-ms-webticket", &spoiled)]);
    assert_eq!(answer.status(), 401);
    assert!(header(&answer, "x-ms-diagnostics").starts_with("28020;source=\"fe.contoso.example\";reason="));
    pool.pass(std::time::Duration::from_secs(8 * 3600));
    assert_eq!(pool.get(443, &own, &[("x-ms-webticket", &shown)]).status(), 401, "a ticket ends");
}

#[test]
fn a_ticket_for_certificates_does_not_open_the_users_document() {
    let mut pool = Pool::new();
    let ticket = phone::ticket(&mut pool, "alice@contoso.example");
    let shown = format!("opaque={}", STANDARD.encode(ticket.assertion));
    assert_eq!(pool.get(443, USER, &[("x-ms-webticket", &shown)]).status(), 401);
}

#[test]
fn a_user_who_is_homed_elsewhere_is_sent_there_and_a_disabled_one_nowhere() {
    let mut pool = Pool::new();
    let token = |pool: &Pool, upn: &str| {
        format!("Bearer {}", identity::token(&identity::KEY, &identity::claims(upn, pool.wall())))
    };
    let carol = token(&pool, "carol@contoso.example");
    let answer = pool.get(443, USER, &[("authorization", &carol)]);
    assert_eq!(
        body(&answer),
        "<AutodiscoverResponse AccessLocation=\"External\"><User><Link token=\"Redirect\" \
         href=\"https://fe2.contoso.example/Autodiscover/AutodiscoverService.svc/root?sipuri=carol@contoso.example\"/>\
         </User></AutodiscoverResponse>"
    );
    let stranger = token(&pool, "mallory@contoso.example");
    let answer = pool.get(443, USER, &[("authorization", &stranger)]);
    assert_eq!((answer.status().as_u16(), body(&answer)), (404, ""));
    assert!(pool.act(|pool, now, out| pool.disable("alice@contoso.example", now, out)));
    let alice = token(&pool, "alice@contoso.example");
    let answer = pool.get(443, USER, &[("authorization", &alice)]);
    assert_eq!(answer.status(), 403);
    assert!(header(&answer, "x-ms-diagnostics").starts_with("4003;"));
}

#[test]
fn metadata_leads_a_client_from_certificates_to_tickets() {
    let mut pool = Pool::new();
    let answer = pool.get(443, "/CertProv/CertProvisioningService.svc/mex", &[]);
    let text = body(&answer);
    assert!(text.contains("wsu:Id=\"CertProvisioningServiceWebTicketProof_SHA1_policy\""));
    let issuer = phone::cut(text, "Address").1;
    assert_eq!(issuer, "https://fe.contoso.example/WebTicket/WebTicketService.svc");
    assert!(text.contains(&format!("location=\"{}\"", phone::CERTIFICATE)));
    let answer = pool.get(443, &format!("{issuer}/mex"), &[("authorization", "Basic eDp5")]);
    let text = body(&answer);
    assert!(text.contains("name=\"WebTicketServiceWinNegotiate\"") && text.contains(BASIC));
    assert!(text.contains("name=\"WebTicketServiceOAuth\"") && text.contains(phone::OAUTH));
    assert!(text.contains("af:authorizationUri=\"https://login.contoso.example/common/oauth2/authorize\""));
    assert!(!text.contains("WsFedBearer"), "it would send clients to the public internet");
}

#[test]
fn a_strict_pool_moves_what_clients_must_read_from_metadata() {
    let mut strict = setup();
    strict.strict = true;
    let mut pool = Pool::of(strict);
    let answer = pool.get(443, "/WebTicket/WebTicketService.svc/mex", &[]);
    let moved = body(&answer).split("location=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(moved.starts_with(BASIC) && moved != BASIC, "{moved}");
    assert_eq!(pool.post(443, BASIC, &[], "").status(), 404);
    assert_eq!(pool.post(443, &moved, &[], "").status(), 401);
}

#[test]
fn a_story_can_spoil_the_next_answers() {
    let mut pool = Pool::new();
    pool.registrar.answer_next(Exchange::Discovery, 2, 503);
    assert_eq!(pool.get(443, "/", &[]).status(), 503);
    assert_eq!(pool.get(443, "/", &[]).status(), 503);
    assert_eq!(pool.get(443, "/", &[]).status(), 200);
}

#[test]
fn a_ticket_from_the_future_does_not_count() {
    let mut pool = Pool::new();
    let shown = user_ticket(&mut pool, "alice@contoso.example");
    let (now, issued) = (pool.now, pool.wall());
    for (seconds_back, status) in [(300, 200), (301, 401)] {
        pool.registrar.clock_mut().set(now, issued.minus(std::time::Duration::from_secs(seconds_back)));
        assert_eq!(pool.get(443, USER, &[("x-ms-webticket", &shown)]).status(), status, "{seconds_back}");
    }
}
