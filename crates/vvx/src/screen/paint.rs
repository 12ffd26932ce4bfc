//! Screens as pictures, in the size and the colours of the model.
//!
//! The drawing is the lab's own. [`paint`] also says where everything that can be pressed is, so that a touch finds it.
//! It needs nothing of the machine it runs on: letters come from outlines in `fonts/`.

mod canvas;
mod colour;
mod mono;

use super::Screen;
use crate::model::{Colour, Model};

/// What one of the device's pixels may become at most, across and down.
pub const SCALE_MAX: u32 = 4;

/// A picture: four octets a pixel, red first, the last one always 255.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// The pixels, row by row from the top.
    pub pixels: Vec<u8>,
}

/// A place on the display that can be pressed, in the device's own pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// From the left.
    pub x: f32,
    /// From the top.
    pub y: f32,
    /// Across.
    pub width: f32,
    /// Down.
    pub height: f32,
    /// What is pressed there: the label of an offer, or the id of a field.
    pub label: String,
}

impl Region {
    /// Whether the place `x`, `y` is in it.
    pub fn has(&self, x: f32, y: f32) -> bool {
        x >= self.x && x < self.x + self.width && y >= self.y && y < self.y + self.height
    }
}

/// Draws a screen as `model` shows it. One pixel of the device becomes `scale` pixels across and down, 1 to 4.
pub fn paint(screen: &Screen, model: &Model, scale: u32) -> (Picture, Vec<Region>) {
    let scale = scale.clamp(1, SCALE_MAX);
    let mut canvas = canvas::Canvas::new(model.width, model.height, scale);
    let regions = match model.colour {
        Colour::Colour => colour::draw(screen, model, &mut canvas),
        Colour::Mono => mono::draw(screen, model, &mut canvas),
    };
    (canvas.finish(), regions)
}

/// What is pressed by a touch at that place.
pub fn touched(screen: &Screen, model: &Model, x: u16, y: u16) -> Option<String> {
    let (_, regions) = paint(screen, model, 1);
    let (x, y) = (f32::from(x), f32::from(y));
    regions.into_iter().rev().find(|region| region.has(x, y)).map(|region| region.label)
}

impl Picture {
    /// As a PNG file.
    pub fn png(&self) -> Vec<u8> {
        let size = tiny_skia::IntSize::from_wh(self.width, self.height);
        let map = size.and_then(|size| tiny_skia::Pixmap::from_vec(self.pixels.clone(), size));
        map.and_then(|map| map.encode_png().ok()).unwrap_or_default()
    }

    /// As a Windows bitmap: 24 bits a pixel, rows from the bottom, each filled up to four octets.
    pub fn bmp(&self) -> Vec<u8> {
        const HEAD: u32 = 54;
        let row = (self.width * 3).div_ceil(4) * 4;
        let size = HEAD + row * self.height;
        let mut file = Vec::with_capacity(size as usize);
        file.extend(b"BM");
        for word in [size, 0, HEAD, 40, self.width, self.height] {
            file.extend(word.to_le_bytes());
        }
        file.extend([1, 0, 24, 0]);
        for word in [0, row * self.height, 2835, 2835, 0, 0] {
            file.extend(word.to_le_bytes());
        }
        for line in self.pixels.chunks((self.width * 4) as usize).rev() {
            let before = file.len();
            for pixel in line.chunks(4) {
                file.extend([pixel[2], pixel[1], pixel[0]]);
            }
            file.resize(before + row as usize, 0);
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::{Field, Line, Place, StatusBar};

    fn bar() -> StatusBar {
        StatusBar {
            time: "11:35 AM".to_owned(),
            date: "Monday, September 26".to_owned(),
            warnings: vec!["No time server answers.".to_owned()],
        }
    }

    fn gallery() -> Vec<Screen> {
        let mut form = Screen::new("user-id", "User ID").soft_keys(&["Sign In", "Cancel"]);
        for (n, (label, value, is_secret)) in [
            ("Sign-in address", "alice@contoso.example", false),
            ("User", "alice@contoso.example", false),
            ("Password", "Tr4in-Lamp!", true),
            ("Domain", "", false),
        ]
        .into_iter()
        .enumerate()
        {
            let id = ["sign-in-address", "user", "password", "domain"][n];
            let (label, value) = (label.to_owned(), value.to_owned());
            form.fields.push(Field { id, label, value, is_secret, is_current: n == 2 });
        }
        let mut screens = vec![
            Screen::new("home", "alice@contoso.example").soft_keys(&[
                "My Status",
                "Contacts",
                "Sign Out",
                "Settings",
            ]),
            Screen::new("home", "VVX 600")
                .line(Line::Error("Sign-in failed: the password is wrong.".to_owned()))
                .soft_keys(&["Sign In", "Settings"]),
            Screen::new("sign-in", "Sign In")
                .text("Choose how to sign in.")
                .tiles(&["User ID", "PIN", "via PC", "Web Sign-in"])
                .soft_keys(&["Back"]),
            Screen::new("web-code", "Web Sign-in")
                .text("In a browser, open https://login.contoso.example/device and type this code:")
                .line(Line::Code("BXJK4PQ7Z".to_owned()))
                .soft_keys(&["Cancel"]),
            form,
            Screen::new("signing-in", "Signing in")
                .line(Line::Progress("Discovering the server…".to_owned()))
                .soft_keys(&["Cancel"]),
            Screen::new("settings", "Settings")
                .items(&["Basic", "Features", "Status", "Advanced"])
                .soft_keys(&["Back"]),
            Screen::new("locked", "The phone is locked").text("Authorized calls only").soft_keys(&["Unlock"]),
            Screen::new("status", "Status")
                .text("Model: VVX 600")
                .text("Software: 5.9.6.2327")
                .text("MAC: 0004f2a1b2c3")
                .text("Account: alice@contoso.example")
                .soft_keys(&["Back"]),
            Screen::new("message", "Notice").text("The canteen is closed today.").soft_keys(&["OK"]),
        ];
        screens.iter_mut().for_each(|screen| screen.status_bar = Some(bar()));
        screens.push(Screen::new("booting", "Starting").line(Line::Progress("Updating…".to_owned())));
        screens.push(Screen::new("off", ""));
        screens
    }

    #[test]
    fn every_screen_is_drawn_on_every_model_with_its_keys_in_reach() {
        for model in Model::all() {
            for screen in gallery() {
                let (picture, regions) = paint(&screen, model, 1);
                assert_eq!((picture.width, picture.height), (model.width.into(), model.height.into()));
                for region in &regions {
                    assert!(
                        region.x >= 0.0 && region.x + region.width <= f32::from(model.width) + 0.01,
                        "{region:?}"
                    );
                    assert!(
                        region.y >= 0.0 && region.y + region.height <= f32::from(model.height) + 0.01,
                        "{region:?}"
                    );
                }
                let soft = screen.offers.iter().filter(|offer| offer.place == Place::SoftKey);
                for offer in soft {
                    assert!(
                        regions.iter().any(|region| region.label == offer.label),
                        "{}: {}",
                        model.name,
                        offer.label
                    );
                }
            }
        }
    }

    #[test]
    fn a_touch_finds_what_is_drawn_there() {
        let model = Model::find("vvx600").expect("a model");
        for screen in gallery() {
            let (_, regions) = paint(&screen, model, 1);
            for region in &regions {
                let (x, y) = (region.x + region.width / 2.0, region.y + region.height / 2.0);
                assert_eq!(
                    touched(&screen, model, x as u16, y as u16).as_deref(),
                    Some(region.label.as_str())
                );
            }
        }
    }

    #[test]
    fn a_secret_is_drawn_as_dots_and_a_picture_is_a_file_of_its_kind() {
        let model = Model::find("vvx400").expect("a model");
        let screen = gallery().remove(4);
        let mut other = screen.clone();
        other.fields[2].value = "another-one".to_owned();
        assert_eq!(paint(&screen, model, 1).0, paint(&other, model, 1).0);
        let (picture, _) = paint(&screen, model, 2);
        assert!(picture.png().starts_with(b"\x89PNG\r\n\x1a\n"));
        let bmp = picture.bmp();
        assert_eq!(bmp.len(), 54 + 640 * 480 * 3);
        assert!(bmp.starts_with(b"BM"));
    }

    /// Pictures to look at: `GALLERY_DIR=… cargo test -p vvx gallery_to_look_at`.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "writes pictures for people, and only when told where")]
    fn gallery_to_look_at() {
        let Ok(folder) = std::env::var("GALLERY_DIR") else { return };
        for name in ["vvx600", "vvx400", "vvx300", "vvx201"] {
            let model = Model::find(name).expect("a model");
            for (n, screen) in gallery().iter().enumerate() {
                let (picture, _) = paint(screen, model, 2);
                std::fs::write(format!("{folder}/{name}-{n}-{}.png", screen.id), picture.png())
                    .expect("room");
            }
        }
    }
}
