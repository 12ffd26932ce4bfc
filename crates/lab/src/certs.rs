//! `lab certs`: the lab's own authorities and server certificates, with keys of this machine's own.
//!
//! The simulation draws its certificates from the seed and needs none of these; they are for the lab on real
//! sockets and for whoever is to trust it. Keys never leave the folder, which git ignores, but as PKCS #12 on request.

mod export;
mod store;

pub use self::store::ready;

use std::path::{Path, PathBuf};

use net::Wall;
use pki::{Certificate, pem};
use rustls_pki_types::CertificateDer;
use scenario::cast::Addresses;
use scenario::cast::certified::{AuthorityWanted, wanted};
use scenario::lab_file::Lab;
use scenario::language::{Reading, read_lab};

pub use self::export::Encryption;

use self::store::{authority_file, path_of, read, read_credentials, told};
use crate::arguments::{Certs, CertsCommand, CertsExport, CertsMake, CertsPlace, Shape};
use crate::files::{self, DiskLibrary};
use crate::{BROKEN, PASSED, terminal};

/// Does it.
pub fn certs(arguments: &Certs) -> u8 {
    let done = match &arguments.what {
        CertsCommand::Make(make_what) => make(make_what),
        CertsCommand::Show(place) => show(place),
        CertsCommand::Export(export_what) => export(export_what),
    };
    match done {
        Ok(()) => PASSED,
        Err(why) => {
            eprintln!("lab: {why}");
            BROKEN
        }
    }
}

fn lab_of(place: &CertsPlace) -> Result<Lab, String> {
    let path = place.lab.display().to_string();
    let reading = Reading { library: &DiskLibrary, vocabulary: scenario::run::vocabulary(), lab: &path };
    read_lab(&path, reading).map_err(|mistakes| mistakes.render(terminal::colour()).trim_end().to_owned())
}

/// What the calendar of this machine says.
pub fn today() -> Wall {
    Wall::from_unix_secs(i64::try_from(since_1970().as_secs()).unwrap_or(0))
}

/// How long it is since 1970, by the machine's clock.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real certificates and results have real dates"
)]
pub fn since_1970() -> std::time::Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

fn make(arguments: &CertsMake) -> Result<(), String> {
    let lab = lab_of(&arguments.place)?;
    let wanted = wanted(&lab, arguments.network.map(Addresses::Within));
    let ready = ready(&arguments.place.dir, &wanted, arguments.key.map(Into::into), today())?;
    for (word, paths) in [("kept", &ready.kept), ("made", &ready.made)] {
        for path in paths {
            let chain = pem::read_certificates(&read(path)?).map_err(|why| told(path, &why))?;
            let certificate = Certificate::read(&chain[0]).map_err(|why| told(path, &why))?;
            terminal::line(&format!("{word}  {}  sha-256 {}", path.display(), certificate.fingerprint_hex()));
        }
    }
    Ok(())
}

/// Every file that the lab wants and that is there: its name, its path, and its authority.
fn present<'a>(dir: &Path, all: &'a [AuthorityWanted]) -> Vec<(String, PathBuf, &'a AuthorityWanted)> {
    let mut found = Vec::new();
    for wanted in all {
        let servers = wanted.servers.iter().map(|server| server.name.clone());
        for name in std::iter::once(authority_file(wanted)).chain(servers) {
            let path = path_of(dir, &name);
            if path.exists() {
                found.push((name, path, wanted));
            }
        }
    }
    found
}

fn none_in(dir: &Path) -> String {
    format!("no certificates in {}; `lab certs make` makes them", dir.display())
}

fn show(place: &CertsPlace) -> Result<(), String> {
    let all = wanted(&lab_of(place)?, None);
    let found = present(&place.dir, &all);
    for (_, path, _) in &found {
        let chain = pem::read_certificates(&read(path)?).map_err(|why| told(path, &why))?;
        for der in &chain {
            let certificate = Certificate::read(der).map_err(|why| told(path, &why))?;
            print_certificate(path, &certificate, today());
        }
    }
    if found.is_empty() { Err(none_in(&place.dir)) } else { Ok(()) }
}

fn print_certificate(path: &Path, certificate: &Certificate, now: Wall) {
    let unnamed = || "(no name)".to_owned();
    terminal::line(&format!("{}", path.display()));
    terminal::line(&format!("  for      {}", certificate.common_name.clone().unwrap_or_else(unnamed)));
    let addresses = certificate.addresses.iter().map(ToString::to_string);
    let names: Vec<String> = certificate.dns_names.iter().cloned().chain(addresses).collect();
    if !names.is_empty() {
        terminal::line(&format!("  names    {}", names.join(", ")));
    }
    terminal::line(&format!("  by       {}", certificate.issuer.clone().unwrap_or_else(unnamed)));
    let state = if certificate.is_valid_at(now) { "" } else { "   not valid today" };
    terminal::line(&format!("  valid    {} to {}{state}", certificate.not_before, certificate.not_after));
    terminal::line(&format!("  sha-256  {}", certificate.fingerprint_hex()));
}

fn export(arguments: &CertsExport) -> Result<(), String> {
    let lab = lab_of(&arguments.place)?;
    let all = wanted(&lab, None);
    let dir = &arguments.place.dir;
    let found = present(dir, &all);
    if found.is_empty() {
        return Err(none_in(dir));
    }
    let is_root = |name: &str| all.iter().any(|wanted| authority_file(wanted) == name);
    for name in &arguments.names {
        if !found.iter().any(|(known, ..)| known == name) {
            let known: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
            return Err(format!("no certificate is called `{name}`; there are {}", known.join(", ")));
        }
    }
    let is_chosen = |name: &str| match arguments.names.is_empty() {
        true if arguments.format == Shape::P12 => !is_root(name),
        true => is_root(name),
        false => arguments.names.iter().any(|chosen| chosen == name),
    };
    let mut text = String::new();
    let mut roots = Vec::new();
    for (name, path, authority) in found.iter().filter(|(name, ..)| is_chosen(name)) {
        let chain = pem::read_certificates(&read(path)?).map_err(|why| told(path, &why))?;
        match arguments.format {
            Shape::Pem if arguments.out.is_some() => {
                write(arguments, &format!("{name}.pem"), pem::certificates(&chain).as_bytes(), &chain[0])?;
            }
            Shape::Pem => text.push_str(&pem::certificates(&chain)),
            Shape::Der => write(arguments, &format!("{name}.der"), &chain[0], &chain[0])?,
            Shape::P12 => {
                let credentials = read_credentials(path)?;
                let root = path_of(dir, &authority_file(authority));
                let root_chain = pem::read_certificates(&read(&root)?).map_err(|why| told(&root, &why))?;
                let root = root_chain.last().expect("no text without a certificate was read");
                let (password, encryption) = (&arguments.password, arguments.encryption);
                let octets = export::pkcs12(name, &credentials, root, password, encryption)?;
                write(arguments, &format!("{name}.p12"), &octets, &chain[0])?;
            }
            Shape::Phone => roots.extend(chain.last().cloned()),
        }
    }
    if arguments.format == Shape::Phone {
        let file = export::phone_file(&lab.domain.value, &roots);
        match roots.first() {
            Some(first) if arguments.out.is_some() => {
                write(arguments, "lab-authorities.cfg", file.as_bytes(), first)?;
            }
            _ => text = file,
        }
    }
    terminal::print(&text);
    Ok(())
}

/// Writes an exported file, and says which certificate is in it.
fn write(
    arguments: &CertsExport,
    name: &str,
    octets: &[u8],
    certificate: &CertificateDer<'_>,
) -> Result<(), String> {
    let Some(out) = &arguments.out else {
        return Err("name the folder for the files: --out DIR".to_owned());
    };
    let path = out.join(name);
    let certificate = Certificate::read(certificate).map_err(|why| told(&path, &why))?;
    match arguments.format {
        Shape::P12 => files::write_secret(&path, octets)?,
        Shape::Pem | Shape::Der | Shape::Phone => files::write(&path, octets)?,
    }
    terminal::line(&format!("{}  sha-256 {}", path.display(), certificate.fingerprint_hex()));
    Ok(())
}
