//! The desk of a running lab: what is asked for through the control API is looked up or done here, on the lab's thread.
//!
//! Whatever is *done* is a step of the story language, read by the same reader and told by the same director, so that the
//! API can do what stories can and says what is wrong in the same words.

use std::collections::BTreeMap;
use std::sync::Mutex;

use net::{Note, Transport, World as _};
use scenario::director::{Failure, LineId};
use scenario::lab_file::Lab;
use scenario::language::{Library, ReadError, Reading, Steps, Verb, read_story};
use scenario::mistakes::Colour;
use scenario::report;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Facts, LabDirector, seconds};

/// The path under which steps of the API are read.
const STEPS_PATH: &str = "steps";

/// How many requests may wait for their steps to end.
const WAITING_MAX: usize = 256;

/// How many entries of the journal one answer holds.
const ENTRIES_MAX: usize = 1000;

/// What is asked for.
#[derive(Debug)]
pub enum Ask {
    /// Who is there.
    Lab,
    /// All phones, or one.
    Phones(Option<String>),
    /// A phone's own log.
    Log(String),
    /// All people, or one.
    People(Option<String>),
    /// The services.
    Services,
    /// Entries of the journal from a number on.
    Journal(usize),
    /// Steps of the story language, as YAML or JSON: a list.
    Tell(String),
}

/// An answer: an HTTP status and what to say.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// What to say.
    pub body: Value,
}

impl Reply {
    fn ok(body: Value) -> Reply {
        Reply { status: 200, body }
    }

    /// A refusal in words.
    pub fn no(status: u16, why: impl Into<String>) -> Reply {
        Reply { status, body: json!({ "error": why.into() }) }
    }
}

/// A question and where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub ask: Ask,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Reply>,
}

/// Reads steps: one file that was sent, and the lab as it was when it opened.
struct Sent<'a> {
    steps: &'a str,
    lab: &'a Mutex<String>,
    lab_path: &'a str,
}

impl Library for Sent<'_> {
    fn read(&self, path: &str, _: usize) -> Result<Vec<u8>, ReadError> {
        if path == STEPS_PATH {
            return Ok(self.steps.as_bytes().to_vec());
        }
        if path == self.lab_path {
            let text = self.lab.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            return Ok(text.clone().into_bytes());
        }
        Err(ReadError("steps that are sent include no files".to_owned()))
    }
}

/// The desk.
pub struct Desk {
    lab_path: String,
    lab_text: Mutex<String>,
    phones: String,
    people: Vec<String>,
    waiting: BTreeMap<LineId, oneshot::Sender<Reply>>,
}

impl Desk {
    /// The desk of a lab that was read from `path`.
    pub fn new(lab: &Lab, path: &str) -> Desk {
        let text = scenario::language::Library::read(&crate::files::DiskLibrary, path, 1 << 24);
        let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let phones: Vec<&str> = lab.phones.keys().map(String::as_str).collect();
        Desk {
            lab_path: path.to_owned(),
            lab_text: Mutex::new(text),
            phones: phones.join(", "),
            people: lab.people.keys().cloned().collect(),
            waiting: BTreeMap::new(),
        }
    }

    /// Answers a request, now or when its steps have ended.
    pub fn take(&mut self, request: Request, director: &mut LabDirector) {
        let Request { ask, reply } = request;
        let answer = match ask {
            Ask::Lab => self.lab(director),
            Ask::Phones(None) => Reply::ok(json!({ "phones": phones(director) })),
            Ask::Phones(Some(name)) => one(phones(director), &name, "phone"),
            Ask::Log(name) => log(director, &name),
            Ask::People(None) => Reply::ok(json!({ "people": self.people(director) })),
            Ask::People(Some(name)) => one(self.people(director), &name, "person"),
            Ask::Services => Reply::ok(json!({ "services": services(director) })),
            Ask::Journal(since) => journal(director, since),
            Ask::Tell(steps) => match self.read(&steps) {
                Err(why) => Reply::no(400, why),
                Ok(_) if self.waiting.len() >= WAITING_MAX => {
                    Reply::no(429, format!("{WAITING_MAX} requests wait for their steps to end already"))
                }
                Ok(steps) => {
                    let line = director.begin(&steps);
                    self.waiting.insert(line, reply);
                    return;
                }
            },
        };
        // Whoever asked may have gone.
        let _ = reply.send(answer);
    }

    /// Answers those whose steps have ended, and gives up those who are gone.
    pub fn finish(&mut self, director: &mut LabDirector) {
        if self.waiting.is_empty() {
            return;
        }
        let gone: Vec<LineId> =
            self.waiting.iter().filter(|(_, reply)| reply.is_closed()).map(|(line, _)| *line).collect();
        for line in gone {
            self.waiting.remove(&line);
            director.drop_line(line);
        }
        for (line, ended) in director.take_finished() {
            let Some(reply) = self.waiting.remove(&line) else { continue };
            let at = seconds(director.cast().world.now());
            let answer = match ended {
                Ok(()) => Reply::ok(json!({ "done": true, "at": at })),
                Err(failure) => Reply { status: 409, body: failed(&failure) },
            };
            let _ = reply.send(answer);
        }
    }

    /// Reads steps as they were sent.
    fn read(&self, steps: &str) -> Result<Steps, String> {
        let text = format!("name: sent\nphones: [{}]\nsteps:\n{}\n", self.phones, indented(steps));
        let sent = Sent { steps: &text, lab: &self.lab_text, lab_path: &self.lab_path };
        let vocabulary = scenario::run::vocabulary();
        let story = read_story(STEPS_PATH, Reading { library: &sent, vocabulary, lab: &self.lab_path })
            .map_err(|mistakes| mistakes.render(Colour::Without))?;
        let case = story.cases.into_iter().next().ok_or("no steps")?;
        match case.steps.iter().find(|step| matches!(step.verb, Verb::Never(_))) {
            Some(_) => Err("`never` is for stories: a lab that runs on has no end to hold it to".to_owned()),
            None => Ok(case.steps),
        }
    }

    fn lab(&self, director: &LabDirector) -> Reply {
        let cast = director.cast();
        let world = &cast.world;
        Reply::ok(json!({
            "domain": cast.lab().domain.value,
            "network": format!("{}/16", world.ground().network),
            "port_offset": world.ground().offset,
            "seconds": seconds(world.now()),
            "date": cast.lab().epoch.plus(world.now().since_start()).to_string(),
            "journal": world.journal().length(),
            "services": services(director),
            "phones": phones(director),
        }))
    }

    fn people(&self, director: &LabDirector) -> Facts {
        let cast = director.cast();
        let facts = self.people.iter().map(|name| {
            let page = cast
                .person(name)
                .and_then(|person| person.page())
                .map(|page| json!({ "id": page.id, "address": page.url.to_string(), "text": page.text }));
            let facts = json!({
                "account": cast.upn(name),
                "password": cast.password(name),
                "second_factor": cast.second_factor_code(name),
                "bindings": cast.registrar_count(scenario::language::RegistrarFact::Bindings, name),
                "page": page,
            });
            (name.clone(), facts)
        });
        facts.collect()
    }
}

/// JSON and block lists alike stand two columns in.
fn indented(steps: &str) -> String {
    steps.lines().map(|line| format!("  {line}\n")).collect()
}

fn one(mut all: Facts, name: &str, kind: &str) -> Reply {
    match all.remove(name) {
        Some(facts) => Reply::ok(facts),
        None => {
            let known: Vec<String> = all.into_keys().collect();
            Reply::no(404, format!("there is no {kind} `{name}`; there are {}", known.join(", ")))
        }
    }
}

fn phones(director: &LabDirector) -> Facts {
    let cast = director.cast();
    let world = &cast.world;
    let names = cast.nodes().filter(|(name, _)| cast.phone(name).is_some());
    let facts = names.filter_map(|(name, who)| {
        let phone = cast.phone(name)?;
        let screen = phone.screen(world.now());
        let setup = phone.setup();
        let facts = json!({
            "model": setup.model.label,
            "firmware": setup.firmware.version().to_string(),
            "mac": setup.mac.to_string(),
            "power": world.is_on(who),
            "address": world.address_of(who).map(|address| address.to_string()),
            "state": phone.state().name(),
            "account": phone.account(),
            "user_code": phone.user_code(),
            "sign_in_page": phone.sign_in_page(),
            "screen": { "id": screen.id, "title": screen.title, "text": screen.draw(), "offers": screen.labels() },
            "sockets": sockets(director, who),
        });
        Some((name.to_owned(), facts))
    });
    facts.collect()
}

fn log(director: &LabDirector, name: &str) -> Reply {
    match director.cast().phone(name) {
        Some(phone) => Reply::ok(json!({ "log": phone.log() })),
        None => Reply::no(404, format!("there is no phone `{name}`")),
    }
}

fn services(director: &LabDirector) -> Facts {
    let cast = director.cast();
    let is_service = |name: &str| cast.phone(name).is_none() && cast.person(name).is_none();
    let names = cast.nodes().filter(|(name, _)| is_service(name));
    let facts = names.map(|(name, who)| {
        let facts = json!({
            "running": cast.world.is_on(who),
            "address": cast.world.address_of(who).map(|address| address.to_string()),
            "sockets": sockets(director, who),
        });
        (name.to_owned(), facts)
    });
    facts.collect()
}

fn sockets(director: &LabDirector, who: net::NodeId) -> Vec<Value> {
    let sockets = director.cast().world.sockets_of(who);
    let told = sockets.into_iter().map(|(transport, at)| {
        let transport = match transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        json!({ "transport": transport, "at": at.to_string() })
    });
    told.collect()
}

fn journal(director: &LabDirector, since: usize) -> Reply {
    let journal = director.cast().world.journal();
    let entries = journal.since(since);
    let first = journal.length() - entries.len();
    let shown = &entries[..entries.len().min(ENTRIES_MAX)];
    let lines = shown.iter().enumerate().map(|(index, entry)| {
        let kind = match &entry.note {
            Note::Sent { .. } => "sent",
            Note::Received { .. } => "received",
            Note::Screen { .. } => "screen",
            Note::Event { .. } => "event",
            Note::Log(_) => "log",
            Note::Broken { .. } => "broken",
            Note::Stage(_) => "stage",
        };
        let event = match &entry.note {
            Note::Event { name, of, text } => json!({ "name": name, "of": of, "text": text }),
            _ => Value::Null,
        };
        json!({
            "number": first + index,
            "at": seconds(entry.at),
            "who": entry.who.map(|who| journal.name(who)),
            "with": entry.peer,
            "kind": kind,
            "event": event,
            "line": report::line(journal, entry).trim_start(),
        })
    });
    Reply::ok(json!({ "entries": lines.collect::<Vec<_>>(), "next": first + shown.len() }))
}

fn failed(failure: &Failure) -> Value {
    json!({
        "done": false,
        "error": failure.title,
        "at": seconds(failure.at),
        "picture": failure.picture.as_ref().map(|(name, picture)| json!({ "of": name, "text": picture })),
        "before": failure.before,
    })
}
