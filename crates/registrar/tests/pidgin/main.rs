//! pidgin-sipe 1.25.0 at the pool, octet by octet as it was seen, over the simulated network: from autodiscover to the
//! last REGISTER, and what happens to those who cheat on the way.

#![expect(clippy::unwrap_used, reason = "a test falls where its story breaks")]

mod desk;
#[expect(dead_code, reason = "the tests of the engine itself spoil and look at more")]
#[path = "../../../sip/tests/support/old_client.rs"]
mod old_client;
mod web;

use std::time::Duration;

use net::World as _;
use registrar::{Home, events};
use sip::Message;

use desk::{ALICE, BOB, Desk, INSTANCE, PASSWORD};
use old_client::Spoilt;
use web::cut;

const CONTACTS: &str = "vnd-microsoft-roaming-contacts";
const PROVISIONING: &str = "vnd-microsoft-provisioning-v2";
const OWN_STATE: &str = "vnd-microsoft-roaming-self";

fn is_registered(desk: &Desk, user: &str) -> bool {
    desk.registrar().is_registered(user, desk.sim.now())
}

#[test]
fn it_signs_in_by_explicit_server_and_reads_what_it_needs_in_the_200() {
    let mut desk = Desk::new(ALICE);
    let ok = desk.sign_in();
    assert_eq!(ok.status(), Some(200));
    assert_eq!(ok.header("CSeq"), Some("6 REGISTER"), "one was never sent");
    assert!(ok.header("Expires").unwrap().parse::<u32>().unwrap() > 0);
    let contact = ok.header("Contact").unwrap();
    assert!(contact.contains(INSTANCE));
    assert!(
        contact.contains("gruu=\"sip:alice@contoso.example;opaque=user:epid:8JbZkJlyaFikmw6tZLxD4wAA;gruu\"")
    );
    let supported: Vec<&str> = ok.headers("Supported").collect();
    assert!(supported.contains(&"msrtc-event-categories") && supported.contains(&"adhoclist"));
    let allowed = ok.header("Allow-Events").unwrap();
    assert!(!allowed.contains(' '));
    assert!(
        [CONTACTS, PROVISIONING, OWN_STATE].iter().all(|event| allowed.split(',').any(|it| it == *event))
    );
    assert!(is_registered(&desk, ALICE));
}

#[test]
fn it_finds_the_pool_by_autodiscover() {
    let mut desk = Desk::new(ALICE);
    let accept = "Accept: application/vnd.microsoft.rtc.autodiscover+xml;v=1\r\n";
    let media = "content-type: application/vnd.microsoft.rtc.autodiscover+xml";
    let link = |body: &str, token: &str| {
        let (_, rest) = body.split_once(&format!("<Link token=\"{token}\" href=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let plain = desk.http("http://LyncDiscover.contoso.example/?sipuri=alice@contoso.example", accept, None);
    assert!(plain.status == 200 && plain.head.contains(media), "{plain:?}");
    let root = desk.http(&link(&plain.body, "Redirect"), accept, None);
    assert!(root.status == 200 && root.head.contains(media), "{root:?}");
    let user = link(&root.body, "User");
    let refused = desk.http(&user, accept, None);
    assert_eq!(refused.status, 401);
    assert!(
        !["basic", "ntlm", "negotiate"].iter().any(|scheme| refused.head.contains(&format!(": {scheme}")))
    );
    // Header names are in either case, their values are not; the URL is the one that the pool is known to have.
    assert!(
        refused.head.contains("x-ms-webticketurl: https://fe.contoso.example/webticket/webticketservice.svc")
    );
    let issuer = "https://fe.contoso.example/WebTicket/WebTicketService.svc";
    let ticket = desk.ticket(issuer, &user, PASSWORD).unwrap();
    // Both of its chains of requests come here.
    for _ in 0..2 {
        let home = desk.http(&user, &format!("{accept}{}", ticket.header()), None);
        assert!(home.status == 200 && home.head.contains(media), "{home:?}");
        assert!(home.body.contains("<SipClientExternalAccess fqdn=\"fe.contoso.example\" port=\"5061\"/>"));
    }
    // The password once shown is shown again with every request on that connection.
    assert_eq!(desk.sign_in().status(), Some(200));
}

#[test]
fn what_follows_the_registration_is_answered_as_it_needs() {
    let mut desk = Desk::new(ALICE);
    desk.sign_in();
    let contacts = desk.subscribe(CONTACTS, "");
    let groups = "<provisioningGroupList xmlns=\"http://schemas.microsoft.com/2006/09/sip/provisioninggrouplist\"> \
                  <provisioningGroup name=\"ServerConfiguration\"/> <provisioningGroup name=\"meetingPolicy\"/> \
                  <provisioningGroup name=\"persistentChatConfiguration\"/> <provisioningGroup name=\"ucPolicy\"/>\
                  </provisioningGroupList>";
    let policy = desk.subscribe(PROVISIONING, groups);
    let own = desk.subscribe(
        OWN_STATE,
        "<roamingList xmlns=\"http://schemas.microsoft.com/2006/09/sip/roaming-self\"><roaming type=\"categories\"/>\
         <roaming type=\"containers\"/><roaming type=\"subscribers\"/></roamingList>",
    );
    for (answer, event, document) in [
        (&contacts, CONTACTS, "<contactList "),
        (&policy, PROVISIONING, "<provisionGroupList "),
        (&own, OWN_STATE, "<roamingData "),
    ] {
        assert_eq!(answer.status(), Some(200), "{event}");
        assert_eq!(answer.header("Event"), Some(event));
        assert!(answer.header("ms-piggyback-cseq").is_some(), "{event}");
        assert!(String::from_utf8(answer.body().to_vec()).unwrap().starts_with(document), "{event}");
    }
    assert_eq!(policy.header("subscription-state"), Some("terminated;expires=0"));

    let (uri, to) = (format!("sip:{ALICE}"), format!("<sip:{ALICE}>"));
    let service = desk.request("SERVICE", &uri, &to, "a-service", 1);
    let service = service.body("application/msrtc-category-publish+xml", "<publish/>");
    assert_eq!(desk.ask_signed(service).status(), Some(200));
    // The probe for a chat room, without a branch in its Via.
    let probe =
        desk.request("INVITE", "sip:ocschat@contoso.example", "<sip:ocschat@contoso.example>", "a-probe", 1);
    assert_eq!(desk.ask_signed(probe.body("application/sdp", "v=0\r\n")).status(), Some(404));

    // Two empty lines when nothing was said for a while.
    for _ in 0..3 {
        desk.pass(Duration::from_secs(60));
        desk.write("\r\n\r\n");
    }
    let refresh = desk.register();
    let refreshed = desk.ask_signed(refresh);
    assert_eq!(refreshed.status(), Some(200));
    assert!(refreshed.header("presence-state").unwrap().contains("refreshed"));

    // Signing out: each dialog, to the Contact that the pool gave, then the registration; it waits for nothing.
    for answer in [&contacts, &own] {
        let (to, call_id) = (answer.header("To").unwrap(), answer.call_id());
        let from = answer.header("From").unwrap();
        let mut end = desk.request("SUBSCRIBE", "sip:fe.contoso.example:5061;transport=tls", to, call_id, 2);
        end.set("From", from);
        end.set("Via", "SIP/2.0/tls 10.20.2.1:42488");
        let end = end.with("Event", answer.header("Event").unwrap()).with("Expires", "0");
        assert_eq!(desk.ask_signed(end).status(), Some(200));
    }
    let last = desk.register().with("Expires", "0");
    assert_eq!(desk.ask_signed(last).status(), Some(200));
    assert!(!is_registered(&desk, ALICE));
}

/// The reason in the journal of what was refused last.
fn last_reason(desk: &Desk, event: &str) -> String {
    let mut notes = desk.sim.journal().entries().iter().filter_map(|entry| match &entry.note {
        net::Note::Event { name, text, .. } if *name == event => Some(text.to_string()),
        _ => None,
    });
    notes.next_back().expect(event)
}

#[test]
fn a_handshake_that_is_not_right_leads_back_to_the_plain_challenge_whatever_is_wrong() {
    let mut desk = Desk::new(ALICE);
    desk.connect();
    let sts_uri = desk.challenged();
    desk.enrol(&sts_uri, PASSWORD).unwrap();
    let mut answers = Vec::new();
    for (spoilt, reason) in [
        (Spoilt::Signature, "the other side does not hold its certificate's key"),
        (Spoilt::Finished, "the other side's Finished message does not fit the handshake"),
        (Spoilt::Mac, "the other side's Finished message does not fit the handshake"),
        (Spoilt::SecretPadding, "the other side's Finished message does not fit the handshake"),
        (Spoilt::Trailing, "more octets behind the end of the handshake"),
    ] {
        let answer = desk.prove(spoilt).expect_err("no association");
        assert_eq!(last_reason(&desk, events::HANDSHAKE_FAILED), reason);
        // All but what differs from answer to answer anyway.
        let kept = ["WWW-Authenticate", "ms-diagnostics", "Server", "Content-Length"];
        answers.push(kept.map(|name| answer.header(name).map(str::to_owned)));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert!(answers[0][0].as_ref().unwrap().contains("sts-uri="));
    desk.prove(Spoilt::Nothing).unwrap();
    let draft = desk.register();
    assert_eq!(desk.ask_signed(draft).status(), Some(200));
}

#[test]
fn nobody_gets_in_with_somebody_elses_certificate() {
    let mut bob = Desk::new(BOB);
    assert_eq!(bob.sign_in().status(), Some(200));
    // The same client, and so the same key and certificate, says that it is Alice.
    bob.connect();
    bob.user = ALICE;
    bob.challenged();
    bob.prove(Spoilt::Nothing).expect_err("no association");
    assert!(last_reason(&bob, events::HANDSHAKE_FAILED).contains("not published"));
    assert!(!is_registered(&bob, ALICE));
}

#[test]
fn a_wrong_password_and_a_request_for_another_user_get_no_certificate() {
    let mut desk = Desk::new(ALICE);
    desk.connect();
    let sts_uri = desk.challenged();
    let refused = desk.enrol(&sts_uri, "not this").expect_err("no ticket");
    assert_eq!(refused.status, 401);

    let mut desk = Desk::new(ALICE);
    let service = "https://fe.contoso.example/CertProv/CertProvisioningService.svc/WebTicket_Proof_SHA1";
    let issuer = "https://fe.contoso.example/WebTicket/WebTicketService.svc";
    let ticket = desk.ticket(issuer, service, PASSWORD).unwrap();
    let refused = desk.publish(service, &ticket, BOB);
    assert_ne!(refused.status, 200);
    assert_eq!(cut(&refused.body, "ErrorId").1, "4004");
    // Eight hours later the ticket is worth nothing.
    desk.pass(Duration::from_secs(8 * 3600));
    let mut late = desk;
    late.hang_up();
    assert_ne!(late.publish(service, &ticket, ALICE).status, 200);
}

#[test]
fn what_is_unsigned_repeated_or_changed_after_the_registration_is_challenged_and_ends_nothing() {
    let mut desk = Desk::new(ALICE);
    desk.sign_in();
    let (uri, to) = (format!("sip:{ALICE}"), format!("<sip:{ALICE}>"));
    let unsigned = desk.request("SERVICE", &uri, &to, "unsigned", 1);
    assert_eq!(desk.ask(&unsigned).status(), Some(401));

    let once = desk.request("SERVICE", &uri, &to, "once", 1);
    let once = desk.sign(once);
    assert_eq!(desk.ask(&once).status(), Some(200));
    let mut again = once.clone();
    again.set("Via", "SIP/2.0/tls 10.20.2.1:42488;branch=z9hG4bKanother");
    assert_eq!(desk.ask(&again).status(), Some(401), "the number was used");

    let tagged = desk.request("SERVICE", &uri, &to, "tagged", 1);
    let mut tagged = desk.sign(tagged);
    tagged.set("To", &format!("{to};tag=another"));
    assert_eq!(desk.ask(&tagged).status(), Some(401), "it was signed with another To tag");

    let good = desk.request("SERVICE", &uri, &to, "good", 1);
    assert_eq!(desk.ask_signed(good).status(), Some(200));
    assert!(is_registered(&desk, ALICE));
}

#[test]
fn it_is_told_why_it_may_not_stay() {
    let mut desk = Desk::new(ALICE);
    desk.sign_in();
    desk.administer(|pool, now, out| pool.disable(ALICE, now, out));
    let told: Vec<Message> = desk.listen();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].header("Event"), Some("registration-notify"));
    assert!(told[0].header("ms-diagnostics-public").unwrap().starts_with("4141"));
    assert_eq!(&told[0].body()[..], b"deregistered;event=rejected");
    let draft = desk.register();
    let refused = desk.ask_signed(draft);
    assert_eq!(refused.status(), Some(403));
    assert!(refused.header("ms-diagnostics-public").unwrap().contains("reason=\""));
}

#[test]
fn it_is_sent_to_the_pool_where_its_user_lives_now() {
    let mut desk = Desk::new(ALICE);
    desk.administer(|pool, now, out| {
        pool.move_user(ALICE, Home::Pool("fe2.contoso.example".into()), now, out)
    });
    let moved = desk.sign_in();
    assert_eq!(moved.status(), Some(301));
    assert!(moved.header("Contact").unwrap().starts_with("<sip:fe2.contoso.example"));
    assert!(moved.header("Contact").unwrap().contains("transport=tls"));
}

#[test]
fn a_pool_without_a_key_for_old_clients_refuses_them() {
    let mut desk = Desk::without_inner_key(ALICE);
    desk.connect();
    desk.challenged();
    assert!(desk.greet().is_err());
    assert_eq!(last_reason(&desk, events::HANDSHAKE_FAILED), "the other side does not speak TLS 1.2");
}
