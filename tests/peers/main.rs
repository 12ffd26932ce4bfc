//! Other people's programs, unmodified, against a running lab: each does something real, or says aloud that it is not
//! installed. `tests/peers/README.md` tells which and what.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "programs of other people are started, and their files written, by whoever tests them"
)]

mod load;
mod running;

use std::path::PathBuf;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

use running::{Lab, Program, Said, here};

type Told = Result<(), Failed>;

/// A test's name, the program that it needs, and what it does with it.
type Peer = (&'static str, &'static str, fn(&Lab) -> Told);

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let trials: [Peer; 11] = [
        ("dig_resolves_over_udp_and_tcp", "dig", resolves),
        ("openssl_verifies_the_chain_and_its_revocation_list", "openssl", verifies),
        ("curl_reads_discovery_and_drives_a_phone_over_rest", "curl", drives_a_phone),
        ("sipsak_hears_that_the_pool_is_there", "sipsak", hears_options),
        ("sipp_registers_by_digest", "sipp", registers),
        ("baresip_calls_baresip_through_the_lab", "baresip", calls),
        ("tshark_reads_a_capture_decrypted", "tshark", reads_a_capture),
        ("msal_signs_in_by_device_code", "python3", signs_in_by_device_code),
        ("pidgin_sipe_signs_in", "gcc", pidgin_signs_in),
        ("kamailio_bears_load_by_digest", "kamailio", load::loads_kamailio),
        (
            "a_pool_that_dies_under_load_leaves_no_request_uncounted",
            "kill",
            load::survives_the_death_of_a_pool,
        ),
    ];
    let lab = if arguments.list { None } else { Some(Lab::start("entra-v1-2016")) };
    let lab: &'static Option<Lab> = Box::leak(Box::new(lab));
    let trials = trials.into_iter().map(|(name, program, test)| {
        Trial::test(name, move || {
            let Some(lab) = lab else { return Ok(()) };
            if !Program::exists(program) {
                println!("skipped {name}: {program} is not installed");
                return Ok(());
            }
            test(lab)
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if let Some(lab) = lab {
        lab.stop();
    }
    conclusion.exit_code()
}

fn fail(why: impl Into<String>) -> Told {
    Err(Failed::from(why.into()))
}

/// Fails unless everything of `wanted` stands in what a program said.
fn must_say(said: &Said, wanted: &[&str]) -> Told {
    match wanted.iter().find(|wanted| !said.text.contains(**wanted)) {
        None => Ok(()),
        Some(missing) => fail(format!("`{missing}` is missing in:\n{}", said.text)),
    }
}

fn resolves(lab: &Lab) -> Told {
    let server = format!("@{}", lab.address("dns"));
    for way in ["+notcp", "+tcp"] {
        let said = Program::new("dig").args([&server, way, "+short", "fe.contoso.example", "A"]).run();
        must_say(&said, &[&lab.address("fe")])?;
        let said =
            Program::new("dig").args([&server, way, "+short", "_sip._tls.contoso.example", "SRV"]).run();
        must_say(&said, &["5061 fe.contoso.example."])?;
        let said = Program::new("dig").args([&server, way, "nobody.contoso.example", "A"]).run();
        must_say(&said, &["NXDOMAIN"])?;
    }
    Ok(())
}

fn verifies(lab: &Lab) -> Told {
    let root = lab.root("public-root");
    let at = format!("{}:443", lab.address("identity"));
    for version in ["-tls1_2", "-tls1_3"] {
        let arguments = ["s_client", "-connect", &at, "-servername", "login.contoso.example", version];
        let verify = ["-verify_hostname", "login.contoso.example", "-verify_return_error", "-CAfile", &root];
        let said = Program::new("openssl").args(arguments).args(verify).run();
        must_say(&said, &["Verify return code: 0 (ok)"])?;
    }
    // Somebody else's root does not vouch for it.
    let pool_root = lab.root("fe-root");
    let said = Program::new("openssl")
        .args(["s_client", "-connect", &at, "-servername", "login.contoso.example", "-CAfile", &pool_root])
        .run();
    if said.text.contains("Verify return code: 0 (ok)") {
        return fail("the identity service's certificate is vouched for by a pool's root");
    }
    let sip = format!("{}:5061", lab.address("fe"));
    let verify = ["-verify_hostname", "fe.contoso.example", "-verify_return_error", "-CAfile", &pool_root];
    let said = Program::new("openssl").args(["s_client", "-connect", &sip]).args(verify).run();
    must_say(&said, &["Verify return code: 0 (ok)"])?;
    is_not_revoked(lab, "identity", "public-root", &lab.address("pki"), "/public-root/ocsp")?;
    is_not_revoked(lab, "fe", "fe-root", &lab.address("fe"), "/pki/pool-root/ocsp")
}

/// Asks the authority itself, at the address that stands in the certificate.
fn is_not_revoked(lab: &Lab, server: &str, authority: &str, at: &str, path: &str) -> Told {
    let (root, leaf) = (lab.root(authority), lab.root(server));
    let url = format!("http://{at}:80{path}");
    let said = Program::new("openssl")
        .args(["ocsp", "-issuer", &root, "-cert", &leaf, "-CAfile", &root, "-url", &url, "-resp_text"])
        .run();
    must_say(&said, &["Response verify OK", ": good"])?;
    let list = lab.folder("crl").join(format!("{authority}.crl"));
    let url = url.replace("/ocsp", ".crl");
    let said = Program::new("curl").args(["-sS", "-f", "-o"]).arg(&list).arg(&url).run();
    if said.status != Some(0) {
        return fail(format!("{url}: {}", said.text));
    }
    let said = Program::new("openssl")
        .args(["crl", "-inform", "DER", "-noout", "-CAfile", &root, "-in"])
        .arg(&list)
        .run();
    must_say(&said, &["verify OK"])
}

fn drives_a_phone(lab: &Lab) -> Told {
    let resolve = format!("login.contoso.example:443:{}", lab.address("identity"));
    let url = "https://login.contoso.example/common/.well-known/openid-configuration";
    let said = Program::new("curl")
        .args(["-sS", "--cacert", &lab.root("public-root"), "--resolve", &resolve, url])
        .run();
    must_say(&said, &["device_authorization_endpoint", "https://login.contoso.example/"])?;
    lab.tell("- expect: { phone: hall, screen: home, within: 5m }")?;
    lab.tell(
        "- configure: { phone: hall, parameters: { httpd.enabled: \"1\", httpd.cfg.enabled: \"1\", apps.restapi.enabled: \"1\" } }",
    )?;
    let phone = lab.phone("hall")?;
    let rest = |path: &str, password: &str| {
        let user = format!("Polycom:{password}");
        let url = format!("https://{phone}/api/v1/mgmt/{path}");
        Program::new("curl").args(["-sSk", "-u", &user, "-w", "\nHTTP %{http_code}", &url]).run()
    };
    must_say(
        &rest("device/info", "456"),
        &["\"Status\":\"2000\"", "\"MACAddress\":\"0004f2a1b2c4\"", "HTTP 200"],
    )?;
    must_say(&rest("lineInfo", "456"), &["\"RegistrationStatus\":\"unregistered\""])?;
    must_say(&rest("device/info", "wrong"), &["HTTP 401"])?;
    let url = format!("https://{phone}/api/v1/mgmt/config/get");
    let body = r#"{"data":["httpd.enabled"]}"#;
    let said = Program::new("curl")
        .args(["-sSk", "-u", "Polycom:456", "-H", "content-type: application/json", "-d", body, &url])
        .run();
    must_say(&said, &["httpd.enabled", "\"Value\":\"1\""])
}

fn hears_options(lab: &Lab) -> Told {
    let uri = format!("sip:{}:5060", lab.address("fe"));
    let said = Program::new("sipsak").args(["-vv", "-s", &uri]).run();
    must_say(&said, &["SIP/2.0 200"])
}

fn registers(lab: &Lab) -> Told {
    let scenario = here("register.xml");
    let to = format!("{}:5060", lab.address("fe"));
    let own = lab.own_address(3);
    let arguments =
        ["-sf", &scenario, &to, "-i", &own, "-m", "3", "-r", "10", "-timeout", "20", "-timeout_error"];
    let more = ["-nostdin", "-trace_err", "-error_file", "/dev/null", "-au", "alice", "-ap", "Tr4in-Lamp!"];
    let said = Program::new("sipp").args(arguments).args(more).run();
    if said.status != Some(0) {
        return fail(format!("SIPp ended with {:?}:\n{}", said.status, said.text));
    }
    must_say(&said, &["Successful call"])
}

fn calls(lab: &Lab) -> Told {
    let pool = lab.address("fe");
    let agent = |user: &str, password: &str, own: u8, more: &str| -> PathBuf {
        let folder = lab.folder(&format!("baresip-{user}"));
        let config = format!(
            "sip_listen\t{}:0\naudio_player\taubridge,nil\naudio_source\taubridge,nil\naudio_alert\taubridge,nil\n\
             module_path\t/usr/lib/baresip/modules\nmodule\tg711.so\nmodule\taubridge.so\nmodule_tmp\taccount.so\n\
             module_app\tmenu.so\n",
            lab.own_address(own)
        );
        let account = format!(
            "<sip:{user}@contoso.example;transport=udp>;auth_user={user};auth_pass={password};\
             outbound=\"sip:{pool}:5060\";regint=60{more}\n"
        );
        for (file, text) in [("config", config.as_str()), ("accounts", account.as_str()), ("contacts", "")] {
            std::fs::write(folder.join(file), text).expect("a file of the test");
        }
        folder
    };
    let called = agent("bob", "Gr33n-Door!", 1, ";answermode=auto");
    let caller = agent("alice", "Tr4in-Lamp!", 2, "");
    let answers = Program::new("baresip").args(["-v", "-t", "40", "-f"]).arg(&called).start();
    lab.until("bob", |person| person["bindings"] == 1)?;
    let said = Program::new("baresip")
        .args(["-v", "-t", "6", "-f"])
        .arg(&caller)
        .args(["-e", "/dial sip:bob@contoso.example"])
        .run();
    must_say(&said, &["180 Ringing", "Call established"])?;
    let heard = answers.stop();
    must_say(&heard, &["answering call", "audio: start", "session closed"])
}

fn reads_a_capture(lab: &Lab) -> Told {
    let file = lab.folder("capture").join("web.pcapng");
    let told = Program::lab().args(["run", "scenarios/sign-in/web.yaml", "--trace"]).arg(&file).run();
    must_say(&told, &["✓"])?;
    let said = Program::new("tshark")
        .args(["-T", "fields", "-e", "_ws.col.Protocol", "-e", "_ws.col.Info", "-r"])
        .arg(&file)
        .run();
    for wanted in
        ["DHCP\t", "DNS\t", "NTP\t", "HTTP\tGET /0004f2a1b2c3.cfg", "Request: REGISTER sip:contoso.example"]
    {
        must_say(&said, &[wanted])?;
    }
    // What went through TLS is read without any setting.
    must_say(&said, &["POST /common/oauth2/devicecode"])
}

fn signs_in_by_device_code(_: &Lab) -> Told {
    let has_msal = Program::new("python3").args(["-c", "import msal"]).run().status == Some(0);
    if !has_msal {
        println!("skipped msal_signs_in_by_device_code: the Python package msal is not installed");
        return Ok(());
    }
    // The library speaks version 2 of the service's API only.
    let lab = Lab::start("entra-v2-2024");
    let told = sign_in_with_msal(&lab);
    lab.stop();
    told
}

fn sign_in_with_msal(lab: &Lab) -> Told {
    let started = Program::new("python3")
        .arg(here("device_code.py"))
        .args([lab.address("identity"), lab.root("public-root")])
        .start();
    let code = started.wait_for("code ", Duration::from_secs(20))?;
    lab.tell(&format!(
        "- browse: {{ person: alice, to: \"https://login.contoso.example/common/oauth2/deviceauth\" }}\n\
         - submit: {{ person: alice, code: \"{code}\" }}\n\
         - sign-in: {{ person: alice, password: right, second-factor: right }}\n\
         - expect: {{ person: alice, page: finished }}"
    ))?;
    started.wait_for("token for alice@contoso.example", Duration::from_secs(30))?;
    Ok(())
}

fn pidgin_signs_in(lab: &Lab) -> Told {
    let script = here("pidgin/sign-in.sh");
    // Told where the pool is, and finding it by autodiscover.
    for server in [&["--server", "fe.contoso.example"][..], &[]] {
        let said = Program::new("bash")
            .args([&script, "--pool", &lab.address("fe"), "--ca", &lab.root("fe-root")])
            .args(["--user", "bob@contoso.example", "--password", "Gr33n-Door!"])
            .args(server)
            .limit(Duration::from_secs(60))
            .run();
        if said.status == Some(77) {
            println!("skipped pidgin_sipe_signs_in: {}", said.text.trim());
            return Ok(());
        }
        must_say(&said, &["signed-on"])?;
    }
    Ok(())
}
