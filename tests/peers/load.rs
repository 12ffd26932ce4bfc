//! Load on somebody else's server, and on a pool that dies under it: each piece of work counts exactly once, whatever happens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::Failed;
use serde_json::Value;
use whole::house::root;

use super::running::{Lab, Program, Started};
use super::{Told, fail};

/// Where Kamailio listens, as `bench/kamailio.cfg` says.
const KAMAILIO: &str = "127.0.8.1";

/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Kamailio, asking for digest, over every transport that its build has.
fn kamailio(folder: &Path) -> Result<Started, Failed> {
    for file in ["kamailio.cfg", "tls.cfg"] {
        std::fs::copy(root().join("bench").join(file), folder.join(file))?;
    }
    let said = Program::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=contoso.example", "-addext", "subjectAltName=DNS:contoso.example"])
        .arg("-keyout")
        .arg(folder.join("server.key"))
        .arg("-out")
        .arg(folder.join("server.pem"))
        .run();
    if said.status != Some(0) {
        return Err(Failed::from(said.text));
    }
    let mut program = Program::new("kamailio").folder(folder);
    program = program.args([
        "-DD",
        "-E",
        "-w",
        ".",
        "-Y",
        ".",
        "-f",
        "kamailio.cfg",
        "-P",
        "kamailio.pid",
        "-m",
        "64",
        "-M",
        "8",
    ]);
    // One worker: Debian's build crashes with two of them and TLS.
    program = program.args(["-A", "WORKERS=1", "-A", "AUTH", "-A", "STREAM"]);
    if has_tls() {
        program = program.args(["-A", "SECURE"]);
    }
    let server = program.start();
    let end = std::time::Instant::now() + PATIENCE;
    while std::net::TcpStream::connect((KAMAILIO, 15060)).is_err() {
        if std::time::Instant::now() > end {
            return Err(Failed::from(format!("kamailio does not listen:\n{}", server.stop().text)));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(server)
}

fn has_tls() -> bool {
    let there = std::fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok);
    there.into_iter().any(|it| it.path().join("kamailio/modules/tls.so").exists())
}

/// Runs a plan; what came of it.
fn load(folder: &Path, plan: &str) -> Result<Value, Failed> {
    let (file, out) = (folder.join("plan.yaml"), folder.join("out"));
    let _ = std::fs::remove_dir_all(&out);
    std::fs::write(&file, plan)?;
    let said =
        Program::lab().arg("load").arg(&file).arg("--out").arg(&out).limit(Duration::from_secs(120)).run();
    let result =
        std::fs::read_to_string(out.join("result.json")).map_err(|_| Failed::from(said.text.clone()))?;
    let result: Value = serde_json::from_str(&result)?;
    for part in ["counted", "warm_up"] {
        let totals = &result[part];
        let failed: u64 =
            totals["failed"].as_object().into_iter().flatten().filter_map(|(_, it)| it.as_u64()).sum();
        let number = |name: &str| totals[name].as_u64().unwrap_or_default();
        let ended = number("succeeded") + failed + number("unfinished");
        if number("offered") != ended {
            return Err(Failed::from(format!("{part}: not each piece of work counts once: {totals:#}")));
        }
    }
    Ok(result)
}

fn plan(at: &str, transport: &str, profile: &str) -> String {
    let tls = if transport == "tls" { ", certificate: contoso.example, roots: any" } else { "" };
    format!(
        "title: a peer under load\n\
         target: {{ server: \"{at}\", domain: contoso.example, transport: {transport}{tls} }}\n\
         phones: {{ count: 200, user: \"load{{n:03}}\", password: secret }}\n\
         work: {{ register: {{ forget-challenge: true }} }}\n\
         profile: [ {profile} ]\n"
    )
}

/// Registers by digest at Kamailio over UDP, TCP and TLS.
pub fn loads_kamailio(lab: &Lab) -> Told {
    let folder = lab.folder("kamailio");
    let server = kamailio(&folder)?;
    let outcome = ["udp", "tcp", "tls"].into_iter().try_for_each(|transport| {
        if transport == "tls" && !has_tls() {
            println!("skipped Kamailio over TLS: kamailio-tls-modules is not installed");
            return Ok(());
        }
        let port = if transport == "tls" { 15061 } else { 15060 };
        let result = load(&folder, &plan(&format!("{KAMAILIO}:{port}"), transport, "steady: 200/s for 3s"))?;
        let counted = &result["counted"];
        let handshakes = counted["handshakes"].as_u64();
        let is_right = counted["offered"] == 600
            && counted["succeeded"] == 600
            && counted["challenges"] == 600
            && handshakes == Some(if transport == "tls" { 200 } else { 0 });
        if is_right { Ok(()) } else { fail(format!("over {transport}: {counted:#}")) }
    });
    // Its children hold its output: it must end by itself, and take them along.
    let pid = std::fs::read_to_string(folder.join("kamailio.pid")).unwrap_or_default();
    Program::new("kill").args(["-TERM", pid.trim()]).run();
    let end = std::time::Instant::now() + PATIENCE;
    while std::net::TcpStream::connect((KAMAILIO, 15060)).is_ok() && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = server.stop();
    outcome.map_err(|why| {
        Failed::from(format!("{}\nKamailio said:\n{}", why.message().unwrap_or(""), said.text))
    })
}

fn pool(folder: &Path, address: &str) -> Result<Started, Failed> {
    let certs: PathBuf = folder.join("certs");
    let server = Program::lab()
        .args([
            "pool", "--format", "json", "--listen", address, "--udp", "15060", "--tcp", "15060", "--tls",
            "15061",
        ])
        .args(["--accounts", "200", "--user", "load{n:03}", "--digest", "none", "--certs"])
        .arg(certs)
        .start();
    server.wait_for("{", PATIENCE)?;
    Ok(server)
}

/// A pool is killed under load and comes back: over UDP what was lost is sent again and nothing fails; over TCP each
/// request that went down with it has failed once.
pub fn survives_the_death_of_a_pool(lab: &Lab) -> Told {
    let folder = lab.folder("killed-pool");
    let address = lab.own_address(7);
    for transport in ["udp", "tcp"] {
        let server = pool(&folder, &address)?;
        let text = plan(&format!("{address}:15060"), transport, "steady: 100/s for 8s");
        let result = std::thread::scope(|scope| {
            let killer = scope.spawn(|| {
                std::thread::sleep(Duration::from_secs(3));
                server.stop();
                std::thread::sleep(Duration::from_secs(1));
                pool(&folder, &address)
            });
            let result = load(&folder, &text);
            killer.join().expect("the killer does not panic").map(Started::stop)?;
            result
        })?;
        let counted = &result["counted"];
        let number = |name: &str| counted[name].as_u64().unwrap_or_default();
        let failed: u64 =
            counted["failed"].as_object().into_iter().flatten().filter_map(|(_, it)| it.as_u64()).sum();
        let is_right = match transport {
            "udp" => number("offered") == 800 && failed == 0 && number("retransmissions") > 0,
            _ => number("offered") == 800 && failed > 0 && number("succeeded") > 0,
        };
        if !is_right {
            return fail(format!("over {transport}: {counted:#}"));
        }
    }
    Ok(())
}
