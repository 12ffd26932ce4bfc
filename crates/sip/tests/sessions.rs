//! Session descriptions: nothing is lost in reading, and offers meet answers.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test does")]

use proptest::prelude::*;
use sip::sdp::{Codec, Direction, Local, Refused, Sdp, SdpError};

const CLIENT: &str = "v=0\r\no=- 7 1 IN IP4 192.0.2.10\r\ns=session\r\nc=IN IP4 192.0.2.10\r\nb=CT:99980\r\nt=0 0\r\n\
    m=audio 5102 RTP/AVP 114 9 111 8 0 97 13 118 101\r\na=x-odd: kept\r\na=rtpmap:114 x-msrta/16000\r\n\
    a=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-16\r\na=ptime:20\r\nm=video 0 RTP/AVP 34\r\n";

fn local(codecs: &[Codec]) -> Local {
    Local {
        session: 1,
        version: 1,
        socket: "192.0.2.20:2222".parse().unwrap(),
        codecs: codecs.to_vec(),
        direction: Direction::SendRecv,
    }
}

const BOTH: &[Codec] = &[Codec::Pcmu, Codec::Pcma];

#[test]
fn what_is_read_comes_out_to_the_octet() {
    for text in [CLIENT.to_owned(), CLIENT.replace("\r\n", "\n"), CLIENT.trim_end().to_owned()] {
        assert_eq!(Sdp::parse(&text).unwrap().print(), text);
    }
    let sdp = Sdp::parse(CLIENT).unwrap();
    let audio = &sdp.media()[0];
    assert_eq!((audio.kind(), audio.port(), audio.protocol()), ("audio", 5102, "RTP/AVP"));
    assert_eq!((audio.encoding(9), audio.encoding(114)), (Some(("G722", 8000)), Some(("x-msrta", 16000))));
    assert_eq!((audio.ptime(), audio.attribute("x-odd")), (Some(20), Some(" kept")));
    assert_eq!(sdp.socket(audio), Some("192.0.2.10:5102".parse().unwrap()));
    assert_eq!((sdp.origin().unwrap().session, sdp.origin().unwrap().version), ("7", "1"));
}

#[test]
fn what_is_no_description_says_why() {
    for (text, why) in [
        ("", SdpError::Missing("v=0")),
        ("v=1\r\n", SdpError::Missing("v=0")),
        ("v=0\r\ns=-\r\n", SdpError::Missing("o=")),
        ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n", SdpError::Missing("s=")),
        ("v=0\r\nnonsense\r\n", SdpError::Line(2)),
        ("v=0\r\nlong=x\r\n", SdpError::Line(2)),
        ("v=0\r\n\r\n", SdpError::Line(2)),
        ("v=0\r\no=-\r\ns=-\r\nm=audio x RTP/AVP 0\r\n", SdpError::Media(4)),
        ("v=0\r\no=-\r\ns=-\r\nm=audio 65536 RTP/AVP 0\r\n", SdpError::Media(4)),
        ("v=0\r\no=-\r\ns=-\r\nm=audio 1 RTP/AVP\r\n", SdpError::Media(4)),
    ] {
        assert_eq!(Sdp::parse(text).unwrap_err(), why, "{text:?}");
    }
    let many = format!("v=0\r\no=-\r\ns=-\r\n{}", "m=audio 1 RTP/AVP 0\r\n".repeat(17));
    assert!(matches!(Sdp::parse(&many), Err(SdpError::TooLarge(_))));
    let long = format!("v=0\r\no=-\r\ns=-\r\n{}", "a=x\r\n".repeat(510));
    assert!(matches!(Sdp::parse(&long), Err(SdpError::TooLarge(_))));
}

#[test]
fn the_answer_takes_the_best_codec_that_both_have_and_refuses_the_rest() {
    let offer = Sdp::parse(CLIENT).unwrap();
    let (text, agreed) = local(BOTH).answer(&offer).unwrap();
    assert_eq!(agreed.codec, (Codec::Pcma, 8), "the offer prefers A-law");
    assert_eq!((agreed.events, agreed.direction), (Some(101), Direction::SendRecv));
    assert_eq!(agreed.remote, "192.0.2.10:5102".parse().unwrap());
    let answer = Sdp::parse(&text).unwrap();
    assert_eq!(answer.media().len(), 2);
    assert_eq!(answer.media()[0].formats(), ["8", "101"]);
    assert_eq!((answer.media()[1].kind(), answer.media()[1].port()), ("video", 0));
}

#[test]
fn codecs_may_wear_other_numbers() {
    let offer = CLIENT.replace("114 9 111 8 0 97 13 118 101", "96 97").replace("a=rtpmap:9 ", "a=rtpmap:96 ");
    let offer = offer.replace("rtpmap:0 ", "rtpmap:97 ");
    let (text, agreed) = local(BOTH).answer(&Sdp::parse(&offer).unwrap()).unwrap();
    assert_eq!((agreed.codec, agreed.events), ((Codec::Pcmu, 97), None));
    assert!(text.contains("a=rtpmap:97 PCMU/8000\r\n") && !text.contains("telephone-event"));
}

#[test]
fn offer_and_answer_agree_from_both_sides() {
    let (caller, called) = (local(BOTH), local(&[Codec::Pcma]));
    let (text, at_called) = called.answer(&Sdp::parse(&caller.offer()).unwrap()).unwrap();
    let at_caller = caller.accept(&Sdp::parse(&text).unwrap()).unwrap();
    assert_eq!((at_caller.codec, at_called.codec), ((Codec::Pcma, 8), (Codec::Pcma, 8)));
    assert_eq!((at_caller.events, at_called.events), (Some(101), Some(101)));
}

#[test]
fn hold_is_a_direction_and_each_end_sees_its_own_side() {
    use Direction::*;
    for (offered, wanted, at_called, at_caller) in [
        (SendRecv, SendRecv, SendRecv, SendRecv),
        (SendOnly, SendRecv, RecvOnly, SendOnly),
        (Inactive, SendRecv, Inactive, Inactive),
        (SendOnly, SendOnly, Inactive, Inactive),
        (SendRecv, SendOnly, SendOnly, RecvOnly),
        (RecvOnly, SendRecv, SendOnly, RecvOnly),
    ] {
        let caller = Local { direction: offered, ..local(BOTH) };
        let called = Local { direction: wanted, ..local(BOTH) };
        let (text, agreed) = called.answer(&Sdp::parse(&caller.offer()).unwrap()).unwrap();
        assert_eq!(agreed.direction, at_called, "{offered:?} {wanted:?}");
        let agreed = caller.accept(&Sdp::parse(&text).unwrap()).unwrap();
        assert_eq!(agreed.direction, at_caller, "{offered:?} {wanted:?}");
    }
}

#[test]
fn an_address_of_zeros_holds_as_well() {
    let held = CLIENT.replace("c=IN IP4 192.0.2.10", "c=IN IP4 0.0.0.0");
    let (text, agreed) = local(BOTH).answer(&Sdp::parse(&held).unwrap()).unwrap();
    assert!(!agreed.direction.sends());
    assert!(text.contains("a=recvonly\r\n"));
}

#[test]
fn without_audio_or_a_codec_there_is_no_agreement() {
    for (offer, why) in [
        (CLIENT.replace("RTP/AVP 114", "RTP/SAVP 114"), Refused::NoAudio),
        (CLIENT.replace("audio 5102", "audio 0"), Refused::NoAudio),
        (CLIENT.replace("c=IN IP4 192.0.2.10", "c=IN IP4 pbx.contoso.example"), Refused::NoAudio),
        (CLIENT.replace("114 9 111 8 0 97 13 118 101", "114 9 101"), Refused::NoCodec),
    ] {
        assert_eq!(local(BOTH).answer(&Sdp::parse(&offer).unwrap()).unwrap_err(), why, "{offer}");
    }
    assert_eq!(local(&[]).accept(&Sdp::parse(CLIENT).unwrap()).unwrap_err(), Refused::NoCodec);
}

#[test]
fn version_6_addresses_are_written_and_read() {
    let six = Local { socket: "[2001:db8::1]:2222".parse().unwrap(), ..local(BOTH) };
    let sdp = Sdp::parse(&six.offer()).unwrap();
    assert!(sdp.print().contains("c=IN IP6 2001:db8::1\r\n"));
    assert_eq!(sdp.socket(&sdp.media()[0]), Some(six.socket));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_what_is_read_is_kept(text in "(v=0\r\no=- 1 1 IN IP4 1\\.2\\.3\\.4\r\ns=-\r\n)?([a-z]=.{0,30}\r?\n|m=audio [0-9]{1,5} RTP/AVP( [0-9]{1,3}){0,5}\r\n|a=rtpmap:[0-9]{1,3} .{0,12}\r\n|c=IN IP[46] [0-9.:]{0,15}\r\n|.{0,20}){0,12}") {
        if let Ok(sdp) = Sdp::parse(&text) {
            prop_assert_eq!(sdp.print(), text);
            let _ = local(BOTH).answer(&sdp);
            let _ = local(BOTH).accept(&sdp);
        }
    }
}
