use groupfold_ingest::{Receiver, Settings, provision};
use std::time::Duration;
#[tokio::main]
async fn main() {
    let url = std::env::var("N").unwrap_or("127.0.0.1:14222".into());
    let client = async_nats::connect(url).await.unwrap();
    let report = provision::provision(&client, &provision::Plan::default()).await.unwrap();
    eprintln!("{report:?}");
    let report = provision::check(&client, &provision::Plan::default()).await.unwrap();
    eprintln!("{report:?}");
    let e = provision::check(&client, &provision::Plan { partitions: 4, ..Default::default() })
        .await
        .unwrap_err();
    eprintln!("{e}");
    let mut registry = prometheus_client::registry::Registry::default();
    let mut s = Settings {
        app_secrets: vec!["old".into(), "0123456789abcdef0123456789abcdef".into()],
        verify_token: "tok".into(),
        monitor_url: Some("http://127.0.0.1:18222".into()),
        header_deadline: Duration::from_secs(3),
        body_deadline: Duration::from_secs(4),
        ..Settings::default()
    };
    if let Ok(n) = std::env::var("CONN") {
        s.connections_max = n.parse().unwrap();
    }
    let r = Receiver::start(client, s, &mut registry).await.unwrap();
    eprintln!("{:?} {:?}", r.durability(), r.readiness());
    let l = tokio::net::TcpListener::bind("127.0.0.1:18080").await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let st = stop.clone();
    let rr = r.clone();
    tokio::spawn(async move {
        let mut last = vec![];
        loop {
            tokio::select! { _ = tokio::signal::ctrl_c() => break, _ = tokio::time::sleep(Duration::from_millis(100)) => { let now = (rr.readiness(), rr.durability()); if vec![now.clone()] != last { eprintln!("{:?}", now); last = vec![now]; } } }
        }
        st.cancel()
    });
    let t = std::time::Instant::now();
    let report = r.serve(l, stop).await;
    let mut out = String::new();
    prometheus_client::encoding::text::encode(&mut out, &registry).unwrap();
    println!("{out}");
    eprintln!("{report:?} {:?}", t.elapsed());
}
