//! A phone of a fleet boots: from power to Home, or to being signed in again.

use std::time::Duration;

use net::World;
use vvx::phone::{Phone, PhoneState};

use super::{Look, Member, look_at};
use crate::actor::Actor;
use crate::cast::Cast;

/// How often a phone that boots is looked at; booting takes a minute and more.
const ROUND: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Boot {
    phone: usize,
}

impl Boot {
    pub(super) fn begin<W: World<Actor>>(phone: usize, members: &[Member], cast: &mut Cast<W>) -> Boot {
        cast.world.power_on(members[phone].who);
        Boot { phone }
    }

    pub(super) fn phone(&self) -> usize {
        self.phone
    }

    pub(super) fn look<W: World<Actor>>(&mut self, members: &[Member], cast: &mut Cast<W>) -> Look {
        let state = look_at(cast, members[self.phone].who).map_or(PhoneState::Off, Phone::state);
        match state {
            PhoneState::SignedOut | PhoneState::SignedIn | PhoneState::Locked | PhoneState::Registered => {
                Look::Ended(Ok(()))
            }
            PhoneState::Off => Look::Ended(Err("the power went".to_owned())),
            PhoneState::Booting
            | PhoneState::SigningIn
            | PhoneState::RegistrationLost
            | PhoneState::Unregistered => Look::Later(cast.world.now() + ROUND),
        }
    }
}
