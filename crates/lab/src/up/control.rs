//! The control API: HTTP on a loopback port of its own, for scripts and consoles. `openapi.json` describes it.
//!
//! It lives on a thread of its own and only carries questions to the lab's thread and answers back. Everything but the
//! description wants the token that stands in the state folder.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query, Request as HttpRequest, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use wire::Poker;

use super::desk::{Ask, Reply, Request};
use super::state::State;
use crate::signals::Signals;

/// The description of the API (OpenAPI 3.1).
const DESCRIPTION: &str = include_str!("openapi.json");

/// The largest body that is taken: many thousand steps.
const BODY_MAX: usize = 1 << 20;

/// How many questions wait for the lab.
const ASKED_MAX: usize = 1024;

/// How often a stream of the journal says that it is still there, though nothing happens.
const STILL_THERE: Duration = Duration::from_secs(15);

/// How long the lab's thread is given to answer a mere question.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The lab's side of the API.
#[derive(Debug)]
pub struct Control {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Mutex<mpsc::Receiver<Request>>,
    length: watch::Sender<usize>,
    stopped: Arc<AtomicBool>,
}

/// The API's side of the lab.
#[derive(Clone)]
struct Lab {
    requests: mpsc::SyncSender<Request>,
    poker: Poker,
    length: watch::Receiver<usize>,
    token: Arc<str>,
}

impl Control {
    /// Starts to listen. Ctrl-C and TERM stop the lab from here on.
    pub fn start(address: SocketAddr, state: &State, poker: Poker) -> Result<Control, String> {
        let fail = |why: std::io::Error| {
            format!(
                "the control API cannot listen at {address}: {why}; another lab may be there: choose another --control"
            )
        };
        #[expect(clippy::disallowed_types, reason = "the control API is the machine's, not an actor's")]
        let socket = std::net::TcpListener::bind(address).map_err(fail)?;
        socket.set_nonblocking(true).map_err(fail)?;
        let address = socket.local_addr().map_err(fail)?;
        let (sender, requests) = mpsc::sync_channel(ASKED_MAX);
        let (length, length_seen) = watch::channel(0);
        let stopped = Arc::new(AtomicBool::new(false));
        let lab = Lab {
            requests: sender,
            poker: poker.clone(),
            length: length_seen,
            token: state.token.as_str().into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fail)?;
        let is_stopped = stopped.clone();
        let (ready, is_ready) = mpsc::channel();
        #[expect(
            clippy::disallowed_methods,
            reason = "the API waits for people, the lab does not wait for it"
        )]
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let signals = Signals::new();
                let _ = ready.send(signals.is_ok());
                let serving = async {
                    if let Ok(socket) = tokio::net::TcpListener::from_std(socket) {
                        // It serves until the program ends; an accept that fails is tried again inside.
                        let _ = axum::serve(socket, routes(lab)).await;
                    }
                };
                tokio::select! {
                    () = serving => {}
                    () = async { if let Ok(mut signals) = signals { signals.next().await } } => {}
                }
                is_stopped.store(true, Ordering::Release);
                poker.poke();
            });
        });
        match is_ready.recv() {
            Ok(true) => Ok(Control { address, requests: Mutex::new(requests), length, stopped }),
            _ => Err("this machine does not tell of Ctrl-C and TERM".to_owned()),
        }
    }

    /// Whether somebody stopped the lab.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The next question, if one waits.
    pub fn next(&self) -> Option<Request> {
        self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner).try_recv().ok()
    }

    /// Tells those who follow the journal how long it is.
    pub fn tell_length(&self, length: usize) {
        self.length.send_if_modified(|known| std::mem::replace(known, length) != length);
    }
}

fn routes(lab: Lab) -> Router {
    let guarded = Router::new()
        .route("/v1/lab", get(async |lab: Shared<Lab>| lab.ask(Ask::Lab).await))
        .route("/v1/phones", get(async |lab: Shared<Lab>| lab.ask(Ask::Phones(None)).await))
        .route("/v1/phones/{name}", get(phone))
        .route("/v1/phones/{name}/log", get(log))
        .route("/v1/phones/{name}/{verb}", post(on_phone))
        .route("/v1/people", get(async |lab: Shared<Lab>| lab.ask(Ask::People(None)).await))
        .route("/v1/people/{name}", get(person))
        .route("/v1/people/{name}/{verb}", post(on_person))
        .route("/v1/services", get(async |lab: Shared<Lab>| lab.ask(Ask::Services).await))
        .route("/v1/services/{name}/{verb}", post(on_service))
        .route("/v1/clock", post(clock))
        .route("/v1/faults", post(faults))
        .route("/v1/expect", post(expect))
        .route("/v1/tell", post(tell))
        .route("/v1/journal", get(journal))
        .route_layer(middleware::from_fn_with_state(lab.clone(), guard));
    let open = Router::new().route("/openapi.json", get(description));
    guarded
        .merge(open)
        .fallback(async || Reply::no(404, "there is no such thing; GET /openapi.json lists what there is"))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(lab)
}

async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

async fn guard(lab: Shared<Lab>, request: HttpRequest, next: Next) -> Response {
    use subtle::ConstantTimeEq as _;
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(|shown| shown.strip_prefix("Bearer ")).unwrap_or_default();
    if bool::from(token.as_bytes().ct_eq(lab.token.as_bytes())) {
        return next.run(request).await;
    }
    let mut refusal =
        Reply::no(401, "show the token of the state folder: `Authorization: Bearer …`").into_response();
    refusal.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    refusal
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = format!("{:#}\n", self.body);
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

impl Lab {
    async fn ask(&self, ask: Ask) -> Reply {
        // Steps may take as long as their author gave them; a question is answered between two events.
        let is_question = !matches!(ask, Ask::Tell(_));
        let (sender, reply) = oneshot::channel();
        if self.requests.try_send(Request { ask, reply: sender }).is_err() {
            return Reply::no(503, "the lab is busy or about to stop");
        }
        self.poker.poke();
        let gone = || Reply::no(503, "the lab stopped");
        match is_question {
            false => reply.await.unwrap_or_else(|_| gone()),
            true => match tokio::time::timeout(ANSWER_MAX, reply).await {
                Ok(reply) => reply.unwrap_or_else(|_| gone()),
                Err(_) => Reply::no(503, "the lab is too busy to answer"),
            },
        }
    }

    /// Tells one step.
    async fn step(&self, verb: &str, value: Value) -> Reply {
        self.ask(Ask::Tell(json!([{ verb: value }]).to_string())).await
    }
}

/// A body as JSON: an object, or nothing.
fn object(body: &str) -> Result<serde_json::Map<String, Value>, Reply> {
    if body.trim().is_empty() {
        return Ok(serde_json::Map::new());
    }
    match serde_json::from_str(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Reply::no(400, "the body must be a JSON object")),
        Err(why) => Err(Reply::no(400, format!("the body is no JSON: {why}"))),
    }
}

/// The body with one more member, which it may not bring itself.
fn about(body: &str, member: &str, name: String) -> Result<Value, Reply> {
    let mut object = object(body)?;
    if object.insert(member.to_owned(), name.into()).is_some() {
        return Err(Reply::no(400, format!("`{member}` stands in the path, not in the body")));
    }
    Ok(Value::Object(object))
}

async fn phone(lab: Shared<Lab>, Path(name): Path<String>) -> Reply {
    lab.ask(Ask::Phones(Some(name))).await
}

async fn log(lab: Shared<Lab>, Path(name): Path<String>) -> Reply {
    lab.ask(Ask::Log(name)).await
}

async fn person(lab: Shared<Lab>, Path(name): Path<String>) -> Reply {
    lab.ask(Ask::People(Some(name))).await
}

/// The verbs of the story language that take a phone and nothing else.
const BARE_PHONE_VERBS: &[&str] = &["power-on", "reboot", "factory-reset"];

async fn on_phone(lab: Shared<Lab>, Path((name, verb)): Path<(String, String)>, body: String) -> Reply {
    if BARE_PHONE_VERBS.contains(&verb.as_str()) {
        return lab.step(&verb, name.into()).await;
    }
    match about(&body, "phone", name) {
        Ok(value) => lab.step(&verb, value).await,
        Err(why) => why,
    }
}

/// The verbs of the story language that take an account and nothing else.
const BARE_ACCOUNT_VERBS: &[&str] = &["disable", "enable", "revoke-sessions", "revoke-certificate"];

/// Those that take an account and more.
const ACCOUNT_VERBS: &[&str] = &["change-password", "move-user"];

async fn on_person(lab: Shared<Lab>, Path((name, verb)): Path<(String, String)>, body: String) -> Reply {
    if BARE_ACCOUNT_VERBS.contains(&verb.as_str()) {
        return lab.step(&verb, name.into()).await;
    }
    let member = if ACCOUNT_VERBS.contains(&verb.as_str()) { "account" } else { "person" };
    match about(&body, member, name) {
        Ok(value) => lab.step(&verb, value).await,
        Err(why) => why,
    }
}

async fn on_service(lab: Shared<Lab>, Path((name, verb)): Path<(String, String)>, body: String) -> Reply {
    match verb.as_str() {
        "stop" | "start" => lab.step(&verb, name.into()).await,
        _ => match about(&body, "service", name) {
            Ok(value) => lab.step(&verb, value).await,
            Err(why) => why,
        },
    }
}

async fn clock(lab: Shared<Lab>, body: String) -> Reply {
    with_object(&lab, "clock", &body).await
}

async fn faults(lab: Shared<Lab>, body: String) -> Reply {
    with_object(&lab, "network", &body).await
}

async fn expect(lab: Shared<Lab>, body: String) -> Reply {
    with_object(&lab, "expect", &body).await
}

async fn with_object(lab: &Lab, verb: &str, body: &str) -> Reply {
    match object(body) {
        Ok(object) => lab.step(verb, Value::Object(object)).await,
        Err(why) => why,
    }
}

async fn tell(lab: Shared<Lab>, body: String) -> Reply {
    lab.ask(Ask::Tell(body)).await
}

/// What a reader of the journal wants.
#[derive(Debug, serde::Deserialize)]
struct Reading {
    /// The first entry, counted from the beginning of the lab.
    #[serde(default)]
    since: usize,
    /// Whether to go on with what happens later, one JSON object a line.
    #[serde(default)]
    follow: bool,
}

async fn journal(Shared(lab): Shared<Lab>, Query(reading): Query<Reading>) -> Response {
    if !reading.follow {
        return lab.ask(Ask::Journal(reading.since)).await.into_response();
    }
    let lines = futures_util::stream::unfold((lab, reading.since), |(mut lab, since)| async move {
        loop {
            let reply = lab.ask(Ask::Journal(since)).await;
            let next = reply.body["next"].as_u64()? as usize;
            let entries = reply.body["entries"].as_array().cloned().unwrap_or_default();
            if !entries.is_empty() {
                let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
                return Some((Ok::<_, Infallible>(text), (lab, next)));
            }
            let changed = lab.length.changed();
            match tokio::time::timeout(STILL_THERE, changed).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                // An empty line keeps the connection alive, and finds out that nobody reads any more.
                Err(_) => return Some((Ok("\n".to_owned()), (lab, next))),
            }
        }
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_json_and_describes_every_route() {
        let description: Value = serde_json::from_str(DESCRIPTION).expect("JSON");
        let paths = description["paths"].as_object().expect("paths");
        let source = include_str!("control.rs");
        let routes =
            source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")?.split('"').next());
        let routes: Vec<&str> = routes.collect();
        assert!(routes.len() > 10, "{routes:?}");
        for route in routes {
            assert!(paths.contains_key(route), "openapi.json says nothing of {route}");
        }
        assert!(paths.contains_key("/openapi.json"));
    }

    #[test]
    fn a_body_may_not_say_again_what_the_path_says() {
        let said = about("{\"key\": \"Sign In\"}", "phone", "desk".to_owned()).expect("good");
        assert_eq!(said, json!({ "key": "Sign In", "phone": "desk" }));
        assert!(about("{\"phone\": \"hall\"}", "phone", "desk".to_owned()).is_err());
        assert!(about("[1]", "phone", "desk".to_owned()).is_err());
    }
}
