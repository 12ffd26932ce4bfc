//! A fleet in the simulated world: everybody boots, signs in with somebody at a browser, and calls; each piece of work ends
//! exactly once, and the same seed gives the same run.

use std::time::Duration;

use net::{Time, World as _};
use scenario::cast::Cast;
use scenario::fleet::{Ended, Fleet, NO_IDLE_PHONE, Work};
use scenario::lab_file::Lab;
use scenario::language::{Library, ReadError, Reading, read_lab};

const LAB: &str = r#"
domain: contoso.example
pools: { fe: { host: fe.contoso.example } }
sites: { hq: { subnet: 10.20.0.0/16, dhcp: { ntp: ntp.contoso.example } } }
fleets:
  office:
    count: 6
    site: hq
    model: vvx400
    upn: "load{n:03}@contoso.example"
    password: "Sh1p-{n}!"
    second-factor: totp
    parameters: { httpd.enabled: "0" }
"#;

struct Shelf(&'static str);

impl Library for Shelf {
    fn read(&self, _: &str, _: usize) -> Result<Vec<u8>, ReadError> {
        Ok(self.0.as_bytes().to_vec())
    }
}

fn lab() -> Lab {
    let vocabulary = scenario::run::vocabulary();
    let reading = Reading { library: &Shelf(LAB), vocabulary, lab: "lab.yaml" };
    read_lab("lab.yaml", reading).expect("a lab")
}

struct Room {
    cast: Cast,
    fleet: Fleet,
    ended: Vec<Ended>,
}

impl Room {
    fn open(seed: u64) -> Room {
        let cast = Cast::build(&lab(), &["office".to_owned()], seed).expect("a cast");
        let fleet = Fleet::new(&cast, "office").expect("a fleet");
        Room { cast, fleet, ended: Vec::new() }
    }

    fn begin(&mut self, work: Work) {
        let due = self.cast.world.now();
        let ended = self.fleet.begin(work, due, &mut self.cast);
        self.ended.extend(ended);
    }

    /// Lets time pass, looking every 2 ms at most.
    fn pass(&mut self, span: Duration) {
        let end = self.cast.world.now() + span;
        while self.cast.world.now() < end {
            let next = (self.cast.world.now() + Duration::from_millis(2)).min(end);
            while self.cast.world.now() < next {
                self.cast.world.step(next);
            }
            self.ended.extend(self.fleet.look(&mut self.cast));
        }
    }

    /// How the pieces of work of one kind ended since the last call.
    fn take(&mut self) -> Vec<Result<(), String>> {
        self.ended.drain(..).map(|ended| ended.result).collect()
    }
}

const CALL: Work = Work::Call { ring: Duration::from_secs(2), hold: Duration::from_secs(5) };

#[test]
fn a_fleet_boots_signs_in_calls_and_comes_back_after_a_power_cut() {
    let mut room = Room::open(7);
    for _ in 0..6 {
        room.begin(Work::Boot);
    }
    room.pass(Duration::from_secs(150));
    assert_eq!(room.take(), vec![Ok(()); 6]);
    for _ in 0..6 {
        room.begin(Work::SignIn);
        room.pass(Duration::from_millis(300));
    }
    // There is nobody left to sign in.
    room.begin(Work::SignIn);
    room.pass(Duration::from_secs(60));
    let ended = room.take();
    assert_eq!(ended.iter().filter(|result| result.is_ok()).count(), 6, "{ended:?}");
    assert_eq!(ended.iter().filter(|result| **result == Err(NO_IDLE_PHONE.to_owned())).count(), 1);
    assert_eq!(room.fleet.standing().signed_in, 6);
    room.begin(CALL);
    room.begin(CALL);
    room.pass(Duration::from_secs(20));
    let took: Vec<Duration> = room.ended.iter().map(Ended::took).collect();
    assert!(took.iter().all(|took| *took < Duration::from_secs(1)), "{took:?}");
    assert_eq!(room.take(), vec![Ok(()); 2]);
    room.fleet.power_cut(&mut room.cast);
    assert_eq!(room.fleet.standing().off, 6);
    for _ in 0..6 {
        room.begin(Work::Boot);
    }
    room.pass(Duration::from_secs(200));
    assert_eq!(room.take(), vec![Ok(()); 6]);
    assert_eq!(room.fleet.standing().signed_in, 6, "they came back by themselves");
    assert_eq!(room.cast.registrar_count(scenario::language::RegistrarFact::Bindings, "office3"), 1);
}

#[test]
fn what_fails_says_where_and_what_is_left_over_is_given_up() {
    let mut room = Room::open(8);
    room.begin(Work::Boot);
    room.begin(Work::Boot);
    room.pass(Duration::from_secs(150));
    assert_eq!(room.take(), vec![Ok(()); 2]);
    // They know their passwords, and the page says that it does not matter.
    room.cast.set_enabled("office0", false);
    room.cast.set_enabled("office1", false);
    room.begin(Work::SignIn);
    room.pass(Duration::from_secs(30));
    let ended = room.take();
    assert!(matches!(&ended[..], [Err(why)] if why.starts_with("step: page (")), "{ended:?}");
    // No answer is as fast as that.
    room.begin(Work::SignIn);
    room.pass(Duration::from_millis(1));
    assert_eq!(room.take(), []);
    assert_eq!(room.fleet.give_up(&mut room.cast).len(), 1);
    assert_eq!((room.fleet.in_flight(), room.take().len()), (0, 0));
    assert_eq!(room.fleet.standing().home, 2);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut room = Room::open(seed);
        for _ in 0..3 {
            room.begin(Work::Boot);
        }
        room.pass(Duration::from_secs(120));
        for _ in 0..3 {
            room.begin(Work::SignIn);
        }
        room.pass(Duration::from_secs(20));
        let times: Vec<Time> = room.ended.iter().map(|ended| ended.at).collect();
        (room.cast.world.trace_hash(), times)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}
