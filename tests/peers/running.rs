//! A running lab, and programs beside it, each with a time limit.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::Value;
use whole::house::root;

/// How long a program may take unless its test says otherwise; far longer than it does.
const LIMIT: Duration = Duration::from_secs(45);

/// How long waiting for the lab may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file beside these tests.
pub fn here(file: &str) -> String {
    root().join("tests/peers").join(file).display().to_string()
}

/// The `lab` program: beside this test where cargo put it, or built now.
fn lab_program() -> PathBuf {
    let own = std::env::current_exe().expect("this test");
    // target/PROFILE/deps/peers-…
    let beside = own.ancestors().nth(2).map(|folder| folder.join("lab")).expect("a folder of cargo's");
    if !beside.exists() {
        let built =
            Command::new(env!("CARGO")).args(["build", "-q", "-p", "lab"]).current_dir(root()).status();
        assert!(built.is_ok_and(|status| status.success()), "the lab cannot be built");
    }
    beside
}

/// What a program said, and how it ended.
pub struct Said {
    /// Both outputs as they came.
    pub text: String,
    /// The exit status, if it was not stopped.
    pub status: Option<i32>,
}

/// A program about to be run.
pub struct Program {
    command: Command,
    limit: Duration,
}

impl Program {
    /// Another people's program.
    pub fn new(name: &str) -> Program {
        let mut command = Command::new(name);
        command.current_dir(root()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Program { command, limit: LIMIT }
    }

    /// The lab itself.
    pub fn lab() -> Program {
        Program::new(&lab_program().display().to_string())
    }

    /// Whether the machine has a program of that name.
    pub fn exists(name: &str) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(name).exists())
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Program {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.command.args(arguments);
        self
    }

    /// Another working folder than the project's own.
    pub fn folder(mut self, folder: &Path) -> Program {
        self.command.current_dir(folder);
        self
    }

    /// Another time limit.
    pub fn limit(mut self, limit: Duration) -> Program {
        self.limit = limit;
        self
    }

    /// Starts it and goes on.
    pub fn start(mut self) -> Started {
        let mut child = self.command.spawn().expect("an installed program starts");
        let heard = Heard::default();
        let mut readers = Vec::new();
        for output in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)].into_iter().flatten() {
            let heard = heard.clone();
            readers.push(std::thread::spawn(move || heard.listen(output)));
        }
        Started { child, heard, readers, limit: self.limit }
    }

    /// Runs it to its end, or to its time limit.
    pub fn run(self) -> Said {
        let mut started = self.start();
        let until = Instant::now() + started.limit;
        let status = loop {
            match started.child.try_wait().expect("a child of this process") {
                Some(status) => break status.code(),
                None if Instant::now() > until => break None,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        let mut said = started.stop();
        said.status = status;
        said
    }
}

fn boxed(output: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(output)
}

/// What was heard of a program so far.
#[derive(Clone, Default)]
struct Heard(Arc<(Mutex<String>, Condvar)>);

impl Heard {
    fn listen(&self, output: Box<dyn Read + Send>) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let (text, changed) = &*self.0;
            let mut text = text.lock().expect("no listener panics");
            text.push_str(&String::from_utf8_lossy(&line));
            changed.notify_all();
            line.clear();
        }
    }

    fn text(&self) -> String {
        self.0.0.lock().expect("no listener panics").clone()
    }
}

/// A program that runs.
pub struct Started {
    child: Child,
    heard: Heard,
    readers: Vec<std::thread::JoinHandle<()>>,
    limit: Duration,
}

impl Started {
    /// Waits until a line begins with `start`, and gives back the rest of it.
    pub fn wait_for(&self, start: &str, limit: Duration) -> Result<String, Failed> {
        let (text, changed) = &*self.heard.0;
        let has_come = |text: &mut String| !text.lines().any(|line| line.starts_with(start));
        let text = text.lock().expect("no listener panics");
        let (text, _) = changed.wait_timeout_while(text, limit, has_come).expect("no listener panics");
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        line.map(|rest| rest.trim().to_owned())
            .ok_or_else(|| Failed::from(format!("no line began with `{start}` in:\n{}", *text)))
    }

    /// Ends it, and gives back all that it said.
    pub fn stop(mut self) -> Said {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers {
            let _ = reader.join();
        }
        Said { text: self.heard.text(), status: None }
    }
}

/// A running lab.
pub struct Lab {
    child: Mutex<Child>,
    folder: PathBuf,
    control: String,
    token: String,
    addresses: Vec<(String, String)>,
    network: String,
}

impl Lab {
    /// Starts the default lab on a network that nobody else uses, its clocks twenty times as fast. Its identity service
    /// behaves like that `profile`.
    pub fn start(profile: &str) -> Lab {
        let folder = std::env::temp_dir().join(format!("lab-peers-{}-{profile}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        let lab = std::fs::read_to_string(root().join("lab.yaml")).expect("the default lab");
        let changed = lab.replace("profile: entra-v1-2016", &format!("profile: {profile}"));
        std::fs::write(folder.join("lab.yaml"), changed).expect("a file of the test");
        let mut why = String::new();
        for attempt in 0..20 {
            let network = format!("127.{}", 100 + (std::process::id() + attempt) % 90);
            match Lab::start_on(&folder, &network) {
                Ok(lab) => return lab,
                Err(said) => why = said,
            }
        }
        panic!("the lab does not come up: {why}")
    }

    fn start_on(folder: &Path, network: &str) -> Result<Lab, String> {
        let mut child = Command::new(lab_program())
            .arg("up")
            .arg(folder.join("lab.yaml"))
            .args(["--format", "json", "--speed", "20", "--control", "127.0.0.1:0", "--no-ipv6"])
            .args(["--phones", "hall", "--network", &format!("{network}.0.0/16")])
            .arg("--state")
            .arg(folder.join("state"))
            .arg("--certs")
            .arg(folder.join("certs"))
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|why| why.to_string())?;
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        output.read_line(&mut line).map_err(|why| why.to_string())?;
        let Ok(table) = serde_json::from_str::<Value>(&line) else {
            let mut said = String::new();
            let _ = child.stderr.take().expect("its errors").read_to_string(&mut said);
            let _ = child.wait();
            return Err(said);
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let places = table["places"].as_array().cloned().unwrap_or_default();
        let address = |place: &Value| {
            let at = text(&place["at"]);
            (text(&place["name"]), at.rsplit_once(':').map_or(at.clone(), |(address, _)| address.to_owned()))
        };
        let token = std::fs::read_to_string(text(&table["token_file"])).map_err(|why| why.to_string())?;
        Ok(Lab {
            child: Mutex::new(child),
            folder: folder.to_owned(),
            control: text(&table["control"]),
            token: token.trim().to_owned(),
            addresses: places.iter().map(address).collect(),
            network: network.to_owned(),
        })
    }

    /// Stops it as a person does, and throws its folder away.
    pub fn stop(&self) {
        let mut child = self.child.lock().expect("nobody panics with it");
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        let until = Instant::now() + Duration::from_secs(5);
        let has_stopped = asked.is_ok()
            && std::iter::repeat_with(|| {
                std::thread::sleep(Duration::from_millis(20));
                child.try_wait().is_ok_and(|status| status.is_some())
            })
            .take_while(|_| Instant::now() < until)
            .any(|has_stopped| has_stopped);
        if !has_stopped {
            let _ = child.kill();
            let _ = child.wait();
            println!("the lab did not stop on TERM and was killed");
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    /// The address of a service.
    pub fn address(&self, name: &str) -> String {
        let found = self.addresses.iter().find(|(of, _)| of == name);
        found.map(|(_, address)| address.clone()).unwrap_or_else(|| panic!("the lab lists no `{name}`"))
    }

    /// An address for a program of the test: nobody of the lab has it.
    pub fn own_address(&self, host: u8) -> String {
        format!("{}.200.{host}", self.network)
    }

    /// The file of an authority's root.
    pub fn root(&self, name: &str) -> String {
        self.folder.join("certs").join(format!("{name}.pem")).display().to_string()
    }

    /// A folder of the test's own.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        folder
    }

    fn ask(&self, path: &str, body: Option<&str>) -> Result<Value, Failed> {
        let header = format!("Authorization: Bearer {}", self.token);
        let url = format!("{}{path}", self.control);
        let curl = Program::new("curl").args(["-sS", "-H", &header, &url]);
        let said = match body {
            None => curl.run(),
            Some(body) => curl.args(["--data-binary", body]).run(),
        };
        serde_json::from_str(&said.text)
            .map_err(|why| Failed::from(format!("{path}: {why} in {}", said.text)))
    }

    /// Has the lab tell steps; they hold.
    pub fn tell(&self, steps: &str) -> Result<(), Failed> {
        let told = self.ask("/v1/tell", Some(steps))?;
        match told["done"] == true {
            true => Ok(()),
            false => Err(Failed::from(format!("{told:#}"))),
        }
    }

    /// The address of a phone that has one.
    pub fn phone(&self, name: &str) -> Result<String, Failed> {
        let phone = self.ask(&format!("/v1/phones/{name}"), None)?;
        phone["address"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| Failed::from(format!("no address: {phone:#}")))
    }

    /// Waits until something is so of a person.
    pub fn until(&self, person: &str, is_so: impl Fn(&Value) -> bool) -> Result<(), Failed> {
        let until = Instant::now() + PATIENCE;
        loop {
            let facts = self.ask(&format!("/v1/people/{person}"), None)?;
            if is_so(&facts) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Failed::from(format!("it did not come about: {facts:#}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
