//! The state folder of a lab: its actors' disks, its chance, its signing keys, the token of its control API.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use identity::SigningKeys;

use crate::files;

/// Held as long as the lab runs.
const LOCK: &str = "lock";

/// The files of the folder.
const DISKS: &str = "disks.redb";
const SEED: &str = "seed";
const KEYS: &str = "signing-keys";
const TOKEN: &str = "control-token";

/// The largest file of these that is read.
const FILE_MAX: u64 = 1 << 20;

/// The state folder of a lab.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    /// All chance of the lab's actors is drawn from this.
    pub seed: u64,
    /// What the control API wants to hear.
    pub token: String,
    /// Whoever else opens the folder is refused as long as this is held.
    _lock: fs::File,
}

impl State {
    /// Opens the folder, or makes it. `fresh` forgets what an earlier lab kept there.
    pub fn open(folder: &Path, fresh: bool) -> Result<State, String> {
        let folder = folder.to_owned();
        // Before anything else: a running lab's token and disks are not this one's to change.
        let path = folder.join(LOCK);
        let lock = files::open_secret(&path)?;
        lock.try_lock().map_err(|why| match why {
            fs::TryLockError::WouldBlock => format!("{}: another lab is using this state", folder.display()),
            fs::TryLockError::Error(why) => format!("{}: cannot be locked: {why}", path.display()),
        })?;
        if fresh {
            // Only what is ours; a folder that was named by mistake loses nothing else.
            for file in [DISKS, SEED, KEYS, TOKEN] {
                let path = folder.join(file);
                if path.exists() {
                    #[expect(clippy::disallowed_methods, reason = "this is where files go out")]
                    fs::remove_file(&path).map_err(|why| format!("{}: {why}", path.display()))?;
                }
            }
        }
        let path = folder.join(SEED);
        let seed = match read(&path)? {
            Some(text) => String::from_utf8_lossy(&text).trim().parse().map_err(|_| {
                format!("{}: this is no seed; `lab up --fresh` begins a new state", path.display())
            })?,
            None => {
                let seed = u64::from_be_bytes(machine_bytes()?);
                files::write_secret(&path, format!("{seed}\n").as_bytes())?;
                seed
            }
        };
        // A new one at every start: who knew the last one is not let in again.
        let token: String = machine_bytes::<24>()?.iter().fold(String::new(), |mut text, octet| {
            let _ = write!(text, "{octet:02x}");
            text
        });
        files::write_secret(&folder.join(TOKEN), format!("{token}\n").as_bytes())?;
        Ok(State { folder, seed, token, _lock: lock })
    }

    /// The file of the actors' disks.
    pub fn disks(&self) -> PathBuf {
        self.folder.join(DISKS)
    }

    /// The file that holds the token.
    pub fn token_file(&self) -> PathBuf {
        self.folder.join(TOKEN)
    }

    /// The keys that sign this lab's tokens, made at the first start.
    pub fn signing_keys(&self) -> Result<SigningKeys, String> {
        let path = self.folder.join(KEYS);
        if let Some(bytes) = read(&path)? {
            return SigningKeys::from_bytes(&bytes).ok_or_else(|| {
                format!(
                    "{}: these are no signing keys; remove the file to have new ones made",
                    path.display()
                )
            });
        }
        let mut random = net::Random::from_seed(machine_bytes()?);
        let keys = SigningKeys::generate(&mut random);
        files::write_secret(&path, &keys.to_bytes())?;
        Ok(keys)
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let fail = |why: std::io::Error| format!("{}: cannot be read: {why}", path.display());
    match path.metadata() {
        Ok(facts) if facts.len() > FILE_MAX => Err(format!("{}: is far too large", path.display())),
        Ok(_) => {
            #[expect(clippy::disallowed_methods, reason = "this is where files come in")]
            let bytes = fs::read(path).map_err(fail)?;
            Ok(Some(bytes))
        }
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(fail(why)),
    }
}

/// Octets that nobody can guess.
fn machine_bytes<const N: usize>() -> Result<[u8; N], String> {
    use ring::rand::SecureRandom as _;
    let mut octets = [0; N];
    let source = ring::rand::SystemRandom::new();
    source.fill(&mut octets).map_err(|_| "the operating system gives no randomness".to_owned())?;
    Ok(octets)
}
