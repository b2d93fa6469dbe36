#![allow(missing_docs, clippy::all, clippy::pedantic)]
use async_nats::jetstream;
use groupfold_projector::{Ops, Projector, Settings};
use groupfold_schemas::{frame, id::EventId, log, v1, v1::event::Kind};
use prometheus_client::registry::Registry;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

fn rec(n: u64, groups: u64) -> v1::Record {
    let group = format!("group-{}", n % groups);
    let who = |w: u64| v1::Participant { wa_id: Some(format!("5511{:09}", w)), ..Default::default() };
    let kind = match n % 10 {
        0 => Kind::GroupCreated(v1::GroupCreated { subject: Some(format!("s{n}")), ..Default::default() }),
        1..=3 => Kind::ParticipantsJoined(v1::ParticipantsJoined {
            participants: vec![who(n / groups % 50)],
            via: 1,
            reason: None,
        }),
        _ => Kind::Receipt(v1::Receipt {
            message_id: format!("wamid.{}", n / 5),
            status: 2 + (n % 2) as i32,
            scope: 2,
            participant: Some(who(n % 8)),
            ..Default::default()
        }),
    };
    let mut r = v1::Record {
        provider: 1,
        account: "WABA".into(),
        phone_number_id: "PN".into(),
        group_id: group,
        provider_time_ms: 1_767_225_600_000 + (n as i64) * 1000,
        evidence: 1,
        original_json: vec![b'x'; 400].into(),
        event: Some(v1::Event { kind: Some(kind) }),
        ..Default::default()
    };
    r.event_id = EventId::hash([frame::encode(&r).as_slice()]).to_string();
    r
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (mode, url, data) = (args[1].as_str(), &args[2], &args[3]);
    let count: u64 = args.get(4).map_or(0, |c| c.parse().unwrap());
    let client = async_nats::ConnectOptions::new().retry_on_initial_connect().connect(url).await.unwrap();
    let js = jetstream::new(client.clone());
    if mode == "put" {
        let from: u64 = args.get(5).map_or(0, |c| c.parse().unwrap());
        for p in 0..8 {
            js.get_or_create_stream(jetstream::stream::Config {
                name: log::stream(p),
                subjects: vec![log::stream_subjects(p)],
                allow_direct: true,
                ..Default::default()
            })
            .await
            .unwrap();
        }
        let mut acks = Vec::new();
        for n in from..from + count {
            let r = rec(n, 500);
            let p = log::partition_of(&r.group_id, 8);
            let mut h = async_nats::HeaderMap::new();
            h.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
            let s = log::event_subject(p, "WABA", "x", Some(&r.group_id));
            acks.push(js.publish_with_headers(s, h, frame::encode(&r).into()).await.unwrap());
            if acks.len() >= 1000 {
                for a in acks.drain(..) {
                    a.await.unwrap();
                }
            }
        }
        for a in acks {
            a.await.unwrap();
        }
        println!("put {count}");
        return;
    }
    if mode == "admin" {
        let p = args[5].parse::<u16>().unwrap();
        let name = log::stream(p);
        match args[6].as_str() {
            "recreate" => {
                js.delete_stream(&name).await.unwrap();
                js.create_stream(jetstream::stream::Config {
                    name,
                    subjects: vec![log::stream_subjects(p)],
                    allow_direct: true,
                    ..Default::default()
                })
                .await
                .unwrap();
            }
            "delete" => {
                js.delete_stream(&name).await.unwrap();
            }
            "delmsg" => {
                let st = js.get_stream(&name).await.unwrap();
                st.delete_message(args[7].parse().unwrap()).await.unwrap();
            }
            "purge" => {
                js.get_stream(&name).await.unwrap().purge().await.unwrap();
            }
            "delcons" => {
                use futures_util::TryStreamExt;
                let st = js.get_stream(&name).await.unwrap();
                let names: Vec<String> = st.consumer_names().try_collect().await.unwrap();
                for n in names {
                    st.delete_consumer(&n).await.unwrap();
                }
            }
            "info" => {
                let st = js.get_stream(&name).await.unwrap();
                println!("{:?}", st.cached_info().state);
            }
            "garbage" => {
                js.publish(log::event_subject(p, "W", "x", None), vec![9u8, 1, 2, 3, 4, 5, 6].into())
                    .await
                    .unwrap()
                    .await
                    .unwrap();
            }
            _ => panic!(),
        }
        return;
    }
    let registry = Arc::new(Mutex::new(Registry::default()));
    let shutdown = CancellationToken::new();
    let begun = std::time::Instant::now();
    let mut s = Settings::new(data.into(), 8);
    if let Some(n) = args.get(5) {
        s.batch_events_max = n.parse().unwrap();
    }
    let mut own = Registry::default();
    let p = match Projector::start(client, s, &mut own, shutdown.clone()).await {
        Ok(p) => p,
        Err(e) => {
            let mut e: &dyn std::error::Error = &e;
            print!("cannot start: {e}");
            while let Some(c) = e.source() {
                print!(": {c}");
                e = c;
            }
            println!();
            return;
        }
    };
    *registry.lock().unwrap() = own;
    println!("opened in {:?}", begun.elapsed());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", count as u16)).await.unwrap();
    let t = begun;
    let q = p.clone();
    tokio::spawn(async move {
        let mut last = vec![];
        loop {
            let r = q.readiness();
            if r != last {
                println!("{:?} readiness {r:?}", t.elapsed());
                last = r;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    tokio::spawn({
        let s = shutdown.clone();
        async move {
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap().recv().await;
            s.cancel();
        }
    });
    p.serve(listener, Ops::new(registry), shutdown.clone()).await.unwrap();
    println!("served");
    p.stopped().await;
    println!("stopped");
}
