//! A scripted DNS server, octet by octet, on the other side.

use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use net::Effect;
use proptest::prelude::*;

use super::*;

const FIRST: &str = "192.0.2.53:53";
const SECOND: &str = "192.0.2.54:53";

struct Desk {
    resolver: Resolver,
    random: Random,
    out: Outbox,
}

fn desk(servers: &[&str]) -> Desk {
    let mut resolver = Resolver::new();
    let servers: Vec<IpAddr> =
        servers.iter().map(|server| server.parse::<SocketAddr>().expect("an address").ip()).collect();
    resolver.configure(&servers, Some("contoso.example"));
    Desk { resolver, random: Random::named(1, "desk"), out: Outbox::new() }
}

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

impl Desk {
    fn ask(&mut self, name: &str, now: Time) -> Lookup {
        self.resolver.ask(Question::Addresses(name.to_owned()), now, &mut self.random, &mut self.out)
    }

    fn ask_services(&mut self, name: &str, now: Time) -> Lookup {
        self.resolver.ask(Question::Services(name.to_owned()), now, &mut self.random, &mut self.out)
    }

    fn sent(&mut self) -> Vec<(Datagram, Message)> {
        let sent = self.out.take().into_iter().filter_map(|effect| match effect {
            Effect::Send(datagram) => {
                let message = Message::from_vec(&datagram.payload).expect("a DNS message");
                Some((datagram, message))
            }
            _ => None,
        });
        sent.collect()
    }

    fn handle(&mut self, now: Time, input: Input) -> Vec<Result<Answer, ResolveError>> {
        let resolved = self.resolver.handle(now, &input, &mut self.random, &mut self.out);
        resolved.into_iter().map(|resolved| resolved.result).collect()
    }

    fn reply(&mut self, now: Time, asked: &Datagram, reply: &Message) -> Vec<Result<Answer, ResolveError>> {
        let payload = reply.to_vec().expect("a reply").into();
        self.handle(now, Input::Datagram(Datagram { from: asked.to, to: asked.from, payload }))
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).expect("a name")
}

fn reply(asked: &Message, code: ResponseCode, records: &[(&str, u32, RData)]) -> Message {
    let mut reply = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
    reply.metadata.response_code = code;
    reply.add_query(asked.queries[0].clone());
    for (owner, ttl, data) in records {
        reply.add_answer(Record::from_rdata(name(owner), *ttl, data.clone()));
    }
    reply
}

fn a(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}

fn addresses(last: &[u8]) -> Result<Answer, ResolveError> {
    Ok(Answer::Addresses(last.iter().map(|last| Ipv4Addr::new(192, 0, 2, *last).into()).collect()))
}

#[test]
fn an_answer_is_taken_and_remembered_until_its_time_is_over() {
    let mut desk = desk(&[FIRST]);
    assert!(matches!(desk.ask("FE.contoso.example.", at(0)), Lookup::Pending(_)));
    let sent = desk.sent();
    let [(datagram, message)] = &sent[..] else { panic!("one question") };
    assert_eq!(datagram.to.to_string(), FIRST);
    assert!(datagram.from.port() >= FIRST_PORT);
    assert_eq!(message.queries, [Query::query(name("fe.contoso.example"), RecordType::A)]);
    let answer = reply(message, ResponseCode::NoError, &[("fe.contoso.example", 60, a(20))]);
    assert_eq!(desk.reply(at(10), datagram, &answer), [addresses(&[20])]);
    assert_eq!(desk.ask("fe", at(60_009)), Lookup::Done(addresses(&[20])), "the domain completes it");
    assert!(matches!(desk.ask("fe", at(60_010)), Lookup::Pending(_)));
}

#[test]
fn only_the_right_answer_counts() {
    let mut desk = desk(&[FIRST]);
    desk.ask("fe.contoso.example", at(0));
    let (asked, message) = desk.sent().remove(0);
    let good = reply(&message, ResponseCode::NoError, &[("fe.contoso.example", 60, a(20))]);
    let mut other_id = good.clone();
    other_id.metadata.id = good.metadata.id.wrapping_add(1);
    let mut other_name = good.clone();
    other_name.queries[0].name = name("fe2.contoso.example");
    let mut other_type = good.clone();
    other_type.queries[0].query_type = RecordType::SRV;
    let mut a_question = good.clone();
    a_question.metadata.message_type = MessageType::Query;
    for wrong in [other_id, other_name, other_type, a_question] {
        assert_eq!(desk.reply(at(10), &asked, &wrong), []);
    }
    let mut foreign = asked.clone();
    foreign.to = SECOND.parse().expect("an address");
    assert_eq!(desk.reply(at(10), &foreign, &good), [], "from a server that was not asked");
    let mut elsewhere = asked.clone();
    elsewhere.from.set_port(asked.from.port() ^ 1);
    assert_eq!(desk.reply(at(10), &elsewhere, &good), [], "to another port");
    assert_eq!(desk.reply(at(10), &asked, &good), [addresses(&[20])]);
    assert_eq!(desk.reply(at(11), &asked, &good), [], "once");
}

#[test]
fn servers_are_asked_in_turn_and_given_up_at_last() {
    let mut desk = desk(&[FIRST, SECOND]);
    desk.ask("fe.contoso.example", at(0));
    let mut asked = Vec::new();
    let failure = loop {
        asked.extend(desk.sent().into_iter().map(|(datagram, _)| datagram.to.to_string()));
        let wake_at = desk.resolver.wake_at().expect("it waits");
        if let Some(end) = desk.handle(wake_at, Input::Woken).pop() {
            assert_eq!(wake_at, at(20_000));
            break end;
        }
    };
    assert_eq!(asked, [FIRST, SECOND, FIRST, SECOND, FIRST, SECOND]);
    let waited = Duration::from_secs(20);
    assert_eq!(failure, Err(ResolveError::NoAnswer { name: "fe.contoso.example".into(), waited }));
    assert_eq!(desk.resolver.wake_at(), None);
    let unlistened = desk.out.take().iter().any(|effect| matches!(effect, Effect::Unlisten(..)));
    assert!(unlistened, "the port is given back");
}

#[test]
fn a_server_that_gives_up_is_passed_over() {
    let mut desk = desk(&[FIRST, SECOND]);
    desk.ask("fe.contoso.example", at(0));
    let (first, message) = desk.sent().remove(0);
    assert_eq!(desk.reply(at(5), &first, &reply(&message, ResponseCode::ServFail, &[])), []);
    let (second, message) = desk.sent().remove(0);
    assert_eq!(second.to.to_string(), SECOND);
    let end = desk.reply(at(9), &second, &reply(&message, ResponseCode::Refused, &[]));
    assert!(matches!(&end[..], [Err(ResolveError::ServerFailure { .. })]), "{end:?}");
}

#[test]
fn a_name_that_does_not_exist_is_no_failure_of_the_server() {
    let mut desk = desk(&[FIRST, SECOND]);
    desk.ask("nobody.contoso.example", at(0));
    let (asked, message) = desk.sent().remove(0);
    let end = desk.reply(at(5), &asked, &reply(&message, ResponseCode::NXDomain, &[]));
    assert_eq!(end, [Err(ResolveError::NoSuchName("nobody.contoso.example".into()))]);
    for (name, why) in
        [("", "empty"), ("a..b", "an empty label"), ("a b.c", "a blank"), (&"x".repeat(64), "long")]
    {
        assert!(matches!(desk.ask(name, at(6)), Lookup::Done(Err(ResolveError::BadName(_)))), "{why}");
    }
}

#[test]
fn aliases_are_followed_within_an_answer_and_beyond_it_but_not_for_ever() {
    let mut desk = desk(&[FIRST]);
    let alias = |to: &str| RData::CNAME(CNAME(name(to)));
    desk.ask("lyncdiscover.contoso.example", at(0));
    let (asked, message) = desk.sent().remove(0);
    let records = [
        ("lyncdiscover.contoso.example", 60, alias("fe.contoso.example")),
        ("fe.contoso.example", 60, a(20)),
    ];
    assert_eq!(
        desk.reply(at(1), &asked, &reply(&message, ResponseCode::NoError, &records)),
        [addresses(&[20])]
    );
    desk.ask("a.contoso.example", at(2));
    for step in 0..u64::from(ALIASES_LIMIT) + 1 {
        let (asked, message) = desk.sent().remove(0);
        let owner = message.queries[0].name.to_ascii();
        let owner = owner.trim_end_matches('.');
        let next = format!("{}a.contoso.example", "a".repeat(step as usize + 1));
        let end = desk.reply(
            at(3 + step),
            &asked,
            &reply(&message, ResponseCode::NoError, &[(owner, 60, alias(&next))]),
        );
        let is_last = step == u64::from(ALIASES_LIMIT);
        assert_eq!(end.len(), usize::from(is_last), "step {step}");
    }
}

#[test]
fn services_come_by_priority_and_then_in_proportion_to_weight() {
    let mut desk = desk(&[FIRST]);
    desk.ask_services("_sipinternaltls._tcp.contoso.example", at(0));
    let (asked, message) = desk.sent().remove(0);
    let service = |priority, weight, port, target: &str| {
        let data = RData::SRV(SRV::new(priority, weight, port, name(target)));
        ("_sipinternaltls._tcp.contoso.example", 600, data)
    };
    let records = [
        service(20, 0, 5061, "fe3.contoso.example"),
        service(10, 10, 5061, "fe1.contoso.example"),
        service(10, 90, 5061, "fe2.contoso.example"),
    ];
    let end = desk.reply(at(1), &asked, &reply(&message, ResponseCode::NoError, &records));
    let firsts = |answer: &Result<Answer, ResolveError>| match answer {
        Ok(Answer::Services(services)) => {
            assert_eq!(services.len(), 3);
            assert_eq!(services[2].target, "fe3.contoso.example");
            services[0].target.clone()
        }
        other => panic!("{other:?}"),
    };
    firsts(&end[0]);
    let mut heavy = 0;
    for _ in 0..1000 {
        let Lookup::Done(answer) = desk.ask_services("_sipinternaltls._tcp.contoso.example", at(2)) else {
            panic!("it is remembered")
        };
        heavy += usize::from(firsts(&answer) == "fe2.contoso.example");
    }
    assert!((850..950).contains(&heavy), "{heavy}");
}

#[test]
fn questions_have_a_limit_and_need_a_server() {
    let mut lonely = desk(&[]);
    assert!(matches!(lonely.ask("fe", at(0)), Lookup::Done(Err(ResolveError::NoServers(_)))));
    let mut desk = desk(&[FIRST]);
    for n in 0..QUESTIONS_LIMIT {
        assert!(matches!(desk.ask(&format!("n{n}"), at(0)), Lookup::Pending(_)));
    }
    assert_eq!(desk.ask("one-more", at(0)), Lookup::Done(Err(ResolveError::Busy)));
}

proptest! {
    #[test]
    fn any_octets_are_an_answer_or_nothing(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let key = Key { name: "fe.contoso.example".to_owned(), kind: Kind::Addresses };
        let _ = message::read(&octets, 0, &key);
    }

    #[test]
    fn a_broken_answer_is_read_or_left(at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let key = Key { name: "fe.contoso.example".to_owned(), kind: Kind::Services };
        let asked = Message::from_vec(&message::write(7, &key)).expect("a question");
        let srv = RData::SRV(SRV::new(1, 2, 5061, name("fe.contoso.example")));
        let good = reply(&asked, ResponseCode::NoError, &[("fe.contoso.example", 1, srv)]).to_vec().expect("octets");
        let mut octets = good.clone();
        octets[at.index(good.len())] = to;
        octets.truncate(1 + cut.index(good.len()));
        let _ = message::read(&octets, 7, &key);
    }
}
