//! Calls: what others may see of them and do to them.

pub mod view;

pub use view::{
    CallDirection, CallError, CallListKind, CallRecord, CallRef, CallState, CallView, MediaView, Party,
    Reject, TransferTo,
};
