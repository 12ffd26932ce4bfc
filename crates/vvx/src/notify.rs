//! Telephony notifications: what happens on the phone, posted to `apps.telNotification.URL` as it happens.
//!
//! Nothing is authenticated and nothing is repeated; a server that is away misses what it misses. Each kind of event has
//! a switch of its own, all off as phones come. `LineRegistrationEvent` tells of the first registration of a line since the
//! phone was started, not of refreshes; with `….lineRegistrationEvent.onlyStateChange` it tells of each way from
//! unregistered to registered. Losing a registration is told only where it ends in good order.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::{CallDirection, CallRef, CallState, CallView};
use crate::config::Config;
use crate::phone::serving::{Desk, Line};
use crate::web_server::markup::element;
use crate::web_server::polling::{call_line, ends};

/// Where the switches are.
const PREFIX: &str = "apps.telNotification.";

/// What was known when the phone was last looked at.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    lines: BTreeMap<u32, bool>,
    /// Lines that were registered since the phone was started.
    known: BTreeSet<u32>,
    user: Option<String>,
    calls: BTreeMap<CallRef, (CallState, bool)>,
    has_begun: bool,
}

/// Whether anybody is to be told anything.
pub fn is_on(config: &Config) -> bool {
    !config.text("apps.telNotification.URL").trim().is_empty()
}

impl Notifier {
    /// Looks at the phone, and posts what is new.
    pub fn look(&mut self, desk: &mut Desk<'_>) {
        let mut told = Vec::new();
        if !self.has_begun {
            self.has_begun = true;
            for (switch, event) in [
                ("appInitializationEvent", "AppInitializationEvent"),
                ("uiInitializationEvent", "UIInitializationEvent"),
                ("networkUpEvent", "NetworkUpEvent"),
            ] {
                told.push((switch, event, String::new()));
            }
        }
        self.look_at_user(desk, &mut told);
        self.look_at_lines(desk, &mut told);
        self.look_at_calls(desk, &mut told);
        let url = desk.config().text("apps.telNotification.URL").trim().to_owned();
        for (switch, event, inner) in told {
            if desk.config().is_on(&format!("{PREFIX}{switch}")) {
                desk.post(&url, document(event, &inner, desk));
            }
        }
    }

    fn look_at_user(&mut self, desk: &Desk<'_>, told: &mut Vec<(&'static str, &'static str, String)>) {
        let user = desk.account().filter(|_| desk.is_signed_in()).map(str::to_owned);
        if user == self.user {
            return;
        }
        for (name, word) in [(&self.user, "Logout"), (&user, "Login")] {
            if let Some(name) = name {
                let inner = element("UserName", name) + &element("Event", word);
                told.push(("userLogInOutEvent", "UserLogInOutEvent", inner));
            }
        }
        self.user = user;
    }

    fn look_at_lines(&mut self, desk: &Desk<'_>, told: &mut Vec<(&'static str, &'static str, String)>) {
        const SWITCH: &str = "lineRegistrationEvent";
        let only_changes = desk.config().is_on("apps.telNotification.lineRegistrationEvent.onlyStateChange");
        let lines = desk.lines();
        for line in &lines {
            let was = self.lines.insert(line.number, line.is_registered).unwrap_or(false);
            if line.is_registered && !was {
                let is_first = self.known.insert(line.number);
                if is_first || only_changes {
                    told.push((SWITCH, "LineRegistrationEvent", number(line)));
                }
            }
            // Signed out in good order: nobody is there any more, and the registrar was told so.
            if was && !line.is_registered && desk.account().is_none() && !desk.is_generic() {
                told.push((SWITCH, "LineUnregistrationEvent", number(line)));
            }
        }
    }

    fn look_at_calls(&mut self, desk: &Desk<'_>, told: &mut Vec<(&'static str, &'static str, String)>) {
        let calls = desk.calls();
        let line_of = |call: &CallView| desk.lines().into_iter().find(|line| line.number == call.line);
        let was_idle = self.calls.is_empty();
        for call in &calls {
            let before = self.calls.get(&call.reference).copied();
            if before.is_none() {
                let (called, calling) = ends(call);
                let parties = [
                    ("CalledPartyName", called.shown()),
                    ("CalledPartyNumber", called.address.clone()),
                    ("CallingPartyName", calling.shown()),
                    ("CallingPartyNumber", calling.address.clone()),
                    ("LineNumber", call.line.to_string()),
                ];
                let inner: String = parties.iter().map(|(name, text)| element(name, text)).collect();
                told.push(match call.direction {
                    CallDirection::Incoming => ("incomingEvent", "IncomingCallEvent", inner),
                    CallDirection::Outgoing => ("outgoingEvent", "OutgoingCallEvent", inner),
                });
                if was_idle && call.direction == CallDirection::Outgoing {
                    told.push((
                        "offhookEvent",
                        "OffHookEvent",
                        element("LineNumber", &call.line.to_string()),
                    ));
                }
            }
            if before.is_none_or(|(state, _)| state != call.state) {
                let line = line_of(call).map(|line| call_line(&line, std::slice::from_ref(call)));
                let inner = element("CallReference", &call.reference.to_string())
                    + &element("CallState", call.state.name())
                    + &line.unwrap_or_default();
                told.push(("callStateChangeEvent", "CallStateChangeEvent", inner));
                let is_picked_up = before.is_some_and(|(state, _)| state == CallState::Offering);
                if is_picked_up && call.state == CallState::Connected {
                    told.push((
                        "offhookEvent",
                        "OffHookEvent",
                        element("LineNumber", &call.line.to_string()),
                    ));
                }
            }
            if before.is_some_and(|(_, is_muted)| is_muted != call.is_muted) {
                let inner = element("Muted", if call.is_muted { "1" } else { "0" });
                told.push(("muteUnmuteEvent", "MuteUnmuteEvent", inner));
            }
        }
        if calls.is_empty() && !was_idle {
            told.push(("onhookEvent", "OnHookEvent", element("LineNumber", "1")));
        }
        self.calls = calls.iter().map(|call| (call.reference, (call.state, call.is_muted))).collect();
    }
}

fn number(line: &Line) -> String {
    element("LineNumber", &line.number.to_string())
}

/// The wrapper around the event is what polling has; that notifications share it is a guess.
fn document(event: &str, inner: &str, desk: &Desk<'_>) -> String {
    let address = desk.address().map(|address| address.to_string()).unwrap_or_default();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PolycomIPPhone><{event}>{}{}{inner}{}</{event}></PolycomIPPhone>",
        element("PhoneIP", &address),
        element("MACAddress", &desk.mac().to_string()),
        element("TimeStamp", &desk.stamp()),
    )
}
