//! A stage: work of one kind that falls due at a rate, whether or not the phones keep up.

use std::time::Duration;

use load::floor::Handshakes;
use net::World as _;
use scenario::fleet::{PATIENCE, Work};

use super::Room;
use super::floor::SignIns;
use super::told::Told;

/// How often the fleet is looked at.
const ROUND: Duration = Duration::from_millis(2);

/// A stage of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    /// So many pieces of work, at such a rate a second.
    Work {
        /// What.
        work: Work,
        /// How many fall due each second.
        rate: f64,
        /// How many in all; as many as there are phones for it if not said.
        count: Option<u64>,
    },
    /// The power goes everywhere.
    Cut,
    /// Nothing falls due for so long; phones do what they do by themselves.
    Rest(Duration),
    /// Measures what the cryptography of one sign-in costs.
    Floor,
}

impl Stage {
    /// What the command line says: `boot=200`, `sign-in=50x1000`, `call=20x600,ring=1s,hold=10s`, `cut`, `rest=30s`,
    /// `floor`.
    pub fn parse(text: &str) -> Result<Stage, String> {
        let (what, rest) = text.split_once('=').unwrap_or((text, ""));
        let mut parts = rest.split(',');
        let head = parts.next().unwrap_or("");
        let (mut ring, mut hold) = (Duration::from_secs(1), Duration::from_secs(10));
        for part in parts {
            match part.split_once('=') {
                Some(("ring", span)) if what == "call" => ring = span_of(span)?,
                Some(("hold", span)) if what == "call" => hold = span_of(span)?,
                _ => return Err(format!("`{part}` means nothing in `{text}`")),
            }
        }
        let work = match what {
            "boot" => Work::Boot,
            "sign-in" => Work::SignIn,
            "call" => Work::Call { ring, hold },
            "cut" if rest.is_empty() => return Ok(Stage::Cut),
            "floor" if rest.is_empty() => return Ok(Stage::Floor),
            "rest" => return Ok(Stage::Rest(span_of(head)?)),
            _ => {
                return Err(format!(
                    "`{text}` is no stage: boot=RATE, sign-in=RATE, call=RATExCOUNT,ring=1s,hold=10s, cut, rest=SPAN, floor"
                ));
            }
        };
        let (rate, count) = match head.split_once('x') {
            Some((rate, count)) => {
                (rate, Some(count.parse().map_err(|_| format!("`{count}` is no number"))?))
            }
            None => (head, None),
        };
        let rate: f64 = rate.parse().map_err(|_| format!("`{rate}` is no rate a second"))?;
        if !(0.01..=100_000.0).contains(&rate) {
            return Err(format!("`{rate}` is no rate: from 0.01 to 100000 a second"));
        }
        Ok(Stage::Work { work, rate, count })
    }

    /// Runs it.
    pub fn run(self, room: &mut Room) -> Result<Told, String> {
        match self {
            Stage::Work { work, rate, count } => Ok(work_off(work, rate, count, room)),
            Stage::Cut => {
                let mut told = room.told("cut", 0);
                room.fleet.power_cut(&mut room.cast);
                told.end(room);
                Ok(told)
            }
            Stage::Rest(span) => {
                let mut told = room.told("rest", 0);
                let until = room.now() + span;
                while room.now() < until {
                    room.cast.world.step(until);
                }
                told.end(room);
                Ok(told)
            }
            Stage::Floor => super::floor::measure(room),
        }
    }
}

fn span_of(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span of time, such as 10s, 500ms, 2m");
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..at].parse().map_err(|_| wrong())?;
    match &text[at..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

fn work_off(work: Work, rate: f64, count: Option<u64>, room: &mut Room) -> Told {
    let standing = room.fleet.standing();
    let (name, ready) = match work {
        Work::Boot => ("boot", standing.off),
        Work::SignIn => ("sign-in", standing.home),
        Work::Call { .. } => ("call", standing.signed_in / 2),
    };
    let count = count.unwrap_or(ready as u64);
    let mut told = room.told(name, count);
    let shaken = room.cast.world.handshakes();
    let start = room.now();
    let due_at = |number: u64| start + Duration::from_secs_f64(number as f64 / rate);
    let mut begun = 0;
    while begun < count || room.fleet.in_flight() > 0 {
        let now = room.now();
        while begun < count && due_at(begun) <= now {
            let due = due_at(begun);
            told.late(now.since(due));
            if let Some(ended) = room.begin(work, due) {
                told.count(&ended);
            }
            begun += 1;
        }
        told.in_flight(room.fleet.in_flight());
        let mut until = now + ROUND;
        if begun < count {
            until = until.min(due_at(begun));
        }
        for ended in room.go_on(until) {
            told.count(&ended);
        }
        // A fleet that is stuck is given up; its own patience ends before.
        if begun == count && now.since(due_at(count)) > PATIENCE * 3 {
            break;
        }
    }
    told.unfinished(room.give_up().len() as u64);
    told.end(room);
    let (completed, refused) = room.cast.world.handshakes();
    let (succeeded, cpu) = told.cost();
    let each = |count: u64| count as f64 / succeeded.max(1) as f64;
    let handshakes = Handshakes { completed: each(completed - shaken.0), refused: each(refused - shaken.1) };
    told.note("tls_handshakes_each", ((handshakes.completed * 100.0).round() / 100.0).into());
    if work == Work::SignIn && succeeded > 0 {
        let cpu_ms = cpu.as_secs_f64() * 1e3 / succeeded as f64;
        room.sign_ins = Some(SignIns { cpu_ms, handshakes });
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_and_wrong_ones_refused() {
        let hold = Duration::from_secs(30);
        let call = Work::Call { ring: Duration::from_secs(1), hold };
        let of = |work, rate, count| Ok(Stage::Work { work, rate, count });
        assert_eq!(Stage::parse("boot=200"), of(Work::Boot, 200.0, None));
        assert_eq!(Stage::parse("sign-in=2.5x100"), of(Work::SignIn, 2.5, Some(100)));
        assert_eq!(Stage::parse("call=20x600,hold=30s"), of(call, 20.0, Some(600)));
        assert_eq!(Stage::parse("rest=2m"), Ok(Stage::Rest(Duration::from_secs(120))));
        assert_eq!((Stage::parse("cut"), Stage::parse("floor")), (Ok(Stage::Cut), Ok(Stage::Floor)));
        for wrong in
            ["boot", "boot=0", "boot=fast", "boot=5,hold=3s", "rest=5", "cut=1", "dance=3", "rest=9h"]
        {
            assert!(Stage::parse(wrong).is_err(), "{wrong}");
        }
    }
}
