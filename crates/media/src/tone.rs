//! Tones: made as exact as 16 bits allow, and heard by Goertzel's algorithm.
//!
//! A phone of the lab has no microphone: it says a tone of its own instead, and whoever hears that tone hears that
//! phone.

use std::f64::consts::PI;

use crate::RATE;

/// The lowest tone of the lab, in Hz.
pub const LOWEST_HZ: u32 = 500;
/// The distance between two tones: wide enough that one window tells them apart.
pub const STEP_HZ: u32 = 50;
/// How many tones there are.
pub const TONES: u32 = 48;
/// How loud a phone speaks: -12 dB below the loudest.
const AMPLITUDE: f64 = 8192.0;
/// Samples that are looked at together: 100 ms, in which tones 50 Hz apart are a whole number of turns each.
const WINDOW: usize = 800;
/// The share of a window's energy that must be in one tone for it to be heard.
const SHARE: f64 = 0.5;
/// The least mean square of a window that is sound at all; the quietest codes of G.711 lie below.
const QUIET: f64 = 100.0 * 100.0;

/// The tone of that number, in Hz; numbers beyond [`TONES`] begin again.
pub fn tone_hz(number: u32) -> u32 {
    LOWEST_HZ + STEP_HZ * (number % TONES)
}

/// Sine by its series: only the four operations, so that every machine makes the same tone.
fn sine(turns: f64) -> f64 {
    // To -1/4 … 1/4 of a turn, where eight terms are exact to far more than 16 bits.
    let turns = turns - (turns + 0.5).floor();
    let turns = if turns > 0.25 {
        0.5 - turns
    } else if turns < -0.25 {
        -0.5 - turns
    } else {
        turns
    };
    let x = 2.0 * PI * turns;
    let (mut term, mut sum) = (x, x);
    for n in 1..9 {
        let n = f64::from(n);
        term *= -x * x / ((2.0 * n) * (2.0 * n + 1.0));
        sum += term;
    }
    sum
}

/// Makes one tone without end.
#[derive(Clone, Debug)]
pub struct Generator {
    hz: u32,
    /// Samples since the last whole second.
    at: u32,
}

impl Generator {
    /// A tone of `hz`, below 4000; 0 is silence.
    pub fn new(hz: u32) -> Generator {
        Generator { hz: hz.min(RATE / 2 - 1), at: 0 }
    }

    /// The next sample.
    pub fn sample(&mut self) -> i16 {
        let turns = f64::from(self.hz) * f64::from(self.at) / f64::from(RATE);
        self.at = (self.at + 1) % RATE;
        (AMPLITUDE * sine(turns)) as i16
    }
}

/// Listens for the tones of the lab.
#[derive(Clone, Debug)]
pub struct Listener {
    window: Vec<f64>,
    heard: Option<u32>,
}

impl Default for Listener {
    fn default() -> Listener {
        Listener::new()
    }
}

impl Listener {
    /// It has heard nothing yet.
    pub fn new() -> Listener {
        Listener { window: Vec::with_capacity(WINDOW), heard: None }
    }

    /// Takes samples in; what is heard changes with each full window.
    pub fn listen(&mut self, samples: impl IntoIterator<Item = i16>) {
        for sample in samples {
            self.window.push(f64::from(sample));
            if self.window.len() == WINDOW {
                self.heard = loudest(&self.window);
                self.window.clear();
            }
        }
    }

    /// The tone of the last full window, in Hz, if it was one.
    pub fn heard(&self) -> Option<u32> {
        self.heard
    }
}

/// The tone that most of the window's energy is in.
fn loudest(window: &[f64]) -> Option<u32> {
    let len = window.len() as f64;
    let energy: f64 = window.iter().map(|sample| sample * sample).sum();
    if energy / len < QUIET {
        return None;
    }
    (0..TONES).map(tone_hz).find(|hz| {
        // A pure tone of amplitude A has energy len*A²/2 and power (len*A/2)².
        2.0 * power(window, *hz) / len >= SHARE * energy
    })
}

/// The squared magnitude of the window's component at `hz` (Goertzel).
fn power(window: &[f64], hz: u32) -> f64 {
    let coefficient = 2.0 * sine(f64::from(hz) / f64::from(RATE) + 0.25);
    let (mut before, mut last) = (0.0, 0.0);
    for sample in window {
        let next = sample + coefficient * last - before;
        (before, last) = (last, next);
    }
    last * last + before * before - coefficient * last * before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711;

    fn hear(hz: u32, distort: impl Fn(usize, i16) -> i16) -> Option<u32> {
        let mut generator = Generator::new(hz);
        let mut listener = Listener::new();
        listener.listen((0..WINDOW).map(|at| distort(at, generator.sample())));
        listener.heard()
    }

    #[test]
    fn every_tone_is_heard_as_itself_through_both_laws() {
        for number in 0..TONES {
            let hz = tone_hz(number);
            assert_eq!(hear(hz, |_, sample| sample), Some(hz));
            assert_eq!(hear(hz, |_, sample| g711::from_ulaw(g711::to_ulaw(sample))), Some(hz));
            assert_eq!(hear(hz, |_, sample| g711::from_alaw(g711::to_alaw(sample))), Some(hz));
        }
    }

    #[test]
    fn a_tone_is_heard_with_every_fifth_packet_missing_and_not_with_most_missing() {
        let lose = |every: usize| {
            move |at: usize, sample: i16| if (at / 160).is_multiple_of(every) { 0 } else { sample }
        };
        assert_eq!(hear(1000, lose(5)), Some(1000));
        assert_eq!(hear(1000, |at, sample| if at < 700 { 0 } else { sample }), None);
    }

    #[test]
    fn silence_and_foreign_tones_are_not_heard() {
        assert_eq!(hear(0, |_, sample| sample), None);
        assert_eq!(hear(1000, |_, sample| sample / 1000), None);
        assert_eq!(hear(525, |_, sample| sample), None, "between two tones");
    }

    #[test]
    fn sine_is_sine() {
        for at in -100..100 {
            let turns = f64::from(at) / 37.0;
            assert!((sine(turns) - (2.0 * PI * turns).sin()).abs() < 1e-9, "{turns}");
        }
    }
}
