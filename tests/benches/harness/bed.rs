//! What everyone is measured on: one broker, one disk.

use std::path::Path;

use async_nats::jetstream::{self, Context, stream};
use clap::ValueEnum;
use groupfold_schemas::log;
use groupfold_tests::{Groupfold, NatsOptions, NatsServer, Options, Scratch};
use serde::{Deserialize, Serialize};

use crate::args::Args;
use groupfold_tests::receipts;

/// What an acknowledgement of the broker is worth.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// The broker's default: in the page cache of one node
    PageCache,
    /// `sync_interval: always`: on the disk of one node
    Fsync,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PageCache => "page-cache",
            Self::Fsync => "fsync",
        }
    }
}

/// The stream that the references publish to, and its subjects.
pub(crate) const BARE_STREAM: &str = "BARE";
pub(crate) const BARE_SUBJECT: &str = "bare.webhook";

/// Where the reference publishes that keeps promises: eight streams, as ours.
pub(crate) const PROMISED_SUBJECT: &str = "promised";

fn promised_subjects() -> impl Iterator<Item = String> {
    (0..8).map(|stream| format!("{PROMISED_SUBJECT}.{stream}"))
}

/// Their streams.
pub(crate) fn promised_streams() -> Vec<String> {
    promised_subjects().map(|subject| subject.to_uppercase().replace('.', "_")).collect()
}

/// One broker, and the streams of everyone in it.
pub(crate) struct Bed {
    nats: NatsServer,
    pub(crate) broker_pid: u32,
    pub(crate) context: Context,
    pub(crate) scratch: Scratch,
    pub(crate) partitions: u16,
}

impl Bed {
    pub(crate) async fn new(args: &Args, mode: Mode) -> Self {
        let sync_always = mode == Mode::Fsync;
        let mut nats = NatsServer::start_with(NatsOptions { sync_always, ..NatsOptions::default() }).await;
        let broker_pid = nats.process().pid();
        let context = jetstream::new(nats.client().await);
        let bare = stream::Config {
            name: BARE_STREAM.to_owned(),
            subjects: vec!["bare.>".to_owned()],
            storage: stream::StorageType::File,
            ..stream::Config::default()
        };
        context.create_stream(bare).await.expect("a stream can be made");
        for (name, subject) in promised_streams().into_iter().zip(promised_subjects()) {
            let promised = stream::Config {
                name,
                subjects: vec![subject],
                storage: stream::StorageType::File,
                ..stream::Config::default()
            };
            context.create_stream(promised).await.expect("a stream can be made");
        }
        provision(&args.groupfold(), &nats);
        let mut partitions = 0;
        while context.get_stream(log::stream(partitions)).await.is_ok() {
            partitions += 1;
        }
        assert!(partitions > 0, "there is no log");
        Self { nats, broker_pid, context, scratch: Scratch::new("bench"), partitions }
    }

    pub(crate) fn url(&self) -> String {
        self.nats.url()
    }

    /// How groupfold runs on it.
    pub(crate) fn options(&self, args: &Args) -> Options {
        let setting = |text: &String| {
            let (name, value) =
                text.split_once('=').unwrap_or_else(|| panic!("--setting {text}: NAME=VALUE is expected"));
            (name.to_owned(), value.to_owned())
        };
        Options {
            binary: Some(args.groupfold()),
            app_secret: receipts::SECRET.to_owned(),
            env: args.setting.iter().map(setting).collect(),
            ..Options::on(&self.nats)
        }
    }

    /// Messages that a stream ever took.
    pub(crate) async fn taken(&self, streams: &[String]) -> u64 {
        let mut taken = 0;
        for name in streams {
            taken += self
                .context
                .get_stream(name)
                .await
                .expect("the stream is there")
                .cached_info()
                .state
                .last_sequence;
        }
        taken
    }

    /// The streams of events.
    pub(crate) fn log_streams(&self) -> Vec<String> {
        (0..self.partitions).map(log::stream).collect()
    }

    /// The streams that webhooks go to: events and failures.
    pub(crate) fn door_streams(&self) -> Vec<String> {
        let mut streams = self.log_streams();
        streams.push(log::FAILED_STREAM.to_owned());
        streams
    }
}

fn provision(groupfold: &Path, nats: &NatsServer) {
    let mut command = Groupfold::command_of(Some(groupfold));
    command.args(["provision", "--nats-url", &nats.url()]);
    let output = command.output().expect("groupfold can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
