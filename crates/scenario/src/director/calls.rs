//! Steps that act on calls: a phone's hands without its keys.

use net::World;
use vvx::call::{CallRef, CallState, TransferTo};
use vvx::phone::Phone;

use super::{Director, Failure, Wait};
use crate::actor::Actor;
use crate::language::{HowRejected, HowTransferred, Step, Text, Verb};
use crate::mistakes::Place;

impl<W: World<Actor>> Director<W> {
    pub(super) fn act_on_calls(&mut self, step: &Step) -> Result<Wait, Failure> {
        let place = step.place;
        match &step.verb {
            Verb::Dial(dial) => {
                let to = self.fill(&dial.to, place)?;
                let to = self.cast.address_of(&to).unwrap_or(to);
                self.on_calls(dial.phone.as_str(), place, |phone, now, out| {
                    phone.dial(1, &to, now, out).map(drop)
                })?;
            }
            Verb::PickUp(on) => {
                let call = self.call_with(on.phone.as_str(), on.with.as_ref(), place)?;
                self.on_calls(on.phone.as_str(), place, |phone, now, out| phone.answer(call, now, out))?;
            }
            Verb::Reject(on) => {
                let call = self.call_with(on.phone.as_str(), on.with.as_ref(), place)?;
                let how = on.how.unwrap_or(HowRejected::Declined);
                self.on_calls(on.phone.as_str(), place, |phone, now, out| match how {
                    HowRejected::Declined => phone.reject(call, vvx::call::Reject::Decline, now, out),
                    HowRejected::Busy => phone.reject(call, vvx::call::Reject::Busy, now, out),
                    HowRejected::Ignored => phone.ignore(call, now, out),
                })?;
            }
            Verb::Hold(on) => {
                let call = self.call_with(on.phone.as_str(), on.with.as_ref(), place)?;
                self.on_calls(on.phone.as_str(), place, |phone, now, out| phone.hold(call, now, out))?;
            }
            Verb::Resume(on) => {
                let call = self.call_with(on.phone.as_str(), on.with.as_ref(), place)?;
                self.on_calls(on.phone.as_str(), place, |phone, now, out| phone.resume(call, now, out))?;
            }
            Verb::HangUp(on) => {
                let call = self.call_with(on.phone.as_str(), on.with.as_ref(), place)?;
                self.on_calls(on.phone.as_str(), place, |phone, now, out| phone.end_call(call, now, out))?;
            }
            Verb::Transfer(on) => {
                let call = self.call_with(on.phone.as_str(), on.with.as_ref(), place)?;
                let to = match on.how.unwrap_or(HowTransferred::Blind) {
                    HowTransferred::Blind => {
                        let to = self.fill(&on.to, place)?;
                        TransferTo::Address(self.cast.address_of(&to).unwrap_or(to))
                    }
                    HowTransferred::Attended => {
                        let other = self.call_with(on.phone.as_str(), Some(&on.to), place)?;
                        other.map(TransferTo::Call).ok_or_else(|| {
                            self.cannot(place, on.phone.as_str(), "there is no call with them")
                        })?
                    }
                };
                self.on_calls(on.phone.as_str(), place, |phone, now, out| {
                    phone.transfer(call, &to, now, out)
                })?;
            }
            Verb::SendDigits(on) => {
                let digits = self.fill(&on.digits, place)?;
                self.on_calls(on.phone.as_str(), place, |phone, now, out| {
                    phone.send_digits(None, &digits, now, out)
                })?;
            }
            Verb::Mute(on) => {
                self.on_calls(on.phone.as_str(), place, |phone, now, out| phone.mute(true, now, out))?;
            }
            Verb::Unmute(on) => {
                self.on_calls(on.phone.as_str(), place, |phone, now, out| phone.mute(false, now, out))?;
            }
            Verb::DoNotDisturb(on) => {
                self.on_calls(on.phone.as_str(), place, |phone, now, out| {
                    phone.do_not_disturb(true, now, out)
                })?;
            }
            Verb::Disturb(on) => {
                self.on_calls(on.phone.as_str(), place, |phone, now, out| {
                    phone.do_not_disturb(false, now, out)
                })?;
            }
            _ => {}
        }
        Ok(Wait::Nothing)
    }

    fn on_calls(
        &mut self,
        name: &str,
        place: Place,
        act: impl FnOnce(&mut Phone, net::Time, &mut net::Outbox) -> Result<(), vvx::call::CallError>,
    ) -> Result<(), Failure> {
        let who = self.phone_id(name, place)?;
        self.on_phone(who, name, place, |phone, now, out| act(phone, now, out).map_err(|why| why.to_string()))
    }

    /// The phone's call with somebody; `None` where nobody is named, and the verb finds its call by itself.
    fn call_with(&self, name: &str, with: Option<&Text>, place: Place) -> Result<Option<CallRef>, Failure> {
        let Some(with) = with else { return Ok(None) };
        let with = self.fill(with, place)?;
        let calls = self.cast.calls(name);
        let live = calls.iter().filter(|call| call.state != CallState::Disconnected);
        let mut found = live.filter(|call| self.cast.is_party(&call.remote, &with));
        match found.next() {
            Some(call) => Ok(Some(call.reference)),
            None => Err(self.cannot(place, name, format!("there is no call with {with}"))),
        }
    }
}
