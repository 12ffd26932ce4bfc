//! Screens as data: what a person in front of the phone sees and can do.
//!
//! A screen has an id that stories name it by, lines to read, fields to fill and things to press. Nothing here
//! decides anything; [`Screen::draw`] shows it in a terminal as a box of 32 columns.

pub mod paint;

use std::fmt::Write as _;

/// How many columns a drawn line of text has, frame excluded.
const COLUMNS: usize = 30;

/// Every screen's id, and what it shows.
pub const ALL: &[(&str, &str)] = &[
    ("off", "nothing: the phone has no power"),
    ("booting", "how far the start has come"),
    ("home", "Home, whether somebody is signed in or not"),
    ("sign-in", "the choice of how to sign in"),
    ("via-pc", "signing in from a PC"),
    ("user-id", "address, user, password and domain to fill in"),
    ("web-code", "a code for the browser, and where to type it"),
    ("web-code-cap", "a code for the administrators' portal"),
    ("web-code-expired", "the code was not used in time"),
    ("signing-in", "what the phone is doing to sign in"),
    ("sign-in-failed", "why the sign-in came to nothing"),
    ("new-lock-code", "a lock code is to be made"),
    ("confirm-lock-code", "the lock code is to be typed again"),
    ("keeping-lock-code", "the lock code is on its way into flash"),
    ("lock-code-note", "how to change the lock code later; passes by itself"),
    ("after-sign-in", "the optional step behind a sign-in"),
    ("locked", "the phone is locked"),
    ("unlock", "the lock code is to be typed"),
    ("lock-code-changed", "the lock code is changed"),
    ("settings", "Settings"),
    ("settings-basic", "Settings > Basic"),
    ("device-lock", "Settings > Basic > Device Lock"),
    ("preferences", "Settings > Basic > Preferences"),
    ("change-lock-code", "Settings > Basic > Device Lock > Change Lock Code"),
    ("features", "Settings > Features"),
    ("features-service", "Settings > Features > Skype for Business"),
    ("user-credentials", "Settings > Features > Skype for Business > User Credentials"),
    ("status", "Settings > Status"),
    ("advanced-password", "the password in front of the advanced settings"),
    ("advanced", "Settings > Advanced"),
    ("administration", "Settings > Advanced > Administration Settings"),
    ("common-area-phone", "common-area phone and its administrator mode, on or off"),
    ("common-area-saved", "the common-area settings are saved"),
    ("web-server", "the phone's own web server, on or off, and how it listens"),
    ("reset", "Reset to Defaults"),
    ("message", "a message that somebody pushed to the phone"),
    ("my-status", "the user's own state"),
    ("contacts", "contacts"),
    ("dialing", "a number is being dialled"),
    ("calling", "a call is on its way"),
    ("ringing-there", "the other end of a call rings"),
    ("ringing", "somebody calls"),
    ("in-call", "both ends talk"),
    ("holding", "the phone holds the other end"),
    ("held", "the other end holds the phone"),
    ("call-ended", "a call is over, and why"),
    ("transfer", "whom a call is to be transferred to"),
];

/// Everything that is on the display at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Screen {
    /// What stories call it, in kebab case: `home`, `web-code`, `locked`.
    pub id: &'static str,
    /// The heading; may be empty.
    pub title: String,
    /// What is written on it, from top to bottom.
    pub lines: Vec<Line>,
    /// The fields to fill in, from top to bottom.
    pub fields: Vec<Field>,
    /// What can be pressed by its label, in the order in which it is shown.
    pub offers: Vec<Offer>,
    /// The bar along the top; `None` when the display shows none (off, early boot).
    pub status_bar: Option<StatusBar>,
}

/// One piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Plain text; wrapped where needed.
    Text(String),
    /// Large text to copy by eye: a code. Never repeated outside the display.
    Code(String),
    /// Something is under way.
    Progress(String),
    /// Something went wrong.
    Error(String),
    /// How long a call has lasted. The journal is not told each second.
    Timer(String),
}

impl Line {
    /// The text as it is read on the display.
    pub fn text(&self) -> &str {
        match self {
            Line::Text(text)
            | Line::Code(text)
            | Line::Progress(text)
            | Line::Error(text)
            | Line::Timer(text) => text,
        }
    }
}

/// A field to fill in.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    /// What stories call it, in kebab case: `sign-in-address`.
    pub id: &'static str,
    /// Its label.
    pub label: String,
    /// What was typed so far.
    pub value: String,
    /// Whether it shows dots instead of characters.
    pub is_secret: bool,
    /// Whether digits and letters go here now.
    pub is_current: bool,
}

impl Field {
    /// The value as it is shown: dots for secrets.
    pub fn shown(&self) -> String {
        if self.is_secret { "•".repeat(self.value.chars().count()) } else { self.value.clone() }
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = if self.is_secret { "•••" } else { &self.value };
        write!(f, "Field({} = {value:?})", self.id)
    }
}

/// Something that can be pressed by its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its label.
    pub label: String,
    /// Where it is.
    pub place: Place,
}

/// Where on the display an offer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the row along the bottom; also reached by the hard keys SoftKey1 to SoftKey5.
    SoftKey,
    /// A round picture in the body: tapped on touch models, moved to and selected on others.
    Tile,
    /// A row of a menu.
    Item,
}

/// The bar along the top.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StatusBar {
    /// The time, as the phone's clock has it: `9:41 AM`.
    pub time: String,
    /// The date: `Tuesday, October 9`.
    pub date: String,
    /// What the warning triangle stands for, newest last; empty shows no triangle.
    pub warnings: Vec<String>,
}

impl Screen {
    /// An empty screen of that id and title.
    pub fn new(id: &'static str, title: impl Into<String>) -> Screen {
        Screen { id, title: title.into(), ..Screen::default() }
    }

    /// The same screen with a line of text more.
    pub fn text(mut self, text: impl Into<String>) -> Screen {
        self.lines.push(Line::Text(text.into()));
        self
    }

    /// The same screen with another line.
    pub fn line(mut self, line: Line) -> Screen {
        self.lines.push(line);
        self
    }

    /// The same screen with these soft keys behind those it has.
    pub fn soft_keys(self, labels: &[&str]) -> Screen {
        self.offer(labels, Place::SoftKey)
    }

    /// The same screen with these tiles behind those it has.
    pub fn tiles(self, labels: &[&str]) -> Screen {
        self.offer(labels, Place::Tile)
    }

    /// The same screen with these menu rows behind those it has.
    pub fn items(self, labels: &[&str]) -> Screen {
        self.offer(labels, Place::Item)
    }

    fn offer(mut self, labels: &[&str], place: Place) -> Screen {
        self.offers.extend(labels.iter().map(|label| Offer { label: (*label).to_owned(), place }));
        self
    }

    /// Whether `label` can be pressed here; case does not matter.
    pub fn offers(&self, label: &str) -> bool {
        self.offers.iter().any(|offer| offer.label.eq_ignore_ascii_case(label))
    }

    /// Every label that can be pressed here.
    pub fn labels(&self) -> Vec<&str> {
        self.offers.iter().map(|offer| offer.label.as_str()).collect()
    }

    /// The text for the journal: codes and secret fields are dots, and the time of day is left out, so that a
    /// passing minute is no new screen.
    pub fn told(&self) -> String {
        let mut text = self.title.clone();
        for line in &self.lines {
            let shown = match line {
                Line::Code(_) => "•••",
                Line::Timer(_) => continue,
                Line::Text(text) | Line::Progress(text) | Line::Error(text) => text,
            };
            let _ = write!(text, "\n{shown}");
        }
        for field in &self.fields {
            let value = match (field.is_secret, field.value.is_empty()) {
                (true, false) => "•••",
                _ => &field.value,
            };
            let _ = write!(text, "\n{}: {value}", field.label);
        }
        if !self.offers.is_empty() {
            let _ = write!(text, "\n[{}]", self.labels().join("] ["));
        }
        for warning in self.status_bar.iter().flat_map(|bar| &bar.warnings) {
            let _ = write!(text, "\n! {warning}");
        }
        text
    }

    /// Draws the screen as a box of 32 columns, a line feed after each row.
    pub fn draw(&self) -> String {
        let mut rows: Vec<Row> = Vec::new();
        if let Some(bar) = &self.status_bar {
            let mark = match bar.warnings.len() {
                0 => String::new(),
                n => format!(" !{n}"),
            };
            let taken = bar.date.chars().count() + mark.len() + 1 + bar.time.chars().count();
            // A long date gives its weekday up before it runs into the time.
            let date = match bar.date.split_once(", ") {
                Some((_, short)) if taken > COLUMNS => short,
                _ => &bar.date,
            };
            let left = format!("{date}{mark}");
            let gap = COLUMNS.saturating_sub(left.chars().count() + bar.time.chars().count());
            rows.push(Row::Text(format!("{left}{}{}", " ".repeat(gap), bar.time)));
            rows.push(Row::Rule);
        }
        let mut say = |text: &str, indent: &str| {
            rows.extend(
                wrap(text, COLUMNS - 2 - indent.len()).map(|row| Row::Text(format!(" {indent}{row}"))),
            );
        };
        say(&self.title, "");
        for line in &self.lines {
            match line {
                Line::Text(text) | Line::Progress(text) | Line::Timer(text) => say(text, ""),
                Line::Error(text) => say(&format!("! {text}"), ""),
                Line::Code(code) => say(code, "    "),
            }
        }
        for field in &self.fields {
            let cursor = if field.is_current { "_" } else { "" };
            say(&format!("{}: {}{cursor}", field.label, field.shown()), "");
        }
        for offer in self.offers.iter().filter(|offer| offer.place != Place::SoftKey) {
            let mark = if offer.place == Place::Tile { "( )" } else { " > " };
            say(&format!("{mark} {}", offer.label), "");
        }
        let keys: Vec<String> = self
            .offers
            .iter()
            .filter(|offer| offer.place == Place::SoftKey)
            .map(|offer| format!("[{}]", offer.label))
            .collect();
        if !keys.is_empty() {
            rows.push(Row::Rule);
            rows.extend(wrap(&keys.join(" "), COLUMNS - 2).map(|row| Row::Text(format!(" {row}"))));
        }
        frame(&rows)
    }
}

enum Row {
    Text(String),
    Rule,
}

fn frame(rows: &[Row]) -> String {
    let bar = "─".repeat(COLUMNS);
    let mut drawn = format!("┌{bar}┐\n");
    for row in rows {
        match row {
            Row::Rule => drawn.push_str(&format!("├{bar}┤\n")),
            Row::Text(text) => {
                let shown: String = text.chars().take(COLUMNS).collect();
                let pad = COLUMNS - shown.chars().count();
                drawn.push_str(&format!("│{shown}{}│\n", " ".repeat(pad)));
            }
        }
    }
    drawn.push_str(&format!("└{bar}┘\n"));
    drawn
}

/// Breaks text into rows of at most `width` characters, between words where that is possible.
fn wrap(text: &str, width: usize) -> impl Iterator<Item = String> {
    let width = width.max(1);
    let mut rows: Vec<String> = Vec::new();
    let mut row = String::new();
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if !row.is_empty() && row.chars().count() + 1 + word.len() > width {
            rows.push(std::mem::take(&mut row));
        }
        while word.len() > width {
            rows.push(word.drain(..width).collect());
        }
        if !row.is_empty() {
            row.push(' ');
        }
        row.extend(word);
    }
    if !row.is_empty() {
        rows.push(row);
    }
    rows.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_screen() -> Screen {
        Screen::new("web-code", "Web Sign-in")
            .text("In a browser, open https://login.contoso.example/device and type this code:")
            .line(Line::Code("BXJK4PQ7Z".to_owned()))
            .soft_keys(&["Cancel"])
    }

    #[test]
    fn a_code_is_drawn_for_the_person_and_hidden_from_the_journal() {
        let screen = code_screen();
        assert!(screen.draw().contains("BXJK4PQ7Z"));
        assert!(!screen.told().contains("BXJK4PQ7Z"));
    }

    #[test]
    fn a_box_is_32_columns_wide_whatever_it_says() {
        for row in code_screen().draw().lines() {
            assert_eq!(row.chars().count(), 32, "{row}");
        }
    }

    #[test]
    fn a_long_date_does_not_run_into_the_time() {
        let mut screen = code_screen();
        screen.status_bar = Some(StatusBar {
            time: "12:10 PM".to_owned(),
            date: "Wednesday, November 13".to_owned(),
            warnings: vec!["x".to_owned()],
        });
        assert!(screen.draw().contains("│November 13 !1        12:10 PM│"), "{}", screen.draw());
    }

    #[test]
    fn a_secret_field_shows_dots_everywhere() {
        let mut screen = Screen::new("unlock", "Unlock");
        screen.fields.push(Field {
            id: "code",
            label: "Code".to_owned(),
            value: "135790".to_owned(),
            is_secret: true,
            is_current: true,
        });
        for text in [screen.draw(), screen.told(), format!("{screen:?}")] {
            assert!(!text.contains("135790"), "{text}");
        }
    }
}
