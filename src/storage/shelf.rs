//! Named files that are durable when the call returns: a folder with syncs, or a bucket. Names are
//! like `journal/RUN.jsonl`; the code that uses them is the same on both.

use super::{Bucket, Error};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A folder or a bucket.
#[derive(Clone, Debug)]
pub enum Shelf {
    /// On this host.
    Folder(PathBuf),
    /// In an object store.
    Bucket(Bucket),
}

impl Shelf {
    /// A name as people read it: a path or a URL.
    pub fn shown(&self, name: &str) -> String {
        match self {
            Self::Folder(root) => root.join(name).display().to_string(),
            Self::Bucket(bucket) => bucket.shown(name),
        }
    }

    /// Whether anything was ever written below that folder.
    ///
    /// # Errors
    /// It could not be asked.
    pub fn has_folder(&self, folder: &str) -> Result<bool, Error> {
        match self {
            Self::Folder(root) => Ok(root.join(folder).is_dir()),
            Self::Bucket(bucket) => Ok(!bucket.names(&as_prefix(folder))?.is_empty()),
        }
    }

    /// The bytes of a file; `None` where there is none.
    ///
    /// # Errors
    /// It is there and cannot be read, or the store could not be asked.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Folder(root) => {
                let path = root.join(name);
                match fs::read(&path) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(why) => Err(Error::io("read", &path)(why)),
                }
            }
            Self::Bucket(bucket) => bucket.read(name),
        }
    }

    /// Writes a file whole: readers see the old bytes or the new ones.
    ///
    /// # Errors
    /// It could not be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Folder(root) => {
                let path = root.join(name);
                let folder = make_parent(&path)?;
                let aside = aside_name(&path);
                File::create(&aside)
                    .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
                    .and_then(|()| fs::rename(&aside, &path))
                    .map_err(Error::io("write", &path))?;
                sync(folder)
            }
            Self::Bucket(bucket) => bucket.write(name, bytes),
        }
    }

    /// Adds lines to a file. A torn last line, of a process that died, is cut off first, so that
    /// none is glued to it. Only one process adds to a file at a time: that of the lock.
    ///
    /// # Errors
    /// It could not be written.
    pub fn append(&self, name: &str, lines: &[u8]) -> Result<(), Error> {
        match self {
            Self::Folder(root) => {
                let path = root.join(name);
                let folder = make_parent(&path)?;
                let mut file = open_whole_lines(&path)?;
                file.write_all(lines)
                    .and_then(|()| file.sync_all())
                    .map_err(Error::io("write", &path))?;
                sync(folder)
            }
            Self::Bucket(bucket) => {
                let mut bytes = bucket.read(name)?.unwrap_or_default();
                bytes.truncate(whole_lines(&bytes).len());
                bytes.extend_from_slice(lines);
                bucket.write(name, &bytes)
            }
        }
    }

    /// Removes a file; one that is not there is removed.
    ///
    /// # Errors
    /// It could not be removed.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        match self {
            Self::Folder(root) => {
                let path = root.join(name);
                match fs::remove_file(&path) {
                    Ok(()) => {}
                    Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                    Err(why) => return Err(Error::io("remove", &path)(why)),
                }
                if let Some(folder) = path.parent().filter(|folder| *folder != root.as_path()) {
                    // Goes with its last file; not empty before.
                    let _ = fs::remove_dir(folder);
                }
                Ok(())
            }
            Self::Bucket(bucket) => bucket.remove(name),
        }
    }

    /// Names of the files directly in a folder, sorted; files that are being written are none.
    ///
    /// # Errors
    /// It is there and cannot be listed.
    pub fn names(&self, folder: &str) -> Result<Vec<String>, Error> {
        match self {
            Self::Folder(root) => {
                let path = root.join(folder);
                let entries = match fs::read_dir(&path) {
                    Ok(entries) => entries,
                    Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
                        return Ok(Vec::new());
                    }
                    Err(why) => return Err(Error::io("list", &path)(why)),
                };
                let mut names = Vec::new();
                for entry in entries {
                    let entry = entry.map_err(Error::io("list", &path))?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
                    if is_file && !name.ends_with(ASIDE) {
                        names.push(name);
                    }
                }
                names.sort();
                Ok(names)
            }
            Self::Bucket(bucket) => {
                let mut names = bucket.names(&as_prefix(folder))?;
                names.retain(|name| !name.ends_with('/'));
                Ok(names)
            }
        }
    }
}

const ASIDE: &str = ".tmp";

fn as_prefix(folder: &str) -> String {
    format!("{}/", folder.trim_matches('/'))
}

fn aside_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ASIDE);
    path.with_file_name(name)
}

fn make_parent(path: &Path) -> Result<&Path, Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    Ok(folder)
}

fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("sync", folder))
}

/// The lines that were written to their end. A torn last one was not synced: its call was not made.
pub(crate) fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at.saturating_add(1));
    bytes.get(..end).unwrap_or_default()
}

fn open_whole_lines(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(Error::io("open", path))?;
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let whole = whole_lines(&bytes).len();
    if whole < bytes.len() {
        file.set_len(u64::try_from(whole).unwrap_or(0))
            .and_then(|()| file.sync_all())
            .map_err(Error::io("mend", path))?;
    }
    Ok(file)
}
