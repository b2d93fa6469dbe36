#[tokio::main]
async fn main() {
    let client = async_nats::connect("127.0.0.1:14222").await.unwrap();
    let js = async_nats::jetstream::new(client);
    for p in 0..8u16 {
        let mut s = js.get_stream(groupfold_schemas::log::stream(p)).await.unwrap();
        let last = s.info().await.unwrap().state.last_sequence;
        for seq in 1..=last {
            let m = s.direct_get(seq).await.unwrap();
            let r: groupfold_schemas::v1::Record = groupfold_schemas::frame::decode(&m.payload).unwrap();
            if let Some(groupfold_schemas::v1::event::Kind::Receipt(x)) = r.event.unwrap().kind {
                println!("{}", x.message_id);
            }
        }
    }
}
