//! TLS on the door and on the query API.

use std::path::Path;
use std::time::Duration;

use groupfold_tests::certs::{Authority, Pair};
use groupfold_tests::{Answer, Groupfold, Options, Scratch, http, sign, wait_until};
use reqwest::{Certificate, Client, Identity};

use crate::hook::{joined, participants};

const BOUND: Duration = Duration::from_secs(60);
/// Files are looked at every ten seconds; as much again, for a machine with much to do.
const LOOKED_AT: Duration = Duration::from_secs(20);
const T: i64 = 1_767_225_600;
const SECRET: &str = "app-secret-of-a-test";
const META: &str = "client.webhooks.fbclientcerts.com";

/// A sender that trusts one authority alone, and may show a certificate.
fn sender(trusted: &Authority, shows: Option<&Pair>) -> Client {
    let _ = http::client();
    let trusted = Certificate::from_pem(trusted.pem().as_bytes()).unwrap();
    let builder = Client::builder().no_proxy().timeout(BOUND).tls_certs_only([trusted]);
    let identity =
        shows.map(|pair| Identity::from_pem(format!("{}{}", pair.key, pair.cert).as_bytes()).unwrap());
    match identity {
        Some(identity) => builder.identity(identity).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

async fn post(groupfold: &Groupfold, sender: &Client) -> Result<(reqwest::Version, Answer), reqwest::Error> {
    let body = participants(&[joined("G1", "15550001111", T)]);
    let address = groupfold.addresses().webhook.clone().unwrap();
    let request = sender.post(format!("https://{address}/webhooks/meta"));
    let request = request.header("x-hub-signature-256", sign(SECRET, &body)).body(body);
    let response = request.send().await?;
    Ok((response.version(), http::read(response).await?))
}

async fn up(folder: &Path, more: &[&str]) -> Groupfold {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut args = vec!["--webhook-tls-cert".to_owned(), file("door.pem")];
    args.extend(["--webhook-tls-key".to_owned(), file("door.key")]);
    args.extend(more.iter().map(|&arg| arg.to_owned()));
    Groupfold::up(Options { args, ..Options::default() }).await
}

#[tokio::test]
async fn a_webhook_comes_by_tls_and_not_in_the_clear_and_a_new_certificate_needs_no_restart() {
    let (scratch, first, second) = (Scratch::new("tls"), Authority::new("first"), Authority::new("second"));
    first.sign("door").write(scratch.path(), "door");
    let mut groupfold = up(scratch.path(), &[]).await;
    let (version, answer) = post(&groupfold, &sender(&first, None)).await.unwrap();
    assert_eq!((version, answer.status), (reqwest::Version::HTTP_2, 200), "{answer}");
    assert!(groupfold.try_post(b"{}").await.is_err(), "somebody speaks in the clear");
    assert!(post(&groupfold, &sender(&second, None)).await.is_err(), "nobody's certificate is trusted");

    // What cannot be used is not taken.
    std::fs::write(scratch.path().join("door.pem"), "no certificate").unwrap();
    groupfold.process().signal("HUP");
    wait_until("the fault is told", BOUND, async || {
        let log = groupfold.process().log();
        if log.contains("keeps the certificate it has") { Ok(()) } else { Err(log) }
    })
    .await;
    assert_eq!(post(&groupfold, &sender(&first, None)).await.unwrap().1.status, 200);

    let kept = sender(&first, None);
    assert_eq!(post(&groupfold, &kept).await.unwrap().1.status, 200);
    second.sign("door").write(scratch.path(), "door");
    groupfold.process().signal("HUP");
    wait_until("the new certificate is shown", BOUND, async || {
        post(&groupfold, &sender(&second, None)).await.map(|_| ()).map_err(|error| format!("{error:?}"))
    })
    .await;
    assert!(post(&groupfold, &sender(&first, None)).await.is_err(), "the old certificate is still shown");
    // A connection from before goes on.
    assert_eq!(post(&groupfold, &kept).await.unwrap().1.status, 200);
}

#[tokio::test]
async fn only_a_sender_with_the_right_certificate_and_name_is_let_in() {
    let scratch = Scratch::new("mtls");
    let (ours, metas, strangers) =
        (Authority::new("ours"), Authority::new("meta"), Authority::new("stranger"));
    ours.sign("door").write(scratch.path(), "door");
    let ca = scratch.path().join("meta-ca.pem");
    std::fs::write(&ca, metas.pem()).unwrap();
    let args = ["--webhook-tls-client-ca", ca.to_str().unwrap(), "--webhook-tls-client-name", META];
    let groupfold = up(scratch.path(), &args).await;
    let (_, answer) = post(&groupfold, &sender(&ours, Some(&metas.sign(META)))).await.unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    for (who, shows) in [
        ("nobody", None),
        ("another name of the authority", Some(metas.sign("client.example"))),
        ("the name by another authority", Some(strangers.sign(META))),
    ] {
        let refused = post(&groupfold, &sender(&ours, shows.as_ref())).await;
        assert!(refused.is_err(), "{who} is let in: {refused:?}");
    }
    let metrics = http::get(&groupfold.api_url("/metrics")).await.text;
    let line = "groupfold_ingest_refusals_total{cause=\"tls_handshake\"}";
    assert!(metrics.contains(line), "{metrics}");
}

/// A verb against the API: its exit code.
fn verb(args: &[&str]) -> Option<i32> {
    Groupfold::command().args(["group", "list"]).args(args).output().unwrap().status.code()
}

#[tokio::test]
async fn the_query_api_speaks_tls_alone_to_others_and_verbs_reach_it_from_here_and_elsewhere() {
    let scratch = Scratch::new("api-tls");
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    first.sign("api").write(scratch.path(), "api");
    let file = |name: &str| scratch.path().join(name).display().to_string();
    std::fs::write(file("first.pem"), first.pem()).unwrap();
    std::fs::write(file("second.pem"), second.pem()).unwrap();
    let (cert, key) = (file("api.pem"), file("api.key"));
    let args = ["--api-tls-cert", &cert, "--api-tls-key", &key, "--api-token", "t-of-a-test"];
    let args = args.map(str::to_owned).to_vec();
    let mut groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    let run = std::fs::read(groupfold.data().join("run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_slice(&run).unwrap();
    let url = run["api_url"].as_str().unwrap().to_owned();
    let groups = format!("{url}/v1/groups");
    let ask = async |trusted: &Authority| {
        sender(trusted, None).get(&groups).bearer_auth("t-of-a-test").send().await
    };

    let answer = ask(&first).await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    assert!(ask(&second).await.is_err(), "nobody's certificate is trusted");
    assert!(http::try_get(&groups.replace("https", "http")).await.is_err(), "it speaks in the clear");
    let unknown = sender(&first, None).get(&groups).send().await.unwrap();
    assert_eq!(unknown.status().as_u16(), 401);

    let elsewhere = ["--api-url", &url, "--api-token", "t-of-a-test"];
    let trusting = |name: &str| verb(&[&elsewhere[..], &["--api-tls-ca", &file(name)]].concat());
    assert_eq!(trusting("first.pem"), Some(0));
    assert_eq!(trusting("second.pem"), Some(69), "a certificate that nobody vouches for is talked to");
    assert_eq!(trusting("absent.pem"), Some(2));
    // A verb of the owner needs neither authority nor token.
    assert_eq!(verb(&["--data", groupfold.data().to_str().unwrap()]), Some(0));

    second.sign("api").write(scratch.path(), "api");
    groupfold.process().signal("HUP");
    wait_until("the new certificate is shown", BOUND, async || {
        ask(&second).await.map(|_| ()).map_err(|error| format!("{error:?}"))
    })
    .await;
    assert!(ask(&first).await.is_err(), "the old certificate is still shown");
    assert_eq!(groupfold.terminate().await, 0);
}

/// Files that are mounted into a container change, and nobody sends a signal.
#[tokio::test]
async fn a_certificate_and_a_token_that_change_are_taken_without_a_signal() {
    let (scratch, first, second) = (Scratch::new("poll"), Authority::new("first"), Authority::new("second"));
    first.sign("door").write(scratch.path(), "door");
    let config = scratch.path().join("groupfold.toml");
    let tokens = |token: &str| {
        std::fs::write(&config, format!("[[api.tokens]]\nname = \"ana\"\ntoken = \"{token}\"\n"))
    };
    tokens("the-token-of-before").unwrap();
    let groupfold = up(scratch.path(), &["--config", config.to_str().unwrap()]).await;
    let ask = async |token: &str| {
        let request = http::client().get(groupfold.api_url("/v1/groups")).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!([ask("the-token-of-before").await, ask("the-next-token").await], [200, 401]);
    second.sign("door").write(scratch.path(), "door");
    tokens("the-next-token").unwrap();
    wait_until("the new ones are taken", LOOKED_AT, async || {
        let shown = post(&groupfold, &sender(&second, None)).await.is_ok();
        let status = [ask("the-token-of-before").await, ask("the-next-token").await];
        if (shown, status) == (true, [401, 200]) { Ok(()) } else { Err(format!("{shown} {status:?}")) }
    })
    .await;
}

/// As in an image without `ca-certificates`: plain HTTP needs nobody to vouch for it.
#[tokio::test]
async fn a_system_that_trusts_no_authority_runs_it_all_the_same_and_believes_no_certificate() {
    let scratch = Scratch::new("no-roots");
    let authority = Authority::new("unknown");
    authority.sign("api").write(scratch.path(), "api");
    let file = |name: &str| scratch.path().join(name).display().to_string();
    let nobody = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|name| (name.to_owned(), file("absent")));
    let args =
        ["--api-tls-cert", &file("api.pem"), "--api-tls-key", &file("api.key"), "--api-token", "t-of-a-test"];
    let args = args.map(str::to_owned).to_vec();
    let groupfold = Groupfold::up(Options { args, env: nobody.to_vec(), ..Options::default() }).await;
    let list = |args: &[&str]| {
        let mut command = Groupfold::command();
        let output = command.args(["group", "list"]).args(args).envs(nobody.clone()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = list(&["--data", groupfold.data().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let run = std::fs::read(groupfold.data().join("run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_slice(&run).unwrap();
    let url = run["api_url"].as_str().unwrap();
    let (code, said) = list(&["--api-url", url, "--api-token", "t-of-a-test"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("UnknownIssuer"), "{said}");
}

#[test]
fn a_half_told_certificate_is_a_fault_of_the_settings() {
    for args in [
        ["--webhook-tls-cert", "x.pem"].as_slice(),
        &["--webhook-tls-client-ca", "x.pem"],
        &["--webhook-tls-client-name", "x"],
        &["--api-tls-cert", "x.pem"],
        &["--api-tls-key", "x.key"],
    ] {
        let output = Groupfold::command().args(["config", "check"]).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stderr).contains("_tls"), "{args:?}");
    }
}
