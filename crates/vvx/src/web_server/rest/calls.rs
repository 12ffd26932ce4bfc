//! Calls over REST: what they are, and what is done to them.

use serde_json::{Value, json};

use super::super::form::Form;
use super::{Outcome, Status, text_of};
use crate::call::{CallError, CallRef, CallState, CallView, Reject, TransferTo};
use crate::model::Feature;
use crate::phone::serving::Desk;

/// What can be done.
pub const VERBS: &[&str] = &[
    "dial",
    "endCall",
    "mute",
    "sendDTMF",
    "holdCall",
    "resumeCall",
    "answerCall",
    "rejectCall",
    "ignoreCall",
    "transferCall",
];

/// The line that calls are made on unless another is named.
const FIRST_LINE: u32 = 1;

fn status_of(why: &CallError) -> Status {
    match why {
        CallError::NotRunning | CallError::NoDigits => Status::Failed,
        CallError::NotRegistered => Status::NotRegistered,
        CallError::NoLine(_) => Status::NoLine,
        CallError::NoCall => Status::NoCall,
        CallError::NotNow { .. } | CallError::Locked(_) => Status::NotAllowed,
        CallError::NotDialable(_) | CallError::NotDigits(_) => Status::InvalidInput,
        CallError::TooMany(_) => Status::Busy,
    }
}

/// Does one of [`VERBS`].
pub fn act(verb: &str, data: &Value, desk: &mut Desk<'_>) -> Outcome {
    let done = match verb {
        "dial" => {
            let to = text_of(data, "Dest").ok_or(Status::InvalidInput)?;
            let line = match text_of(data, "Line") {
                Some(line) => line.parse().map_err(|_| Status::InvalidInput)?,
                None => FIRST_LINE,
            };
            let kind = text_of(data, "Type").unwrap_or_else(|| "SIP".to_owned());
            match kind.to_ascii_uppercase().as_str() {
                "TEL" | "SIP" => {}
                "H323" => return Err(Status::NotSupported),
                _ => return Err(Status::InvalidInput),
            }
            desk.dial(line, &to)
        }
        "mute" => {
            let is_on = match text_of(data, "state").or_else(|| text_of(data, "State")).as_deref() {
                Some("1") => true,
                Some("0") => false,
                _ => return Err(Status::InvalidInput),
            };
            desk.mute(is_on)
        }
        "sendDTMF" => desk.send_digits(&text_of(data, "Digits").ok_or(Status::InvalidInput)?),
        _ => {
            let call = call(verb, data, desk)?;
            match verb {
                "endCall" => desk.hang_up(call),
                "holdCall" => desk.hold(call),
                "resumeCall" => desk.resume(call),
                "answerCall" => desk.answer(call),
                "rejectCall" => desk.reject(call, Reject::Decline),
                "ignoreCall" => desk.ignore(call),
                "transferCall" => {
                    let to = text_of(data, "TransferDest").ok_or(Status::InvalidInput)?;
                    desk.transfer(call, &TransferTo::Address(to))
                }
                _ => return Err(Status::NotSupported),
            }
        }
    };
    done.map(|()| Value::Null).map_err(|why| status_of(&why))
}

/// The call that is meant: the one that `Ref` names, else the one that the verb fits.
fn call(verb: &str, data: &Value, desk: &Desk<'_>) -> Result<CallRef, Status> {
    if let Some(text) = text_of(data, "Ref") {
        let named = CallRef::parse(&text).ok_or(Status::InvalidInput)?;
        let is_one = desk.calls().iter().any(|call| call.reference == named);
        return is_one.then_some(named).ok_or(Status::NoCall);
    }
    let fits = |call: &CallView| match verb {
        "answerCall" | "rejectCall" | "ignoreCall" => call.state == CallState::Offering,
        "resumeCall" => call.state == CallState::CallHold,
        "holdCall" => matches!(call.state, CallState::Connected | CallState::CallHeld),
        _ => call.state != CallState::Disconnected,
    };
    let mut calls = desk.calls();
    calls.sort_by_key(|call| !call.is_in_focus);
    calls.into_iter().find(fits).map(|call| call.reference).ok_or(Status::NoCall)
}

/// `callStatus`: version 1 has the call in focus, version 2 all of them.
pub fn status(is_second: bool, query: &Form, desk: &Desk<'_>) -> Outcome {
    let mut calls = desk.calls();
    if !is_second {
        calls.sort_by_key(|call| !call.is_in_focus);
        let has_objects =
            desk.firmware().has(Feature::RestObjects) && !desk.firmware().has(Feature::RestSecond);
        return Ok(calls.first().map_or(json!({}), |call| first(call, has_objects)));
    }
    if let Some(handle) = query.get("handle") {
        let handle = CallRef::parse(handle).ok_or(Status::InvalidInput)?;
        calls.retain(|call| call.reference == handle);
    }
    if let Some(line) = query.get("line") {
        let line: u32 = line.parse().map_err(|_| Status::InvalidInput)?;
        calls.retain(|call| call.line == line);
    }
    if let Some(sequence) = query.get("sequence") {
        let sequence: u32 = sequence.parse().map_err(|_| Status::InvalidInput)?;
        calls.retain(|call| call.appearance == sequence);
    }
    Ok(Value::Array(calls.iter().map(|call| second(call, desk)).collect()))
}

fn shared(call: &CallView) -> Value {
    json!({
        "CallHandle": call.reference.to_string(),
        "Type": call.direction.name(),
        "Protocol": "SIP",
        "LineID": call.line.to_string(),
        "RemotePartyName": call.remote.shown(),
        "RemotePartyNumber": call.remote.address,
    })
}

/// The words of version 2 differ from the polling document's where a call is held.
fn word(state: CallState) -> &'static str {
    match state {
        CallState::CallHold | CallState::CallHeld => "Hold",
        other => other.name(),
    }
}

fn first(call: &CallView, has_objects: bool) -> Value {
    let mut shown = shared(call);
    shown["CallState"] = json!(call.state.name());
    let seconds = call.duration.as_secs().to_string();
    if has_objects {
        add_objects(&mut shown, call);
    } else {
        shown["DurationInSeconds"] = json!(seconds);
    }
    shown
}

fn second(call: &CallView, desk: &Desk<'_>) -> Value {
    let mut shown = shared(call);
    shown["CallState"] = json!(word(call.state));
    shown["StartTime"] = json!(desk.local_time(call.started));
    shown["CallSequence"] = json!(call.appearance.to_string());
    add_objects(&mut shown, call);
    shown
}

fn add_objects(shown: &mut Value, call: &CallView) {
    let flag = |is: bool| if is { "1" } else { "0" };
    shown["DurationSeconds"] = json!(call.duration.as_secs().to_string());
    shown["Ringing"] = json!(flag(call.is_ringing));
    shown["Muted"] = json!(flag(call.is_muted));
    shown["RTPPort"] = json!(call.media.port.to_string());
    shown["RTCPPort"] = json!(call.media.port.saturating_add(1).to_string());
    let mark = if call.is_in_focus { "*" } else { "" };
    shown["UIAppearanceIndex"] = json!(format!("{}{mark}", call.appearance));
}
