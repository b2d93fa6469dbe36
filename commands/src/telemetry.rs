//! Logs: structured, to stderr, redacted. A line that cannot be written is lost, and nothing else. One whose reader is there
//! and does not read is waited for: a pipe that is full is no error.

use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::Config;
use crate::exit::Failure;
use crate::redact::Redacting;

struct Stderr {
    json: bool,
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Redacting<Lossy<std::io::Stderr>>;

    fn make_writer(&'a self) -> Self::Writer {
        Redacting { to: Lossy { to: std::io::stderr(), fate: &FATE }, json: self.json }
    }
}

/// What became of the lines of this process.
static FATE: LazyLock<Fate> = LazyLock::new(Fate::default);

#[derive(Default)]
struct Fate {
    lost: Counter,
    /// The last line broke off in its middle. Whoever writes one holds it to its end: what is taken in pieces must not mix with
    /// the line of another thread.
    torn: Mutex<bool>,
}

/// A writer whose lines may be lost. A disk without room, or a reader that went away, is no reason to stop working: who logs is
/// told that all went well.
struct Lossy<W> {
    to: W,
    fate: &'static Fate,
}

impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let mut torn = self.fate.torn.lock().unwrap_or_else(PoisonError::into_inner);
        // What is left of a torn line must not swallow the next one.
        let begun_anew;
        let mut left = if *torn {
            begun_anew = [b"\n", line].concat();
            begun_anew.as_slice()
        } else {
            line
        };
        let whole = left.len();
        while !left.is_empty() {
            match self.to.write(left) {
                Ok(0) => break,
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if !left.is_empty() {
            self.fate.lost.inc();
        }
        if left.len() < whole {
            *torn = !left.is_empty();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.to.flush();
        Ok(())
    }
}

/// Counts the lines that were lost.
pub(crate) fn register(registry: &mut Registry) {
    let help = "Lines of the log that stderr did not take";
    registry.register("groupfold_log_lines_lost", help, FATE.lost.clone());
}

/// Starts logging as the settings say.
pub(crate) fn start(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| {
        Failure::Usage(format!(
            "log: {:?} is no filter ({error}); expected info, or module=debug,…",
            config.log
        ))
    })?;
    // What operators do is told whatever else is not.
    let filter = match "audit=info".parse() {
        Ok(audit) if !config.log.contains("audit") => filter.add_directive(audit),
        _ => filter,
    };
    // At the finest level the client prints messages as they are, bytes between letters: no net catches numbers there.
    let filter = match "async_nats=debug".parse() {
        Ok(client) if config.log.split(',').any(|directive| directive.trim() == "trace") => {
            filter.add_directive(client)
        }
        _ => filter,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Stderr { json: config.log_json })
        // It would tell of a line that it cannot write by `eprintln!`, which panics where stderr takes nothing.
        .log_internal_errors(false)
        .with_ansi(false);
    if config.log_json {
        builder.json().flatten_event(true).init()
    } else {
        builder.init()
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then none until there is room again.
    #[derive(Default)]
    struct Disk {
        room: usize,
        kept: Vec<u8>,
    }

    impl Write for &mut Disk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.kept.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
    }

    /// Takes a byte at a time, and lets others go first.
    struct Slow<'a>(&'a Mutex<Vec<u8>>);

    impl Write for Slow<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes.first());
            std::thread::yield_now();
            Ok(bytes.len().min(1))
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What one thread wrote of its line stood within that of another.
    #[test]
    fn lines_that_are_taken_in_pieces_do_not_mix() {
        const LINES: usize = 200;
        let fate: &'static Fate = Box::leak(Box::default());
        let (kept, together) = (Mutex::default(), std::sync::Barrier::new(2));
        let lines = ["a line of one thread\n", "another of the other\n"];
        std::thread::scope(|threads| {
            for line in lines {
                let (to, together) = (Slow(&kept), &together);
                threads.spawn(move || {
                    let mut lossy = Lossy { to, fate };
                    together.wait();
                    (0..LINES).for_each(|_| lossy.write_all(line.as_bytes()).unwrap());
                });
            }
        });
        let kept = String::from_utf8(kept.into_inner().unwrap()).unwrap();
        for line in lines {
            let whole = kept.split_inclusive('\n').filter(|kept| *kept == line);
            assert_eq!(whole.count(), LINES, "{kept}");
        }
    }

    #[test]
    fn a_line_that_is_not_taken_is_lost_alone_and_counted() {
        let fate: &'static Fate = Box::leak(Box::default());
        let mut disk = Disk { room: 8, ..Disk::default() };
        for line in ["first\n", "second\n", "third\n"] {
            Lossy { to: &mut disk, fate }.write_all(line.as_bytes()).unwrap();
            Lossy { to: &mut disk, fate }.flush().unwrap();
        }
        assert_eq!((fate.lost.get(), disk.kept.as_slice()), (2, b"first\nse".as_slice()));
        disk.room = 100;
        for line in ["fourth\n", "fifth\n"] {
            Lossy { to: &mut disk, fate }.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(String::from_utf8(disk.kept).unwrap(), "first\nse\nfourth\nfifth\n");
        assert_eq!(fate.lost.get(), 2);
    }
}
