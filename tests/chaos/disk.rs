//! Disks that can lose their power or be full: an ext4 image mounted through a loop device. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use groupfold_tests::Scratch;

/// Where images are made: in memory where the system has a place for that with room, so that syncs cost nothing.
const SHM: &str = "/dev/shm";
/// Room for the images of all rows at once, in KiB; with less they are made where temporary files are.
const ROOM_KIB: u64 = 4 << 20;
/// What the name of a folder of ours begins with; the process that made it follows.
const NAME: &str = "groupfold-disk-";
/// Nothing reaches the image but what is synced: no commit of the journal by itself within a round.
const OPTIONS: &str = "loop,commit=600";

/// A mounted image. Unmounted and gone when dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: Scratch,
    mount: PathBuf,
    cuts: u32,
    /// True once it was slowed down: who never did needs no cgroup.
    slowed: bool,
}

impl Disk {
    /// Makes an image of so many MiB and mounts it; or says why that cannot be done here.
    pub(crate) fn new(mib: u64) -> Result<Self, String> {
        static TIDIED: std::sync::Once = std::sync::Once::new();
        TIDIED.call_once(remove_leftovers);
        let folder =
            if has_room(SHM) { Scratch::under(Path::new(SHM), "disk") } else { Scratch::new("disk") };
        let image = folder.path().join("image.0");
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(mib << 20).map_err(|error| error.to_string())?;
        let journal = format!("size={}", (mib / 4).clamp(4, 32));
        let extended = "lazy_itable_init=1,lazy_journal_init=1";
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0", "-J", &journal, "-E", extended])
            .arg(&image))?;
        let mount = folder.path().join("mount");
        std::fs::create_dir(&mount).map_err(|error| error.to_string())?;
        let disk = Self { folder, mount, cuts: 0, slowed: false };
        disk.mount(&image)?;
        Ok(disk)
    }

    /// The folder of its files.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join(format!("image.{}", self.cuts))
    }

    fn mount(&self, image: &Path) -> Result<(), String> {
        run(Command::new("mount").args(["-o", OPTIONS]).arg(image).arg(&self.mount))
    }

    /// What is on the device at this instant, for [`Self::power_up`]. Whoever writes must stand still.
    pub(crate) fn cut(&mut self) -> Result<(), String> {
        let from = self.image();
        self.cuts += 1;
        run(Command::new("cp").arg("--sparse=always").arg(from).arg(self.image()))
    }

    /// Mounts what was on the device at the cut. Whoever had files open must be gone.
    pub(crate) fn power_up(&mut self) -> Result<(), String> {
        run(Command::new("umount").arg(&self.mount))?;
        let _ = std::fs::remove_file(self.folder.path().join(format!("image.{}", self.cuts - 1)));
        self.mount(&self.image())
    }

    /// A copy of what was on the device at the cut, mounted beside, for a look.
    pub(crate) fn look(&self) -> Result<Self, String> {
        let folder = Scratch::under(self.folder.path(), "look");
        let image = folder.path().join("image.0");
        run(Command::new("cp").arg("--sparse=always").arg(self.image()).arg(&image))?;
        let mount = folder.path().join("mount");
        std::fs::create_dir(&mount).map_err(|error| error.to_string())?;
        let look = Self { folder, mount, cuts: 0, slowed: false };
        look.mount(&image)?;
        Ok(look)
    }

    /// Everything that was written reaches the device.
    pub(crate) fn sync(&self) -> Result<(), String> {
        run(Command::new("sync").arg("-f").arg(&self.mount))
    }

    /// Takes all the space there is, to the last block.
    pub(crate) fn fill(&self) -> Result<(), String> {
        for bytes in ["bs=64k", "bs=1k"] {
            let mut dd = Command::new("dd");
            dd.args(["if=/dev/zero", bytes, "status=none", "oflag=append", "conv=notrunc"]);
            let filled = run(dd.arg(format!("of={}", self.filler().display())));
            // It ends by that there is no room, or did not do what it was for.
            match filled {
                Err(why) if why.contains("No space left") => {}
                other => return Err(format!("{}: {other:?}", self.mount.display())),
            }
        }
        Ok(())
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        let _ = std::fs::remove_file(self.filler());
    }

    /// Lets it take so many writes a second; all there are with 0.
    pub(crate) fn slow_down(&mut self, writes_a_second: u32) -> Result<(), String> {
        const LIMITS: &str = "/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device";
        let output = Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(&self.mount).output();
        let output = output.map_err(|error| format!("findmnt: {error}"))?;
        let source = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let name = source.trim_start_matches("/dev/");
        let device = std::fs::read_to_string(format!("/sys/block/{name}/dev"));
        let device = device.map_err(|error| format!("{source}: {error}"))?;
        let limit = format!("{} {writes_a_second}", device.trim());
        std::fs::write(LIMITS, limit).map_err(|error| format!("{LIMITS}: {error}"))?;
        self.slowed = true;
        Ok(())
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.slowed {
            let _ = self.slow_down(0);
        }
        // A process that is being killed may hold on to it for a moment.
        let _ = run(Command::new("umount").arg("-l").arg(&self.mount));
    }
}

fn has_room(folder: &str) -> bool {
    let output = Command::new("df").args(["--output=avail", "-k", folder]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().last().and_then(|line| line.trim().parse().ok()).is_some_and(|kib: u64| kib >= ROOM_KIB)
}

/// Unmounts and removes what runs that were killed left behind. Ours are told by their folder's name and by a process
/// that is gone; a loop device goes with the mount that used it.
fn remove_leftovers() {
    for base in [Path::new(SHM).to_owned(), std::env::temp_dir()] {
        for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix(NAME) else { continue };
            let pid = rest.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
            let Some(pid) = pid.filter(|pid| !Path::new(&format!("/proc/{pid}")).exists()) else { continue };
            eprintln!("removing {}, which process {pid} left behind", entry.path().display());
            for mount in mounts_under(&entry.path()) {
                let _ = run(Command::new("umount").arg("-l").arg(mount));
            }
            // Only once nothing is mounted in it any more: files of a mount are not ours to remove one by one.
            if mounts_under(&entry.path()).is_empty() {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Innermost first.
fn mounts_under(folder: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut found: Vec<PathBuf> = points.filter(|point| point.starts_with(folder)).collect();
    found.sort();
    found.reverse();
    found
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {text}")) }
}
