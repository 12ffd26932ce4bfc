//! `lab certs`: the lab's own authorities and server certificates, with keys of this machine's own.
//!
//! The simulation draws its certificates from the seed and needs none of these; they are for the lab on real
//! sockets and for whoever is to trust it. Keys never leave the folder, which git ignores.

use std::path::{Path, PathBuf};
use std::time::Duration;

use net::{Crypto, Random, Wall};
use pki::{Authority, Certificate, Validity, pem};
use ring::rand::SecureRandom as _;
use scenario::lab_file::Lab;
use scenario::language::{Reading, read_lab};

use crate::arguments::{Certs, CertsCommand, CertsPlace};
use crate::files::{self, DiskLibrary};
use crate::{BROKEN, PASSED, terminal};

/// How long an authority is good for.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How many days a server certificate is good for: what browsers take at most.
const SERVER_DAYS: u64 = 397;

/// The largest PEM file that is read.
const PEM_MAX: usize = 1 << 20;

/// Does it.
pub fn certs(arguments: &Certs) -> u8 {
    let done = match &arguments.what {
        CertsCommand::Make(place) => make(place),
        CertsCommand::Show(place) => show(place),
        CertsCommand::Export(place) => export(place),
    };
    match done {
        Ok(()) => PASSED,
        Err(why) => {
            eprintln!("lab: {why}");
            BROKEN
        }
    }
}

/// What is to be there: an authority, and the servers that it vouches for.
struct Wanted {
    file: String,
    title: String,
    servers: Vec<(String, Vec<String>)>,
}

fn wanted(lab: &Lab) -> Vec<Wanted> {
    let domain = &lab.domain.value;
    let identity = lab.identity_host();
    let mut all = vec![Wanted {
        file: "public-root".to_owned(),
        title: format!("{domain} Lab Public Root"),
        servers: vec![("identity".to_owned(), vec![identity])],
    }];
    for (index, (name, pool)) in lab.all_pools().into_iter().enumerate() {
        let mut names = vec![pool.host.value.clone()];
        if index == 0 {
            let aliases = ["lyncdiscover", "lyncdiscoverinternal", "sip", "sipinternal"];
            names.extend(aliases.map(|alias| format!("{alias}.{domain}")));
        }
        all.push(Wanted {
            file: format!("{name}-root"),
            title: format!("{domain} Communications Server {name}"),
            servers: vec![(name.to_owned(), names)],
        });
    }
    all
}

fn lab_of(place: &CertsPlace) -> Result<Lab, String> {
    let path = place.lab.display().to_string();
    let reading = Reading { library: &DiskLibrary, vocabulary: scenario::run::vocabulary(), lab: &path };
    read_lab(&path, reading).map_err(|mistakes| mistakes.render(terminal::colour()).trim_end().to_owned())
}

#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "real certificates have real dates")]
fn today() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Wall::from_unix_secs(i64::try_from(since.as_secs()).unwrap_or(0))
}

fn machine_random() -> Result<Random, String> {
    let mut seed = [0; 32];
    let source = ring::rand::SystemRandom::new();
    source.fill(&mut seed).map_err(|_| "the operating system gives no randomness".to_owned())?;
    Ok(Random::from_seed(seed))
}

fn make(place: &CertsPlace) -> Result<(), String> {
    let lab = lab_of(place)?;
    let mut random = machine_random()?;
    let now = today();
    for wanted in wanted(&lab) {
        let path = pem_path(&place.dir, &wanted.file);
        let mut authority = if path.exists() {
            let kept = pem::read_credentials(&read(&path)?).map_err(|why| told(&path, &why))?;
            Authority::restore(&kept, Crypto::System, &mut random).map_err(|why| told(&path, &why))?
        } else {
            let authority = Authority::new(&wanted.title, Crypto::System, &mut random, now, AUTHORITY_LIFE);
            keep(&path, &authority.credentials())?;
            terminal::line(&format!("made  {}", path.display()));
            authority
        };
        for (server, names) in &wanted.servers {
            let path = pem_path(&place.dir, server);
            if path.exists() && !is_stale(&path, names, now) {
                terminal::line(&format!("kept  {}", path.display()));
                continue;
            }
            let credentials = authority
                .issue_server(names, Validity::days(now, SERVER_DAYS))
                .map_err(|why| told(&path, &why))?;
            keep(&path, &credentials)?;
            terminal::line(&format!("made  {}", path.display()));
        }
    }
    Ok(())
}

/// Whether a server's certificate has run out, is for other names, or cannot be read.
fn is_stale(path: &Path, names: &[String], now: Wall) -> bool {
    let certificate = read(path).ok().and_then(|text| {
        let chain = pem::read_certificates(&text).ok()?;
        Certificate::read(chain.first()?).ok()
    });
    certificate.is_none_or(|certificate| {
        !certificate.is_valid_at(now) || names.iter().any(|name| !certificate.dns_names.contains(name))
    })
}

fn show(place: &CertsPlace) -> Result<(), String> {
    let lab = lab_of(place)?;
    let now = today();
    let mut found = false;
    for wanted in wanted(&lab) {
        let names = std::iter::once(&wanted.file).chain(wanted.servers.iter().map(|(name, _)| name));
        for name in names {
            let path = pem_path(&place.dir, name);
            if !path.exists() {
                continue;
            }
            found = true;
            let chain = pem::read_certificates(&read(&path)?).map_err(|why| told(&path, &why))?;
            for der in &chain {
                let certificate = Certificate::read(der).map_err(|why| told(&path, &why))?;
                print_certificate(&path, &certificate, now);
            }
        }
    }
    if found {
        Ok(())
    } else {
        Err(format!("no certificates in {}; `lab certs make` makes them", place.dir.display()))
    }
}

fn print_certificate(path: &Path, certificate: &Certificate, now: Wall) {
    let unnamed = || "(no name)".to_owned();
    terminal::line(&format!("{}", path.display()));
    terminal::line(&format!("  for      {}", certificate.common_name.clone().unwrap_or_else(unnamed)));
    if !certificate.dns_names.is_empty() {
        terminal::line(&format!("  names    {}", certificate.dns_names.join(", ")));
    }
    terminal::line(&format!("  by       {}", certificate.issuer.clone().unwrap_or_else(unnamed)));
    let state = if certificate.is_valid_at(now) { "" } else { "   not valid today" };
    terminal::line(&format!("  valid    {} to {}{state}", certificate.not_before, certificate.not_after));
    terminal::line(&format!("  sha-256  {}", certificate.fingerprint_hex()));
}

fn export(place: &CertsPlace) -> Result<(), String> {
    let lab = lab_of(place)?;
    let mut any = false;
    for wanted in wanted(&lab) {
        let path = pem_path(&place.dir, &wanted.file);
        if path.exists() {
            let chain = pem::read_certificates(&read(&path)?).map_err(|why| told(&path, &why))?;
            terminal::print(&pem::certificates(&chain));
            any = true;
        }
    }
    if any {
        Ok(())
    } else {
        Err(format!("no certificates in {}; `lab certs make` makes them", place.dir.display()))
    }
}

fn pem_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.pem"))
}

fn read(path: &Path) -> Result<String, String> {
    use scenario::language::Library as _;
    let bytes = DiskLibrary.read(&path.display().to_string(), PEM_MAX).map_err(|why| told(path, &why))?;
    String::from_utf8(bytes).map_err(|_| told(path, &"is no text"))
}

fn told(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("{}: {why}", path.display())
}

/// Writes chain and key into one file that only its owner may read.
fn keep(path: &Path, credentials: &net::tls::Credentials) -> Result<(), String> {
    let text = format!("{}{}", pem::certificates(&credentials.chain), pem::private_key(&credentials.key));
    files::write_secret(path, text.as_bytes())
}
