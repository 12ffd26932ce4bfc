//! The provisioning server: which one it is, and the files that are fetched from it and left there.
//!
//! The updater leaves its log and looks at the master file. The application fetches the master file
//! (`<mac>.cfg`, else `000000000000.cfg`), what that names, and a row of optional files, in the order seen on a
//! real phone, and leaves its own log at the end. A file that is not there is no error. A server that does not
//! answer is asked three times; then the phone goes on with what it remembers. So it does with a file that cannot
//! be read: nothing of what such a visit brought is taken over.

pub mod server;
mod step;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use net::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use net::{Note, Outbox, Time};
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use url::Url;

use super::BootParts;
use crate::config::{ConfigFile, Macros, Master, Source};
use crate::events;
use crate::fetch::{FetchError, FetchId, Fetched, Request, Response};
use crate::log::{Level, LogKind};
use crate::model::Agent;
use server::Server;
use step::{Step, What};

/// The fallback when there is no `<mac>.cfg`.
const SITE_MASTER: &str = "000000000000.cfg";

/// A visit to the provisioning server.
#[derive(Debug)]
pub(super) struct Visit {
    agent: Agent,
    address: Ipv4Addr,
    server: Server,
    steps: VecDeque<Step>,
    /// The step under way, by its request.
    underway: Option<(FetchId, Step)>,
    /// How often it was asked in vain.
    failures: u32,
    /// When the next file is asked for; the phone takes its time over each.
    ask_at: Option<Time>,
    has_login: bool,
    master: Master,
    values: BTreeMap<String, String>,
    /// Files that count for `values` have all been good so far.
    is_good: bool,
    /// Some file with parameters was there.
    has_config: bool,
}

impl Visit {
    /// Begins a visit of the updater or of the application.
    pub(super) fn begin(
        agent: Agent,
        server: Server,
        address: Ipv4Addr,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Visit {
        let mac = parts.mac;
        let master = Step { what: What::Master, file: format!("{mac}.cfg") };
        let steps = match agent {
            Agent::Updater => {
                vec![Step { what: What::PutBootLog, file: format!("{mac}-boot.log") }, master]
            }
            Agent::Application => vec![master],
        };
        let text = format!("Provisioning server address is {}.", server.url);
        parts.say(now, "cfg", Level::Always, &text, out);
        let mut visit = Visit {
            agent,
            address,
            server,
            steps: steps.into(),
            underway: None,
            failures: 0,
            ask_at: None,
            has_login: false,
            master: Master::default(),
            values: BTreeMap::new(),
            is_good: true,
            has_config: false,
        };
        visit.next(now, parts, out);
        visit
    }

    /// Takes in requests that came to their end; `true` when the visit is over.
    pub(super) fn handle(
        &mut self,
        now: Time,
        fetched: Vec<Fetched>,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> bool {
        for fetched in fetched {
            match self.underway.take() {
                Some((id, step)) if id == fetched.id => self.ended(step, fetched.result, now, parts, out),
                other => self.underway = other,
            }
        }
        if let Some((ask_at, step)) = self.ask_at.zip(self.steps.front().cloned())
            && ask_at <= now
        {
            self.ask_at = None;
            self.steps.pop_front();
            self.ask(step, now, parts, out);
        }
        self.underway.is_none() && self.steps.is_empty()
    }

    /// When it wants to be woken, besides its request.
    pub(super) fn wake_at(&self) -> Option<Time> {
        self.ask_at
    }

    fn next(&mut self, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) {
        if let Some(step) = self.steps.pop_front() {
            self.ask(step, now, parts, out);
        }
    }

    fn ask(&mut self, step: Step, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) {
        let Ok(url) = self.server.url.join(&step.file) else {
            parts.say(now, "copy", Level::Minor, &format!("No URL can be made of {}.", step.shown()), out);
            self.failed(step.what, now, parts, out);
            return self.next(now, parts, out);
        };
        let (method, body, purpose) = match step.what {
            What::PutBootLog => (Method::PUT, parts.log.text(LogKind::Boot), "boot log"),
            What::PutLog => (Method::PUT, parts.log.text(LogKind::Application), "application log"),
            What::HeadLog => (Method::HEAD, String::new(), "application log"),
            What::Master | What::SiteMaster => (Method::GET, String::new(), "master file"),
            What::Config => (Method::GET, String::new(), "configuration"),
            What::Overrides(_) => (Method::GET, String::new(), "overrides"),
            What::Optional => (Method::GET, String::new(), "optional file"),
            What::Licence => (Method::GET, String::new(), "licence"),
        };
        let headers = self.headers(&url, parts);
        let request = Request {
            method,
            url,
            headers,
            body: Bytes::from(body),
            purpose: purpose.to_owned(),
            redirects: 3,
        };
        let (fetcher, mut fetch_parts) = parts.fetch();
        let id = fetcher.start(request, now, &mut fetch_parts, out);
        self.underway = Some((id, step));
    }

    fn headers(&self, url: &Url, parts: &BootParts<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let tag = parts.config.is_on("device.prov.tagSerialNo").then_some(parts.mac);
        let agent = parts.firmware.transfer_agent(parts.model, self.agent, tag);
        if let Ok(agent) = HeaderValue::from_str(&agent) {
            headers.insert(header::USER_AGENT, agent);
        }
        // A master file may name files elsewhere; the login is for this server only.
        if self.has_login && url.origin() == self.server.url.origin() {
            let login = STANDARD.encode(format!("{}:{}", self.server.user, self.server.password));
            if let Ok(mut login) = HeaderValue::from_str(&format!("Basic {login}")) {
                login.set_sensitive(true);
                headers.insert(header::AUTHORIZATION, login);
            }
        }
        headers
    }

    fn ended(
        &mut self,
        step: Step,
        result: Result<Response, FetchError>,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) {
        let response = match result {
            Ok(response) => response,
            Err(why) => return self.silent(step, &why, now, parts, out),
        };
        self.failures = 0;
        let wants_login = response.status == StatusCode::UNAUTHORIZED && !self.has_login;
        let offers_basic = response.headers.get_all(header::WWW_AUTHENTICATE).iter().any(|challenge| {
            challenge.to_str().is_ok_and(|challenge| challenge.to_ascii_lowercase().starts_with("basic"))
        });
        if wants_login && offers_basic {
            self.has_login = true;
            return self.ask(step, now, parts, out);
        }
        let status = response.status;
        let is_there = status.is_success();
        let is_absent = matches!(status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE);
        match step.what {
            What::Master if is_absent => {
                self.steps.push_front(Step { what: What::SiteMaster, file: SITE_MASTER.to_owned() });
            }
            What::Master | What::SiteMaster if is_there => {
                self.read_master(&step, &response, now, parts, out)
            }
            What::SiteMaster if is_absent => {
                parts.say(now, "cfg", Level::Minor, "The server has no master file.", out);
                self.plan_rest(parts);
            }
            What::Config if is_there => self.read_config(&step, &response, now, parts, out),
            What::Overrides(layer) if is_there => {
                self.read_overrides(layer, &step, &response, now, parts, out)
            }
            What::PutBootLog | What::PutLog if !is_there => {
                let text = format!("Upload of {} failed: result = {}", step.shown(), status.as_u16());
                parts.say(now, "log", Level::Minor, &text, out);
            }
            What::HeadLog if !is_there => {
                let text = format!("No length of {} on the server; it is written anew.", step.shown());
                parts.say(now, "copy", Level::Minor, &text, out);
            }
            What::Master | What::SiteMaster | What::Config | What::Licence if !is_there => {
                if step.what == What::Config || !is_absent {
                    let text = format!("Failed to download file {}: {}", step.shown(), status.as_u16());
                    parts.say(now, "cfg", Level::Minor, &text, out);
                }
                // A file that is merely absent is passed over, whatever names it.
                if !is_absent {
                    self.failed(step.what, now, parts, out);
                }
            }
            What::PutBootLog
            | What::PutLog
            | What::HeadLog
            | What::Master
            | What::SiteMaster
            | What::Config
            | What::Overrides(_)
            | What::Optional
            | What::Licence => {}
        }
        if step.what == What::Config && !self.steps.iter().any(|step| step.what == What::Config) {
            self.take_over(now, parts, out);
        }
        let pause = parts.firmware.timing().file(parts.random);
        self.ask_at = Some(now + pause).filter(|_| !self.steps.is_empty());
    }

    /// The server did not answer: once more, or never mind.
    fn silent(
        &mut self,
        step: Step,
        why: &FetchError,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) {
        self.failures += 1;
        parts.say(now, "copy", Level::Minor, &format!("{}: {why}", step.shown()), out);
        if self.failures < self.server.attempts {
            self.steps.push_front(step);
            self.ask_at = Some(now + self.server.retry_span);
            return;
        }
        let text = format!("Prov|Server '{}' is unresponsive", self.server.url);
        parts.say(now, "cfg", Level::Major, &text, out);
        self.break_off("the server does not answer", parts, out);
    }

    /// A server that answers nonsense about a file that matters.
    fn failed(&mut self, what: What, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) {
        if matches!(what, What::Master | What::SiteMaster | What::Config | What::Licence) {
            parts.say(now, "cfg", Level::Major, "Provisioning is broken off.", out);
            self.break_off("the server refuses a file", parts, out);
        }
    }

    fn break_off(&mut self, why: &str, parts: &BootParts<'_>, out: &mut Outbox) {
        self.has_config = false;
        self.steps.clear();
        if self.agent == Agent::Application {
            out.note(Note::event(events::PROVISIONING_FAILED, parts.name, why));
        }
    }

    fn read_master(
        &mut self,
        step: &Step,
        response: &Response,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) {
        match ConfigFile::parse(step.shown(), &response.body) {
            Ok(file) => {
                self.has_config = true;
                self.master = file.master.unwrap_or_default();
                self.values = file.values;
            }
            Err(why) => self.is_bad(&why.to_string(), now, parts, out),
        }
        let macros = Macros { mac: parts.mac, address: self.address, model: parts.model };
        let files: Vec<String> = self.master.config_files.iter().map(|file| macros.expand(file)).collect();
        // A file may name itself, as the usual master file does where it is called `<mac>.cfg`.
        let files = files.into_iter().filter(|file| *file != step.file);
        if self.agent == Agent::Application {
            self.steps.extend(files.map(|file| Step { what: What::Config, file }));
            let is_whole = self.steps.is_empty();
            self.plan_rest(parts);
            if is_whole {
                self.take_over(now, parts, out);
            }
        }
    }

    /// What comes after the configuration, in the order seen on a real phone.
    fn plan_rest(&mut self, parts: &BootParts<'_>) {
        if self.agent == Agent::Updater {
            return;
        }
        let macros = Macros { mac: parts.mac, address: self.address, model: parts.model };
        self.steps.extend(step::after_configuration(&self.master, &macros));
    }

    fn read_config(
        &mut self,
        step: &Step,
        response: &Response,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) {
        match ConfigFile::parse(step.shown(), &response.body) {
            Ok(file) => {
                self.has_config = true;
                // Of two files that set the same parameter the first one counts, the master file before all
                // (a guess).
                let earlier = std::mem::replace(&mut self.values, file.values);
                self.values.extend(earlier);
            }
            Err(why) => self.is_bad(&why.to_string(), now, parts, out),
        }
    }

    fn read_overrides(
        &mut self,
        layer: Source,
        step: &Step,
        response: &Response,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) {
        let taken = ConfigFile::parse(step.shown(), &response.body)
            .and_then(|file| parts.config.replace(layer, file.values, parts.flash, out));
        if let Err(why) = taken {
            parts.say(now, "cfg", Level::Minor, &format!("{why}"), out);
        }
    }

    fn is_bad(&mut self, why: &str, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) {
        self.is_good = false;
        parts.say(now, "cfg", Level::Major, &format!("{why}; earlier values are kept."), out);
    }

    /// Puts what the files said in place of what earlier ones said.
    fn take_over(&mut self, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) {
        if self.agent == Agent::Updater || !self.has_config {
            return;
        }
        let values = std::mem::take(&mut self.values);
        let count = values.len();
        let taken = if self.is_good {
            parts.config.replace(Source::Files, values, parts.flash, out).map_err(|why| why.to_string())
        } else {
            Err("a file cannot be read".to_owned())
        };
        match taken {
            Ok(_) => {
                parts.log.configure(parts.config);
                out.note(Note::event(events::PROVISIONED, parts.name, format!("{count} parameters")));
            }
            Err(why) => {
                parts.say(now, "cfg", Level::Major, &format!("Configuration not taken: {why}."), out);
                out.note(Note::event(events::PROVISIONING_FAILED, parts.name, why));
            }
        }
    }
}
