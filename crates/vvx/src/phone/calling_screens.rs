//! What the display shows of calls, and what its keys do to them.

use net::{Outbox, Time};

use crate::call::{CallError, CallState, CallView, Reject, TransferTo};
use crate::keys::HardKey;
use crate::screen::{Line, Screen};

use super::acting::Pressed;
use super::powered::Parts;
use super::running::Running;
use super::view::{Form, View};

/// The form for a number: id, label, and the most characters that it takes.
pub(super) fn number_form() -> Form {
    Form::new(&[("number", "Number", false, 128)])
}

impl Running {
    /// The call that the display is about, if it is about one.
    pub(super) fn shown_call(&self, now: Time) -> Option<CallView> {
        if !self.telephone.is_in_front || matches!(self.view, View::Dialing(_) | View::TransferTo(..)) {
            return None;
        }
        self.telephone.calls.focus(now)
    }

    /// The display of a call.
    pub(super) fn call_screen(&self, call: &CallView, now: Time) -> Screen {
        let who = call.remote.shown();
        let others = self.call_views(now).into_iter().filter(|other| other.reference != call.reference);
        let screen = |id| Screen::new(id, who.clone());
        let is_transferring = self.telephone.transferring.is_some_and(|first| first != call.reference);
        let mut screen = match call.state {
            CallState::Dialtone | CallState::Setup => {
                screen("calling").line(Line::Progress("Calling…".to_owned()))
            }
            CallState::RingBack => screen("ringing-there").line(Line::Progress("Ringing…".to_owned())),
            CallState::Offering if call.is_ringing => screen("ringing").text("Incoming call"),
            CallState::Offering => screen("ringing").text("Incoming call, ignored"),
            CallState::Connected => screen("in-call").line(Line::Timer(clock(call))),
            CallState::CallHold => screen("holding").text("On hold").line(Line::Timer(clock(call))),
            CallState::CallHeld => {
                screen("held").text("Held by the other end").line(Line::Timer(clock(call)))
            }
            CallState::Disconnected => {
                let screen = screen("call-ended");
                match call.ended.as_str() {
                    "" => screen.text("Call ended"),
                    why => screen.line(Line::Error(why.to_owned())),
                }
            }
        };
        if call.is_muted {
            screen = screen.text("Muted");
        }
        for other in others {
            screen = screen.text(format!("{}: {}", other.remote.shown(), in_words(other.state)));
        }
        let keys: &[&str] = match call.state {
            CallState::Dialtone | CallState::Setup => &["End Call"],
            CallState::RingBack if is_transferring => &["Transfer", "End Call"],
            CallState::RingBack => &["End Call"],
            CallState::Offering => &["Answer", "Reject", "Ignore"],
            CallState::Connected | CallState::CallHeld => &["Hold", "End Call", "Transfer", "New Call"],
            CallState::CallHold => &["Resume", "New Call", "Transfer", "End Call"],
            CallState::Disconnected => &[],
        };
        screen.soft_keys(keys)
    }

    /// A key is pressed while the display is about a call. Whether it meant the call.
    pub(super) fn pressed_in_call(
        &mut self,
        pressed: &Pressed,
        call: &CallView,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) -> bool {
        let reference = Some(call.reference);
        let done: Result<(), CallError> = match pressed {
            Pressed::Label(label) => match label.as_str() {
                "Answer" => self.with_calls(now, parts, out, |calls, hands| calls.answer(reference, hands)),
                "Reject" => self.with_calls(now, parts, out, |calls, hands| {
                    calls.reject(reference, Reject::Decline, hands)
                }),
                "Ignore" => self.with_calls(now, parts, out, |calls, hands| calls.ignore(reference, hands)),
                "Hold" => self.with_calls(now, parts, out, |calls, hands| calls.hold(reference, hands)),
                "Resume" => self.with_calls(now, parts, out, |calls, hands| calls.resume(reference, hands)),
                "End Call" => self.with_calls(now, parts, out, |calls, hands| calls.end(reference, hands)),
                "Transfer" => self.transfer_pressed(call, now, parts, out),
                "New Call" => {
                    self.view = View::Dialing(number_form());
                    Ok(())
                }
                _ => return false,
            },
            Pressed::Key(HardKey::Dial(digit)) if call.state == CallState::Connected => {
                let digit = digit.to_string();
                self.with_calls(now, parts, out, |calls, hands| calls.send_digits(reference, &digit, hands))
            }
            Pressed::Key(HardKey::Home) => {
                self.telephone.is_in_front = false;
                Ok(())
            }
            Pressed::Key(HardKey::Up | HardKey::Down) => {
                // The next call comes into view.
                let views = self.call_views(now);
                let at = views.iter().position(|view| view.is_in_focus).unwrap_or(0);
                let next = views.iter().cycle().nth(at + 1).map(|view| view.reference);
                next.map_or(Ok(()), |next| self.telephone.calls.look_at(next))
            }
            Pressed::Key(_) => return true,
        };
        self.told_no(done);
        true
    }

    /// *Transfer*: asks whom to, or completes what was begun.
    fn transfer_pressed(
        &mut self,
        call: &CallView,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) -> Result<(), CallError> {
        match self.telephone.transferring.filter(|first| *first != call.reference) {
            Some(first) => {
                self.telephone.transferring = None;
                let to = match call.state {
                    // It does not wait for the other end to answer: that end is called once more, by the first one.
                    CallState::RingBack => TransferTo::Address(call.remote.address.clone()),
                    _ => TransferTo::Call(call.reference),
                };
                let given_up = (call.state == CallState::RingBack).then_some(call.reference);
                self.with_calls(now, parts, out, |calls, hands| {
                    if let Some(given_up) = given_up {
                        calls.end(Some(given_up), hands)?;
                    }
                    calls.transfer(Some(first), &to, hands)
                })
            }
            None => {
                self.view = View::TransferTo(number_form(), call.reference);
                Ok(())
            }
        }
    }

    /// A key on the screens where a number is typed. Whether it meant them.
    pub(super) fn pressed_dialing(
        &mut self,
        label: &str,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) -> bool {
        let (form, call) = match &self.view {
            View::Dialing(form) => (form.clone(), None),
            View::TransferTo(form, call) => (form.clone(), Some(*call)),
            _ => return false,
        };
        let number = form.value("number").trim().to_owned();
        let done = match (label, call) {
            ("Dial", _) => self.dial(1, &number, now, parts, out).map(drop),
            ("Transfer", Some(first)) => self.dial(1, &number, now, parts, out).map(|_| {
                self.telephone.transferring = Some(first);
            }),
            ("Blind", Some(first)) => {
                let to = TransferTo::Address(number);
                self.with_calls(now, parts, out, |calls, hands| calls.transfer(Some(first), &to, hands))
            }
            ("Cancel", _) => Ok(()),
            _ => return false,
        };
        match done {
            Ok(()) => self.view = if self.lock.is_locked() { View::Locked } else { View::Home },
            Err(why) => {
                let mut form = form;
                form.complaint = Some(sentence(&why));
                self.view = match call {
                    Some(call) => View::TransferTo(form, call),
                    None => View::Dialing(form),
                };
            }
        }
        true
    }

    /// A key of the case that is about calls, wherever it is pressed. Whether it was one.
    pub(super) fn pressed_anytime(
        &mut self,
        key: HardKey,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) -> bool {
        let done = match key {
            HardKey::Hold => self.with_calls(now, parts, out, |calls, hands| {
                calls.hold(None, hands).or_else(|_| calls.resume(None, hands))
            }),
            HardKey::Transfer => match self.telephone.calls.focus(now) {
                Some(call) => self.transfer_pressed(&call, now, parts, out),
                None => Ok(()),
            },
            HardKey::MicMute => {
                let is_muted = !self.telephone.is_muted;
                let done = self.with_calls(now, parts, out, |calls, hands| calls.mute(is_muted, hands));
                self.telephone.is_muted = is_muted && done.is_ok();
                done
            }
            HardKey::Redial => match self.telephone.calls.dialled().map(str::to_owned) {
                Some(last) => self.dial(1, &last, now, parts, out).map(drop),
                None => Ok(()),
            },
            HardKey::DoNotDisturb => {
                self.do_not_disturb(!self.telephone.is_do_not_disturb);
                Ok(())
            }
            // Lifting the handset, as it were: answers, or gives a dial tone.
            HardKey::Handsfree => {
                let is_ringing = self.call_views(now).iter().any(|call| call.state == CallState::Offering);
                if is_ringing {
                    self.with_calls(now, parts, out, |calls, hands| calls.answer(None, hands))
                } else {
                    self.view = View::Dialing(number_form());
                    Ok(())
                }
            }
            _ => return false,
        };
        self.told_no(done);
        true
    }

    /// A digit on Home, or on a locked phone, begins to dial.
    pub(super) fn begins_to_dial(&mut self, digit: char) -> bool {
        if !matches!(self.view, View::Home | View::Locked) || self.account_address().is_none() {
            return false;
        }
        let mut form = number_form();
        form.add(&digit.to_string());
        self.view = View::Dialing(form);
        true
    }

    /// Switches do not disturb on or off; the list of warnings tells that it is on.
    pub(super) fn do_not_disturb(&mut self, is_on: bool) {
        self.telephone.is_do_not_disturb = is_on;
        match is_on {
            true => self.warn("do-not-disturb", "Do not disturb is on.".to_owned()),
            false => self.unwarn("do-not-disturb"),
        }
    }

    fn told_no(&mut self, done: Result<(), CallError>) {
        match done {
            Ok(()) => self.unwarn("call"),
            Err(why) => self.warn("call", sentence(&why)),
        }
    }
}

/// An error as the display words it.
fn sentence(why: &CallError) -> String {
    let text = why.to_string();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        None => text,
    }
}

fn clock(call: &CallView) -> String {
    let secs = call.duration.as_secs();
    match secs / 3600 {
        0 => format!("{:02}:{:02}", secs / 60, secs % 60),
        hours => format!("{hours}:{:02}:{:02}", secs / 60 % 60, secs % 60),
    }
}

fn in_words(state: CallState) -> &'static str {
    match state {
        CallState::Dialtone | CallState::Setup => "calling",
        CallState::RingBack => "ringing there",
        CallState::Offering => "calls",
        CallState::Connected => "in call",
        CallState::CallHold => "on hold",
        CallState::CallHeld => "holds",
        CallState::Disconnected => "ended",
    }
}
