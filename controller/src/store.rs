//! What must outlive the controller: its certificate authority, the intent, scales, spent tokens and the last plan.
//!
//! One redb file, `<state>/controller.redb`, for its owner's eyes only. What is here has been written before it was acted on.
//! A file that cannot be read as a whole is left exactly as it is: nothing is repaired by guessing, nothing starts anew.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, StorageBackend, TableDefinition};
use rustix::fs::FlockOperation;
use samspill_model::intent::Intent;
use samspill_model::name::WorkloadName;
use samspill_model::plan::Plan;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::planner::Overrides;

/// The shape of what is in the file. A reader knows its own and those before.
const SCHEMA: u32 = 1;

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("controller");
const KEY_SCHEMA: &str = "schema";
const KEY_CA: &str = "ca";
const KEY_INTENT: &str = "intent";
const KEY_OVERRIDES: &str = "overrides";
const KEY_PLAN: &str = "plan";
const KEY_SPENT: &str = "spent-tokens";

/// Bytes that redb may keep of a file that is small and is read once.
const CACHE_BYTES: usize = 4 << 20;

/// By the SHA-256 of a token that was used: the SHA-256 of the request that it was used for, both in hex.
pub(crate) type SpentTokens = BTreeMap<String, String>;

/// Everything that is in a store.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The certificate authority: certificate and key, PEM.
    pub(crate) ca_pem: String,
    /// What the files said last; none before they said anything.
    pub(crate) intent: Option<Intent>,
    pub(crate) overrides: Overrides,
    pub(crate) spent: SpentTokens,
    /// The newest plan; generation 0 before the first.
    pub(crate) plan: Plan,
}

/// Why a store cannot be used. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// Another controller has it.
    #[error("{} is in use by another controller; stop that one first (`samspill down`)", .0.display())]
    InUse(PathBuf),
    /// A later version of this program wrote it.
    #[error(
        "{} was written by a newer samspill (its schema is {found}, this program knows up to {known}). \
         Nothing was changed. Start it with that version, or with another --state-dir", .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema in the file.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// It is no store, or a damaged one.
    #[error(
        "{} is damaged: {problem}. Nothing was changed. Put a copy from before in its place; \
         or move it away to begin anew, with a new certificate authority", .path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file system refused.
    #[error("cannot {verb} {}", .path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// With which file.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// A new certificate authority could not be made.
    #[error("cannot make a certificate authority")]
    CreateCa(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why something was not written. What was there before still is.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the controller's store")]
pub(crate) struct WriteError(#[from] redb::Error);

/// An open store. It is locked until it is dropped.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    /// None after a failed write (a full disk): redb then wants to be opened again.
    database: Mutex<Option<Database>>,
    _lock: File,
}

impl Store {
    /// Opens the store in a state folder, and makes it first, with a new certificate authority, where there is none.
    pub(crate) fn open<E>(
        state_dir: &Path,
        create_ca_pem: impl FnOnce() -> Result<String, E>,
    ) -> Result<(Self, Stored), OpenStoreError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = state_dir.join("controller.redb");
        let lock = lock(&path)?;
        let exists = path.try_exists().map_err(io_error("look for", &path))?;
        if !exists {
            let ca_pem = create_ca_pem().map_err(|error| OpenStoreError::CreateCa(error.into()))?;
            create(&path, &ca_pem)?;
        }
        // A copy is opened first, because opening a damaged file may write to it.
        let bytes = std::fs::read(&path).map_err(io_error("read", &path))?;
        check(&path, bytes)?;
        let database = builder().open(&path).map_err(|error| corrupt(&path, &error))?;
        let stored = load(&path, &database)?;
        Ok((Self { path, database: Mutex::new(Some(database)), _lock: lock }, stored))
    }

    /// Makes the files win: the intent is replaced and no scale is left.
    pub(crate) fn put_intent(&self, intent: &Intent) -> Result<(), WriteError> {
        self.write(&[(KEY_INTENT, json(intent)), (KEY_OVERRIDES, json(&Overrides::new().iter().collect::<Vec<_>>()))])
    }

    pub(crate) fn put_overrides(&self, overrides: &Overrides) -> Result<(), WriteError> {
        self.write(&[(KEY_OVERRIDES, json(&overrides.iter().collect::<Vec<_>>()))])
    }

    pub(crate) fn put_plan(&self, plan: &Plan) -> Result<(), WriteError> {
        self.write(&[(KEY_PLAN, json(plan))])
    }

    pub(crate) fn put_spent(&self, spent: &SpentTokens) -> Result<(), WriteError> {
        self.write(&[(KEY_SPENT, json(spent))])
    }

    /// Writes all or nothing, and returns when it would survive a power cut.
    fn write(&self, entries: &[(&str, Vec<u8>)]) -> Result<(), WriteError> {
        let mut guard = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match guard.take() {
            Some(database) => database,
            None => builder().open(&self.path).map_err(redb::Error::from)?,
        };
        commit(&database, entries)?;
        *guard = Some(database);
        Ok(())
    }
}

/// The lock is on a file beside the store, because redb locks the store itself in ways of its own.
fn lock(path: &Path) -> Result<File, OpenStoreError> {
    let beside = path.with_extension("lock");
    let file = private().create(true).open(&beside).map_err(io_error("open", &beside))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenStoreError::InUse(path.to_owned())),
        Err(errno) => Err(io_error("lock", &beside)(errno.into())),
    }
}

/// Makes a whole store beside, then gives it its name: there is never half a one.
fn create(path: &Path, ca_pem: &str) -> Result<(), OpenStoreError> {
    let beside = path.with_extension("redb.new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &beside)(error)),
        _ => {}
    }
    private().create_new(true).open(&beside).map_err(io_error("create", &beside))?;
    let entries = [(KEY_SCHEMA, json(&SCHEMA)), (KEY_CA, json(&ca_pem))];
    let written = builder().create(&beside).map_err(redb::Error::from).and_then(|database| commit(&database, &entries));
    written.map_err(|error| io_error("write", &beside)(io::Error::other(error)))?;
    std::fs::rename(&beside, path).map_err(io_error("name", path))?;
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn commit(database: &Database, entries: &[(&str, Vec<u8>)]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(TABLE)?;
        for (key, value) in entries {
            table.insert(key, value.as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Whether a store of these bytes can be opened and read: every checksum and every value.
fn check(path: &Path, bytes: Vec<u8>) -> Result<(), OpenStoreError> {
    let copy = InMemoryBackend::new();
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    copy.set_len(length).and_then(|()| copy.write(0, &bytes)).map_err(|error| corrupt(path, &error))?;
    drop(bytes);
    let database =
        builder().set_check_integrity_on_open(true).create_with_backend(copy).map_err(|error| corrupt(path, &error))?;
    load(path, &database).map(drop)
}

fn load(path: &Path, database: &Database) -> Result<Stored, OpenStoreError> {
    let entries = read_all(database).map_err(|error| corrupt(path, &error))?;
    let schema: u32 = required(path, &entries, KEY_SCHEMA)?;
    if schema > SCHEMA {
        return Err(OpenStoreError::Newer { path: path.to_owned(), found: schema, known: SCHEMA });
    }
    let overrides: Vec<(WorkloadName, u32)> = optional(path, &entries, KEY_OVERRIDES)?.unwrap_or_default();
    Ok(Stored {
        ca_pem: required(path, &entries, KEY_CA)?,
        intent: optional(path, &entries, KEY_INTENT)?,
        overrides: overrides.into_iter().collect(),
        spent: optional(path, &entries, KEY_SPENT)?.unwrap_or_default(),
        plan: optional(path, &entries, KEY_PLAN)?.unwrap_or_default(),
    })
}

fn read_all(database: &Database) -> Result<BTreeMap<String, Vec<u8>>, redb::Error> {
    let table = database.begin_read()?.open_table(TABLE)?;
    let mut entries = BTreeMap::new();
    for entry in redb::ReadableTable::iter(&table)? {
        let (key, value) = entry?;
        entries.insert(key.value().to_owned(), value.value().to_vec());
    }
    Ok(entries)
}

fn required<T: DeserializeOwned>(
    path: &Path,
    entries: &BTreeMap<String, Vec<u8>>,
    key: &str,
) -> Result<T, OpenStoreError> {
    optional(path, entries, key)?.ok_or_else(|| corrupt(path, &format!("it has no `{key}`")))
}

fn optional<T: DeserializeOwned>(
    path: &Path,
    entries: &BTreeMap<String, Vec<u8>>,
    key: &str,
) -> Result<Option<T>, OpenStoreError> {
    let decode = |value: &Vec<u8>| serde_json::from_slice(value);
    let decoded = entries.get(key).map(decode).transpose();
    decoded.map_err(|error| corrupt(path, &format!("its `{key}` cannot be read ({error})")))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("the model's types have text keys only and can be written as JSON")
}

fn corrupt(path: &Path, problem: &dyn std::fmt::Display) -> OpenStoreError {
    OpenStoreError::Corrupt { path: path.to_owned(), problem: problem.to_string() }
}

fn io_error(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenStoreError {
    move |source| OpenStoreError::Io { verb, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
