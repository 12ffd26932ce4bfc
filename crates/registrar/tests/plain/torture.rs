//! The torture messages of RFC 4475 and RFC 5118 at the pool's ports: each gets the right answer or the right error, and
//! the pool goes on serving. What is right stands in `crates/sip/tests/verdicts.txt`.

use std::collections::BTreeMap;

use crate::corpus::{IPV6, TORTURE};
use crate::files::octets;
use crate::harness::{ALICE, Agent, Pool, Way};

const VERDICTS: &str = include_str!("../../../sip/tests/verdicts.txt");

/// The verdicts of one column: 1 for datagrams, 2 for streams.
fn verdicts(column: usize) -> BTreeMap<&'static str, &'static str> {
    let lines = VERDICTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let columns = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    columns.map(|columns| (columns[0], columns[column])).collect()
}

/// What came of the octets: the statuses of the answers, or that there was none, and whether the connection ended.
fn verdict(answers: Vec<bytes::Bytes>, is_closed: bool) -> String {
    // Answers repeat what is wrong with their requests, so that not every one can be read as a message.
    let answers: Vec<String> = answers.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    let status = |answer: &String| answer.strip_prefix("SIP/2.0 ").map(|rest| rest[..3].to_owned());
    let mut words: Vec<String> = answers.iter().filter_map(status).collect();
    if is_closed {
        words.push("closed".to_owned());
    }
    if words.is_empty() { "silence".to_owned() } else { words.join("+") }
}

fn still_serves(pool: &mut Pool, way: Way) {
    let mut agent = Agent::over(way, ALICE);
    let options = agent.request("OPTIONS", "sip:contoso.example");
    assert_eq!(agent.ask(pool, options).status(), Some(200));
}

fn messages() -> impl Iterator<Item = (&'static str, bytes::Bytes)> {
    TORTURE.iter().chain(IPV6).map(|(name, file)| (*name, octets(file)))
}

#[test]
fn every_torture_message_has_a_verdict() {
    let named: Vec<&str> = messages().map(|(name, _)| name).collect();
    let judged = verdicts(1);
    assert_eq!(judged.len(), named.len());
    assert!(named.iter().all(|name| judged.contains_key(name)));
}

#[test]
fn torture_by_datagram() {
    let (mut pool, wanted) = (Pool::new(), verdicts(1));
    let mut wrong = Vec::new();
    for (name, octets) in messages() {
        pool.send(Way::Udp("10.20.9.9:5060".parse().unwrap()), octets);
        let came = verdict(pool.all_datagrams(), false);
        if came != wanted[name] {
            wrong.push(format!("{name} {came}"));
        }
        still_serves(&mut pool, Way::Udp("10.20.2.1:5060".parse().unwrap()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(pool.registrar.front_end().relayed(), 0);
}

#[test]
fn torture_on_streams() {
    for port in [5060, 5061] {
        let (mut pool, wanted) = (Pool::new(), verdicts(2));
        let mut wrong = Vec::new();
        for (name, octets) in messages() {
            let way = pool.connect(port, "10.20.9.9:40000");
            pool.send(way, octets);
            let Way::Stream(stream, _) = way else { unreachable!("a stream") };
            let is_closed = pool.closed.contains(&stream);
            let came = verdict(pool.octets(way), is_closed);
            if came != wanted[name] {
                wrong.push(format!("{name} {came}"));
            }
            let other = pool.connect(port, "10.20.2.1:40000");
            still_serves(&mut pool, other);
        }
        assert!(wrong.is_empty(), "at port {port}: {wrong:#?}");
    }
}
