//! Programs of others that do a part of it: HTTP in, JetStream out, 200 after its acknowledgement.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use groupfold_tests::{Process, wait_until};
use tokio::net::TcpStream;

use super::{Contestant, Running, Who};
use crate::bed::{BARE_STREAM, BARE_SUBJECT, Bed};

const START_WAIT: Duration = Duration::from_secs(30);

/// Vector: http_server → nats with JetStream, raw codec, 256 in flight.
pub(super) async fn vector(binary: &Path, bed: &Bed) -> Contestant {
    let port = free_port();
    let folder = bed.scratch.path();
    let config = format!(
        "data_dir = {data:?}\n[sources.in]\ntype = \"http_server\"\naddress = \"127.0.0.1:{port}\"\n\
         [sinks.out]\ntype = \"nats\"\ninputs = [\"in\"]\nurl = \"{url}\"\nsubject = \"{BARE_SUBJECT}\"\n\
         jetstream = true\nencoding.codec = \"raw_message\"\nacknowledgements.enabled = true\nrequest.concurrency = 256\n",
        data = folder,
        url = bed.url()
    );
    let path = folder.join("vector.toml");
    std::fs::write(&path, config).expect("a configuration can be written");
    let mut command = Command::new(binary);
    command.env("VECTOR_LOG", "warn").arg("--config").arg(&path);
    start(Who::Vector, command, "/", port, bed).await
}

/// Redpanda Connect: http_server → nats_jetstream.
pub(super) async fn rpconnect(binary: &Path, bed: &Bed) -> Contestant {
    let port = free_port();
    let config = format!(
        "http:\n  enabled: false\nlogger:\n  level: WARN\ninput:\n  http_server:\n    address: 127.0.0.1:{port}\n    path: /in\n\
         output:\n  nats_jetstream:\n    urls: [ {url} ]\n    subject: {BARE_SUBJECT}\n    max_in_flight: 1024\n",
        url = bed.url()
    );
    let path = bed.scratch.path().join("rpconnect.yaml");
    std::fs::write(&path, config).expect("a configuration can be written");
    let mut command = Command::new(binary);
    command.arg("run").arg(&path);
    start(Who::Rpconnect, command, "/in", port, bed).await
}

async fn start(who: Who, command: Command, path: &str, port: u16, bed: &Bed) -> Contestant {
    let log = bed.scratch.path().join(format!("{port}.log"));
    let mut process = Process::spawn("a peer", command, &log);
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    wait_until("the peer listens", START_WAIT, async || {
        assert!(process.exited().is_none(), "{} ended:\n{}", who.name(), process.log_tail());
        TcpStream::connect(addr).await.map(drop)
    })
    .await;
    Contestant {
        who,
        pid: process.pid(),
        addr,
        path: path.to_owned(),
        streams: vec![BARE_STREAM.to_owned()],
        _process: Running::Other(process),
    }
}

/// They cannot be told to choose for themselves.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
