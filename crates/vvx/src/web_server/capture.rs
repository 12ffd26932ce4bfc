//! The display as a picture, for whoever is logged in.

use bytes::Bytes;
use net::http::{Response, StatusCode, header};

use super::answer::{answer, not_found};
use super::form::Form;
use crate::phone::serving::Desk;
use crate::screen::paint::{SCALE_MAX, paint};

/// Where it is.
pub const PATH: &str = "/captureScreen/mainScreen";

/// `GET /captureScreen/mainScreen`: a PNG, or a bitmap with `?format=bmp` or where only that is accepted; `scale` enlarges
/// it (both are the lab's own). Only while `up.screenCapture.enabled` allows it and `up.screenCapture.value`, which stands
/// for the switch on the phone's menu, is on.
pub fn look(query: &Form, accept: &str, desk: &Desk<'_>) -> Response<Bytes> {
    let config = desk.config();
    if !config.is_on("up.screenCapture.enabled") || !config.is_on("up.screenCapture.value") {
        return not_found();
    }
    let scale = query.text("scale").parse().unwrap_or(1).clamp(1, SCALE_MAX);
    let (picture, _) = paint(&desk.screen(), desk.model(), scale);
    let wants_bmp = query.text("format").eq_ignore_ascii_case("bmp")
        || (accept.contains("image/bmp") && !accept.contains("image/png") && !accept.contains("*/*"));
    let (kind, file) = match wants_bmp {
        true => ("image/bmp", picture.bmp()),
        false => ("image/png", picture.png()),
    };
    answer(StatusCode::OK, kind, file)
}

/// What the request accepts.
pub fn accepted(headers: &net::http::HeaderMap) -> &str {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*")
}
