//! Charts over the seconds of a run, as SVG that needs no script: lines, or bars on top of each other.

use std::fmt::Write as _;

use super::super::junit::escaped;
use super::super::limits::short;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;

/// One line, or one colour of bars.
pub struct Line {
    /// What it is called.
    pub name: String,
    /// Which of the page's colours it has: `c1` to `c8`.
    pub colour: &'static str,
    /// A value for each point; none where there is none.
    pub values: Vec<Option<f64>>,
}

/// How values are drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// Lines on an even scale from 0.
    Lines,
    /// Lines on a logarithmic scale.
    Logarithmic,
    /// Bars on top of each other.
    Stacked,
}

/// A chart.
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// How to read it: a sentence.
    pub note: &'a str,
    /// What is written behind values.
    pub unit: &'a str,
    /// How it is drawn.
    pub drawn: Drawn,
    /// Seconds at which the points lie.
    pub at: &'a [f64],
    /// Until when the warm-up was, in seconds.
    pub warm_until: f64,
    /// The lines.
    pub lines: Vec<Line>,
}

impl Chart<'_> {
    /// The chart with its heading and legend; nothing if there is nothing to be seen.
    pub fn html(&self) -> String {
        let lines: Vec<&Line> =
            self.lines.iter().filter(|line| line.values.iter().any(Option::is_some)).collect();
        if self.at.len() < 2 || lines.is_empty() {
            return String::new();
        }
        let (low, high) = self.range(&lines);
        let end = self.at.last().copied().unwrap_or(1.0).max(1.0);
        let x = |second: f64| LEFT + (WIDTH - LEFT - RIGHT) * (second / end).clamp(0.0, 1.0);
        let y = |value: f64| {
            let share = match self.drawn {
                Drawn::Logarithmic => (value.max(low) / low).ln() / (high / low).ln(),
                Drawn::Lines | Drawn::Stacked => value / high,
            };
            TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share.clamp(0.0, 1.0))
        };
        let mut svg = String::new();
        if self.warm_until > 0.0 {
            let width = x(self.warm_until) - LEFT;
            let _ = write!(
                svg,
                "<rect class=\"warm\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
                HEIGHT - TOP - BOTTOM
            );
            if width > 60.0 {
                let _ = write!(
                    svg,
                    "<text class=\"hint\" x=\"{:.1}\" y=\"{:.1}\">warm-up</text>",
                    LEFT + 6.0,
                    TOP + 13.0
                );
            }
        }
        for tick in self.ticks(low, high) {
            let at = y(tick);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                short(tick)
            );
        }
        for tick in time_ticks(end) {
            let at = x(tick);
            let _ = write!(
                svg,
                "<text class=\"tick\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
                HEIGHT - 8.0,
                clock(tick)
            );
        }
        match self.drawn {
            Drawn::Lines | Drawn::Logarithmic => {
                for line in &lines {
                    let _ =
                        write!(svg, "<path class=\"line {}\" d=\"{}\"/>", line.colour, self.path(line, x, y));
                }
            }
            Drawn::Stacked => self.bars(&lines, x, y, &mut svg),
        }
        self.hover(&lines, x, &mut svg);
        let mut legend = String::new();
        for line in &lines {
            let most = line.values.iter().flatten().copied().fold(0.0, f64::max);
            let _ = write!(
                legend,
                "<span><i class=\"{}\"></i>{} <b>{}{}</b></span>",
                line.colour,
                escaped(&line.name),
                short(most),
                self.unit
            );
        }
        format!(
            "<figure><figcaption><h3>{}</h3><p>{}</p><div class=\"legend\">{legend}<em>at most</em></div></figcaption>\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">{svg}</svg></figure>\n",
            escaped(self.title),
            escaped(self.note),
            escaped(self.title),
        )
    }

    fn range(&self, lines: &[&Line]) -> (f64, f64) {
        let values = || lines.iter().flat_map(|line| line.values.iter().flatten().copied());
        match self.drawn {
            Drawn::Logarithmic => {
                let low = values().filter(|it| *it > 0.0).fold(f64::INFINITY, f64::min);
                let high = values().fold(0.0, f64::max);
                let low = if low.is_finite() { 10_f64.powf(low.log10().floor()) } else { 0.1 };
                (low, 10_f64.powf(high.max(low * 1.001).log10().ceil()).max(low * 10.0))
            }
            Drawn::Lines => (0.0, round_up(values().fold(0.0, f64::max))),
            Drawn::Stacked => {
                let sum = |index: usize| lines.iter().filter_map(|line| line.values[index]).sum::<f64>();
                (0.0, round_up((0..self.at.len()).map(sum).fold(0.0, f64::max)))
            }
        }
    }

    fn ticks(&self, low: f64, high: f64) -> Vec<f64> {
        match self.drawn {
            Drawn::Logarithmic => {
                let decades = (high / low).log10().round() as i32;
                let every = (decades / 5 + 1).max(1);
                (0..=decades).filter(|it| it % every == 0).map(|it| low * 10_f64.powi(it)).collect()
            }
            Drawn::Lines | Drawn::Stacked => (0..=4).map(|it| high * f64::from(it) / 4.0).collect(),
        }
    }

    fn path(&self, line: &Line, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
        let mut path = String::new();
        let mut is_down = false;
        for (second, value) in self.at.iter().zip(&line.values) {
            let Some(value) = value else {
                is_down = false;
                continue;
            };
            let _ = write!(path, "{}{:.1} {:.1}", if is_down { "L" } else { "M" }, x(*second), y(*value));
            if !is_down {
                // A point that stands alone is seen as a dot.
                path.push_str("h.1");
            }
            is_down = true;
        }
        path
    }

    fn step(&self) -> f64 {
        (self.at[self.at.len() - 1] - self.at[0]) / (self.at.len() - 1) as f64
    }

    fn bars(&self, lines: &[&Line], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64, svg: &mut String) {
        let width = (x(self.step()) - x(0.0)).max(1.0);
        for (index, second) in self.at.iter().enumerate() {
            let mut below = 0.0;
            for line in lines {
                let Some(value) = line.values[index].filter(|value| *value > 0.0) else { continue };
                let (top, bottom) = (y(below + value), y(below));
                let left = (x(*second) - width / 2.0).max(LEFT);
                let _ = write!(
                    svg,
                    "<rect class=\"bar {}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
                    line.colour,
                    (bottom - top).max(0.5)
                );
                below += value;
            }
        }
    }

    /// What a pointer that rests on a second is told.
    fn hover(&self, lines: &[&Line], x: impl Fn(f64) -> f64, svg: &mut String) {
        let width = (x(self.step()) - x(0.0)).max(1.0);
        for (index, second) in self.at.iter().enumerate() {
            let mut told = clock(*second);
            for line in lines {
                if let Some(value) = line.values[index] {
                    let _ = write!(told, "\n{}: {}{}", line.name, short(value), self.unit);
                }
            }
            let _ = write!(
                svg,
                "<rect class=\"hover\" x=\"{:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
                (x(*second) - width / 2.0).max(LEFT),
                HEIGHT - TOP - BOTTOM,
                escaped(&told)
            );
        }
    }
}

/// The next number that divides well into four.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.iter().map(|step| step * power).find(|it| *it >= value * 1.02).unwrap_or(12.0 * power)
}

fn time_ticks(end: f64) -> Vec<f64> {
    let steps = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0,
        86_400.0,
    ];
    let step = steps.iter().copied().find(|step| end / step <= 12.0).unwrap_or(end / 10.0);
    (0..=(end / step) as u32).map(|it| f64::from(it) * step).collect()
}

/// Seconds as `0:05`, `1:02:30`.
fn clock(second: f64) -> String {
    let second = second as u64;
    match second / 3_600 {
        0 => format!("{}:{:02}", second / 60, second % 60),
        hours => format!("{hours}:{:02}:{:02}", second / 60 % 60, second % 60),
    }
}
