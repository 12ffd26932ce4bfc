//! Files: the disk as a library of stories, and folders of stories.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use scenario::language::{Library, ReadError};

/// The folder whose files are parts that stories include, not stories.
const PARTS: &str = "parts";

/// How many stories one folder may hold, and how deep it may be.
const STORIES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 32;

/// The disk.
pub struct DiskLibrary;

impl Library for DiskLibrary {
    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        let fail = |why: std::io::Error| ReadError(spell(&why));
        #[expect(clippy::disallowed_methods, reason = "this is where files come in")]
        let file = File::open(path).map_err(fail)?;
        if file.metadata().map_err(fail)?.is_dir() {
            return Err(ReadError("is a folder".to_owned()));
        }
        let mut bytes = Vec::new();
        // One byte more than allowed tells that there was more.
        file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(fail)?;
        Ok(bytes)
    }
}

/// A file of `/proc` as text; nothing if what it tells of has gone.
pub fn read_proc(path: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "this is where files come in")]
    fs::read_to_string(path).unwrap_or_default()
}

/// How many entries a folder has; none if it is not there.
pub fn count_entries(path: &str) -> usize {
    #[expect(clippy::disallowed_methods, reason = "this is where files come in")]
    fs::read_dir(path).map_or(0, Iterator::count)
}

fn spell(why: &std::io::Error) -> String {
    match why.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read".to_owned(),
        _ => why.to_string(),
    }
}

/// The stories that `paths` name: files as they are, folders with every `.yaml` and `.yml` in them, in order of
/// their names. Folders called `parts` hold what stories include and are left out.
///
/// # Errors
///
/// A sentence if a path is not there or a folder holds no story.
pub fn stories(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            walk(path, 0, &mut found)?;
            if found.len() == before {
                return Err(format!("{}: no story in this folder", path.display()));
            }
        } else if path.exists() {
            found.push(path.clone());
        } else {
            return Err(format!("{}: there is no such file or folder", path.display()));
        }
    }
    Ok(found)
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("{}: folders are nested more than {DEPTH_MAX} deep", folder.display()));
    }
    #[expect(clippy::disallowed_methods, reason = "this is where files come in")]
    let entries = fs::read_dir(folder).map_err(|why| format!("{}: {}", folder.display(), spell(&why)))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if path.is_dir() {
            if name != PARTS && !name.starts_with('.') {
                walk(&path, depth + 1, found)?;
            }
        } else if matches!(path.extension().and_then(|end| end.to_str()), Some("yaml" | "yml")) {
            if found.len() >= STORIES_MAX {
                return Err(format!("more than {STORIES_MAX} stories"));
            }
            found.push(path);
        }
    }
    Ok(())
}

/// Writes a file, and the folders above it.
///
/// # Errors
///
/// A sentence with the path and what went wrong.
pub fn write(path: &Path, text: &[u8]) -> Result<(), String> {
    let fail = |why: std::io::Error| format!("{}: cannot be written: {}", path.display(), spell(&why));
    make_folders(path).map_err(fail)?;
    #[expect(clippy::disallowed_methods, reason = "this is where files go out")]
    fs::write(path, text).map_err(fail)
}

/// Writes a file that only its owner may read; whole, or not at all.
///
/// # Errors
///
/// A sentence with the path and what went wrong.
pub fn write_secret(path: &Path, text: &[u8]) -> Result<(), String> {
    use std::io::Write as _;
    let fail = |why: std::io::Error| format!("{}: cannot be written: {}", path.display(), spell(&why));
    make_folders(path).map_err(fail)?;
    let fresh = path.with_extension("new");
    #[expect(clippy::disallowed_methods, reason = "this is where files go out")]
    let mut file = secret_options().open(&fresh).map_err(fail)?;
    file.write_all(text).and_then(|()| file.sync_all()).map_err(fail)?;
    #[expect(clippy::disallowed_methods, reason = "this is where files go out")]
    fs::rename(&fresh, path).map_err(fail)?;
    // The new name, too, is to outlive a power cut; where a folder cannot be synced, the file itself was.
    #[expect(clippy::disallowed_methods, reason = "this is where files go out")]
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).map(File::open);
    if let Some(Ok(folder)) = folder {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Takes away what others than its owner may do with a file that holds a key.
///
/// # Errors
///
/// A sentence with the path if others may read it and that cannot be changed.
pub fn close_to_others(path: &Path) -> Result<(), String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let fail = |why: std::io::Error| {
            format!("{}: others may read it, and that cannot be changed: {}", path.display(), spell(&why))
        };
        let mut permissions = fs::metadata(path).map_err(fail)?.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(permissions.mode() & 0o700);
            fs::set_permissions(path, permissions).map_err(fail)?;
        }
    }
    Ok(())
}

/// Opens a file that only its owner may read, to be written as it grows; what it held is gone.
///
/// # Errors
///
/// A sentence with the path and what went wrong.
pub fn open_secret(path: &Path) -> Result<File, String> {
    let fail = |why: std::io::Error| format!("{}: cannot be written: {}", path.display(), spell(&why));
    make_folders(path).map_err(fail)?;
    #[expect(clippy::disallowed_methods, reason = "this is where files go out")]
    secret_options().open(path).map_err(fail)
}

/// How files are opened that only their owner may read.
fn secret_options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

fn make_folders(path: &Path) -> std::io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "this is where files go out")]
    path.parent().map_or(Ok(()), fs::create_dir_all)
}
