//! What the tenant demands of a sign-in, and in which order it is asked.
//!
//! Conditions are looked at after the first factor, so a wrong password is a wrong password even for an
//! account that would be blocked in the end. The order is: account known, not locked, password right, enabled,
//! password not run out, second factor, conditions, application agreed to.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::errors::Fault;
use crate::people::Record;

/// What the tenant demands. A change counts from the next request on, also for tokens already out.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Policies {
    /// Nobody may sign a device in by code: the page ends in 53003, the device polls until its code runs
    /// out, and tokens born this way are not refreshed any more (530036).
    pub block_device_code_flow: bool,
    /// Only devices that are managed may be used, which no desk phone can prove: the page ends in 530033.
    pub requires_managed_device: bool,
    /// Accounts that conditional access blocks (53003), by sign-in name.
    pub blocked_accounts: BTreeSet<String>,
    /// Everybody needs a second factor; who has none ends in 50072 on the page and 50079 at the token endpoint.
    pub requires_second_factor: bool,
    /// How long a sign-in may be refreshed before a person must come again (70043).
    pub sign_in_frequency: Option<Duration>,
    /// Whether an unknown account is told apart (50034) from a wrong password (50126); `None`: as the profile.
    pub tells_unknown_accounts: Option<bool>,
    /// When wrong passwords lock an account.
    pub lock_out: LockOut,
}

/// When failures lock an account, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockOut {
    /// Failures until the first lock; 0 never locks.
    pub threshold: u32,
    /// The first lock's length; every failure after it locks again, for twice as long.
    pub duration: Duration,
    /// The longest lock.
    pub longest: Duration,
}

impl Default for LockOut {
    /// Ten failures, a minute. That the length doubles, up to an hour, is a guess: the service copied says
    /// only that it grows.
    fn default() -> LockOut {
        LockOut { threshold: 10, duration: Duration::from_secs(60), longest: Duration::from_secs(3600) }
    }
}

/// How somebody signs in, as far as conditions care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In a browser, for a device that shows a code.
    DeviceCode,
    /// In a browser, for that browser.
    Browser,
    /// User name and password at the token endpoint.
    Password,
    /// A refresh token that a device code bought.
    RefreshAfterDeviceCode,
    /// Any other refresh token.
    Refresh,
}

impl Policies {
    /// Whether the conditions let `who` pass on this way.
    pub(crate) fn check(&self, who: &Record, way: Way) -> Result<(), Fault> {
        let is_blocked = self.blocked_accounts.iter().any(|upn| upn.eq_ignore_ascii_case(&who.upn));
        if is_blocked {
            return Err(Fault::of(53003));
        }
        match way {
            Way::DeviceCode if self.block_device_code_flow => return Err(Fault::of(53003)),
            Way::RefreshAfterDeviceCode if self.block_device_code_flow => return Err(Fault::of(530036)),
            _ => {}
        }
        if self.requires_managed_device {
            match way {
                Way::DeviceCode => return Err(Fault::of(530033)),
                Way::Password | Way::Refresh | Way::RefreshAfterDeviceCode => return Err(Fault::of(53000)),
                // The lab's administrators sit at managed computers.
                Way::Browser => {}
            }
        }
        Ok(())
    }
}
