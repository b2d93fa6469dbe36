//! The data folder: one process at a time, and where a running one left its addresses.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use groupfold_schemas::crash::{self, Point};
use serde::{Deserialize, Serialize};

use crate::broker::{Access, shown};
use crate::exit::Failure;

const RUN_FILE: &str = "run.json";
const LOCK_FILE: &str = "lock";
/// Where the log of the stores is that they were folded from last, if not in the folder.
const ELSEWHERE_FILE: &str = "log-elsewhere";
const LOOKS: usize = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// The data folder, held by this process alone until it is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    lock: File,
}

/// What a running process leaves for the other verbs. Readable by its owner alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) webhook_addr: Option<String>,
    /// For verbs on this machine, in the clear.
    pub(crate) api_addr: String,
    /// For everybody else.
    pub(crate) api_url: Option<String>,
    pub(crate) nats_url: String,
    pub(crate) monitor_url: Option<String>,
    pub(crate) nats_access: Access,
    /// Opens the API to verbs of the same owner, for as long as the process runs.
    pub(crate) api_token: Option<String>,
    /// The secret of a demo that was given none: no secret of anybody's.
    pub(crate) demo_app_secret: Option<String>,
    /// Graph API of the demo's simulated provider.
    pub(crate) demo_graph_url: Option<String>,
    /// What that API wants: no token of anybody's.
    pub(crate) demo_access_token: Option<String>,
    /// By it a failure is read again.
    pub(crate) ignores: Ignores,
}

/// What its receiver takes as of no concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ignores {
    pub(crate) one_to_one: bool,
    pub(crate) other_fields: bool,
}

impl Default for Ignores {
    /// As the settings are unless told.
    fn default() -> Self {
        Self { one_to_one: true, other_fields: true }
    }
}

impl DataFolder {
    /// Creates the folder if needed and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self, Failure> {
        let unusable = |error| unusable(path, error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let path = path.canonicalize().map_err(unusable)?;
        let mut lock = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK_FILE))
            .map_err(unusable)?;
        match patiently(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                return Err(Failure::Failed(format!(
                    "data: {} is in use by another groupfold (process {}); stop it, or choose another --data",
                    path.display(),
                    holder.trim()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(unusable)?;
        writeln!(lock, "{}", std::process::id()).map_err(unusable)?;
        Ok(Self { path, lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a log of its own (`None`) to stores that follow another, also where an old one lies in the folder: it would take
    /// webhooks that those who read the other one never see, and no store would fold them.
    pub(crate) fn may_follow(&self, broker: Option<&str>) -> Result<(), Failure> {
        let data = self.path.display();
        let (store, own_log) = (self.path.join("store").is_dir(), self.path.join("nats").is_dir());
        let Some(known) = self.elsewhere().filter(|_| broker.is_none() && store) else { return Ok(()) };
        let (begun, way_back) = if own_log {
            let way = format!(", or remove {data}/{ELSEWHERE_FILE} if they were folded from {data}/nats");
            (format!("would go on with the old one in {data}/nats"), way)
        } else {
            ("would begin an empty one here".to_owned(), String::new())
        };
        Err(Failure::Usage(format!(
            "data: the stores in {data} follow a log elsewhere, at {known}, and this start {begun}: give its --nats-url, or \
             another --data; or move {data}/store away{way_back}"
        )))
    }

    /// Leaves word of where the log is that the stores are about to be opened on. Not before it is known to be there: an
    /// address that was mistyped is no log that they follow.
    pub(crate) fn follows(&self, broker: Option<&str>) -> Result<(), Failure> {
        let path = self.path.join(ELSEWHERE_FILE);
        let left = match (broker, self.elsewhere()) {
            (Some(url), Some(known)) if shown(url) == known => Ok(()),
            (Some(url), _) => write_private(&path, shown(url).as_bytes()),
            (None, None) => Ok(()),
            // Here there are no stores any more that follow it.
            (None, Some(_)) => std::fs::remove_file(&path),
        };
        left.map_err(|error| Failure::failed("data: cannot leave word of where the log is", &error))
    }

    fn elsewhere(&self) -> Option<String> {
        std::fs::read_to_string(self.path.join(ELSEWHERE_FILE)).ok()
    }

    /// Leaves the addresses, whole or not at all.
    pub(crate) fn announce(&self, run: &Run) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::failed("data: cannot leave the addresses", &error);
        let text = serde_json::to_string_pretty(run).map_err(|error| failed(error.into()))?;
        write_private(&self.path.join(RUN_FILE), text.as_bytes()).map_err(failed)
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path.join(RUN_FILE));
        let _ = self.lock.unlock();
    }
}

/// Why a data folder is of no use: mostly it is another user's, and shut.
fn unusable(data: &Path, error: std::io::Error) -> Failure {
    let what = format!("data: cannot use the folder {}", data.display());
    match others(&[&data.join(RUN_FILE), &data.join(LOCK_FILE), data], &error) {
        Some(belongs) => Failure::Failed(format!("{what}: it {belongs}")),
        None => Failure::failed(&what, &error),
    }
}

/// Whose that is which this user may not open, and what to do: of the first of `paths` that is another's.
pub(crate) fn others(paths: &[&Path], error: &std::io::Error) -> Option<String> {
    if error.kind() != ErrorKind::PermissionDenied {
        return None;
    }
    let me = rustix::process::geteuid().as_raw();
    let mut owners = paths.iter().filter_map(|path| Some(std::fs::metadata(path).ok()?.uid()));
    let owner = owners.find(|owner| *owner != me)?;
    Some(format!(
        "belongs to user {owner}, and this is user {me}: run it as that user (sudo -u '#{owner}' groupfold …)"
    ))
}

/// Another verb that looks for what runs holds the lock for an instant: that is not somebody at work.
fn patiently(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..LOOKS {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_AGAIN),
            other => return other,
        }
    }
    lock.try_lock()
}

/// 24 random bytes, for a password or a token.
pub(crate) fn random_hex() -> Result<String, Failure> {
    let mut bytes = [0; 24];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| Failure::Failed("the system's random source failed".to_owned()))?;
    Ok(groupfold_schemas::id::hex(&bytes))
}

/// Writes a file that only its owner may read, by way of a new one beside it, `PATH.new`. It is on the device afterwards, and
/// so is its name: after a power cut it is there.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let _ = std::fs::remove_file(&new);
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    crash::at(Point::ReplaceBegin);
    std::fs::rename(new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

impl Run {
    /// Where the simulated provider of a demo takes commands, and its token.
    pub(crate) fn demo_provider(self) -> Option<(String, String)> {
        Some((self.demo_graph_url?, self.demo_access_token?))
    }

    /// What ran on a data folder last and was killed: whoever ended by themselves left nothing.
    pub(crate) fn left(data: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(data.join(RUN_FILE)).ok()?).ok()
    }

    /// The verb that it is of.
    pub(crate) fn verb(&self) -> &'static str {
        if self.webhook_addr.is_some() { "up" } else { "project" }
    }

    /// What runs on a data folder. A file left by a process that was killed does not count: its lock is free.
    /// `elsewhere`: the flag by which the verb reaches what runs elsewhere.
    pub(crate) fn find(data: &Path, elsewhere: &str) -> Result<Self, Failure> {
        let nothing = || {
            Failure::Missing(format!(
                "nothing runs on {}: start {}, or name a pipeline elsewhere by {elsewhere}",
                data.display(),
                start(data)
            ))
        };
        let lock = File::open(data.join(LOCK_FILE)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => nothing(),
            _ => unusable(data, error),
        })?;
        if lock.try_lock_shared().is_ok() {
            return Err(nothing());
        }
        let text = std::fs::read_to_string(data.join(RUN_FILE)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Failure::Again(format!("groupfold is starting or stopping on {}: try again", data.display()))
            }
            _ => unusable(data, error),
        })?;
        serde_json::from_str(&text).map_err(|error| Failure::failed("data: run.json cannot be read", &error))
    }
}

/// The command that starts what ran on a folder, as what is in it tells; each that may, where nothing does.
pub(crate) fn start(data: &Path) -> String {
    let shown = data.display();
    let up = format!("`groupfold up --data {shown}`");
    let project = format!("`groupfold project --data {shown} --nats-url …`");
    let (nats, store) = (data.join("nats").is_dir(), data.join("store").is_dir());
    // An old log may lie beside stores that follow another.
    let own_log = nats && !data.join(ELSEWHERE_FILE).exists();
    match Run::left(data).as_ref().map(Run::verb) {
        Some("project") => project,
        // Whose log is elsewhere would begin one of its own.
        Some(_) if store && !own_log => format!("`groupfold up --data {shown} --nats-url …`"),
        None if store && !own_log => format!("{project}, or `up` with the same"),
        None if !store && !own_log => format!("{up}, or `groupfold project` with --nats-url"),
        _ => up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_run() -> Run {
        Run {
            pid: 1,
            version: "v".into(),
            webhook_addr: None,
            api_addr: "127.0.0.1:1".into(),
            api_url: None,
            nats_url: "nats://x".into(),
            monitor_url: None,
            nats_access: Access::default(),
            api_token: None,
            demo_app_secret: None,
            demo_graph_url: None,
            demo_access_token: None,
            ignores: Ignores::default(),
        }
    }

    #[test]
    fn files_that_differ_in_their_ending_alone_are_written_beside_each_other() {
        let folder = std::env::temp_dir().join(format!("groupfold-beside-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (mark, new) = (folder.join("mark.txt"), folder.join("mark.new"));
        for (path, text) in [(&new, "a"), (&mark, "b"), (&new, "c"), (&mark, "d")] {
            write_private(path, text.as_bytes()).unwrap();
        }
        assert_eq!([mark, new].map(|path| std::fs::read_to_string(path).unwrap()), ["d", "c"]);
        // A name alone is one of the folder that the process is in.
        let bare = PathBuf::from(format!("groupfold-bare-{}", std::process::id()));
        write_private(&bare, b"e").unwrap();
        std::fs::remove_file(bare).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// Of a projector's folder every verb but one said to start `up`, which would begin an empty log.
    #[test]
    fn what_starts_what_ran_on_a_folder_is_told_by_what_is_in_it() {
        let data = std::env::temp_dir().join(format!("groupfold-start-{}", std::process::id()));
        let told = || {
            let _ = std::fs::remove_file(data.join(LOCK_FILE));
            let told = Run::find(&data, "--api-url").unwrap_err().to_string();
            assert!(told.contains(&start(&data)), "{told}");
            told
        };
        let (up, project) =
            (["`groupfold up --data ", "`groupfold project` with"], "`groupfold project --data ");
        assert!(up.iter().all(|verb| told().contains(verb)), "{}", told());
        std::fs::create_dir_all(data.join("store")).unwrap();
        assert!(told().contains(project) && !told().contains(up[0]), "{}", told());
        let mut run = a_run();
        DataFolder::take(&data).unwrap();
        write_private(&data.join(RUN_FILE), serde_json::to_string(&run).unwrap().as_bytes()).unwrap();
        assert!(told().contains(project) && !told().contains("`up"), "{}", told());
        run.webhook_addr = Some("127.0.0.1:2".into());
        write_private(&data.join(RUN_FILE), serde_json::to_string(&run).unwrap().as_bytes()).unwrap();
        assert!(told().contains(up[0]) && told().contains("--nats-url …"), "{}", told());
        std::fs::create_dir_all(data.join("nats")).unwrap();
        assert!(told().contains(up[0]) && !told().contains("--nats-url"), "{}", told());
        std::fs::write(data.join(ELSEWHERE_FILE), "nats://x").unwrap();
        assert!(told().contains(up[0]) && told().contains("--nats-url …"), "{}", told());
        std::fs::remove_dir_all(&data).unwrap();
    }

    /// An old log in the folder was gone on with, and the word of the other one removed.
    #[test]
    fn no_log_of_its_own_is_begun_or_gone_on_with_while_there_are_stores_of_another() {
        let path = std::env::temp_dir().join(format!("groupfold-elsewhere-{}", std::process::id()));
        let folder = DataFolder::take(&path).unwrap();
        let data = folder.path().to_owned();
        let (store, nats) = (data.join("store"), data.join("nats"));
        // First of all, and on its own log as ever.
        for begun in [None, Some(&nats), Some(&store)] {
            begun.into_iter().for_each(|begun| std::fs::create_dir_all(begun).unwrap());
            folder.may_follow(None).and_then(|()| folder.follows(None)).unwrap();
        }
        folder.follows(Some("nats://u:p@x")).unwrap();
        folder.may_follow(Some("nats://y")).unwrap();
        let refused = || folder.may_follow(None).unwrap_err().to_string();
        for told in ["at nats://****@x", "/nats", "--nats-url", "/store away", "remove ", ELSEWHERE_FILE] {
            assert!(refused().contains(told), "{told}: {}", refused());
        }
        std::fs::remove_dir(&nats).unwrap();
        assert!(refused().contains("an empty one") && !refused().contains("remove "), "{}", refused());
        std::fs::create_dir(&nats).unwrap();
        // The word holds until the stores are gone.
        assert!(data.join(ELSEWHERE_FILE).exists());
        std::fs::remove_dir(&store).unwrap();
        folder.may_follow(None).and_then(|()| folder.follows(None)).unwrap();
        assert!(!data.join(ELSEWHERE_FILE).exists());
        std::fs::create_dir(&store).unwrap();
        folder.may_follow(None).unwrap();
        drop(folder);
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_folder_is_taken_once_and_its_addresses_count_while_it_is_taken() {
        let path = std::env::temp_dir().join(format!("groupfold-data-{}", std::process::id()));
        let run = a_run();
        let folder = DataFolder::take(&path).unwrap();
        assert!(matches!(Run::find(&path, "--api-url"), Err(Failure::Again(_))));
        folder.announce(&run).unwrap();
        assert_eq!(Run::find(&path, "--api-url").unwrap().api_addr, "127.0.0.1:1");
        let refused = DataFolder::take(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(folder);
        assert!(matches!(Run::find(&path, "--api-url"), Err(Failure::Missing(_))));
        std::fs::remove_dir_all(&path).unwrap();
    }
}
