//! Steps and the list of all verbs.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::*;
use crate::mistakes::{Mistake, Place};
use crate::schema::Shapes;
use crate::yaml::reader::{brief, with_known};
use crate::yaml::{Node, Reader, Value};

/// One thing that is done or looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What.
    pub verb: Verb,
    /// Where it stands, for reports.
    pub place: Place,
}

/// Steps, one after the other; cheap to share.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Steps(pub Arc<[Step]>);

impl std::ops::Deref for Steps {
    type Target = [Step];

    fn deref(&self) -> &[Step] {
        &self.0
    }
}

/// What a verb belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Theme {
    /// Hands on a phone.
    Phones,
    /// Calls between phones.
    Calls,
    /// People at their browsers.
    People,
    /// The administration.
    Administration,
    /// Things that go wrong.
    Faults,
    /// Lab time.
    Time,
    /// Looking and remembering.
    Looking,
    /// The order of steps.
    Shape,
}

impl Theme {
    /// Its name, for headings.
    pub fn name(self) -> &'static str {
        match self {
            Theme::Phones => "phones",
            Theme::Calls => "calls",
            Theme::People => "people",
            Theme::Administration => "administration",
            Theme::Faults => "faults",
            Theme::Time => "time",
            Theme::Looking => "looking",
            Theme::Shape => "shape",
        }
    }
}

/// What is documented about a verb.
#[derive(Clone, Copy, Debug)]
pub struct VerbDoc {
    /// The verb, as written.
    pub name: &'static str,
    /// What it belongs to.
    pub theme: Theme,
    /// What it does.
    pub doc: &'static [&'static str],
    /// How it is written, in an example that `lab check` accepts.
    pub example: &'static str,
    /// The JSON Schema of its value.
    pub shape: fn(&mut Shapes) -> Json,
}

macro_rules! verbs {
    ($(
        $theme:ident { $(
            $(#[doc = $doc:literal])*
            $name:literal $variant:ident($ty:ty) $example:literal,
        )* }
    )*) => {
        /// What a step does.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Verb {
            $($( $(#[doc = $doc])* $variant($ty), )*)*
        }

        impl Verb {
            /// Every verb, in the order of the documentation.
            pub const ALL: &[VerbDoc] = &[$($(
                VerbDoc {
                    name: $name,
                    theme: Theme::$theme,
                    doc: &[$($doc),*],
                    example: $example,
                    shape: <$ty as Value>::shape,
                },
            )*)*];

            /// The verb, as written.
            pub fn name(&self) -> &'static str {
                match self { $($( Verb::$variant(_) => $name, )*)* }
            }

            fn read(name: &str, node: &Node, reader: &mut Reader) -> Option<Option<Verb>> {
                Some(match name {
                    $($( $name => <$ty as Value>::read(node, reader).map(Verb::$variant), )*)*
                    _ => return None,
                })
            }
        }
    };
}

verbs! {
    Phones {
        /// Switches a phone on.
        "power-on" PowerOn(OnPhone) "power-on: desk",
        /// Takes the power of a phone or a service away, at once or at a write to its flash.
        "power-cut" PowerCut(PowerCut) "power-cut: { phone: desk, for: 8h }",
        /// Restarts a phone in good order, as its menu does.
        "reboot" Reboot(OnPhone) "reboot: desk",
        /// Presses a key, a soft key or a label on the screen.
        "press" Press(Press) "press: { phone: desk, key: Sign In }",
        /// Types into a field of the screen.
        "type" Type(Type) "type: { phone: desk, field: Password, text: \"Tr4in-Lamp!\" }",
        /// Sets a lock code: enters it, and enters it again where the phone asks to confirm.
        "set-lock-code" SetLockCode(LockCode) "set-lock-code: { phone: desk, digits: \"135790\" }",
        /// Unlocks a phone with a code.
        "unlock" Unlock(LockCode) "unlock: { phone: desk, digits: \"135790\" }",
        /// Sets parameters on a phone.
        "configure" Configure(Configure) "configure: { phone: desk, parameters: { feature.CAP.enable: \"1\" } }",
        /// Resets a phone to what it was when it was made.
        "factory-reset" FactoryReset(OnPhone) "factory-reset: desk",
        /// Draws what a phone shows; `lab run --report` writes it as a PNG beside the other files.
        "screenshot" Screenshot(Screenshot) "screenshot: { phone: desk, to: signed-in }",
    }
    Calls {
        /// Calls somebody from a phone. Like all verbs of calls it needs no keys: it does what they would.
        "dial" Dial(Dial) "dial: { phone: desk, to: hall }",
        /// Answers the call that rings; one that is on is held.
        "pick-up" PickUp(OnCall) "pick-up: hall",
        /// Turns a caller away.
        "reject" Reject(Reject) "reject: { phone: hall, as: busy }",
        /// Holds the other end.
        "hold" Hold(OnCall) "hold: desk",
        /// Resumes a call that is held; another one that is on is held.
        "resume" Resume(OnCall) "resume: { phone: desk, with: hall }",
        /// Hands a call on to somebody else.
        "transfer" Transfer(Transfer) "transfer: { phone: desk, with: hall, to: far }",
        /// Ends a call: hangs up, gives up calling, or turns the caller away.
        "hang-up" HangUp(OnCall) "hang-up: desk",
        /// Sends digits to the other end.
        "send-digits" SendDigits(SendDigits) "send-digits: { phone: desk, digits: \"12#\" }",
        /// Switches a phone's microphone off.
        "mute" Mute(OnPhone) "mute: desk",
        /// Switches a phone's microphone on again.
        "unmute" Unmute(OnPhone) "unmute: desk",
        /// Lets a phone turn every caller away, until `disturb`.
        "do-not-disturb" DoNotDisturb(OnPhone) "do-not-disturb: hall",
        /// Lets a phone ring again.
        "disturb" Disturb(OnPhone) "disturb: hall",
    }
    People {
        /// Opens an address in a person's browser.
        "browse" Browse(Browse) "browse: { person: alice, to: \"https://login.contoso.example/device\" }",
        /// Fills in the form on the page and sends it.
        "submit" Submit(Submit) "submit: { person: alice, code: ABCD12345 }",
        /// Clicks a button or a link.
        "click" Click(Click) "click: { person: alice, button: Continue }",
        /// Goes through the sign-in pages as far as they ask.
        "sign-in" SignIn(SignIn) "sign-in: { person: alice, password: right, second-factor: right }",
        /// Closes a person's browser.
        "close-browser" CloseBrowser(CloseBrowser) "close-browser: alice",
        /// Provisions a common-area phone in the administrator's portal.
        "provision" Provision(Provision) "provision: { person: root, account: lobby, code: ABCD12345 }",
    }
    Administration {
        /// Gives an account a new password.
        "change-password" ChangePassword(ChangePassword) "change-password: { account: alice, to: \"N3w-Lamp!\" }",
        /// Disables an account.
        "disable" Disable(Account) "disable: alice",
        /// Enables an account again.
        "enable" Enable(Account) "enable: alice",
        /// Revokes an account's sessions and refresh tokens.
        "revoke-sessions" RevokeSessions(Account) "revoke-sessions: alice",
        /// Changes policies.
        "set-policy" SetPolicy(SetPolicy) "set-policy: { phone-lock: { enforce: false } }",
        /// Revokes the client certificates of an account.
        "revoke-certificate" RevokeCertificate(Account) "revoke-certificate: alice",
        /// Moves an account to another pool.
        "move-user" MoveUser(MoveUser) "move-user: { account: alice, to: fe2 }",
    }
    Faults {
        /// Cuts, slows or muddles the network, or restores it.
        "network" Network(Network) "network: { site: hq, to: identity, loss: 20%, for: 10m }",
        /// Stops a service: its ports are closed.
        "stop" Stop(ServiceVerb) "stop: identity",
        /// Starts a stopped service.
        "start" Start(ServiceVerb) "start: identity",
        /// Lets a service answer the next requests of a kind with a status.
        "answer" Answer(Answer) "answer: { service: identity, kind: token, next: 3, status: 503 }",
        /// Sets, moves or detunes somebody's clock.
        "clock" Clock(Clock) "clock: { of: desk, skew: -2h }",
        /// Changes names in the lab's DNS.
        "dns" Dns(Dns) "dns: { remove: [fe.contoso.example] }",
    }
    Time {
        /// Lets lab time pass.
        "wait" Wait(Wait) "wait: 8h",
        /// Waits for a moment of the lab.
        "at" At(At) "at: 15m",
    }
    Looking {
        /// Expects something to hold, or to come to hold within a span.
        "expect" Expect(Box<Expect>) "expect: { phone: desk, screen: home, within: 3m }",
        /// Forbids something to the end of the story.
        "never" Never(Box<Never>) "never: { happened: device-code-issued }",
        /// Remembers values under names, for `{{name}}`.
        "capture" Capture(Capture) "capture: { code: desk.user-code }",
    }
    Shape {
        /// Tells branches at the same time; a list in the list is a branch of several steps.
        "parallel" Parallel(Parallel) "parallel: [{ power-on: desk }, { wait: 1s }]",
        /// Tells steps several times over.
        "repeat" Repeat(Repeat) "repeat: { times: 3, steps: [{ reboot: desk }] }",
        /// Tells the steps of another file, from the story's own folder or below.
        "include" Include(Include) "include: parts/sign-in.yaml",
    }
}

impl Value for Step {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let [entry] = node.entries() else {
            let title = match node.entries().len() {
                0 => format!("a step is a verb with its details, not {}", node.sort()),
                count => format!("a step has one verb, not {count}"),
            };
            let example = "for example `- press: { phone: desk, key: Sign In }`";
            reader.wrong(Mistake::new(node.place, title).help(example));
            return None;
        };
        let place = Place { start: entry.key_place.start, ..node.place };
        let Some(verb) = Verb::read(&entry.key, &entry.value, reader) else {
            if reader.is_full() {
                return None;
            }
            let known: Vec<&str> = Verb::ALL.iter().map(|verb| verb.name).collect();
            let title = format!("`{}` is not a verb", brief(&entry.key));
            reader.wrong(with_known(Mistake::new(entry.key_place, title), &entry.key, "verbs", &known));
            return None;
        };
        if let Some(known) = Verb::ALL.iter().find(|verb| verb.name == entry.key) {
            reader.told.insert(known.name);
        }
        Some(Step { verb: verb?, place })
    }

    fn shape(shapes: &mut Shapes) -> Json {
        shapes.define("Step", |shapes| {
            let verbs: serde_json::Map<String, Json> = (Verb::ALL.iter())
                .map(|verb| {
                    let shape = (verb.shape)(shapes);
                    let doc = crate::yaml::record::doc_text(verb.doc);
                    (verb.name.to_owned(), json!({ "description": doc, "allOf": [shape] }))
                })
                .collect();
            json!({
                "type": "object",
                "properties": verbs,
                "additionalProperties": false,
                "minProperties": 1,
                "maxProperties": 1,
            })
        })
    }
}

impl Value for Steps {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        Vec::read(node, reader).map(|steps: Vec<Step>| Steps(steps.into()))
    }

    fn shape(shapes: &mut Shapes) -> Json {
        Vec::<Step>::shape(shapes)
    }
}
