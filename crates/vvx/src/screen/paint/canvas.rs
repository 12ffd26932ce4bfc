//! A canvas in the device's pixels: shapes and text, enlarged evenly.

use std::sync::LazyLock;

use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LinearGradient, Paint, Path, PathBuilder, Pixmap, Point, Rect,
    SpreadMode, Stroke, Transform,
};
use ttf_parser::{Face, OutlineBuilder};

use super::Picture;

/// A colour: red, green, blue.
pub type Ink = (u8, u8, u8);

/// How heavy letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Plain.
    Regular,
    /// A little heavier, for labels.
    Medium,
    /// For headings and codes.
    Bold,
}

static FACES: LazyLock<[Face<'static>; 3]> = LazyLock::new(|| {
    let face = |bytes: &'static [u8]| Face::parse(bytes, 0).expect("the embedded fonts are well formed");
    [
        face(include_bytes!("../../../fonts/Roboto-Regular.ttf")),
        face(include_bytes!("../../../fonts/Roboto-Medium.ttf")),
        face(include_bytes!("../../../fonts/Roboto-Bold.ttf")),
    ]
});

fn face(weight: Weight) -> &'static Face<'static> {
    match weight {
        Weight::Regular => &FACES[0],
        Weight::Medium => &FACES[1],
        Weight::Bold => &FACES[2],
    }
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The height of the em, in pixels of the device.
    pub size: f32,
    /// How heavy.
    pub weight: Weight,
    /// The colour.
    pub ink: Ink,
}

/// A style.
pub const fn style(size: f32, weight: Weight, ink: Ink) -> Style {
    Style { size, weight, ink }
}

/// What is drawn on.
pub struct Canvas {
    map: Pixmap,
    scale: f32,
    width: f32,
    height: f32,
}

fn colour(ink: Ink) -> Color {
    Color::from_rgba8(ink.0, ink.1, ink.2, 255)
}

fn solid(ink: Ink) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(colour(ink));
    paint.anti_alias = true;
    paint
}

impl Canvas {
    /// A black canvas of that many of the device's pixels.
    pub fn new(width: u16, height: u16, scale: u32) -> Canvas {
        let size = |pixels: u16| u32::from(pixels.max(1)) * scale;
        let mut map = Pixmap::new(size(width), size(height)).expect("a display has a size");
        map.fill(Color::BLACK);
        Canvas { map, scale: scale as f32, width: f32::from(width), height: f32::from(height) }
    }

    /// Across, in the device's pixels.
    pub fn width(&self) -> f32 {
        self.width
    }

    /// Down, in the device's pixels.
    pub fn height(&self) -> f32 {
        self.height
    }

    /// The finished picture.
    pub fn finish(self) -> Picture {
        Picture { width: self.map.width(), height: self.map.height(), pixels: self.map.take() }
    }

    fn transform(&self) -> Transform {
        Transform::from_scale(self.scale, self.scale)
    }

    fn fill(&mut self, path: Option<Path>, paint: &Paint<'_>) {
        let transform = self.transform();
        if let Some(path) = path {
            self.map.fill_path(&path, paint, FillRule::Winding, transform, None);
        }
    }

    /// A filled rectangle.
    pub fn rect(&mut self, x: f32, y: f32, width: f32, height: f32, ink: Ink) {
        let path = Rect::from_xywh(x, y, width, height).map(PathBuilder::from_rect);
        self.fill(path, &solid(ink));
    }

    /// A filled rectangle that goes from one colour at the top to another at the bottom.
    pub fn gradient(&mut self, x: f32, y: f32, width: f32, height: f32, from: Ink, to: Ink) {
        let stops = vec![GradientStop::new(0.0, colour(from)), GradientStop::new(1.0, colour(to))];
        let (start, end) = (Point::from_xy(0.0, y), Point::from_xy(0.0, y + height));
        let shader = LinearGradient::new(start, end, stops, SpreadMode::Pad, Transform::identity());
        let Some(shader) = shader else { return self.rect(x, y, width, height, from) };
        let paint = Paint { shader, ..Paint::default() };
        let path = Rect::from_xywh(x, y, width, height).map(PathBuilder::from_rect);
        self.fill(path, &paint);
    }

    /// A filled rectangle with round corners.
    pub fn rounded(&mut self, (x, y, width, height): (f32, f32, f32, f32), radius: f32, ink: Ink) {
        self.fill(rounded(x, y, width, height, radius), &solid(ink));
    }

    /// The outline of a rectangle with round corners.
    pub fn outline(&mut self, (x, y, width, height): (f32, f32, f32, f32), radius: f32, line: f32, ink: Ink) {
        self.stroke(rounded(x, y, width, height, radius), line, ink);
    }

    /// A disc.
    pub fn disc(&mut self, x: f32, y: f32, radius: f32, ink: Ink) {
        self.fill(PathBuilder::from_circle(x, y, radius), &solid(ink));
    }

    /// A ring.
    pub fn ring(&mut self, x: f32, y: f32, radius: f32, line: f32, ink: Ink) {
        self.stroke(PathBuilder::from_circle(x, y, radius), line, ink);
    }

    /// A filled shape between points.
    pub fn shape(&mut self, points: &[(f32, f32)], ink: Ink) {
        self.fill(polygon(points, true), &solid(ink));
    }

    /// A line through points.
    pub fn line(&mut self, points: &[(f32, f32)], width: f32, ink: Ink) {
        self.stroke(polygon(points, false), width, ink);
    }

    fn stroke(&mut self, path: Option<Path>, width: f32, ink: Ink) {
        let stroke = Stroke {
            width,
            line_cap: LineCap::Round,
            line_join: tiny_skia::LineJoin::Round,
            ..Stroke::default()
        };
        let transform = self.transform();
        if let Some(path) = path {
            self.map.stroke_path(&path, &solid(ink), &stroke, transform, None);
        }
    }

    /// Text whose baseline begins at `x`, `y`; how far it went.
    pub fn text(&mut self, x: f32, y: f32, text: &str, style: Style) -> f32 {
        let face = face(style.weight);
        let scale = style.size / f32::from(face.units_per_em());
        let mut pen = Pen { builder: PathBuilder::new(), x, y, scale };
        for c in text.chars() {
            let Some(glyph) = face.glyph_index(c).or_else(|| face.glyph_index('?')) else { continue };
            face.outline_glyph(glyph, &mut pen);
            pen.x += f32::from(face.glyph_hor_advance(glyph).unwrap_or(0)) * scale;
        }
        let end = pen.x;
        self.fill(pen.builder.finish(), &solid(style.ink));
        end - x
    }

    /// Text that ends at `right`.
    pub fn text_right(&mut self, right: f32, y: f32, text: &str, style: Style) {
        self.text(right - measure(text, style), y, text, style);
    }

    /// Text around `middle`.
    pub fn text_middle(&mut self, middle: f32, y: f32, text: &str, style: Style) {
        self.text(middle - measure(text, style) / 2.0, y, text, style);
    }
}

/// How wide a text is.
pub fn measure(text: &str, style: Style) -> f32 {
    let face = face(style.weight);
    let scale = style.size / f32::from(face.units_per_em());
    let advance = |c| {
        let glyph = face.glyph_index(c).or_else(|| face.glyph_index('?'))?;
        face.glyph_hor_advance(glyph)
    };
    text.chars().filter_map(advance).map(|advance| f32::from(advance) * scale).sum()
}

/// The text, cut short with an ellipsis if it is wider than `width`.
pub fn cut(text: &str, style: Style, width: f32) -> String {
    if measure(text, style) <= width {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while !kept.is_empty() {
        kept.pop();
        let short: String = kept.iter().collect::<String>().trim_end().to_owned() + "…";
        if measure(&short, style) <= width {
            return short;
        }
    }
    String::new()
}

/// The text in rows of at most `width`, broken between words where that is possible; the last of `most` rows is cut.
pub fn wrap(text: &str, style: Style, width: f32, most: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    let mut row = String::new();
    for word in text.split_whitespace() {
        let longer = if row.is_empty() { word.to_owned() } else { format!("{row} {word}") };
        if measure(&longer, style) <= width {
            row = longer;
            continue;
        }
        if !row.is_empty() {
            rows.push(std::mem::take(&mut row));
        }
        // A word that is too long by itself, an address most often, is broken anywhere.
        for c in word.chars() {
            row.push(c);
            if measure(&row, style) > width && row.chars().count() > 1 {
                row.pop();
                rows.push(std::mem::take(&mut row));
                row.push(c);
            }
        }
    }
    if !row.is_empty() {
        rows.push(row);
    }
    if rows.len() > most {
        rows.truncate(most);
        if let Some(last) = rows.last_mut() {
            *last = cut(&format!("{last} ……"), style, width);
        }
    }
    rows
}

fn rounded(x: f32, y: f32, width: f32, height: f32, radius: f32) -> Option<Path> {
    let r = radius.min(width / 2.0).min(height / 2.0);
    // The distance of the handles that make a cubic curve a quarter of a circle.
    let k = r * 0.447_715;
    let (right, bottom) = (x + width, y + height);
    let mut path = PathBuilder::new();
    path.move_to(x + r, y);
    path.line_to(right - r, y);
    path.cubic_to(right - k, y, right, y + k, right, y + r);
    path.line_to(right, bottom - r);
    path.cubic_to(right, bottom - k, right - k, bottom, right - r, bottom);
    path.line_to(x + r, bottom);
    path.cubic_to(x + k, bottom, x, bottom - k, x, bottom - r);
    path.line_to(x, y + r);
    path.cubic_to(x, y + k, x + k, y, x + r, y);
    path.close();
    path.finish()
}

fn polygon(points: &[(f32, f32)], is_closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    let (first, rest) = points.split_first()?;
    path.move_to(first.0, first.1);
    for (x, y) in rest {
        path.line_to(*x, *y);
    }
    if is_closed {
        path.close();
    }
    path.finish()
}

/// Turns a glyph's outline, which goes up, into a path, which goes down.
struct Pen {
    builder: PathBuilder,
    x: f32,
    y: f32,
    scale: f32,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, self.y - y * self.scale)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.builder.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.builder.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.builder.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.builder.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.builder.close();
    }
}
