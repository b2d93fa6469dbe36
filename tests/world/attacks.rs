//! The door under attack: whatever is sent, memory stays bounded, honest webhooks are answered meanwhile, and what is
//! not signed costs the broker nothing.

mod http2;
mod shapes;

use std::time::{Duration, Instant};

use groupfold_tests::{Groupfold, NatsServer, Options, http, memory, sign, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::hook::{joined, participants};

const BOUND: Duration = Duration::from_secs(30);
const SECRET: &str = "app-secret-of-a-test";
const T: i64 = 1_767_225_600;
/// What the process may grow by under attack. Attacks send, or hold open, much more.
const GROWTH_KIB_MAX: u64 = 160 * 1024;

/// Where the attack takes no places for long. At the first a broker with much to do may not acknowledge in time.
const TRIES_MAX: u32 = 3;

/// A door that is attacked.
struct Siege {
    groupfold: Groupfold,
    address: String,
    before_kib: u64,
    honest: i64,
    /// An honest webhook is sent so often at most until it is answered.
    tries: u32,
}

impl Siege {
    async fn begin(options: Options, args: &[&str]) -> Self {
        let mut options = options;
        // A broker beside an attack may be slow; whether it is answered is the matter.
        options.args.extend(["--append-deadline-ms", "20000"].iter().chain(args).map(|&arg| arg.to_owned()));
        Self::of(Groupfold::up(options).await).await
    }

    async fn of(mut groupfold: Groupfold) -> Self {
        let address = groupfold.addresses().webhook.clone().unwrap();
        let before_kib = memory::now_kib(groupfold.process().pid());
        let mut siege = Self { groupfold, address, before_kib, honest: 0, tries: TRIES_MAX };
        siege.honest_is_answered().await;
        siege
    }

    async fn connect(&self) -> TcpStream {
        connect(&self.address).await
    }

    /// A signed webhook gets its 200 within so many tries: the provider, too, sends it again. How long it takes is the
    /// machine's.
    async fn honest_is_answered(&mut self) {
        self.honest += 1;
        let body = participants(&[joined("G1", &format!("1555{:07}", self.honest), T + self.honest)]);
        let mut heard = Vec::new();
        while u32::try_from(heard.len()).unwrap() < self.tries {
            match self.groupfold.try_post(&body).await {
                Ok(answer) if answer.status == 200 => return,
                Ok(answer) => heard.push(answer.to_string()),
                Err(error) => heard.push(format!("{error:?}")),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("an honest webhook was sent {} times in vain, and heard: {:?}", heard.len(), heard.last());
    }

    fn memory_is_bounded(&mut self, during: &str) {
        let now_kib = memory::now_kib(self.groupfold.process().pid());
        let grown = now_kib.saturating_sub(self.before_kib);
        assert!(grown < GROWTH_KIB_MAX, "{during}: {} KiB, then {now_kib} KiB", self.before_kib);
    }

    /// Runs attackers at the same time until all are done; honest webhooks come in between.
    async fn attacked_by(&mut self, what: &str, mut attackers: JoinSet<()>) {
        let begun = Instant::now();
        while !attackers.is_empty() {
            self.honest_is_answered().await;
            self.memory_is_bounded(what);
            assert!(begun.elapsed() < 10 * BOUND, "{what} never ends");
            while let Some(done) = attackers.try_join_next() {
                done.unwrap();
            }
        }
        self.honest_is_answered().await;
        self.memory_is_bounded(what);
    }
}

async fn connect(address: &str) -> TcpStream {
    let begun = Instant::now();
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => return stream,
            // A full queue of connections is no failure of the attacker.
            Err(error) => assert!(begun.elapsed() < BOUND, "nobody listens: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What the other side says until it closes or falls silent.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn senders_that_trickle_lose_their_connections_and_nobody_waits_for_them() {
    let mut siege =
        Siege::begin(Options::default(), &["--header-deadline-ms", "1000", "--body-deadline-ms", "1000"])
            .await;
    let mut attackers = JoinSet::new();
    for number in 0..300 {
        let mut stream = siege.connect().await;
        attackers.spawn(async move {
            let head = if number % 2 == 0 {
                "POST /webhooks/meta HTTP/1.1\r\nhost: x\r\nx-a: "
            } else {
                "POST /webhooks/meta HTTP/1.1\r\nhost: x\r\nx-hub-signature-256: sha256=00\r\ncontent-length: 9999\r\n\r\n"
            };
            // Until the door closes.
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
    siege.attacked_by("slow senders", attackers).await;
}

#[tokio::test]
async fn bodies_and_headers_that_never_end_are_cut_and_held_by_nobody() {
    let mut siege = Siege::begin(Options::default(), &["--body-bytes-max", "1000000"]).await;
    let mut attackers = JoinSet::new();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let header = format!("x-h: {}\r\n", "x".repeat(8000));
    let post = "POST /webhooks/meta HTTP/1.1\r\nhost: x\r\n";
    let body = format!("{post}x-hub-signature-256: sha256=00\r\ntransfer-encoding: chunked\r\n\r\n");
    for (head, more) in [(body, chunk), (post.to_owned(), header), (post.to_owned(), "a: b\r\n".repeat(500))]
    {
        for _ in 0..8 {
            let (address, head, more) = (siege.address.clone(), head.clone(), more.clone());
            attackers.spawn(async move {
                // Five times as often as it is refused.
                for _ in 0..5 {
                    let mut stream = connect(&address).await;
                    let _ = stream.write_all(head.as_bytes()).await;
                    let mut sent = 0;
                    while sent < 20_000_000 && stream.write_all(more.as_bytes()).await.is_ok() {
                        sent += more.len();
                    }
                    assert!(sent < 20_000_000, "the door takes whatever comes");
                }
            });
        }
    }
    siege.attacked_by("endless bodies and headers", attackers).await;
}

/// Connections that say nothing.
async fn silent(address: &str, count: usize) -> Vec<TcpStream> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        held.push(connect(address).await);
    }
    held
}

#[tokio::test]
async fn a_flood_of_connections_is_refused_beyond_the_bound_and_honest_webhooks_find_a_place() {
    let bound = 200;
    let args = ["--connections-max", "200", "--header-deadline-ms", "1000"];
    let mut siege = Siege::begin(Options::default(), &args).await;
    let address = siege.address.clone();
    wait_until("the first one beyond the bound is refused", BOUND, async || {
        let held = silent(&address, bound).await;
        let said = answer(&mut connect(&address).await).await;
        drop(held);
        // Silence where the first ones were closed before the last one came.
        if said.starts_with("HTTP/1.1 503") { Ok(()) } else { Err(said) }
    })
    .await;
    // All places are taken again and again, for a second each time.
    siege.tries = 2_000;
    let mut attackers = JoinSet::new();
    for _ in 0..6 {
        let address = siege.address.clone();
        attackers.spawn(async move {
            for _ in 0..3 {
                // Each is closed by the door in the end: at once with 503, or when it has said nothing for too long.
                for mut stream in silent(&address, bound / 2).await {
                    let said = answer(&mut stream).await;
                    assert!(said.is_empty() || said.starts_with("HTTP/1.1 503"), "{said}");
                }
            }
        });
    }
    siege.attacked_by("a flood of connections", attackers).await;
    let metrics = siege.groupfold.get("/metrics").await.text;
    assert!(refusals(&metrics) > 0, "{metrics}");
}

/// Connections that were refused for want of a place.
fn refusals(metrics: &str) -> u64 {
    let line = metrics.lines().find(|line| line.contains("too_many_connections"));
    let count = line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok());
    count.unwrap_or_default()
}

#[tokio::test]
async fn what_is_not_signed_costs_the_broker_nothing() {
    let nats = NatsServer::start().await;
    let mut provision = Groupfold::command();
    provision.args(["provision", "--nats-url", &nats.url()]);
    assert!(provision.output().expect("groupfold can be run").status.success());
    // The receiver alone: what a projector asks the broker for is no cost of an attack.
    let mut siege = Siege::of(Groupfold::ingest(Options::on(&nats)).await).await;
    let received = async || {
        let url = format!("{}/varz", nats.monitor_url());
        http::get(&url).await.json["in_msgs"].as_u64().expect("in_msgs")
    };
    let (before, begun) = (received().await, Instant::now());
    let requests = 3000;
    let mut attackers = JoinSet::new();
    for attacker in 0..10 {
        let url = siege.groupfold.webhook_url();
        attackers.spawn(async move {
            let (client, body) = (http::client(), participants(&[joined("G1", "15550009999", T)]));
            for number in 0..requests / 10 {
                let signature = match number % 3 {
                    0 => sign("another secret", &body),
                    1 => "sha256=zz".to_owned(),
                    _ => String::new(),
                };
                let request = client.post(&url).header("x-hub-signature-256", signature).body(body.clone());
                let status = request.send().await.unwrap().status();
                assert_eq!(status, 401, "{attacker}");
            }
        });
    }
    while let Some(done) = attackers.join_next().await {
        done.unwrap();
    }
    let cost = received().await - before;
    // The receiver asks after its streams now and then, attacked or not.
    let bound = requests / 20 + 3 * begun.elapsed().as_secs();
    assert!(cost < bound, "{requests} requests made {cost} messages");
    siege.honest_is_answered().await;
    siege.memory_is_bounded("unsigned webhooks");
}
