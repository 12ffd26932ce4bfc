//! One phone of a fleet calls another: it rings, is answered, held for a while, and ended.

use std::time::Duration;

use net::{Time, World};
use vvx::call::{CallRef, CallState};

use super::{Look, Member, look_at, on_phone};
use crate::actor::Actor;
use crate::cast::Cast;

/// How often both ends are looked at.
const ROUND: Duration = Duration::from_millis(5);

/// Where a call stands.
#[derive(Debug)]
enum Stage {
    /// The INVITE is out.
    Calling,
    /// The other end rings until that moment.
    Ringing { answer_at: Time },
    /// It was answered; both ends talk once the ACK is there.
    Answered,
    /// Both ends talk until that moment.
    Talking { end_at: Time },
    /// The caller has hung up.
    Ending,
}

#[derive(Debug)]
pub(super) struct Call {
    phones: [usize; 2],
    reference: CallRef,
    ring: Duration,
    hold: Duration,
    stage: Stage,
}

impl Call {
    pub(super) fn begin<W: World<Actor>>(
        phones: [usize; 2],
        ring: Duration,
        hold: Duration,
        members: &[Member],
        cast: &mut Cast<W>,
    ) -> Result<Call, String> {
        let to = cast.upn(&members[phones[1]].name).ok_or("generator: no account")?;
        let reference =
            on_phone(cast, members[phones[0]].who, |phone, now, out| phone.dial(1, &to, now, out));
        let reference = reference.map_err(|why| format!("step: dial ({why})"))?;
        Ok(Call { phones, reference, ring, hold, stage: Stage::Calling })
    }

    pub(super) fn phones(&self) -> [usize; 2] {
        self.phones
    }

    pub(super) fn look<W: World<Actor>>(&mut self, members: &[Member], cast: &mut Cast<W>) -> Look {
        let now = cast.world.now();
        let [caller, called] = self.phones.map(|phone| members[phone].who);
        let own = look_at(cast, caller).map(|phone| phone.calls(now)).unwrap_or_default();
        let own = own.into_iter().find(|call| call.reference == self.reference);
        let is_over = own.as_ref().is_none_or(|call| call.state == CallState::Disconnected);
        if is_over && !matches!(self.stage, Stage::Ending) {
            let why = own.map_or_else(|| "gone".to_owned(), |call| call.ended);
            return Look::Ended(Err(format!("step: call ({why})")));
        }
        let there = || look_at(cast, called).map(|phone| phone.calls(now)).unwrap_or_default();
        match self.stage {
            Stage::Calling => {
                if there().iter().any(|call| call.state == CallState::Offering) {
                    self.stage = Stage::Ringing { answer_at: now + self.ring };
                    return Look::Later(now + self.ring);
                }
            }
            Stage::Ringing { answer_at } if now >= answer_at => {
                if let Err(why) = on_phone(cast, called, |phone, now, out| phone.answer(None, now, out)) {
                    return Look::Ended(Err(format!("step: answer ({why})")));
                }
                self.stage = Stage::Answered;
            }
            Stage::Answered if own.is_some_and(|call| call.state == CallState::Connected) => {
                if there().iter().any(|call| call.state == CallState::Connected) {
                    self.stage = Stage::Talking { end_at: now + self.hold };
                    return Look::Later(now + self.hold);
                }
            }
            Stage::Talking { end_at } if now >= end_at => {
                let reference = Some(self.reference);
                if let Err(why) =
                    on_phone(cast, caller, |phone, now, out| phone.end_call(reference, now, out))
                {
                    return Look::Ended(Err(format!("step: end ({why})")));
                }
                self.stage = Stage::Ending;
            }
            Stage::Ending if is_over && there().iter().all(|call| call.state == CallState::Disconnected) => {
                return Look::Ended(Ok(()));
            }
            Stage::Ringing { .. } | Stage::Answered | Stage::Talking { .. } | Stage::Ending => {}
        }
        Look::Later(now + ROUND)
    }

    /// The call has ended, one way or the other: neither phone is left in it.
    pub(super) fn leave<W: World<Actor>>(self, members: &[Member], cast: &mut Cast<W>) {
        for phone in self.phones {
            let who = members[phone].who;
            let now = cast.world.now();
            let calls = look_at(cast, who).map(|phone| phone.calls(now)).unwrap_or_default();
            for call in calls.iter().filter(|call| call.state != CallState::Disconnected) {
                // One that is over by now is what is wanted.
                let _ = on_phone(cast, who, |phone, now, out| phone.end_call(Some(call.reference), now, out));
            }
        }
    }
}
