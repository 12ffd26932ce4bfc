//! The names of what happens at the office network's servers, as stories write them.
//!
//! Events of leases concern a hardware address (`00:04:f2:aa:bb:cc`), those of names the name asked for, those of
//! time the address of who asked, those of files the file.

/// An address was offered.
pub const LEASE_OFFERED: &str = "lease-offered";
/// An address was granted or its lease made longer, and that is on disk.
pub const LEASE_GRANTED: &str = "lease-granted";
/// A wish for an address was refused (DHCPNAK).
pub const LEASE_REFUSED: &str = "lease-refused";
/// An address was given back.
pub const LEASE_RELEASED: &str = "lease-released";
/// A client found its address in use by somebody else.
pub const LEASE_DECLINED: &str = "lease-declined";
/// No address was left to offer.
pub const POOL_EXHAUSTED: &str = "pool-exhausted";
/// A name was looked up and is there.
pub const NAME_ANSWERED: &str = "name-answered";
/// A name was looked up and does not exist, or has nothing of the kind asked for.
pub const NAME_NOT_FOUND: &str = "name-not-found";
/// A look-up was refused or not understood.
pub const NAME_REFUSED: &str = "name-refused";
/// The time was told.
pub const TIME_SERVED: &str = "time-served";
/// The time was refused (a kiss-o'-death).
pub const TIME_REFUSED: &str = "time-refused";
/// A file was fetched.
pub const FILE_SERVED: &str = "file-served";
/// A file was asked for that is not there.
pub const FILE_MISSING: &str = "file-missing";
/// A file was left behind by a phone, and is on disk.
pub const FILE_UPLOADED: &str = "file-uploaded";
/// A request for a file was refused: credentials, method, name, room, or because the story says so.
pub const FILE_REFUSED: &str = "file-refused";

/// Every name with what it means.
pub const ALL: &[(&str, &str)] = &[
    (LEASE_OFFERED, "an address was offered"),
    (LEASE_GRANTED, "an address was granted or its lease made longer"),
    (LEASE_REFUSED, "a wish for an address was refused"),
    (LEASE_RELEASED, "an address was given back"),
    (LEASE_DECLINED, "a client found its address in use by somebody else"),
    (POOL_EXHAUSTED, "no address was left to offer"),
    (NAME_ANSWERED, "a name was looked up and is there"),
    (NAME_NOT_FOUND, "a name was looked up and does not exist, or has nothing of the kind asked for"),
    (NAME_REFUSED, "a look-up was refused or not understood"),
    (TIME_SERVED, "the time was told"),
    (TIME_REFUSED, "the time was refused"),
    (FILE_SERVED, "a provisioning file was fetched"),
    (FILE_MISSING, "a provisioning file was asked for that is not there"),
    (FILE_UPLOADED, "a phone left a file behind"),
    (FILE_REFUSED, "a request for a provisioning file was refused"),
];
