//! How a verb reaches the log: the broker of what runs on the data folder, or one elsewhere.

use std::path::PathBuf;

use async_nats::Client;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{self, Context, ErrorCode};
use groupfold_ingest::provision;
use groupfold_projector::scan::{self, Ends, Found, From, Over, Scan, Stretch};

use crate::data::Run;
use crate::exit::{Failure, with_causes};
use crate::{broker, config, progress};

/// Messages that are asked for at once.
const BATCH: usize = 2_000;

/// Which broker.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct LogReach {
    /// Data folder of the pipeline that runs here
    #[arg(long, env = "GROUPFOLD_DATA", default_value = "./groupfold-data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Broker of a pipeline elsewhere
    #[arg(long, env = "GROUPFOLD_NATS_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) nats_url: Option<String>,
}

/// What is looked at of a stream.
#[derive(Default)]
pub(crate) struct Look {
    pub(crate) stream: String,
    /// What the log took at this time of the broker's or later, Unix milliseconds; all of it if absent.
    pub(crate) since: Option<i64>,
    /// Of these alone: the look begins with the first message that is there, and one that is missing behind it is an error.
    /// All if empty: it goes on over messages that are missing, from the very first on, and says which.
    pub(crate) subjects: Vec<String>,
    /// What is done, in a word or two, to whom it is shown to.
    pub(crate) what: &'static str,
}

/// What was looked at of a stream.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) messages: u64,
    /// Where the stream ends.
    pub(crate) last: u64,
    /// What is missing and was not accepted as lost: the first and the last sequence of each hole.
    pub(crate) holes: Vec<(u64, u64)>,
}

impl Looked {
    /// How many messages are missing.
    pub(crate) fn missing(&self) -> u64 {
        self.holes.iter().map(|(first, last)| last - first + 1).sum()
    }
}

/// A log that can be read.
pub(crate) struct Log {
    pub(crate) client: Client,
    pub(crate) context: Context,
    pub(crate) partitions: u16,
}

impl Log {
    /// First and last sequence of a stream; `None` if there is none of that name. One that does not answer is not taken for
    /// that.
    pub(crate) async fn ends(&self, stream: &str) -> Result<Option<Ends>, Failure> {
        match self.context.get_stream(stream).await {
            Ok(found) => Ok(Some(Ends::of(found.cached_info()))),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Ok(None)
                }
                _ => Err(Failure::Again(with_causes(&format!("the stream {stream} cannot be read"), &error))),
            },
        }
    }

    /// Looks at a stream up to its end of this moment. One that is missing is empty.
    pub(crate) async fn each(&self, look: Look, mut take: impl FnMut(&Found)) -> Result<Looked, Failure> {
        let Look { stream, since, subjects, what } = look;
        let over_holes = subjects.is_empty();
        let mut looked = Looked::default();
        let Some(ends) = self.ends(&stream).await? else { return Ok(looked) };
        let line = format!("cannot read the stream {stream}");
        let failed = |error: scan::Error| Failure::failed(&line, &error);
        looked.last = ends.last;
        let next = match since {
            None if over_holes => 1,
            None => ends.first,
            Some(ms) => 1 + scan::sequence_at(&self.context, &stream, ms - 1).await.map_err(failed)?,
        };
        let bar = progress::bar(ends.last, what);
        let context = || self.context.clone();
        let stretch = Stretch { stream: stream.clone(), from: From::Sequence(next), to: ends.last, subjects };
        // Of the two one is read.
        let mut scan = Scan::new(context(), stretch);
        let mut over = Over::new(context(), stream.clone(), next, ends.last);
        loop {
            let batch = if over_holes { over.next_batch(BATCH).await } else { scan.next_batch(BATCH).await };
            let Some(batch) = batch.map_err(failed)? else { break };
            batch.iter().for_each(&mut take);
            looked.messages += batch.len() as u64;
            bar.inc(batch.len() as u64);
        }
        looked.holes = over.holes().to_vec();
        bar.finish_and_clear();
        Ok(looked)
    }
}

impl LogReach {
    /// The broker elsewhere, if one is named.
    pub(crate) fn url(&self) -> Result<Option<String>, Failure> {
        let given = match &self.nats_url {
            None => config::of_file("nats_url")?.and_then(|mut texts| texts.pop()),
            given => given.clone(),
        };
        match given {
            Some(url) if url.trim().is_empty() => Err(Failure::Usage(
                "nats_url: \"\" (from --nats-url or GROUPFOLD_NATS_URL); expected a text that is not empty"
                    .into(),
            )),
            url => Ok(url),
        }
    }

    /// Connects to the broker; its log need not be provisioned.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        // A verb takes credentials from where the pipeline has them: its run file, or variables and the config file.
        let (url, access) = match self.url()? {
            Some(url) => (url, config::ambient_access()?),
            None => {
                let run = Run::find(&self.data, "--nats-url")?;
                (run.nats_url, run.nats_access)
            }
        };
        broker::connect(&url, &access).await
    }

    /// Connects and looks how many partitions the log has.
    pub(crate) async fn open(&self) -> Result<Log, Failure> {
        let client = self.connect().await?;
        let partitions = provision::discover(&client)
            .await
            .map_err(|error| Failure::Failed(with_causes("the log cannot be read", &error)))?
            .ok_or_else(|| {
                Failure::Missing("there is no log on this broker: run `groupfold provision` first".into())
            })?;
        Ok(Log { context: jetstream::new(client.clone()), client, partitions })
    }
}
