//! Displays with colours: a status bar, a white body, a row of soft keys.

use super::Region;
use super::canvas::{Canvas, Ink, Style, Weight, cut, measure, style, wrap};
use crate::model::Model;
use crate::screen::{Line, Offer, Place, Screen, StatusBar};

const BLUE: Ink = (38, 112, 176);
const DEEP: Ink = (18, 66, 116);
const PALE: Ink = (232, 241, 250);
const EDGE: Ink = (200, 213, 226);
const WHITE: Ink = (255, 255, 255);
const INK: Ink = (27, 38, 50);
const SOFT: Ink = (96, 112, 128);
const RED: Ink = (200, 42, 36);
const AMBER: Ink = (240, 166, 28);
const GREEN: Ink = (66, 150, 84);

/// Measures that follow the size of the display.
struct Sizes {
    bar: f32,
    keys: f32,
    pad: f32,
    text: f32,
    row: f32,
}

impl Sizes {
    fn of(model: &Model) -> Sizes {
        if model.width >= 400 {
            Sizes { bar: 40.0, keys: 32.0, pad: 16.0, text: 16.0, row: 34.0 }
        } else {
            Sizes { bar: 34.0, keys: 28.0, pad: 11.0, text: 14.0, row: 30.0 }
        }
    }
}

/// Draws a screen; where things can be pressed.
pub fn draw(screen: &Screen, model: &Model, canvas: &mut Canvas) -> Vec<Region> {
    let mut regions = Vec::new();
    if screen.id == "off" {
        return regions;
    }
    let sizes = Sizes::of(model);
    let (width, height) = (canvas.width(), canvas.height());
    canvas.rect(0.0, 0.0, width, height, WHITE);
    let Some(bar) = &screen.status_bar else {
        start(screen, &sizes, canvas);
        soft_keys(screen, &sizes, canvas, &mut regions);
        return regions;
    };
    status_bar(bar, screen, &sizes, canvas);
    soft_keys(screen, &sizes, canvas, &mut regions);
    let body = (sizes.bar, height - sizes.keys);
    match screen.id {
        "home" => home(screen, body, &sizes, canvas),
        "locked" => locked(screen, body, &sizes, canvas),
        _ => page(screen, body, &sizes, canvas, &mut regions),
    }
    regions
}

/// A phone that starts: nothing but a name and what it is doing.
fn start(screen: &Screen, sizes: &Sizes, canvas: &mut Canvas) {
    let (width, height) = (canvas.width(), canvas.height());
    canvas.gradient(0.0, 0.0, width, height, BLUE, DEEP);
    let middle = width / 2.0;
    handset(middle, height * 0.34, height * 0.1, WHITE, canvas);
    canvas.text_middle(middle, height * 0.56, &screen.title, style(sizes.text * 1.5, Weight::Medium, WHITE));
    let mut y = height * 0.56 + sizes.text * 1.9;
    for line in &screen.lines {
        let look = style(sizes.text, Weight::Regular, (206, 224, 242));
        for row in wrap(line.text(), look, width - 2.0 * sizes.pad, 2) {
            canvas.text_middle(middle, y, &row, look);
            y += sizes.text * 1.4;
        }
    }
    for n in 0_u8..3 {
        let x = middle + (f32::from(n) - 1.0) * 16.0;
        canvas.disc(x, y + 4.0, 3.2, if n == 0 { WHITE } else { (120, 164, 206) });
    }
}

fn status_bar(bar: &StatusBar, screen: &Screen, sizes: &Sizes, canvas: &mut Canvas) {
    let (width, high) = (canvas.width(), sizes.bar);
    canvas.gradient(0.0, 0.0, width, high, BLUE, DEEP);
    let middle = high / 2.0;
    let mut x = sizes.pad + 8.0;
    handset(x, middle, 9.0, WHITE, canvas);
    if screen.labels().contains(&"Sign Out") {
        canvas.disc(x + 8.0, middle + 6.5, 4.6, WHITE);
        canvas.disc(x + 8.0, middle + 6.5, 3.6, GREEN);
    }
    x += 28.0;
    if !bar.warnings.is_empty() {
        triangle(x, middle, 10.0, AMBER, DEEP, canvas);
        let count = style(sizes.text * 0.72, Weight::Bold, (186, 240, 190));
        canvas.text(x + 12.0, middle + 10.0, &bar.warnings.len().to_string(), count);
    }
    let right = width - sizes.pad;
    let time = style(sizes.text, Weight::Bold, WHITE);
    canvas.text_right(right, middle - 1.5, &bar.time, time);
    let date = style(sizes.text * 0.76, Weight::Regular, (214, 229, 244));
    let room = width * 0.6;
    canvas.text_right(right, middle + sizes.text * 0.82, &cut(&bar.date, date, room), date);
}

fn soft_keys(screen: &Screen, sizes: &Sizes, canvas: &mut Canvas, regions: &mut Vec<Region>) {
    let (width, top) = (canvas.width(), canvas.height() - sizes.keys);
    canvas.gradient(0.0, top, width, sizes.keys, BLUE, DEEP);
    canvas.rect(0.0, top, width, 1.0, (120, 170, 216));
    let keys: Vec<&Offer> = screen.offers.iter().filter(|offer| offer.place == Place::SoftKey).collect();
    let count = keys.len().max(4) as f32;
    let each = width / count;
    for (n, key) in keys.iter().enumerate() {
        let x = each * n as f32;
        if n > 0 {
            canvas.rect(x - 0.5, top + 6.0, 1.0, sizes.keys - 12.0, (96, 146, 196));
        }
        let look = fitted(&key.label, style(sizes.text * 0.95, Weight::Medium, WHITE), each - 8.0);
        let label = cut(&key.label, look, each - 6.0);
        canvas.text_middle(x + each / 2.0, top + sizes.keys / 2.0 + look.size * 0.36, &label, look);
        regions.push(Region { x, y: top, width: each, height: sizes.keys, label: key.label.clone() });
    }
}

/// The style, smaller if the text needs it, down to three quarters.
fn fitted(text: &str, look: Style, width: f32) -> Style {
    let share = (width / measure(text, look).max(1.0)).clamp(0.75, 1.0);
    Style { size: look.size * share, ..look }
}

/// Home: the line keys on the left, what is to be known beside them.
fn home(screen: &Screen, (top, bottom): (f32, f32), sizes: &Sizes, canvas: &mut Canvas) {
    let width = canvas.width();
    let is_in = screen.title.contains('@');
    let column = width * 0.42;
    canvas.rect(column, top, width - column, bottom - top, (246, 249, 252));
    canvas.rect(column, top, 1.0, bottom - top, EDGE);
    let name = screen.title.split('@').next().unwrap_or_default().replace(' ', "");
    let row = sizes.row + 6.0;
    canvas.rounded((8.0, top + 8.0, column - 16.0, row), 6.0, PALE);
    let middle = top + 8.0 + row / 2.0;
    let ink = if is_in { GREEN } else { SOFT };
    handset(28.0, middle, 10.0, ink, canvas);
    if !is_in {
        canvas.disc(37.0, middle + 7.0, 5.0, WHITE);
        canvas.disc(37.0, middle + 7.0, 4.0, RED);
    }
    let label = style(sizes.text, Weight::Medium, INK);
    canvas.text(48.0, middle + sizes.text * 0.36, &cut(&name, label, column - 62.0), label);
    let x = column + sizes.pad;
    let room = width - x - sizes.pad;
    let mut y = top + sizes.pad + sizes.text;
    let title = style(sizes.text * 1.1, Weight::Medium, INK);
    canvas.text(x, y, &cut(&screen.title, title, room), title);
    y += sizes.text * 1.6;
    if screen.lines.is_empty() {
        let look = style(sizes.text * 0.9, Weight::Regular, SOFT);
        canvas.text(x, y, if is_in { "Available" } else { "Not signed in" }, look);
        return;
    }
    lines(&screen.lines, x, y, room, bottom, sizes, canvas);
}

fn locked(screen: &Screen, (top, bottom): (f32, f32), sizes: &Sizes, canvas: &mut Canvas) {
    let width = canvas.width();
    canvas.gradient(0.0, top, width, bottom - top, PALE, WHITE);
    let (middle, y) = (width / 2.0, top + (bottom - top) * 0.36);
    let u = sizes.text * 0.16;
    canvas.ring(middle, y - 4.0 * u, 6.0 * u, 2.2 * u, DEEP);
    canvas.rounded((middle - 9.0 * u, y - 2.0 * u, 18.0 * u, 14.0 * u), 2.0 * u, DEEP);
    canvas.disc(middle, y + 4.0 * u, 2.0 * u, WHITE);
    canvas.text_middle(
        middle,
        y + 12.0 * u + sizes.text * 1.9,
        &screen.title,
        style(sizes.text * 1.3, Weight::Medium, INK),
    );
    let mut y = y + 12.0 * u + sizes.text * 3.4;
    for line in &screen.lines {
        canvas.text_middle(middle, y, line.text(), style(sizes.text, Weight::Regular, SOFT));
        y += sizes.text * 1.4;
    }
}

/// Every other screen: a heading, text, fields, rows and tiles.
fn page(
    screen: &Screen,
    (top, bottom): (f32, f32),
    sizes: &Sizes,
    canvas: &mut Canvas,
    regions: &mut Vec<Region>,
) {
    let width = canvas.width();
    let room = width - 2.0 * sizes.pad;
    let mut y = top;
    if !screen.title.is_empty() {
        let high = sizes.text * 1.9;
        canvas.rect(0.0, y, width, high, PALE);
        canvas.rect(0.0, y + high - 1.0, width, 1.0, EDGE);
        let look = style(sizes.text * 1.08, Weight::Medium, DEEP);
        let mut x = sizes.pad;
        if screen.offers("Back") {
            let middle = y + high / 2.0;
            canvas.line(&[(x + 6.0, middle - 5.5), (x + 0.5, middle), (x + 6.0, middle + 5.5)], 2.0, DEEP);
            x += 16.0;
        }
        let title = cut(&screen.title, look, width - x - sizes.pad);
        canvas.text(x, y + high / 2.0 + look.size * 0.36, &title, look);
        y += high;
    }
    let has_tiles = screen.offers.iter().any(|offer| offer.place == Place::Tile);
    if has_tiles {
        canvas.rect(0.0, y, width, bottom - y, (243, 248, 253));
    }
    y += sizes.text * 1.45;
    y = lines(&screen.lines, sizes.pad, y, room, bottom, sizes, canvas);
    if !screen.fields.is_empty() {
        fields(screen, y - sizes.text, bottom, sizes, canvas, regions);
    }
    rows(screen, y - sizes.text * 1.3, bottom, sizes, canvas, regions);
    if has_tiles {
        tiles(screen, y - sizes.text, bottom, sizes, canvas, regions);
    }
}

/// Lines of text from the baseline `y` on; the baseline behind them.
fn lines(
    lines: &[Line],
    x: f32,
    mut y: f32,
    room: f32,
    bottom: f32,
    sizes: &Sizes,
    canvas: &mut Canvas,
) -> f32 {
    let step = sizes.text * 1.32;
    for line in lines {
        let left = ((bottom - y) / step).floor().max(0.0) as usize + 1;
        match line {
            Line::Text(text) | Line::Timer(text) => {
                let look = style(sizes.text, Weight::Regular, INK);
                for row in wrap(text, look, room, left) {
                    canvas.text(x, y, &row, look);
                    y += step;
                }
            }
            Line::Code(code) => {
                let look = fitted(code, style(sizes.text * 2.5, Weight::Bold, DEEP), room);
                let high = look.size * 1.5;
                canvas.rounded((x, y - sizes.text * 0.6, room, high), 8.0, PALE);
                canvas.outline((x, y - sizes.text * 0.6, room, high), 8.0, 1.0, EDGE);
                let base = y - sizes.text * 0.6 + high / 2.0 + look.size * 0.36;
                spaced(x + room / 2.0, base, code, look, room, canvas);
                y += high + step * 0.4;
            }
            Line::Progress(text) => {
                let look = style(sizes.text, Weight::Regular, INK);
                let (cx, cy) = (x + 8.0, y - sizes.text * 0.34);
                wheel(cx, cy, 7.0, canvas);
                for row in wrap(text, look, room - 26.0, left) {
                    canvas.text(x + 26.0, y, &row, look);
                    y += step;
                }
            }
            Line::Error(text) => {
                let look = style(sizes.text, Weight::Medium, RED);
                triangle(x + 8.0, y - sizes.text * 0.36, 9.0, RED, WHITE, canvas);
                for row in wrap(text, look, room - 26.0, left) {
                    canvas.text(x + 26.0, y, &row, look);
                    y += step;
                }
            }
        }
    }
    y
}

/// A code with room between its letters, so that nobody mistakes them.
fn spaced(middle: f32, y: f32, code: &str, look: Style, room: f32, canvas: &mut Canvas) {
    let count = code.chars().count().max(1) as f32;
    let plain = measure(code, look);
    let gap = ((room * 0.86 - plain) / count).clamp(0.0, look.size * 0.22);
    let mut x = middle - (plain + gap * (count - 1.0)) / 2.0;
    for c in code.chars() {
        x += canvas.text(x, y, c.encode_utf8(&mut [0; 4]), look) + gap;
    }
}

fn fields(
    screen: &Screen,
    top: f32,
    bottom: f32,
    sizes: &Sizes,
    canvas: &mut Canvas,
    regions: &mut Vec<Region>,
) {
    let width = canvas.width();
    let row = sizes.row + 1.0;
    let fitting = ((bottom - top) / row).floor().max(1.0) as usize;
    let current = screen.fields.iter().position(|field| field.is_current).unwrap_or(0);
    let first = (current + 1).saturating_sub(fitting);
    let split = width * 0.36;
    for (n, field) in screen.fields.iter().skip(first).take(fitting).enumerate() {
        let y = top + row * n as f32;
        let label = style(sizes.text * 0.92, Weight::Regular, SOFT);
        let base = y + row / 2.0 + sizes.text * 0.34;
        canvas.text(sizes.pad, base, &cut(&field.label, label, split - sizes.pad - 6.0), label);
        let frame = (split, y + 3.0, width - split - sizes.pad, row - 6.0);
        canvas.rounded(frame, 4.0, if field.is_current { WHITE } else { (247, 249, 251) });
        let (line, ink) = if field.is_current { (2.0, BLUE) } else { (1.0, EDGE) };
        canvas.outline(frame, 4.0, line, ink);
        let look = style(sizes.text, Weight::Regular, INK);
        let shown = field.shown();
        // The end of what is typed stays in sight.
        let mut text: Vec<char> = shown.chars().collect();
        let room = frame.2 - 18.0;
        while measure(&text.iter().collect::<String>(), look) > room && !text.is_empty() {
            text.remove(0);
        }
        let end = split + 8.0 + canvas.text(split + 8.0, base, &text.iter().collect::<String>(), look);
        if field.is_current {
            canvas.rect(end + 1.5, y + 8.0, 1.5, row - 16.0, BLUE);
        }
        regions.push(Region { x: 0.0, y, width, height: row, label: field.id.to_owned() });
    }
}

fn rows(
    screen: &Screen,
    top: f32,
    bottom: f32,
    sizes: &Sizes,
    canvas: &mut Canvas,
    regions: &mut Vec<Region>,
) {
    let width = canvas.width();
    let items: Vec<&Offer> = screen.offers.iter().filter(|offer| offer.place == Place::Item).collect();
    let fitting = ((bottom - top) / sizes.row).floor().max(0.0) as usize;
    for (n, item) in items.iter().take(fitting).enumerate() {
        let y = top + sizes.row * n as f32;
        let middle = y + sizes.row / 2.0;
        if n == 0 {
            canvas.rect(0.0, y, width, sizes.row, PALE);
        }
        canvas.rect(0.0, y + sizes.row - 1.0, width, 1.0, (228, 235, 242));
        let number = style(sizes.text * 0.86, Weight::Regular, SOFT);
        canvas.text(sizes.pad, middle + sizes.text * 0.34, &(n + 1).to_string(), number);
        let look = style(sizes.text, Weight::Regular, INK);
        let room = width - sizes.pad * 2.0 - 40.0;
        canvas.text(sizes.pad + 22.0, middle + sizes.text * 0.36, &cut(&item.label, look, room), look);
        let x = width - sizes.pad - 6.0;
        canvas.line(&[(x - 5.0, middle - 5.0), (x, middle), (x - 5.0, middle + 5.0)], 1.8, SOFT);
        regions.push(Region { x: 0.0, y, width, height: sizes.row, label: item.label.clone() });
    }
}

fn tiles(
    screen: &Screen,
    top: f32,
    bottom: f32,
    sizes: &Sizes,
    canvas: &mut Canvas,
    regions: &mut Vec<Region>,
) {
    let width = canvas.width();
    let tiles: Vec<&Offer> = screen.offers.iter().filter(|offer| offer.place == Place::Tile).collect();
    let each = (width - sizes.pad) / tiles.len().max(1) as f32;
    let label = style(sizes.text * 0.9, Weight::Medium, INK);
    let radius = (each * 0.4).min((bottom - top - sizes.text * 2.0) * 0.44).clamp(14.0, 40.0);
    let middle = top + (bottom - top - sizes.text * 1.4) / 2.0;
    for (n, tile) in tiles.iter().enumerate() {
        let x = sizes.pad / 2.0 + each * (n as f32 + 0.5);
        canvas.disc(x, middle + 1.5, radius, (205, 219, 233));
        canvas.disc(x, middle, radius, BLUE);
        canvas.ring(x, middle, radius - 2.0, 1.4, (130, 180, 226));
        picture(&tile.label, x, middle, radius * 0.5, canvas);
        let look = fitted(&tile.label, label, each - 4.0);
        canvas.text_middle(x, middle + radius + sizes.text * 1.25, &cut(&tile.label, look, each), look);
        let (y, height) = (middle - radius, 2.0 * radius + sizes.text * 1.6);
        let height = height.min(bottom - y);
        regions.push(Region { x: x - each / 2.0, y, width: each, height, label: tile.label.clone() });
    }
}

/// What a tile shows, for the tiles that there are.
fn picture(label: &str, x: f32, y: f32, u: f32, canvas: &mut Canvas) {
    match label {
        "User ID" => {
            canvas.disc(x, y - u * 0.42, u * 0.42, WHITE);
            canvas.rounded((x - u * 0.75, y + u * 0.14, u * 1.5, u * 0.76), u * 0.38, WHITE);
        }
        "PIN" => {
            for n in 0_u8..9 {
                let (column, row) = (f32::from(n % 3) - 1.0, f32::from(n / 3) - 1.0);
                canvas.disc(x + column * u * 0.6, y + row * u * 0.6, u * 0.19, WHITE);
            }
        }
        "via PC" => {
            canvas.rounded((x - u * 0.95, y - u * 0.75, u * 1.9, u * 1.2), u * 0.14, WHITE);
            canvas.rect(x - u * 0.78, y - u * 0.58, u * 1.56, u * 0.84, BLUE);
            canvas.rect(x - u * 0.14, y + u * 0.45, u * 0.28, u * 0.28, WHITE);
            canvas.rounded((x - u * 0.55, y + u * 0.68, u * 1.1, u * 0.2), u * 0.1, WHITE);
        }
        _ => {
            let line = u * 0.15;
            canvas.ring(x, y, u * 0.88, line, WHITE);
            canvas.line(&[(x - u * 0.86, y), (x + u * 0.86, y)], line, WHITE);
            canvas.line(&[(x, y - u * 0.86), (x, y + u * 0.86)], line, WHITE);
            for side in [-1.0, 1.0] {
                let arc: Vec<(f32, f32)> = (-8_i8..=8)
                    .map(|n| {
                        let t = f32::from(n) / 8.0;
                        (x + side * u * 0.44 * (1.0 - t * t).sqrt(), y + t * u * 0.86)
                    })
                    .collect();
                canvas.line(&arc, line * 0.9, WHITE);
            }
        }
    }
}

/// The receiver of a telephone around a place.
fn handset(x: f32, y: f32, u: f32, ink: Ink, canvas: &mut Canvas) {
    let arc: Vec<(f32, f32)> = (0_u8..=12)
        .map(|n| {
            let t = f32::from(n) / 12.0;
            // From the ear piece at the upper left to the mouthpiece at the lower right, bent outward.
            let (px, py) = (-0.62 + 1.24 * t, -0.62 + 1.24 * t);
            let bend = 0.5 * (1.0 - (2.0 * t - 1.0) * (2.0 * t - 1.0));
            (x + u * (px - bend * 0.7), y + u * (py + bend * 0.7))
        })
        .collect();
    canvas.line(&arc, u * 0.42, ink);
    canvas.line(&[(x - u * 0.72, y - u * 0.66), (x - u * 0.36, y - u * 0.42)], u * 0.62, ink);
    canvas.line(&[(x + u * 0.42, y + u * 0.36), (x + u * 0.66, y + u * 0.72)], u * 0.62, ink);
}

fn triangle(x: f32, y: f32, u: f32, ink: Ink, mark: Ink, canvas: &mut Canvas) {
    let points = [(x, y - u * 0.86), (x + u, y + u * 0.8), (x - u, y + u * 0.8)];
    canvas.shape(&points, ink);
    canvas.line(&[points[0], points[1], points[2], points[0]], u * 0.22, ink);
    canvas.line(&[(x, y - u * 0.28), (x, y + u * 0.22)], u * 0.24, mark);
    canvas.disc(x, y + u * 0.54, u * 0.15, mark);
}

/// Something turns.
fn wheel(x: f32, y: f32, radius: f32, canvas: &mut Canvas) {
    for n in 0_u8..8 {
        let angle = f32::from(n) * std::f32::consts::FRAC_PI_4;
        let fade = 60 + n * 22;
        let ink = (fade.min(214), (fade / 2 + 112).min(224), (fade / 4 + 176).min(240));
        canvas.disc(x + radius * angle.sin(), y - radius * angle.cos(), 1.9, ink);
    }
}
