//! The folder of certificates: what a lab needs is read from it, or made there on first use.
//!
//! Each authority and each server has one PEM file with its chain and its key, which only its owner may read; a file is
//! there whole or not at all. What is there is used only if it fits: an authority with its key, a server's certificate
//! that this authority signed. A server's certificate that is about to end, or lacks a name, is replaced; whatever else does
//! not fit is left alone and told, since somebody may have put it there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use net::tls::Credentials;
use net::{Crypto, Random, Wall};
use pki::{Authority, Certificate, KeyKind, Validity, kept, pem};
use ring::rand::SecureRandom as _;
use scenario::cast::certified::{AuthorityWanted, Certified, ServerWanted};
use scenario::language::Library as _;

use crate::files::{self, DiskLibrary};

/// How long an authority is good for.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How many days a server certificate is good for: what browsers take at most.
const SERVER_DAYS: u64 = 397;

/// A server certificate with less than this left is replaced.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// The largest PEM file that is read.
const PEM_MAX: usize = 1 << 20;

/// The folder's lock: whoever makes certificates holds it.
const LOCK: &str = ".lock";

/// What a lab is served with, and what had to be made for it.
#[derive(Debug)]
pub struct Ready {
    /// All authorities and server certificates.
    pub certified: Certified,
    /// The files that were made or made anew, in order.
    pub made: Vec<PathBuf>,
    /// The files that were there and fit.
    pub kept: Vec<PathBuf>,
}

/// Reads what a lab needs from `dir`, and makes what is not there: authorities with keys of the kind `keys` (P-256 if not
/// said), servers with keys of their authority's kind.
///
/// # Errors
///
/// A sentence if a file is broken, is somebody else's or cannot be written, or if an authority is there with a key of
/// another kind than `keys`.
pub fn ready(
    dir: &Path,
    wanted: &[AuthorityWanted],
    keys: Option<KeyKind>,
    now: Wall,
) -> Result<Ready, String> {
    let mut folder = Folder { dir, keys, now, may_write: false, random: machine_random()? };
    // Most often all is there, in a folder that may be read-only.
    if let Some(ready) = folder.look(wanted)? {
        return Ok(ready);
    }
    // Two labs that start at once would mix their authorities' certificates up.
    let lock = files::open_secret(&dir.join(LOCK))?;
    lock.lock().map_err(|why| format!("{}: cannot be locked: {why}", dir.join(LOCK).display()))?;
    folder.may_write = true;
    let ready = folder.look(wanted)?;
    Ok(ready.expect("what may be written is made"))
}

/// The file of an authority or a server.
pub fn path_of(dir: &Path, file: &str) -> PathBuf {
    dir.join(format!("{file}.pem"))
}

/// The name of an authority's file, without its ending.
pub fn authority_file(wanted: &AuthorityWanted) -> String {
    format!("{}-root", wanted.name)
}

/// Reads a chain and its key.
///
/// # Errors
///
/// A sentence with the path and what is wrong with it.
pub fn read_credentials(path: &Path) -> Result<Credentials, String> {
    pem::read_credentials(&read(path)?).map_err(|why| told(path, &why))
}

pub fn read(path: &Path) -> Result<String, String> {
    let bytes = DiskLibrary.read(&path.display().to_string(), PEM_MAX).map_err(|why| told(path, &why))?;
    String::from_utf8(bytes).map_err(|_| told(path, &"is no text"))
}

/// A sentence about a file.
pub fn told(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("{}: {why}", path.display())
}

struct Folder<'a> {
    dir: &'a Path,
    keys: Option<KeyKind>,
    now: Wall,
    may_write: bool,
    random: Random,
}

impl Folder<'_> {
    /// All that is wanted; `None` if something is to be made and nothing may be written.
    fn look(&mut self, wanted: &[AuthorityWanted]) -> Result<Option<Ready>, String> {
        let mut ready = Ready {
            certified: Certified {
                authorities: BTreeMap::new(),
                servers: BTreeMap::new(),
                random: self.random.fork("lab"),
            },
            made: Vec::new(),
            kept: Vec::new(),
        };
        for wanted in wanted {
            let Some(mut authority) = self.authority(wanted, &mut ready)? else { return Ok(None) };
            for server in &wanted.servers {
                let Some(credentials) = self.server(server, wanted, &mut authority, &mut ready)? else {
                    return Ok(None);
                };
                ready.certified.servers.insert(server.name.clone(), credentials);
            }
            ready.certified.authorities.insert(wanted.name.clone(), authority.credentials());
        }
        Ok(Some(ready))
    }

    fn authority(
        &mut self,
        wanted: &AuthorityWanted,
        ready: &mut Ready,
    ) -> Result<Option<Authority>, String> {
        let path = path_of(self.dir, &authority_file(wanted));
        if path.exists() {
            let authority = self.kept_authority(&path, wanted)?;
            ready.kept.push(path);
            return Ok(Some(authority));
        }
        if !self.may_write {
            return Ok(None);
        }
        let keys = self.keys.unwrap_or_default();
        let (title, now) = (&wanted.title, self.now);
        let mut authority =
            Authority::with_keys(keys, title, Crypto::System, &mut self.random, now, AUTHORITY_LIFE);
        authority.tell_at(wanted.places.clone());
        keep(&path, &authority.credentials())?;
        ready.made.push(path);
        Ok(Some(authority))
    }

    fn kept_authority(&mut self, path: &Path, wanted: &AuthorityWanted) -> Result<Authority, String> {
        files::close_to_others(path)?;
        let kept = read_credentials(path)?;
        let mut authority =
            Authority::restore(&kept, Crypto::System, &mut self.random).map_err(|why| told(path, &why))?;
        let certificate = Certificate::read(authority.certificate()).map_err(|why| told(path, &why))?;
        let name = certificate.common_name.clone().unwrap_or_default();
        if name != wanted.title {
            let why = format!(
                "is the authority `{name}`, and this lab needs `{}`; give each lab a folder of its own (--dir)",
                wanted.title
            );
            return Err(told(path, &why));
        }
        if !certificate.is_valid_at(self.now) {
            let why = format!(
                "the authority is valid from {} to {}, and it is {}; move the file away to have another made, which \
                 whoever trusted this one must trust",
                certificate.not_before, certificate.not_after, self.now
            );
            return Err(told(path, &why));
        }
        if let Some(keys) = self.keys.filter(|keys| *keys != authority.keys()) {
            let why = format!(
                "has a {} key, not {}; `--key` is for authorities that are to be made: choose another folder (--dir)",
                spell(authority.keys()),
                spell(keys)
            );
            return Err(told(path, &why));
        }
        authority.tell_at(wanted.places.clone());
        Ok(authority)
    }

    fn server(
        &self,
        server: &ServerWanted,
        wanted: &AuthorityWanted,
        authority: &mut Authority,
        ready: &mut Ready,
    ) -> Result<Option<Credentials>, String> {
        let path = path_of(self.dir, &server.name);
        if path.exists() {
            files::close_to_others(&path)?;
            let kept = read_credentials(&path)?;
            let certificate = kept::look_at(&kept, authority.certificate()).map_err(|why| {
                let root = path_of(self.dir, &authority_file(wanted));
                told(&path, &format!("{why} ({}); move it away to have another made", root.display()))
            })?;
            if fits(&certificate, server, self.now) {
                ready.kept.push(path);
                return Ok(Some(kept));
            }
        }
        if !self.may_write {
            return Ok(None);
        }
        let credentials = authority
            .issue_server(&server.names, Validity::days(self.now, SERVER_DAYS))
            .map_err(|why| told(&path, &why))?;
        keep(&path, &credentials)?;
        ready.made.push(path);
        Ok(Some(credentials))
    }
}

/// Whether a server's certificate is good for a while and for all its names.
fn fits(certificate: &Certificate, server: &ServerWanted, now: Wall) -> bool {
    let has = |name: &String| match name.parse() {
        Ok(address) => certificate.addresses.contains(&address),
        Err(_) => certificate.dns_names.contains(name),
    };
    certificate.is_valid_at(now)
        && certificate.is_valid_at(now.plus(RENEWED_BEFORE))
        && server.names.iter().all(has)
}

fn spell(keys: KeyKind) -> &'static str {
    match keys {
        KeyKind::P256 => "P-256",
        KeyKind::Rsa2048 => "RSA-2048",
    }
}

/// Writes chain and key into one file that only its owner may read.
fn keep(path: &Path, credentials: &Credentials) -> Result<(), String> {
    let text = format!("{}{}", pem::certificates(&credentials.chain), pem::private_key(&credentials.key));
    files::write_secret(path, text.as_bytes())
}

fn machine_random() -> Result<Random, String> {
    let mut seed = [0; 32];
    let source = ring::rand::SystemRandom::new();
    source.fill(&mut seed).map_err(|_| "the operating system gives no randomness".to_owned())?;
    Ok(Random::from_seed(seed))
}

#[cfg(test)]
mod tests;
