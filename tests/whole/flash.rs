//! The power goes at every single write of a sign-in, and tears it at several places.
//!
//! Whatever was torn: the flash holds the state before the write or the one after it and nothing in between; the phone
//! comes up; it either signs in by itself with a certificate that counts or asks somebody to sign in; and it can be
//! used from there on.
//!
//! Every write is cut before its first octet, after it, after seven, in its middle, and after its last octet. Each of
//! these is a run of its own from power-on; all cores share them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use net::Disk;
use net::sim::CutAtWrite;
use scenario::cast::Cast;
use scenario::language::{RegistrarFact, Story};
use vvx::flash::{BANKS, Flash};
use whole::telling::{cast, journal, story_of, tell, tell_well};

const SEED: u64 = 7;
const DESK: &str = "desk";
const ALICE: &str = "alice@contoso.example";

/// Where a write is torn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tear {
    After(usize),
    InTheMiddle,
    NotAtAll,
}

const TEARS: [Tear; 5] = [Tear::After(0), Tear::After(1), Tear::After(7), Tear::InTheMiddle, Tear::NotAtAll];

/// Keys and values.
type State = BTreeMap<String, Vec<u8>>;

/// The stories that all runs tell.
struct Script {
    sign_in: Story,
    come_up: Story,
    again: Story,
    lock_code: Story,
    come_back: Story,
}

impl Script {
    fn new() -> Script {
        let sign_in = "  - include: parts/show-code.yaml
  - include: parts/sign-in.yaml
  - include: parts/lock-code.yaml
";
        let come_up = "  - power-on: desk
  - expect: { phone: desk, not: { state: booting }, within: 4m }
  - wait: 90s
";
        let again = "  - press: { phone: desk, key: Sign In }
  - press: { phone: desk, key: Web Sign-in }
  - expect: { phone: desk, screen: web-code, within: 10s }
  - capture: { code: desk.user-code, page: desk.sign-in-page }
  - include: parts/sign-in.yaml
  - include: parts/lock-code.yaml
  - expect: { registrar: bindings, of: alice, count: 1 }
";
        let come_back = "  - power-cut: { phone: desk, for: 5m }
  - expect: { phone: desk, state: signed-in, as: alice, within: 5m }
  - expect: { registrar: bindings, of: alice, count: 1 }
";
        Script {
            sign_in: story_of(DESK, sign_in),
            come_up: story_of(DESK, come_up),
            again: story_of(DESK, again),
            lock_code: story_of(DESK, "  - include: parts/lock-code.yaml\n"),
            come_back: story_of(DESK, come_back),
        }
    }
}

fn state(disk: &Disk) -> State {
    let (flash, _) = Flash::read(disk);
    flash.keys("").map(|key| (key.to_owned(), flash.get(key).unwrap_or_default().to_vec())).collect()
}

/// Tells the sign-in with the power going at a write, and gives back the cast in the dark.
fn cut(script: &Script, write: u64, octets: usize) -> Cast {
    let mut cast = cast(&script.sign_in, SEED);
    let desk = cast.node(DESK).expect("the desk phone is in the lab");
    cast.world.cut_at_write(desk, Some(CutAtWrite { write, octets: Some(octets) }));
    let (told, failure) = tell(&script.sign_in, cast);
    let cast = told.cast;
    assert!(!cast.world.is_on(desk), "write {write}: the power did not go; the story said {failure:?}");
    assert_eq!(cast.world.disk_writes(desk), write);
    cast
}

/// What an uncut run says: how long each write is, and what the flash holds after each.
struct Uncut {
    /// `states[n]` is the state after `n` writes.
    states: Vec<State>,
    /// `lengths[n]` is how many octets write `n + 1` puts on the disk.
    lengths: Vec<usize>,
}

fn uncut(script: &Script) -> Uncut {
    let whole = tell_well(&script.sign_in, cast(&script.sign_in, SEED));
    let desk = whole.node(DESK).expect("the desk phone is in the lab");
    let writes = whole.world.disk_writes(desk);
    let mut uncut = Uncut { states: vec![State::new()], lengths: Vec::new() };
    for write in 1..=writes {
        let before = cut(script, write, 0).world.disk(desk).clone();
        let after = cut(script, write, usize::MAX).world.disk(desk).clone();
        let octets = |disk: &Disk| BANKS.map(|bank| disk.get(bank).map_or(0, Vec::len)).iter().sum::<usize>();
        // The cut empties a bank that is replaced, so what is left of it does not count.
        uncut.lengths.push(octets(&after) - octets(&before));
        let (_, damage) = Flash::read(&after);
        assert_eq!(damage, [], "write {write} arrived whole");
        uncut.states.push(state(&after));
    }
    assert_eq!(uncut.states.last(), Some(&state(whole.world.disk(desk))), "the last write is the end of it");
    uncut
}

/// How a phone came up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CameUp {
    /// It asks somebody to sign in.
    Asks,
    /// It signed in by itself, and wants a lock code that it does not have yet.
    WantsLockCode,
    /// It signed in by itself.
    ByItself,
}

/// One run: a cut, a look at the flash, power again, and a sign-in where one is needed.
fn run(script: &Script, uncut: &Uncut, write: u64, tear: Tear) -> Result<CameUp, String> {
    let index = write as usize - 1;
    let length = uncut.lengths[index];
    let octets = match tear {
        Tear::After(octets) => octets,
        Tear::InTheMiddle => length / 2,
        Tear::NotAtAll => length,
    };
    let cast = cut(script, write, octets);
    let desk = cast.node(DESK).ok_or("the desk phone is in the lab")?;

    let disk = cast.world.disk(desk);
    let held = state(disk);
    let expected = &uncut.states[if octets >= length { index + 1 } else { index }];
    if held != *expected {
        return Err(format!(
            "the flash holds {:?}, neither more nor less than {:?} was written",
            held.keys(),
            expected.keys()
        ));
    }
    let (_, damage) = Flash::read(disk);
    match (&damage[..], octets) {
        ([], 0) => {}
        ([], _) if octets >= length => {}
        ([torn], 1..) if octets < length && torn.octets <= octets => {
            let end = disk.get(torn.bank).map_or(0, Vec::len);
            if torn.at + torn.octets != end {
                return Err(format!("{torn}: that is not the tail of {end} octets"));
            }
        }
        _ => return Err(format!("after {octets} of {length} octets the damage is {damage:?}")),
    }

    let cast = well(&script.come_up, cast)?;
    let screen = cast.screen(DESK).ok_or("the desk phone has a display")?;
    let phone = cast.phone(DESK).ok_or("the desk phone is a phone")?;
    let bindings = cast.registrar_count(RegistrarFact::Bindings, "alice");
    let has_certificate = held.keys().any(|key| key.contains("certificate"));
    let came_up = match (phone.state().name(), phone.account()) {
        ("signed-out", None) => CameUp::Asks,
        ("signed-in" | "locked", Some(ALICE)) if bindings == 1 && has_certificate => CameUp::ByItself,
        ("signing-in", Some(ALICE)) if bindings == 1 && has_certificate && screen.id == "new-lock-code" => {
            CameUp::WantsLockCode
        }
        (state, account) => {
            return Err(format!(
                "it is {state} as {account:?}, {bindings} bindings, certificate: {has_certificate}\n{}",
                screen.draw()
            ));
        }
    };
    let cast = match came_up {
        CameUp::Asks => well(&script.again, cast)?,
        CameUp::WantsLockCode => well(&script.lock_code, cast)?,
        CameUp::ByItself => cast,
    };
    well(&script.come_back, cast)?;
    Ok(came_up)
}

fn well(story: &Story, cast: Cast) -> Result<Cast, String> {
    let (told, failure) = tell(story, cast);
    failure.map_or(Ok(told.cast), Err)
}

/// Does `work` for every item, over all cores; results in the items' order.
fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Mutex<BTreeMap<usize, R>> = Mutex::new(BTreeMap::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = work(item);
                    results.lock().expect("no other worker panicked").insert(index, result);
                }
            });
        }
    });
    results.into_inner().expect("no worker panicked").into_values().collect()
}

#[test]
fn the_power_may_go_at_every_write_of_a_sign_in() {
    let script = Script::new();
    let uncut = uncut(&script);
    let writes = uncut.lengths.len() as u64;
    assert!(writes >= 4, "a sign-in writes account, certificate, lock code: {:?}", uncut.lengths);
    let cuts: Vec<(u64, Tear)> = (1..=writes).flat_map(|write| TEARS.map(|tear| (write, tear))).collect();
    let came_up = on_all_cores(&cuts, |(write, tear)| run(&script, &uncut, *write, *tear));
    let mut wrong = String::new();
    let mut how: BTreeMap<CameUp, usize> = BTreeMap::new();
    let mut last_asked = 0;
    let mut first_by_itself = u64::MAX;
    for ((write, tear), came_up) in cuts.iter().zip(came_up) {
        match came_up {
            Err(why) => wrong.push_str(&format!("write {write} of {writes}, torn {tear:?}: {why}\n")),
            Ok(came_up) => {
                *how.entry(came_up).or_default() += 1;
                match came_up {
                    CameUp::Asks => last_asked = last_asked.max(*write),
                    CameUp::WantsLockCode | CameUp::ByItself => {
                        first_by_itself = first_by_itself.min(*write);
                    }
                }
            }
        }
    }
    println!("{writes} writes of {:?} octets; {how:?}", uncut.lengths);
    assert!(wrong.is_empty(), "\n{wrong}");
    // There is one write that makes the difference, and no way back behind it.
    assert!(last_asked <= first_by_itself, "asked at {last_asked}, by itself from {first_by_itself} on");
    assert!(how.contains_key(&CameUp::Asks) && how.contains_key(&CameUp::ByItself), "{how:?}");
}

#[test]
fn the_certificate_is_in_flash_before_the_phone_says_so() {
    let script = Script::new();
    let cast = tell_well(&script.sign_in, cast(&script.sign_in, SEED));
    let desk = cast.node(DESK).expect("the desk phone is in the lab");
    let stored = journal(&cast).entries().iter().find(|entry| {
        matches!(entry.note, net::Note::Event { name: "certificate-stored", .. }) && entry.who == Some(desk)
    });
    assert!(stored.is_some());
    assert!(state(cast.world.disk(desk)).keys().any(|key| key.contains("certificate")));
}
