//! How a mistake looks: annotate-snippets over no more of the text than a person needs to see.

use annotate_snippets::{AnnotationKind, Element, Level, Renderer, Snippet, renderer::DecorStyle};

use super::{Colour, Mistake, Place, Sources};

/// Characters of one line that are shown; a longer line is cut around its caret.
const WIDEST_LINE: usize = 160;

impl Mistake {
    /// The mistake as text for a person: what, where with the line and a caret, what to do.
    pub fn render(&self, sources: &Sources, colour: Colour) -> String {
        let title = visible(&self.title);
        let mut group = Level::ERROR.no_name().primary_title(title).elements(Vec::<Element<'_>>::new());
        let places = self.place.iter().map(|place| (*place, self.label.as_str(), AnnotationKind::Primary));
        let related =
            self.related.iter().map(|(place, label)| (*place, label.as_str(), AnnotationKind::Context));
        for (place, label, kind) in places.chain(related) {
            let excerpt = Excerpt::of(sources, place);
            let label = (!label.is_empty()).then(|| visible(label));
            group = group.element(
                Snippet::source(excerpt.text)
                    .path(sources.name(place.file).to_owned())
                    .line_start(excerpt.line)
                    .annotation(kind.span(excerpt.marked).label(label)),
            );
        }
        for help in &self.help {
            group = group.element(Level::HELP.message(visible(help)));
        }
        let renderer = match colour {
            Colour::With => Renderer::styled(),
            Colour::Without => Renderer::plain(),
        };
        renderer.decor_style(DecorStyle::Unicode).render(&[group])
    }
}

/// The line that a place starts on, cut to what fits, and which bytes of it are marked.
struct Excerpt {
    text: String,
    line: usize,
    marked: std::ops::Range<usize>,
}

impl Excerpt {
    fn of(sources: &Sources, place: Place) -> Excerpt {
        let position = sources.position(place);
        let line = sources.line(place.file, position.line);
        let from = position.column - 1;
        let marked = sources.piece(place);
        let length = marked.lines().next().map_or(0, |first| first.chars().count());
        // A place that goes on over several lines is marked to the end of its first.
        let skipped = if from + length.min(40) < WIDEST_LINE { 0 } else { from.saturating_sub(40) };
        let hidden = hidden(line);
        let dotted = |(index, c): (usize, char)| if hidden.contains(&index) { '•' } else { shown(c) };
        let shown: Vec<char> = line.chars().enumerate().skip(skipped).take(WIDEST_LINE).map(dotted).collect();
        let bytes = |upto: usize| shown.iter().take(upto).map(|c| c.len_utf8()).sum::<usize>();
        let start = bytes(from - skipped);
        let end = bytes(from - skipped + length).max(start);
        Excerpt { text: shown.iter().collect(), line: position.line, marked: start..end }
    }
}

/// Which characters of a line are a password: what follows the key, up to the next.
///
/// It goes by the look of the line, so that a line is also safe to show when the file could not be read.
fn hidden(line: &str) -> std::ops::Range<usize> {
    const KEY: &str = "password:";
    let Some(at) = line.find(KEY) else { return 0..0 };
    let after = &line[at + KEY.len()..];
    let value = after.trim_start();
    let end = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].find(quote).map_or(value.len(), |end| end + 2),
        _ => value.find([',', '}', '#']).unwrap_or(value.len()),
    };
    let word = value[..end].trim_end();
    if matches!(word, "" | "right" | "wrong") {
        return 0..0;
    }
    let start = line.chars().count() - value.chars().count();
    start..start + word.chars().count()
}

/// A character as it may go to a terminal: controls and text-direction marks show as `�`.
fn shown(c: char) -> char {
    let direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if (c.is_control() && c != '\t') || direction || c == '\u{feff}' { '\u{fffd}' } else { c }
}

fn visible(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { shown(c) }).collect()
}
