//! `floor`: what the cryptography of one sign-in costs, measured in the run whose sign-ins it is held against.

use load::floor::{Floor, Handshakes};
use serde_json::json;

use super::Room;
use super::told::Told;

/// What the last stage of sign-ins came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignIns {
    /// CPU of one, phones, browsers and services together, in milliseconds.
    pub(super) cpu_ms: f64,
    /// TLS handshakes of one.
    pub(super) handshakes: Handshakes,
}

/// Measures it.
pub(super) fn measure(room: &mut Room) -> Result<Told, String> {
    let sign_ins =
        room.sign_ins.ok_or("`floor` comes after a stage of sign-ins, whose handshakes it counts")?;
    let mut told = room.told("floor", 0);
    let floor = Floor::measure(sign_ins.handshakes)?;
    let ms = |span: std::time::Duration| (span.as_secs_f64() * 1e6).round() / 1e3;
    for operation in &floor.0 {
        let each = format!("{:.2} × {:.4} ms", operation.count, ms(operation.each));
        told.note(operation.name, json!(each));
    }
    let total = ms(floor.total());
    told.note("cryptography of a sign-in, ms of CPU", json!(total));
    told.note("a sign-in, ms of CPU, everything", json!((sign_ins.cpu_ms * 1e3).round() / 1e3));
    told.note("share of the floor, %", json!((total / sign_ins.cpu_ms * 1000.0).round() / 10.0));
    told.end(room);
    Ok(told)
}
