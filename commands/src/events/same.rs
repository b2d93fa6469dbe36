//! Is this still the log that a file tells of? One that was made anew numbers its messages anew, and one put back from an
//! older copy keeps the time at which it was made and grows over what it lost.

use std::collections::BTreeMap;
use std::path::Path;

use async_nats::jetstream::Context;
use groupfold_projector::scan;
use groupfold_schemas::log as words;
use groupfold_schemas::position::Position;

use super::reader::{Part, unreadable};
use super::shape::rfc3339;
use crate::exit::Failure;

/// What a file notes of the log that was read, and how far.
pub(crate) struct Noted<'a> {
    /// When each partition's stream was created. Of the partitions that it does not know it takes note.
    pub(crate) created: &'a mut BTreeMap<u16, String>,
    /// When the log took the message at the watermark of each, see [`log_times`]. One that is not known is noted now.
    pub(crate) log_times: &'a mut BTreeMap<u16, String>,
    pub(crate) watermark: &'a Position,
    pub(crate) file: &'a Path,
    /// What to do where it is another log.
    pub(crate) way_out: &'a str,
}

impl Noted<'_> {
    /// Fails where the parts are of another log, or of another past of it.
    pub(crate) async fn check(self, context: &Context, parts: &[Part]) -> Result<(), Failure> {
        let Self { created, log_times, watermark, file, way_out } = self;
        let (file, older) = (file.display(), "it was put back from an older copy, or is another");
        for part in parts {
            let partition = part.partition;
            let found = in_rfc3339(&part.created);
            let known = created.entry(partition).or_insert_with(|| found.clone());
            // Files of builds before have it as the broker's client prints it.
            *known = in_rfc3339(known);
            if *known != found {
                return Err(Failure::Failed(format!(
                    "{file} tells of a log whose partition {partition} was created at {known}, this one's was at {found}: it was \
                     made anew, or is another; {way_out}"
                )));
            }
            let Some(read) = watermark.get(partition).filter(|read| *read > 0) else { continue };
            if read > part.last {
                return Err(Failure::Failed(format!(
                    "{partition}:{read} was read before, says {file}, and the log ends with {partition}:{}: {older}; {way_out}",
                    part.last
                )));
            }
            let Some(found) = log_time(context, partition, read).await? else { continue };
            let noted = log_times.entry(partition).or_insert_with(|| found.clone());
            if *noted != found {
                return Err(Failure::Failed(format!(
                    "{file} tells of a log that took {partition}:{read} at {noted}, this one took it at {found}: {older}, and what \
                     was read is not what it has; {way_out}"
                )));
            }
        }
        Ok(())
    }
}

/// When a stream was created, `2026-01-31 9:00:00.5 +00:00:00` as the broker's client prints it, as all other times of a file are
/// written. What is neither stays as it is.
fn in_rfc3339(created: &str) -> String {
    let Some((day, time)) = created.strip_suffix(" +00:00:00").and_then(|text| text.split_once(' ')) else {
        return created.to_owned();
    };
    let zero = if time.find(':') == Some(1) { "0" } else { "" };
    let text = format!("{day}T{zero}{time}Z");
    if text.parse::<jiff::Timestamp>().is_ok() { text } else { created.to_owned() }
}

/// When the log took the message at each of these places, RFC 3339; none where it has none.
pub(crate) async fn log_times(
    context: &Context,
    places: impl Iterator<Item = (u16, u64)>,
) -> Result<BTreeMap<u16, String>, Failure> {
    let mut times = BTreeMap::new();
    for (partition, sequence) in places.filter(|(_, sequence)| *sequence > 0) {
        if let Some(time) = log_time(context, partition, sequence).await? {
            times.insert(partition, time);
        }
    }
    Ok(times)
}

async fn log_time(context: &Context, partition: u16, sequence: u64) -> Result<Option<String>, Failure> {
    let taken = scan::taken_at(context, &words::stream(partition), sequence).await;
    Ok(taken.map_err(|error| unreadable(&error))?.map(rfc3339))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_stream_was_created_is_told_as_all_times_are() {
        let told = "2026-01-31T09:00:00.5Z";
        for (printed, expected) in [
            ("2026-01-31 9:00:00.5 +00:00:00", told),
            (told, told),
            ("2026-01-31 19:00:00.123456789 +00:00:00", "2026-01-31T19:00:00.123456789Z"),
            ("some day", "some day"),
            ("some day +00:00:00", "some day +00:00:00"),
        ] {
            assert_eq!(in_rfc3339(printed), expected);
        }
    }
}
