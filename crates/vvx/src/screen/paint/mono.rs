//! Displays without colours: dark text on a pale ground, soft keys in reverse.

use super::Region;
use super::canvas::{Canvas, Ink, Style, Weight, cut, measure, style, wrap};
use crate::model::Model;
use crate::screen::{Line, Offer, Place, Screen};

const GROUND: Ink = (214, 221, 212);
const INK: Ink = (24, 30, 26);

/// A row of text, and what is pressed on it.
struct Row {
    text: String,
    look: Style,
    is_middle: bool,
    pressed: Option<String>,
}

/// Draws a screen; where things can be pressed.
pub fn draw(screen: &Screen, model: &Model, canvas: &mut Canvas) -> Vec<Region> {
    let mut regions = Vec::new();
    let (width, height) = (canvas.width(), canvas.height());
    canvas.rect(0.0, 0.0, width, height, GROUND);
    if screen.id == "off" {
        return regions;
    }
    // The small display has room for four rows between heading and keys.
    let size = if model.height >= 100 { 12.0 } else { 10.5 };
    let step = if model.height >= 100 { 14.5 } else { 12.0 };
    let pad = 3.0;
    let mut top = 0.0;
    let heading = style(size, Weight::Bold, INK);
    let time = screen.status_bar.as_ref().map(|bar| bar.time.as_str()).unwrap_or_default();
    let room = width - 2.0 * pad - measure(time, heading) - 6.0;
    canvas.text(pad, step - 3.0, &cut(&screen.title, heading, room), heading);
    let mark = screen.status_bar.as_ref().is_some_and(|bar| !bar.warnings.is_empty());
    let mut right = width - pad;
    if mark && model.height >= 100 {
        let (x, y) = (right - 5.0, step / 2.0);
        canvas.line(&[(x, y - 4.5), (x + 5.0, y + 4.0), (x - 5.0, y + 4.0), (x, y - 4.5)], 1.0, INK);
        canvas.line(&[(x, y - 1.0), (x, y + 1.5)], 1.0, INK);
        right -= 15.0;
    }
    canvas.text_right(right, step - 3.0, time, style(size, Weight::Regular, INK));
    top += step;
    canvas.rect(0.0, top - 0.5, width, 1.0, INK);
    let bottom = height - step - 1.0;
    let fitting = ((bottom - top) / step).floor().max(1.0) as usize;
    let rows = rows(screen, size, width - 2.0 * pad, fitting);
    // The end is what counts: the field in question, the code.
    for (n, row) in rows.into_iter().take(fitting).enumerate() {
        let y = top + 1.0 + step * n as f32;
        let base = y + step - 3.5;
        if row.is_middle {
            canvas.text_middle(width / 2.0, base, &row.text, row.look);
        } else {
            canvas.text(pad, base, &row.text, row.look);
        }
        if let Some(label) = row.pressed {
            regions.push(Region { x: 0.0, y, width, height: step.min(bottom - y), label });
        }
    }
    soft_keys(screen, size, step, canvas, &mut regions);
    regions
}

fn rows(screen: &Screen, size: f32, room: f32, most: usize) -> Vec<Row> {
    let plain = style(size, Weight::Regular, INK);
    let strong = style(size, Weight::Bold, INK);
    let mut rows: Vec<Row> = Vec::new();
    let say = |rows: &mut Vec<Row>, text: &str, look: Style| {
        // Rows that do not fit are left out by whoever knows what counts most.
        for text in wrap(text, look, room, most + 12) {
            rows.push(Row { text, look, is_middle: false, pressed: None });
        }
    };
    for line in &screen.lines {
        match line {
            Line::Text(text) | Line::Progress(text) | Line::Timer(text) => say(&mut rows, text, plain),
            Line::Error(text) => say(&mut rows, &format!("! {text}"), strong),
            Line::Code(code) => {
                let look = style(size * 1.25, Weight::Bold, INK);
                rows.push(Row { text: code.clone(), look, is_middle: true, pressed: None });
            }
        }
    }
    // A code must be in sight whatever else there is to say.
    if rows.len() > most && rows.iter().any(|row| row.is_middle) {
        let surplus = rows.len() - most;
        rows.drain(..surplus);
    }
    let current = screen.fields.iter().position(|field| field.is_current).unwrap_or(0);
    let left = most.saturating_sub(rows.len()).max(1);
    for field in screen.fields.iter().skip((current + 1).saturating_sub(left)) {
        let look = if field.is_current { strong } else { plain };
        let cursor = if field.is_current { "_" } else { "" };
        let text = cut(&format!("{}: {}{cursor}", field.label, field.shown()), look, room);
        rows.push(Row { text, look, is_middle: false, pressed: Some(field.id.to_owned()) });
    }
    let offers = screen.offers.iter().filter(|offer| offer.place != Place::SoftKey);
    for (n, offer) in offers.enumerate() {
        let text = cut(&format!("{} {}", n + 1, offer.label), plain, room);
        let look = if n == 0 { strong } else { plain };
        rows.push(Row { text, look, is_middle: false, pressed: Some(offer.label.clone()) });
    }
    rows
}

fn soft_keys(screen: &Screen, size: f32, step: f32, canvas: &mut Canvas, regions: &mut Vec<Region>) {
    let keys: Vec<&Offer> = screen.offers.iter().filter(|offer| offer.place == Place::SoftKey).collect();
    let (width, top) = (canvas.width(), canvas.height() - step);
    let each = width / keys.len().max(3) as f32;
    for (n, key) in keys.iter().enumerate() {
        let x = each * n as f32;
        canvas.rounded((x + 0.5, top, each - 1.0, step), 2.5, INK);
        let mut look = style(size * 0.92, Weight::Medium, GROUND);
        let share = ((each - 4.0) / measure(&key.label, look).max(1.0)).clamp(0.72, 1.0);
        look.size *= share;
        let label = cut(&key.label, look, each - 3.0);
        canvas.text_middle(x + each / 2.0, top + step / 2.0 + look.size * 0.36, &label, look);
        regions.push(Region { x, y: top, width: each, height: step, label: key.label.clone() });
    }
}
