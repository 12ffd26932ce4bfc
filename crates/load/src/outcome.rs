//! What came of a run: judged, summed up, written down, compared.
//!
//! | module | promise |
//! | --- | --- |
//! | [`limits`] | whether a plan's limits held, and whether the generator was the limit |
//! | [`result`] | `result.json` |
//! | [`summary`] | the same in a screenful, for a person |
//! | [`report`] | the same as a page with charts |
//! | [`beats`], [`hlog`], [`junit`], [`metrics`] | beats as lines, response times as HdrHistogram log, limits as JUnit, sums for Prometheus |
//! | [`compare`] | what differs between two results beyond noise |

pub mod beats;
pub mod compare;
pub mod hlog;
pub mod junit;
pub mod limits;
pub mod metrics;
pub mod report;
pub mod result;
pub mod summary;
