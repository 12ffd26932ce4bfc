//! Framing: how a stream is cut, under which limits, and that it does not matter how the octets arrive.

use proptest::prelude::*;
use sip::framing::{BODY_OCTETS_MAX, FrameError};
use sip::message::{HEADER_OCTETS_MAX, HEADERS_MAX};
use sip::{Frame, Framer};

fn frames_of(mut framer: Framer, chunks: &[&[u8]]) -> Vec<Result<Frame, FrameError>> {
    let mut frames = Vec::new();
    for chunk in chunks {
        framer.push(chunk);
        frames.extend(std::iter::from_fn(|| framer.next()));
    }
    frames
}

fn server(octets: &[u8]) -> Vec<Result<Frame, FrameError>> {
    frames_of(Framer::for_server(), &[octets])
}

fn message(text: &str) -> Result<Frame, FrameError> {
    Ok(Frame::Message(text.as_bytes().to_vec().into()))
}

const BYE: &str = "BYE sip:a@b SIP/2.0\r\nCall-ID: 1\r\nl: 0\r\n\r\n";
const INFO: &str = "INFO sip:a@b SIP/2.0\r\nContent-Length :\r\n  5\r\nCall-ID: 2\r\n\r\nhello";

#[test]
fn messages_and_keep_alives_come_out_in_order() {
    let stream = format!("\r\n\r\n{BYE}\r\n{INFO}{BYE}\r\n\r\n\r\n{BYE}");
    assert_eq!(
        server(stream.as_bytes()),
        [
            Ok(Frame::Ping),
            message(BYE),
            Ok(Frame::Pong),
            message(INFO),
            message(BYE),
            Ok(Frame::Ping),
            Ok(Frame::Pong),
            message(BYE)
        ]
    );
}

#[test]
fn a_client_hears_a_pong_at_once() {
    let mut framer = Framer::for_client();
    framer.push(b"\r\n");
    assert_eq!(framer.next(), Some(Ok(Frame::Pong)));
    framer.push(b"\r\n\r\n");
    assert_eq!(framer.next(), Some(Ok(Frame::Pong)));
    assert_eq!(framer.next(), Some(Ok(Frame::Pong)));
    assert_eq!(framer.next(), None);
}

#[test]
fn an_unfinished_message_waits() {
    let mut framer = Framer::for_server();
    framer.push(&INFO.as_bytes()[..INFO.len() - 1]);
    assert_eq!(framer.next(), None);
    assert_eq!(framer.waiting(), INFO.len() - 1);
    framer.push(b"o");
    assert_eq!(framer.next(), Some(message(INFO)));
    assert_eq!(framer.waiting(), 0);
}

fn with_length(lines: &str) -> Vec<Result<Frame, FrameError>> {
    server(format!("BYE sip:a@b SIP/2.0\r\n{lines}\r\n").as_bytes())
}

#[test]
fn exactly_one_length_is_wanted() {
    assert_eq!(with_length("Call-ID: 1\r\n"), [Err(FrameError::NoLength)]);
    assert_eq!(with_length("l: 0\r\nContent-Length: 0\r\n"), [Err(FrameError::TwoLengths)]);
    assert_eq!(with_length("l: 0\r\nCONTENT-LENGTH : 5\r\n"), [Err(FrameError::TwoLengths)]);
    for bad in ["", "-1", "+1", "0x1", "1 2", "5\r\n 5", "1,1", "٣"] {
        assert_eq!(with_length(&format!("l: {bad}\r\n")), [Err(FrameError::BadLength)], "{bad}");
    }
    assert_eq!(FrameError::NoLength.status(), 400);
}

#[test]
fn a_request_whose_length_is_wrong_gets_an_answer_if_it_can_be_addressed() {
    let answer = |first: &str, lines: &str| {
        let mut framer = Framer::for_server();
        let head = format!(
            "{first}\r\nVia: SIP/2.0/TLS a;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
             Call-ID: x\r\nCSeq: 1 BYE\r\n{lines}\r\n"
        );
        framer.push(head.as_bytes());
        assert!(matches!(framer.next(), Some(Err(_))), "{lines}");
        framer.answer().map(|octets| sip::Message::parse(octets.clone()).unwrap().status().unwrap())
    };
    let request = "BYE sip:a@b SIP/2.0";
    assert_eq!(answer(request, ""), Some(400));
    assert_eq!(answer(request, "l: 0\r\nl: 0\r\n"), Some(400));
    assert_eq!(answer(request, "l: x\r\n"), Some(400));
    assert_eq!(answer(request, &format!("l: {}\r\n", BODY_OCTETS_MAX + 1)), Some(413));
    assert_eq!(answer("SIP/2.0 200 OK", ""), None);
    assert_eq!(answer("ACK sip:a@b SIP/2.0", ""), None);
    assert_eq!(answer("what?", ""), None);
}

#[test]
fn a_length_is_judged_before_anything_is_waited_for() {
    let octets = (BODY_OCTETS_MAX + 1) as u64;
    assert_eq!(with_length(&format!("l: {octets}\r\n")), [Err(FrameError::BodyTooLong { octets })]);
    assert_eq!(
        with_length("l: 99999999999999999999999999\r\n"),
        [Err(FrameError::BodyTooLong { octets: u64::MAX })]
    );
    let mut framer = Framer::for_server();
    framer.push(format!("BYE sip:a@b SIP/2.0\r\nl: {BODY_OCTETS_MAX}\r\n\r\n").as_bytes());
    assert_eq!(framer.next(), None);
    framer.push(&vec![b'x'; BODY_OCTETS_MAX]);
    assert!(matches!(framer.next(), Some(Ok(Frame::Message(_)))));
}

/// A head of exactly `len` octets.
fn head_of(len: usize) -> Vec<u8> {
    let (before, after) = ("BYE sip:a@b SIP/2.0\r\nl: 0\r\nX: ", "\r\n\r\n");
    let filler = "x".repeat(len - before.len() - after.len());
    format!("{before}{filler}{after}").into_bytes()
}

#[test]
fn a_head_may_be_as_long_as_the_limit_and_no_longer() {
    assert!(matches!(server(&head_of(HEADER_OCTETS_MAX))[..], [Ok(Frame::Message(_))]));
    assert_eq!(server(&head_of(HEADER_OCTETS_MAX + 1)), [Err(FrameError::HeadTooLong)]);
    assert_eq!(server(&vec![b'x'; HEADER_OCTETS_MAX]), [Err(FrameError::HeadTooLong)]);
    assert_eq!(server(&vec![b'x'; HEADER_OCTETS_MAX - 1]), []);
}

#[test]
fn headers_may_be_as_many_as_the_limit_and_no_more() {
    let lines = |count: usize| "X: 1\r\n  folded\r\n".repeat(count - 1) + "l: 0\r\n";
    assert!(matches!(with_length(&lines(HEADERS_MAX))[..], [Ok(Frame::Message(_))]));
    assert_eq!(with_length(&lines(HEADERS_MAX + 1)), [Err(FrameError::TooManyHeaders)]);
    assert_eq!(FrameError::TooManyHeaders.status(), 513);
}

#[test]
fn after_an_error_there_is_nothing_more() {
    let mut framer = Framer::for_server();
    framer.push(b"BYE sip:a@b SIP/2.0\r\n\r\n");
    assert_eq!(framer.next(), Some(Err(FrameError::NoLength)));
    framer.push(BYE.as_bytes());
    assert_eq!(framer.next(), None);
    assert_eq!(framer.waiting(), 0);
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(BYE.as_bytes().to_vec()),
        Just(INFO.as_bytes().to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b"BYE sip:a@b SIP/2.0\r\nl: 4\r\n\r\n\r\n\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
        "[A-Z a-z:0-9\r\n]{0,30}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn a_stream_is_cut_the_same_however_it_arrives(
        pieces in prop::collection::vec(piece(), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        is_client in any::<bool>(),
    ) {
        let new = || if is_client { Framer::for_client() } else { Framer::for_server() };
        let stream = pieces.concat();
        let whole = frames_of(new(), &[&stream]);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let chunks: Vec<&[u8]> = at.windows(2).map(|two| &stream[two[0]..two[1]]).collect();
        prop_assert_eq!(&frames_of(new(), &chunks), &whole);
        let octets: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&frames_of(new(), &octets), &whole);
    }
}

/// Octet by octet, a long head is searched once, not once for every octet: were it the latter, this test would
/// look at two thousand million octets.
#[test]
fn a_head_that_comes_octet_by_octet_is_searched_once() {
    let head = head_of(HEADER_OCTETS_MAX);
    let octets: Vec<&[u8]> = head.chunks(1).collect();
    assert!(matches!(frames_of(Framer::for_server(), &octets)[..], [Ok(Frame::Message(_))]));
}
