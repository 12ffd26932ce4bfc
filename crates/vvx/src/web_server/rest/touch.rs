//! Touches, keys and text over REST: as if a person did it.

use serde_json::Value;

use super::{Outcome, Status, text_of};
use crate::model::Feature;
use crate::phone::serving::Desk;

/// Positions of one touch.
const POSITIONS_LIMIT: usize = 2;
/// Characters of one text; the device's longest field has fewer.
const TEXT_LIMIT: usize = 255;

/// `simulateTouch`: a tap presses what is drawn at that place. A swipe needs `httpd.ta.enabled`, and nothing on the
/// screens that there are moves.
pub fn touch(data: &Value, desk: &mut Desk<'_>) -> Outcome {
    if !desk.firmware().has(Feature::RestTouch) || !desk.model().touch {
        return Err(Status::NotSupported);
    }
    let Some(Value::Array(positions)) = data.get("Positions") else { return Err(Status::InvalidInput) };
    if positions.len() > POSITIONS_LIMIT {
        return Err(Status::TooLarge);
    }
    let mut places = Vec::new();
    for position in positions {
        let read = |name: &str, most: u16| {
            let number: u16 = text_of(position, name)?.trim().parse().ok()?;
            (number < most).then_some(number)
        };
        let model = desk.model();
        let place = read("X", model.width).zip(read("Y", model.height));
        places.push(place.ok_or(Status::InvalidInput)?);
    }
    let kind = text_of(data, "Type").unwrap_or_default();
    match (kind.to_ascii_lowercase().as_str(), &places[..]) {
        ("tap", [(x, y)]) => {
            desk.tap(*x, *y);
            Ok(Value::Null)
        }
        ("swipe", [_, _]) if desk.config().is_on("httpd.ta.enabled") => Ok(Value::Null),
        ("swipe", [_, _]) => Err(Status::NotAllowed),
        _ => Err(Status::InvalidInput),
    }
}

/// `simulateKeyEvent`.
pub fn key(data: &Value, desk: &mut Desk<'_>) -> Outcome {
    if !desk.firmware().has(Feature::RestKeys) {
        return Err(Status::NotSupported);
    }
    let kind = text_of(data, "Type").unwrap_or_default();
    let name = text_of(data, "KeyName").ok_or(Status::InvalidInput)?;
    if !kind.eq_ignore_ascii_case("Tap") || !desk.is_key(&name) {
        return Err(Status::InvalidInput);
    }
    // A key that means nothing where the phone stands was pressed all the same.
    desk.press(&name);
    Ok(Value::Null)
}

/// `simulateTextInput`.
pub fn text(data: &Value, desk: &mut Desk<'_>) -> Outcome {
    if !desk.firmware().has(Feature::RestKeys) {
        return Err(Status::NotSupported);
    }
    let text = text_of(data, "Value").ok_or(Status::InvalidInput)?;
    if text.chars().count() > TEXT_LIMIT || text.chars().any(char::is_control) {
        return Err(Status::InvalidInput);
    }
    let replaces = text_of(data, "ReplaceText").is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
    if desk.type_text(&text, replaces) { Ok(Value::Null) } else { Err(Status::NotAllowed) }
}
