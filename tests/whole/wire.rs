//! The same stories on real sockets: the same notes as in the simulation, whatever the times.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use net::{Journal, Note, World};
use scenario::actor::Actor;
use scenario::cast::{Cast, Ground};
use scenario::director::{Director, Told};
use scenario::language::Story;
use scenario::mistakes::Colour;
use scenario::report::Outcome;
use whole::house::Shelf;
use whole::telling::{cast, story, tell_well};
use wire::{Setup, Speed, Wire};

const SEED: u64 = 7;

/// How many networks of this machine are tried before the test gives up.
const NETWORKS: u32 = 40;

/// A network that no other test of this process uses, and most likely nobody else.
fn network(attempt: u32) -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id() + NEXT.fetch_add(7, Ordering::Relaxed) + attempt;
    Ipv4Addr::new(127, 30 + (number % 170) as u8, 0, 0)
}

/// Tells the story's only case over real sockets.
fn tell_on_wire(story: &Story, speed: Speed) -> Told<Wire<Actor>> {
    let case = &story.cases[0];
    for attempt in 0..NETWORKS {
        let ground = wire::Ground::probe(network(attempt), 10_000).expect("loopback is there");
        let setup = Setup { speed, seed: SEED, ..Setup::on(ground) };
        let world = Wire::new(setup).expect("a world");
        let ground = Ground::real(SEED, ground.network);
        let mut cast = Cast::build_in(world, &case.lab, &case.phones, &ground).expect("the lab can be built");
        // Somebody else has a port of this network.
        if !cast.world.take_problems().is_empty() {
            continue;
        }
        let mut told = Director::new(cast).tell(&case.steps);
        assert_eq!(told.cast.world.take_problems(), Vec::<String>::new());
        return told;
    }
    panic!("no network of this machine has its ports free")
}

fn must_pass<W: World<Actor>>(story: &Story, told: &Told<W>) {
    let outcome = Outcome::new(story, None, SEED, told, Colour::Without);
    if let Some(failure) = outcome.failure {
        panic!("\n{failure}");
    }
}

/// What everybody said, heard, showed and went through, by name, in order; without what only the world decides:
/// addresses, moments, sizes of logs with moments in them, and how TCP finds out that somebody is gone.
fn notes(journal: &Journal) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in journal.entries() {
        let Some(who) = entry.who else { continue };
        let peer = entry.peer.as_deref().unwrap_or("");
        let note = match &entry.note {
            Note::Sent { text, .. } => format!("→ {peer} {text}"),
            Note::Received { text, .. } => format!("← {peer} {text}"),
            // The clock in the corner of a display is a moment too.
            Note::Screen { id, .. } => format!("shows {id}"),
            Note::Event { name, of, text } => format!("{name} of {of}: {text}"),
            Note::Stage(text) => text.clone(),
            Note::Log(_) | Note::Broken { .. } => continue,
        };
        all.entry(journal.name(who).to_owned()).or_default().push(timeless(&note));
    }
    all
}

/// A note without addresses, moments and sizes.
fn timeless(note: &str) -> String {
    let is_moment = |word: &str| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let unit = word.trim_end_matches(['s', 'm', 'h', 'Z', ',', ')']);
        digits > 0 && unit.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ':' | '-' | 'T'))
    };
    let words = note.split(' ').map(|word| if is_moment(word) { "#" } else { word });
    let mut kept: Vec<&str> = Vec::new();
    for word in words {
        // `24h 00m 16.490s` is one moment, however many words it takes.
        if word != "#" || kept.last() != Some(&"#") {
            kept.push(word);
        }
    }
    kept.join(" ")
}

fn assert_same_notes(path: &str) {
    let story = story(&Shelf::default(), path);
    let simulated = tell_well(&story, cast(&story, SEED));
    let real = tell_on_wire(&story, Speed::Leap);
    must_pass(&story, &real);
    let (simulated, real) = (notes(simulated.world.journal()), notes(real.cast.world.journal()));
    assert!(simulated.values().map(Vec::len).sum::<usize>() > 100, "hardly anything happened");
    for (name, wanted) in &simulated {
        let found = real.get(name).map(Vec::as_slice).unwrap_or_default();
        let differs = wanted.iter().zip(found).position(|(wanted, found)| wanted != found);
        let at = differs.unwrap_or(wanted.len().min(found.len()));
        let around = |list: &[String]| list[at.saturating_sub(3)..(at + 3).min(list.len())].join("\n    ");
        assert!(
            wanted == found,
            "{path}: {name} tells another tale on real sockets from its note {at} on\n  simulated:\n    {}\n  real:\n    {}",
            around(wanted),
            around(found),
        );
    }
    assert_eq!(simulated.len(), real.len(), "somebody spoke up only on real sockets");
}

#[test]
fn the_web_sign_in_has_the_same_notes_on_real_sockets() {
    assert_same_notes("scenarios/sign-in/web.yaml");
}

#[test]
fn the_reboot_has_the_same_notes_on_real_sockets() {
    assert_same_notes("scenarios/reboot/reboot.yaml");
}

#[test]
fn the_common_area_phone_has_the_same_notes_on_real_sockets() {
    assert_same_notes("scenarios/common-area/portal.yaml");
}

#[test]
fn the_common_area_phone_comes_back_after_a_power_cut_on_real_sockets() {
    let story = story(&Shelf::default(), "scenarios/common-area/power-cut.yaml");
    must_pass(&story, &tell_on_wire(&story, Speed::Leap));
}

#[test]
fn a_clock_that_runs_twenty_times_as_fast_shortens_the_waiting_of_the_phone() {
    let story = story(&Shelf::default(), "scenarios/reboot/reboot.yaml");
    let told = tell_on_wire(&story, Speed::Thousandths(20_000));
    must_pass(&story, &told);
    // The phone boots twice and takes its own time for it: more than two minutes that the test did not have.
    assert!(told.lab_time.since_start().as_secs() > 120, "{}", told.lab_time);
}

#[test]
fn moments_and_addresses_do_not_count_and_words_do() {
    assert_eq!(
        timeless("lease-granted of aa: 127.30.146.0 until 24h 00m 16.490s"),
        "lease-granted of aa: # until #"
    );
    assert_ne!(timeless("→ fe REGISTER"), timeless("→ fe SUBSCRIBE"));
    assert_ne!(timeless("GET /a.cfg 404"), timeless("GET /b.cfg 404"));
}
