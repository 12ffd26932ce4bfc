//! DNS: questions over UDP and TCP, and what the zones say.

use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use net::Time;
use proptest::prelude::*;
use site::dns::{Data, DnsServer, Entry, Setup, ZoneError};

use crate::bench::Bench;

const ASKER: &str = "10.20.2.1:40123";
const SERVER: &str = "192.0.2.53:53";

fn entry(name: &str, data: impl IntoIterator<Item = Data>) -> Entry {
    Entry { name: name.to_owned(), ttl: 300, data: data.into_iter().collect() }
}

fn setup() -> Setup {
    let fe = Data::Srv { priority: 0, weight: 0, port: 5061, target: "fe.contoso.example".to_owned() };
    let many = (0..40).map(|last| Data::A(Ipv4Addr::new(192, 0, 2, last)));
    let alias = |name: &str| [Data::Cname(name.to_owned())];
    Setup {
        name: "dns".to_owned(),
        address: [192, 0, 2, 53].into(),
        host: "dns.contoso.example".to_owned(),
        zones: vec!["contoso.example".to_owned(), "hq.contoso.example".to_owned()],
        records: vec![
            entry(
                "fe.contoso.example",
                [Data::A(Ipv4Addr::new(192, 0, 2, 20)), Data::Aaaa("2001:db8::20".parse().expect("one"))],
            ),
            entry("lyncdiscover.contoso.example", alias("fe.contoso.example")),
            entry("loop.contoso.example", alias("pool.contoso.example")),
            entry("pool.contoso.example", alias("loop.contoso.example")),
            entry("away.contoso.example", alias("fe.fabrikam.example")),
            entry("dangling.contoso.example", alias("nobody.contoso.example")),
            entry("_sipinternaltls._tcp.contoso.example", [fe]),
            entry("prov.hq.contoso.example", [Data::A(Ipv4Addr::new(10, 20, 0, 2))]),
            entry("many.contoso.example", many),
        ],
    }
}

fn bench() -> Bench<DnsServer> {
    Bench::new(DnsServer::new(setup()).expect("a good setup"))
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("a name");
    name.set_fqdn(true);
    name
}

fn question(text: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(text), kind));
    message
}

impl Bench<DnsServer> {
    fn raw(&mut self, octets: &[u8]) -> Option<Vec<u8>> {
        let (from, to): (SocketAddr, SocketAddr) =
            (ASKER.parse().expect("one"), SERVER.parse().expect("one"));
        let sent = self.datagram(from, to, octets);
        sent.first().map(|datagram| {
            assert_eq!((datagram.from, datagram.to), (to, from));
            datagram.payload.to_vec()
        })
    }

    fn send(&mut self, question: &Message) -> Message {
        let octets = self.raw(&question.to_vec().expect("a question")).expect("an answer");
        let answer = Message::from_vec(&octets).expect("a readable answer");
        assert_eq!(answer.id, 0x1234);
        assert_eq!(answer.message_type, MessageType::Response);
        answer
    }

    /// Code, answers and authorities in words.
    fn ask(&mut self, text: &str, kind: RecordType) -> (ResponseCode, Vec<String>, Vec<String>) {
        let answer = self.send(&question(text, kind));
        assert_eq!(answer.queries, question(text, kind).queries);
        let spell = |records: &[hickory_proto::rr::Record]| records.iter().map(ToString::to_string).collect();
        (answer.response_code, spell(&answer.answers), spell(&answer.authorities))
    }
}

#[test]
fn names_are_answered_with_their_records() {
    let mut bench = bench();
    let (code, answers, _) = bench.ask("fe.contoso.example", RecordType::A);
    assert_eq!(
        (code, &answers[..]),
        (ResponseCode::NoError, &["fe.contoso.example. 300 IN A 192.0.2.20".to_owned()][..])
    );
    let (_, answers, _) = bench.ask("fe.contoso.example", RecordType::AAAA);
    assert_eq!(answers, ["fe.contoso.example. 300 IN AAAA 2001:db8::20"]);
    let (_, answers, _) = bench.ask("_sipinternaltls._tcp.contoso.example", RecordType::SRV);
    assert_eq!(answers, ["_sipinternaltls._tcp.contoso.example. 300 IN SRV 0 0 5061 fe.contoso.example."]);
    assert_eq!(
        bench.events,
        [
            "name-answered fe.contoso.example: A fe.contoso.example: A 192.0.2.20",
            "name-answered fe.contoso.example: AAAA fe.contoso.example: AAAA 2001:db8::20",
            "name-answered _sipinternaltls._tcp.contoso.example: SRV _sipinternaltls._tcp.contoso.example: SRV fe.contoso.example:5061",
        ]
    );
}

#[test]
fn a_service_comes_with_its_hosts_addresses() {
    let mut bench = bench();
    let answer = bench.send(&question("_sipinternaltls._tcp.contoso.example", RecordType::SRV));
    let additionals: Vec<String> = answer.additionals.iter().map(ToString::to_string).collect();
    assert_eq!(
        additionals,
        ["fe.contoso.example. 300 IN A 192.0.2.20", "fe.contoso.example. 300 IN AAAA 2001:db8::20"]
    );
}

#[test]
fn aliases_are_followed_inside_the_zones() {
    let mut bench = bench();
    let (_, answers, _) = bench.ask("lyncdiscover.contoso.example", RecordType::A);
    assert_eq!(
        answers,
        [
            "lyncdiscover.contoso.example. 300 IN CNAME fe.contoso.example.",
            "fe.contoso.example. 300 IN A 192.0.2.20",
        ]
    );
    let (_, answers, _) = bench.ask("lyncdiscover.contoso.example", RecordType::CNAME);
    assert_eq!(answers.len(), 1);
    let (code, answers, _) = bench.ask("away.contoso.example", RecordType::A);
    assert_eq!((code, answers.len()), (ResponseCode::NoError, 1), "the rest is for somebody else to find");
    let (code, answers, authorities) = bench.ask("dangling.contoso.example", RecordType::A);
    assert_eq!((code, answers.len(), authorities.len()), (ResponseCode::NXDomain, 1, 1));
    let (code, answers, _) = bench.ask("loop.contoso.example", RecordType::A);
    assert_eq!((code, answers.len()), (ResponseCode::ServFail, 0));
}

#[test]
fn what_is_not_there_is_told_from_what_has_nothing_of_the_kind() {
    let mut bench = bench();
    let (code, answers, authorities) = bench.ask("nobody.contoso.example", RecordType::A);
    assert_eq!((code, answers.len()), (ResponseCode::NXDomain, 0));
    assert!(authorities[0].starts_with("contoso.example. 60 IN SOA dns.contoso.example."), "{authorities:?}");
    for (name, kind) in [
        ("fe.contoso.example", RecordType::SRV),
        ("contoso.example", RecordType::A),
        // Nothing is at this name, but something is below it.
        ("_tcp.contoso.example", RecordType::A),
    ] {
        let (code, answers, authorities) = bench.ask(name, kind);
        assert_eq!((code, answers.len(), authorities.len()), (ResponseCode::NoError, 0, 1), "{name}");
    }
    let (code, _, authorities) = bench.ask("nobody.hq.contoso.example", RecordType::A);
    assert_eq!(code, ResponseCode::NXDomain);
    assert!(authorities[0].starts_with("hq.contoso.example. "), "the nearest zone answers: {authorities:?}");
}

#[test]
fn what_is_outside_is_refused() {
    let mut bench = bench();
    for name in ["fabrikam.example", "example", "notcontoso.example", "."] {
        assert_eq!(bench.ask(name, RecordType::A).0, ResponseCode::Refused, "{name}");
    }
    let answer = bench.send(&question("fabrikam.example", RecordType::A));
    assert!(!answer.authoritative);
    assert_eq!(bench.ask("contoso.example", RecordType::AXFR).0, ResponseCode::Refused);
    let mut chaos = question("version.bind", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(bench.send(&chaos).response_code, ResponseCode::Refused);
}

#[test]
fn letter_case_counts_for_nothing_and_comes_back_as_it_was() {
    let mut bench = bench();
    let answer = bench.send(&question("Fe.CONTOSO.example", RecordType::A));
    assert_eq!(answer.queries[0].name().to_ascii(), "Fe.CONTOSO.example.");
    assert_eq!(answer.answers[0].name.to_ascii(), "Fe.CONTOSO.example.");
    assert!(answer.authoritative && answer.recursion_desired && !answer.recursion_available);
}

#[test]
fn records_change_in_mid_run() {
    let mut bench = bench();
    bench.node.set("fe.contoso.example", 5, &[Data::A(Ipv4Addr::new(192, 0, 2, 99))]).expect("a good record");
    assert_eq!(bench.ask("fe.contoso.example", RecordType::A).1, ["fe.contoso.example. 5 IN A 192.0.2.99"]);
    let serial = |bench: &mut Bench<DnsServer>| bench.ask("contoso.example", RecordType::SOA).1;
    let before = serial(&mut bench);
    assert!(bench.node.remove("FE.contoso.example"));
    assert!(!bench.node.remove("fe.contoso.example"));
    assert_eq!(bench.ask("fe.contoso.example", RecordType::A).0, ResponseCode::NXDomain);
    assert_ne!(serial(&mut bench), before);
}

#[test]
fn records_that_cannot_be_are_refused() {
    let mut bench = bench();
    let mut set = |name: &str, data: &[Data]| bench.node.set(name, 60, data).expect_err("a refusal");
    let a = Data::A(Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(
        set("fabrikam.example", std::slice::from_ref(&a)),
        ZoneError::Outside("fabrikam.example".to_owned())
    );
    assert!(matches!(set("a..contoso.example", std::slice::from_ref(&a)), ZoneError::Name(_)));
    assert!(matches!(set("", std::slice::from_ref(&a)), ZoneError::Name(_)));
    let alias = Data::Cname("fe.contoso.example".to_owned());
    assert!(matches!(set("x.contoso.example", &[alias, a.clone()]), ZoneError::Alias(_)));
    assert!(matches!(set("x.contoso.example", &vec![a; 65]), ZoneError::Full(_)));
}

#[test]
fn a_long_answer_is_cut_over_udp_and_whole_over_tcp() {
    let mut bench = bench();
    let asked = question("many.contoso.example", RecordType::A);
    let octets = bench.raw(&asked.to_vec().expect("a question")).expect("an answer");
    assert!(octets.len() <= 512);
    let cut = Message::from_vec(&octets).expect("readable");
    assert!(cut.truncation && cut.answers.is_empty());
    let mut roomy = asked.clone();
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    roomy.set_edns(edns);
    let whole = bench.send(&roomy);
    assert!(!whole.truncation && whole.edns.is_some());
    assert_eq!(whole.answers.len(), 40);
    let stream = bench.connect(SERVER.parse().expect("one"));
    let asked = asked.to_vec().expect("a question");
    let framed = [&(asked.len() as u16).to_be_bytes()[..], &asked].concat();
    // Two questions at once, and cut anywhere.
    let twice = [&framed[..], &framed].concat();
    for at in 0..twice.len() {
        let answer = [bench.receive(stream, &twice[..at]), bench.receive(stream, &twice[at..])].concat();
        let length = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
        assert_eq!(answer.len(), 2 * (2 + length));
        let whole = Message::from_vec(&answer[2..2 + length]).expect("readable");
        assert!(!whole.truncation);
        assert_eq!(whole.answers.len(), 40);
    }
}

#[test]
fn extensions_are_tolerated_and_unknown_versions_of_them_refused() {
    let mut bench = bench();
    let mut asked = question("fe.contoso.example", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(100);
    asked.set_edns(edns.clone());
    let answer = bench.send(&asked);
    assert_eq!(answer.response_code, ResponseCode::NoError);
    assert_eq!(answer.edns.expect("an answer in kind").max_payload(), 1232);
    edns.set_version(1);
    asked.set_edns(edns);
    // 16 means a bad version here, and a bad signature elsewhere (RFC 6895 §2.3).
    assert_eq!(u16::from(bench.send(&asked).response_code), u16::from(ResponseCode::BADVERS));
}

#[test]
fn what_is_malformed_is_told_so_and_answers_are_not_answered() {
    let mut bench = bench();
    let good = question("fe.contoso.example", RecordType::A).to_vec().expect("a question");
    let answer = Message::from_vec(&bench.raw(&good[..20]).expect("an answer")).expect("readable");
    assert_eq!((answer.id, answer.response_code), (0x1234, ResponseCode::FormErr));
    let mut none = Message::new(0x1234, MessageType::Query, OpCode::Query);
    assert_eq!(bench.send(&none).response_code, ResponseCode::FormErr);
    none.add_query(Query::query(name("fe.contoso.example"), RecordType::A));
    none.add_query(Query::query(name("fe.contoso.example"), RecordType::A));
    assert_eq!(bench.send(&none).response_code, ResponseCode::FormErr);
    let status = {
        let mut octets = good.clone();
        octets[2] |= 2 << 3;
        octets
    };
    let answer = Message::from_vec(&bench.raw(&status).expect("an answer")).expect("readable");
    assert_eq!(answer.response_code, ResponseCode::NotImp);
    let mut reply = good.clone();
    reply[2] |= 0x80;
    assert_eq!(bench.raw(&reply), None);
    assert_eq!(bench.raw(&good[..11]), None);
    assert_eq!(bench.raw(b""), None);
}

#[test]
fn silent_and_surplus_connections_are_closed() {
    let mut bench = bench();
    let local = SERVER.parse().expect("one");
    let streams: Vec<_> = (0..65).map(|_| bench.connect(local)).collect();
    assert_eq!(bench.closed, streams[64..]);
    bench.now = Time::from_secs(5);
    bench.receive(streams[0], &[0]);
    bench.pass(Time::from_secs(11));
    assert_eq!(bench.closed.len(), 64);
    assert!(!bench.closed.contains(&streams[0]));
    bench.pass(Time::from_secs(15));
    assert!(bench.closed.contains(&streams[0]));
}

proptest! {
    #[test]
    fn no_packet_makes_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bench = bench();
        bench.raw(&octets);
        let stream = bench.connect(SERVER.parse().expect("one"));
        bench.receive(stream, &octets);
    }

    #[test]
    fn a_damaged_question_is_answered_or_passed_over(at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let mut asked = question("_sipinternaltls._tcp.contoso.example", RecordType::SRV);
        asked.set_edns(Edns::new());
        let mut octets = asked.to_vec().expect("a question");
        let at = at.index(octets.len());
        octets[at] = octet;
        if let Some(answer) = bench().raw(&octets) {
            prop_assert!(answer.len() <= 1232);
            prop_assert!(Message::from_vec(&answer).is_ok());
        }
    }

    #[test]
    fn any_name_can_be_asked_for(labels in proptest::collection::vec("[a-zA-Z0-9_-]{1,20}", 0..6)) {
        let mut bench = bench();
        let text = format!("{}.contoso.example", labels.join("."));
        if Name::from_ascii(&text).is_ok() && !labels.is_empty() {
            prop_assert!(matches!(bench.ask(&text, RecordType::A).0, ResponseCode::NXDomain | ResponseCode::NoError | ResponseCode::ServFail));
        }
    }
}
