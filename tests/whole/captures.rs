//! A capture of a whole story, as a packet viewer reads it: every protocol in plaintext, without any setting.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use scenario::mistakes::Colour;
use whole::house::{Scratch, Shelf};
use whole::telling::story;

const WEB: &str = "scenarios/sign-in/web.yaml";
const LOSSY: &str = "scenarios/field/lossy-branch.yaml";

#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for File {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked with it").extend(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Tells a story and gives back its capture and the hash of its run.
fn capture(path: &str, seed: u64) -> (Vec<u8>, Option<String>) {
    let story = story(&Shelf::default(), path);
    let file = File::default();
    let told = scenario::run::tell_traced(
        &story,
        &story.cases[0],
        Some(seed),
        Colour::Without,
        Box::new(file.clone()),
    );
    let (outcome, _) = told.expect("a lab that can be built");
    assert_eq!(outcome.failure, None);
    (std::mem::take(&mut file.0.lock().expect("not poisoned")), outcome.trace_hex())
}

#[test]
fn a_story_gives_the_same_capture_again_and_the_run_is_the_one_without_it() {
    let (first, second) = (capture(WEB, 7), capture(WEB, 7));
    assert!(first.0 == second.0, "two captures of one run differ");
    let silent = scenario::run::tell(
        &story(&Shelf::default(), WEB),
        &story(&Shelf::default(), WEB).cases[0],
        Some(7),
        Colour::Without,
    );
    assert_eq!(first.1, silent.expect("a lab that can be built").0.trace_hex());
    assert!(first.0 != capture(WEB, 8).0);
}

/// What tshark prints about a capture; `None` without tshark, which is said aloud.
#[expect(clippy::disallowed_methods, reason = "tshark is a program that reads a file")]
fn tshark(scratch: &Scratch, file: &[u8], arguments: &[&str]) -> Option<String> {
    let path: &Path = &scratch.path().join("capture.pcapng");
    std::fs::write(path, file).expect("a file is written");
    let ran = Command::new("tshark").arg("-n").arg("-r").arg(path).args(arguments).output();
    let Ok(output) = ran else {
        eprintln!("SKIPPED: no tshark on this machine, nobody else has read the captures");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn a_packet_viewer_shows_every_protocol_of_a_sign_in_decrypted() {
    let scratch = Scratch::new("capture-decrypted");
    let (file, _) = capture(WEB, 7);
    let fields =
        ["-T", "fields", "-e", "frame.interface_name", "-e", "_ws.col.Protocol", "-e", "_ws.col.Info"];
    let Some(packets) = tshark(&scratch, &file, &fields) else { return };
    for wanted in [
        "hq\tDHCP\tDHCP Discover",
        "hq\tDNS\tStandard query",
        "hq\tNTP\tNTP Version 4, server",
        "hq\tHTTP\tGET /000000000000.cfg HTTP/1.1",
        "hq\tHTTP\tPOST /common/oauth2/devicecode HTTP/1.1",
        "people\tHTTP\tPOST /common/oauth2/deviceauth HTTP/1.1",
        "hq\tSIP\tRequest: REGISTER sip:contoso.example",
        "hq\tSIP\tStatus: 200 OK",
    ] {
        assert!(packets.contains(wanted), "`{wanted}` is missing in:\n{packets}");
    }
    for unwanted in [
        "Encrypted Handshake Message",
        "Application Data",
        "Malformed",
        "incorrect",
        "unseen",
        "not captured",
    ] {
        assert!(!packets.contains(unwanted), "`{unwanted}` is in:\n{packets}");
    }
    let comments = tshark(&scratch, &file, &["-Y", "frame.comment", "-T", "fields", "-e", "frame.comment"]);
    let comments = comments.expect("tshark was there before");
    assert!(comments.contains("desk: shows web-code"), "{comments}");
    let sums =
        ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];
    let bad = ["-Y", "ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0"];
    assert_eq!(tshark(&scratch, &file, &[&sums[..], &bad[..]].concat()).as_deref(), Some(""));
}

#[test]
fn a_packet_viewer_sees_what_a_lossy_line_does_and_nothing_impossible() {
    let scratch = Scratch::new("capture-lossy");
    let (file, _) = capture(LOSSY, 7);
    let impossible =
        "tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || tcp.analysis.out_of_order";
    let Some(seen) = tshark(&scratch, &file, &["-Y", impossible]) else { return };
    assert_eq!(seen, "");
    let again = tshark(&scratch, &file, &["-Y", "tcp.analysis.retransmission"]).unwrap_or_default();
    let lost =
        tshark(&scratch, &file, &["-Y", "frame.comment contains \"lost on the way\""]).unwrap_or_default();
    assert!(!again.is_empty() && !lost.is_empty(), "nothing was lost on a lossy line");
}
