//! The users of `deploy/nats/permissions.conf`, over TLS, against a real server: each does its work, and nothing else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectOptions};
use groupfold_tests::certs::Authority;
use groupfold_tests::{
    Groupfold, Nats, NatsOptions, NatsServer, Options, Provider, Scratch, ends, http, wait_until, workspace,
};
use reqwest::{Method, multipart};
use serde_json::json;

use crate::commands;
use crate::feed::listener::Listener;
use crate::hook::{created, joined, lifecycle, participants};

const BOUND: Duration = Duration::from_secs(60);
const T: i64 = 1_767_225_600;
const USERS: [&str; 3] = ["receiver", "projector", "operator"];
/// Kinds of events that webhooks alone tell of.
const TOLD: [&str; 5] =
    ["group_created", "participants_joined", "participants_left", "receipt_read", "message_received"];

struct World {
    server: NatsServer,
    scratch: Scratch,
    ca: PathBuf,
}

fn password(user: &str) -> String {
    format!("password-of-the-{user}")
}

impl World {
    async fn new() -> Self {
        let (scratch, authority) = (Scratch::new("permissions"), Authority::new("broker"));
        let (cert, key) = authority.sign("nats").write(scratch.path(), "nats");
        let ca = scratch.path().join("ca.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        let mut config = std::fs::read_to_string(workspace().join("deploy/nats/permissions.conf")).unwrap();
        for user in USERS {
            let variable = format!("$GROUPFOLD_NATS_{}_PASSWORD", user.to_uppercase());
            assert!(config.contains(&variable), "{variable}");
            config = config.replace(&variable, &format!("\"{}\"", password(user)));
        }
        // A machine with much to do is not done with a handshake within two seconds.
        config = config.replacen("authorization {", "authorization {\n  timeout: 20", 1);
        config.push_str(&format!(
            "\ntls {{ cert_file: \"{}\", key_file: \"{}\", timeout: 20 }}\n",
            cert.display(),
            key.display()
        ));
        let server = NatsServer::start_with(NatsOptions { config, ..NatsOptions::default() }).await;
        Self { server, scratch, ca }
    }

    /// How a groupfold is told who it is; the password comes from a file.
    fn args(&self, user: &str) -> (Vec<String>, Vec<(String, String)>) {
        let file = self.scratch.path().join(user);
        std::fs::write(&file, format!("{}\n", password(user))).unwrap();
        let args = ["--nats-tls-ca", &text(&self.ca), "--nats-user", user, "--nats-inbox", &inbox(user)];
        let env = ("GROUPFOLD_NATS_PASSWORD_FILE".to_owned(), text(&file));
        (args.map(str::to_owned).to_vec(), vec![env])
    }

    fn options(&self, user: &str) -> Options {
        let (args, env) = self.args(user);
        Options { nats: Nats::Url(self.server.url()), args, env, ..Options::default() }
    }

    async fn client(&self, user: &str) -> Client {
        let options = ConnectOptions::with_user_and_password(user.to_owned(), password(user));
        let options = options.add_root_certificates(self.ca.clone()).require_tls(true);
        options.custom_inbox_prefix(inbox(user)).connect(self.server.url()).await.unwrap()
    }

    /// Publishes what must not be, and waits until the server has said so.
    async fn refused(&mut self, user: &str, client: &Client, subject: &str) {
        client.publish(subject.to_owned(), "{}".into()).await.unwrap();
        client.flush().await.unwrap();
        self.told_of(user, "Publish Violation", subject).await;
    }

    async fn told_of(&mut self, user: &str, violation: &str, subject: &str) {
        let process = self.server.process();
        let what = format!("{user} is refused {subject}");
        let (user, subject) = (format!("user:{user}\""), format!("\"{subject}\""));
        wait_until(&what, BOUND, async || {
            let log = process.log();
            let told = |line: &str| [violation, &user, &subject].iter().all(|part| line.contains(part));
            if log.lines().any(told) { Ok(()) } else { Err(process.log_tail()) }
        })
        .await;
    }

    async fn messages(&self, operator: &jetstream::Context) -> Vec<stream::State> {
        let mut states = Vec::new();
        for name in self.streams() {
            states.push(operator.get_stream(name).await.unwrap().get_info().await.unwrap().state);
        }
        states
    }

    fn streams(&self) -> Vec<String> {
        let side = ["GROUPFOLD_FAILED", "GROUPFOLD_RESOLVED", "GROUPFOLD_CHANGES"].map(str::to_owned);
        (0..2).map(|partition| format!("GROUPFOLD_EVENTS_{partition}")).chain(side).collect()
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn inbox(user: &str) -> String {
    format!("_INBOX_{user}")
}

/// All that a projector writes for commands: stations, claims, pictures, and what the provider's answer alone tells; the
/// group that it is about.
async fn platform_asks(project: &Groupfold, provider: &Provider) -> String {
    let body = json!({
        "phone_number_id": Provider::NUMBER, "subject": "Tea", "join_approval_mode": "approval_required",
    });
    let asked =
        commands::ask(project, Method::POST, "/v1/groups", Some(body), &[("idempotency-key", "k")]).await;
    let created = commands::ended(project, asked.json["command_id"].as_str().unwrap()).await;
    let group = commands::known(project, &created).await;
    let path = format!("/v1/groups/{group}");
    commands::reset_link(project, &group).await;
    let wants = provider.control("join", json!({ "group_id": group, "person": "5511911111111" })).await;
    provider.all_told().await;
    let body = json!({ "join_requests": [wants["join_request_id"]] });
    let rejected = commands::at_once(project, &format!("{path}/join-requests:reject"), Some(body)).await;
    assert_eq!(rejected["status"], "succeeded", "{rejected}");
    let form = multipart::Form::new()
        .part("picture", multipart::Part::bytes(commands::verbs::picture()).file_name("x.jpg"));
    let sent = http::client().patch(project.api_url(&path)).multipart(form).send().await.unwrap();
    let asked = http::read(sent).await.unwrap();
    let pictured = commands::ended(project, asked.json["command_id"].as_str().unwrap()).await;
    assert_eq!(pictured["status"], "succeeded", "{pictured}");
    let labelled = commands::ask(project, Method::PUT, &format!("{path}/labels/vip"), None, &[]).await;
    assert!(labelled.status < 300, "{labelled}");
    group
}

/// And what it finds out by itself: a deletion that no webhook told.
async fn a_deletion_is_found(project: &Groupfold, provider: &Provider, group: &str) {
    let deleted = provider.call(Method::DELETE, &format!("/{group}"), None).await;
    assert_eq!(deleted.status, 200, "{deleted}");
    wait_until("the deletion is found", BOUND, async || {
        let answer = project.get(&format!("/v1/groups/{group}")).await;
        if answer.json["status"] == "deleted" { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn each_user_of_the_broker_does_its_work_over_tls_and_nobody_can_take_anything_away() {
    let mut world = World::new().await;
    let (args, env) = world.args("operator");
    let mut command = Groupfold::command();
    command.args(["provision", "--partitions", "2", "--nats-url", &world.server.url()]).args(args).envs(env);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    ends(&output, 0);
    let ingest = Groupfold::ingest(world.options("receiver")).await;
    let silent = ["--fault", "delete=webhook_never"];
    let provider = Provider::start(&Options::default().app_secret, &silent).await;
    provider.tell(&ingest.webhook_url()).await;
    let mut options = world.options("projector");
    options.args.extend(commands::reaching(&provider, commands::TOLD_MS));
    let mut project = Groupfold::project(options).await;
    for body in [
        lifecycle(&[created("G", "Team", T)]),
        participants(&[joined("G", "15550001111", T + 1), serde_json::json!({ "type": "unheard_of" })]),
    ] {
        let answer = ingest.post(&body).await;
        assert_eq!(answer.status, 200, "{answer}");
    }
    let operator = jetstream::new(world.client("operator").await);
    wait_until("the webhooks are state, and told", BOUND, async || {
        let answer = project.get("/v1/groups/G").await;
        let told = operator.get_stream("GROUPFOLD_CHANGES").await.unwrap().get_info().await.unwrap();
        let all = answer.json["counts"]["member"] == 1 && told.state.messages > 2;
        if all { Ok(()) } else { Err(format!("{answer} {:?}", told.state)) }
    })
    .await;
    let mut listener = Listener::open(&project, "?from=beginning", None).await.unwrap();
    let event = tokio::time::timeout(BOUND, listener.event()).await.unwrap();
    assert!(event.is_some_and(|event| event.data.is_some_and(|data| data.contains("\"G\""))));
    let group = platform_asks(&project, &provider).await;
    project.options().args.extend(["--reconcile-interval-s".to_owned(), "1".to_owned()]);
    project.restart().await;
    a_deletion_is_found(&project, &provider, &group).await;
    let log = world.server.process().log();
    let violations: Vec<_> = log.lines().filter(|line| line.contains("Violation")).collect();
    assert!(violations.is_empty(), "somebody may not do its work: {violations:#?}");
    drop((ingest, project));

    let before = world.messages(&operator).await;
    for user in USERS {
        let client = world.client(user).await;
        for stream in world.streams() {
            for verb in ["DELETE", "PURGE", "UPDATE", "MSG.DELETE", "SNAPSHOT", "RESTORE"] {
                world.refused(user, &client, &format!("$JS.API.STREAM.{verb}.{stream}")).await;
            }
        }
        for inbox in ["_INBOX.>", "_INBOX_projector.>", "_INBOX_operator.>", "groupfold.>"] {
            if inbox.contains(user) {
                continue;
            }
            let _subscription = client.subscribe(inbox).await.unwrap();
            client.flush().await.unwrap();
            world.told_of(user, "Subscription Violation", inbox).await;
        }
    }
    let receiver = world.client("receiver").await;
    for subject in [
        "$JS.API.CONSUMER.CREATE.GROUPFOLD_EVENTS_0",
        "$JS.API.CONSUMER.DURABLE.CREATE.GROUPFOLD_EVENTS_0.x",
        "$JS.API.CONSUMER.MSG.NEXT.GROUPFOLD_EVENTS_0.x",
        "$JS.API.STREAM.MSG.GET.GROUPFOLD_EVENTS_0",
        "$JS.API.DIRECT.GET.GROUPFOLD_EVENTS_0",
        "groupfold.change.0.group_status.G",
        "groupfold.resolved.x",
    ] {
        world.refused("receiver", &receiver, subject).await;
    }
    let projector = world.client("projector").await;
    for kind in TOLD {
        world.refused("projector", &projector, &format!("groupfold.event.0.A.{kind}.G")).await;
    }
    for subject in
        ["groupfold.resolved.x", "$KV.groupfold_receivers.x", "$JS.API.STREAM.CREATE.GROUPFOLD_EVENTS_0"]
    {
        world.refused("projector", &projector, subject).await;
    }
    let after = world.messages(&operator).await;
    let count = |states: &[stream::State]| -> Vec<(u64, u64)> {
        states.iter().map(|state| (state.messages, state.last_sequence)).collect()
    };
    assert_eq!(count(&before), count(&after));
}

#[tokio::test]
async fn a_broker_whose_certificate_nobody_vouches_for_is_not_talked_to() {
    let world = World::new().await;
    let (args, env) = world.args("operator");
    let other = world.scratch.path().join("other.pem");
    std::fs::write(&other, Authority::new("another").pem()).unwrap();
    let args: Vec<String> = args.iter().map(|arg| arg.replace(&text(&world.ca), &text(&other))).collect();
    let mut command = Groupfold::command();
    command.args(["provision", "--nats-url", &world.server.url()]).args(args).envs(env);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    ends(&output, 69);
    assert!(!String::from_utf8_lossy(&output.stderr).contains(&password("operator")));
}
