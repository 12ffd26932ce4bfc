//! Claims about calls: how one stands, who is at the other end, and how it sounds.

use net::World;
use vvx::call::{CallState, CallView};

use super::Captured;
use crate::actor::Actor;
use crate::cast::Cast;
use crate::language::{CallIs, ExpectCall};

/// What is wrong with a claim about a call, if anything.
pub(super) fn judge<W: World<Actor>>(
    cast: &Cast<W>,
    claim: &ExpectCall,
    captured: &Captured,
) -> Option<String> {
    let calls = cast.calls(claim.phone.as_str());
    let live = || calls.iter().filter(|call| call.state != CallState::Disconnected);
    if claim.is == Some(CallIs::Idle) {
        return live().next().map(|call| format!("is {}", told(call)));
    }
    let wants_ended = claim.is == Some(CallIs::Ended) || claim.because.is_some();
    let meant: Vec<&CallView> = if wants_ended { calls.iter().collect() } else { live().collect() };
    let wrongs: Vec<Option<String>> = meant.iter().map(|call| lacks(cast, call, claim, captured)).collect();
    let count = wrongs.iter().filter(|wrong| wrong.is_none()).count();
    match claim.count {
        Some(wanted) if count == wanted as usize => None,
        Some(_) => Some(format!("has {count} such calls")),
        None if count > 0 => None,
        None => match wrongs.into_iter().flatten().next() {
            Some(wrong) => Some(wrong),
            None => Some("has no call".to_owned()),
        },
    }
}

/// What of a claim a call does not fulfil.
fn lacks<W: World<Actor>>(
    cast: &Cast<W>,
    call: &CallView,
    claim: &ExpectCall,
    captured: &Captured,
) -> Option<String> {
    if claim.is.is_some_and(|is| is != stands(call.state)) {
        return Some(format!("is {}", told(call)));
    }
    if let Some(with) = &claim.with {
        let with = with.fill(captured).ok()?;
        if !cast.is_party(&call.remote, &with) {
            return Some(format!("is {}", told(call)));
        }
    }
    if let Some(hears) = &claim.hears {
        let hears = hears.fill(captured).ok()?;
        let heard = call.media.heard_hz.map(|hz| cast.speaker(hz).unwrap_or_else(|| format!("{hz} Hz")));
        let is_so = match heard.as_deref() {
            None => hears == "nobody",
            Some(heard) => heard == hears,
        };
        if !is_so {
            return Some(format!("hears {}", heard.as_deref().unwrap_or("nobody")));
        }
    }
    if let Some(digits) = &claim.digits {
        let digits = digits.fill(captured).ok()?;
        if call.media.digits != digits {
            return Some(format!("got the digits “{}”", call.media.digits));
        }
    }
    if let Some(because) = &claim.because {
        let because = because.fill(captured).ok()?;
        if !call.ended.to_lowercase().contains(&because.to_lowercase()) {
            return Some(format!("is {}", told(call)));
        }
    }
    let loss = call.media.loss();
    let is_loss_wrong = claim.loss_at_least.is_some_and(|least| loss < least.0)
        || claim.loss_at_most.is_some_and(|most| loss > most.0);
    if is_loss_wrong {
        return Some(format!("lost {:.1}% of {}", loss * 100.0, call.media.received + call.media.lost));
    }
    let jitter = call.media.jitter;
    let is_jitter_wrong = claim.jitter_at_least.is_some_and(|least| jitter < least)
        || claim.jitter_at_most.is_some_and(|most| jitter > most);
    is_jitter_wrong.then(|| format!("has a jitter of {:.1}ms", jitter.as_secs_f64() * 1000.0))
}

fn stands(state: CallState) -> CallIs {
    match state {
        CallState::Dialtone | CallState::Setup => CallIs::Setup,
        CallState::RingBack => CallIs::RingBack,
        CallState::Offering => CallIs::Ringing,
        CallState::Connected => CallIs::Connected,
        CallState::CallHold => CallIs::Holding,
        CallState::CallHeld => CallIs::Held,
        CallState::Disconnected => CallIs::Ended,
    }
}

/// A call in a few words.
fn told(call: &CallView) -> String {
    let because = if call.ended.is_empty() { String::new() } else { format!(" ({})", call.ended) };
    format!("`{}` with {}{because}", call.state.story_name(), call.remote.number())
}

/// What a claim wishes, as a sentence goes on after "should".
pub(super) fn wish(claim: &ExpectCall) -> String {
    let mut wishes = Vec::new();
    match claim.is {
        Some(CallIs::Idle) => wishes.push("have no call".to_owned()),
        Some(is) => wishes.push(format!("have a call that is `{}`", is.word())),
        None => {}
    }
    wishes.extend(claim.with.as_ref().map(|with| format!("be in a call with {with}")));
    wishes.extend(claim.hears.as_ref().map(|hears| format!("hear {hears}")));
    wishes.extend(claim.digits.as_ref().map(|digits| format!("get the digits “{digits}”")));
    wishes.extend(claim.because.as_ref().map(|because| format!("say “{because}”")));
    let percent = |share: crate::yaml::Share| format!("{}%", share.0 * 100.0);
    wishes.extend(claim.loss_at_least.map(|share| format!("lose {} or more", percent(share))));
    wishes.extend(claim.loss_at_most.map(|share| format!("lose {} or less", percent(share))));
    wishes.extend(claim.jitter_at_least.map(|span| format!("have a jitter of {span:?} or more")));
    wishes.extend(claim.jitter_at_most.map(|span| format!("have a jitter of {span:?} or less")));
    wishes.extend(claim.count.map(|count| format!("have {count} such calls")));
    wishes.join(" and ")
}
