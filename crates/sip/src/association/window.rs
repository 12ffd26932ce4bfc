//! Which numbers were used: those of the last 256 are remembered, older ones count as used.

/// How far behind the highest number a message may come and still pass. The size is this project's choice.
pub const REPLAY_WINDOW: u32 = 256;

/// The numbers that passed.
#[derive(Clone, Debug, Default)]
pub struct Window {
    highest: u32,
    /// Bit `n` of the whole stands for the number `highest - n`.
    used: [u64; REPLAY_WINDOW as usize / 64],
}

impl Window {
    /// The highest number that passed; 0 before the first.
    pub fn highest(&self) -> u32 {
        self.highest
    }

    /// Takes `number` if it is new; says whether it was.
    pub fn take(&mut self, number: u32) -> bool {
        if number == 0 {
            return false;
        }
        if number > self.highest {
            self.shift(number - self.highest);
            self.highest = number;
            self.used[0] |= 1;
            return true;
        }
        let behind = self.highest - number;
        if behind >= REPLAY_WINDOW {
            return false;
        }
        let (word, bit) = (behind as usize / 64, 1 << (behind % 64));
        let is_new = self.used[word] & bit == 0;
        self.used[word] |= bit;
        is_new
    }

    fn shift(&mut self, by: u32) {
        if by >= REPLAY_WINDOW {
            self.used = Default::default();
            return;
        }
        let (words, bits) = (by as usize / 64, by % 64);
        for at in (0..self.used.len()).rev() {
            let mut word = if at >= words { self.used[at - words] << bits } else { 0 };
            if bits > 0 && at > words {
                word |= self.used[at - words - 1] >> (64 - bits);
            }
            self.used[at] = word;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_passes_once() {
        let mut window = Window::default();
        assert!(!window.take(0));
        assert!(window.take(1));
        assert!(!window.take(1));
        assert!(window.take(3));
        assert!(window.take(2));
        assert!(!window.take(2));
        assert!(!window.take(3));
    }

    #[test]
    fn a_number_too_far_behind_never_passes() {
        let mut window = Window::default();
        assert!(window.take(1000));
        assert!(window.take(1000 - 255));
        assert!(!window.take(1000 - 256));
        assert!(window.take(u32::MAX));
        assert!(!window.take(1000));
        assert!(window.take(u32::MAX - 255));
    }

    #[test]
    fn the_window_agrees_with_a_list_of_all_numbers() {
        let mut random = net::Random::named(1, "window");
        let (mut window, mut seen, mut highest) = (Window::default(), std::collections::BTreeSet::new(), 0);
        for _ in 0..20_000 {
            let number = (highest + random.below(300)).saturating_sub(200).max(1) as u32;
            let is_in_reach = u64::from(number) + 256 > highest;
            assert_eq!(window.take(number), is_in_reach && seen.insert(number), "{number} after {highest}");
            highest = highest.max(number.into());
        }
    }
}
