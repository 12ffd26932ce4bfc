//! The identity service: the device grant, the pages, second factors, tokens, error numbers, policies, and the
//! common-area portal.
//!
//! [`Identity`] is one actor that listens on 443 (TLS) and 80 (which only points to 443). A phone asks it for a
//! code and polls for tokens (RFC 8628); a person types the code into its pages, signs in, and approves; a
//! stranger verifies its tokens by the keys it publishes. A [`Profile`] says which year's habits it has.
//!
//! | module | promise |
//! | --- | --- |
//! | `identity` | the actor: connections, deadlines, power, disk |
//! | `routes` | from a request and a moment to an answer |
//! | `device_code`, `device_endpoint` | one machine per code; where codes are asked for |
//! | `token_endpoint`, `tokens`, `refresh`, `keys` | grants, what they buy, what ends it, who signs it |
//! | `sessions`, `turn` | cookies and guards; from a form to a page |
//! | `sign_in`, `approve`, `ask`, `pages` | the way through the pages, its end, its pages, their HTML |
//! | `people`, `mfa`, `policy` | accounts, second factors, what the tenant demands |
//! | `portal` | common-area phones |
//! | `discovery` | what clients read before they ask |
//! | `errors`, `answer`, `form` | numbers and their JSON; answers and their headers; what arrives |
//! | `store` | what outlives a power cut |
//! | `admin` | what stories do and look at |
//!
//! Accounts' changes, refresh tokens and key rolls outlive a power cycle on the actor's disk; device codes,
//! browser sessions, lock-outs and policies set by a story do not.

mod admin;
mod answer;
mod approve;
mod ask;
mod device_code;
mod device_endpoint;
mod discovery;
mod errors;
pub mod events;
mod form;
mod identity;
mod keys;
mod mfa;
mod pages;
mod people;
mod policy;
mod portal;
mod profile;
mod refresh;
mod routes;
mod secret;
mod service;
mod sessions;
pub mod setup;
mod sign_in;
mod store;
mod throttle;
mod token_endpoint;
mod tokens;
mod turn;

pub use admin::{AccountState, NoAccount};
pub use errors::is_known as is_error_number;
pub use identity::Identity;
pub use keys::SigningKeys;
pub use policy::{LockOut, Policies};
pub use profile::{Profile, UnknownProfile};
pub use secret::{Secret, SecretBytes};
pub use service::{Endpoint, Ordered};
pub use setup::{
    Account, Application, Kind, Limits, PasswordCost, Resource, Role, SecondFactor, Setup, SetupError, Tenant,
};
