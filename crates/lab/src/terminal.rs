//! The terminal: whether it wants colour, and the few colours there are.

use std::io::{IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use scenario::mistakes::Colour;

/// Whether standard output wants colour: a terminal, unless `NO_COLOR` is set or the terminal is dumb.
pub fn colour() -> Colour {
    #[expect(clippy::disallowed_methods, reason = "this is where the environment comes in")]
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let is_wanted = variable("NO_COLOR").is_none() && variable("TERM").as_deref() != Some("dumb");
    if is_wanted && std::io::stdout().is_terminal() { Colour::With } else { Colour::Without }
}

/// Paints a text, if colour is wanted.
fn paint(text: &str, style: Style, colour: Colour) -> String {
    match colour {
        Colour::With => format!("{style}{text}{style:#}"),
        Colour::Without => text.to_owned(),
    }
}

/// What is good.
pub fn good(text: &str, colour: Colour) -> String {
    paint(text, Style::new().fg_color(Some(AnsiColor::Green.into())).bold(), colour)
}

/// What is bad.
pub fn bad(text: &str, colour: Colour) -> String {
    paint(text, Style::new().fg_color(Some(AnsiColor::Red.into())).bold(), colour)
}

/// What stands back.
pub fn faint(text: &str, colour: Colour) -> String {
    paint(text, Style::new().dimmed(), colour)
}

/// Prints to standard output. A reader who has gone away (`lab run … | head`) is no error: the run goes on, and its
/// exit status still says what came of it.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a line to standard output.
pub fn line(text: &str) {
    print(&format!("{text}\n"));
}
