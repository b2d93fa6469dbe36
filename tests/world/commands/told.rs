//! What only the provider's answer tells, rejections and links, beside webhooks that are late and clocks that differ.

use groupfold_tests::{Groupfold, Options, shows, wait_until};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::clocks::Graph;
use super::{END_WAIT, ask, at_once, reset_link};
use crate::hook;

const PERSON: &str = "5511911111111";
const GROUP: &str = "G";

struct Apart {
    graph: Graph,
    groupfold: Groupfold,
    /// The provider's clock when the test began, Unix seconds.
    now_s: i64,
}

impl Apart {
    /// A provider whose clock is ahead by so many seconds, and a group of it that is known.
    async fn by(ahead_s: i64) -> Self {
        let graph = Graph::start(ahead_s);
        let args = ["--meta-graph-url", &graph.url, "--meta-access-token", "t"].map(str::to_owned).to_vec();
        let groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
        let now_s = Timestamp::now().as_second() + ahead_s;
        let world = Self { graph, groupfold, now_s };
        world.tell(hook::lifecycle(&[hook::created(GROUP, "Tea", now_s - 100)])).await;
        world
    }

    async fn tell(&self, body: Vec<u8>) {
        let told = self.groupfold.post(&body).await;
        assert_eq!((told.status, &told.json["failed"]), (200, &json!(0)), "{told}");
        self.groupfold.caught_up().await;
    }

    async fn told_of_request(&self, second: i64) {
        self.tell(hook::participants(&[request(second)])).await;
    }

    /// It waits at the provider, as its list of requests says.
    fn waits(&self, second: i64) {
        let waiting = json!({ "join_request_id": "R", "wa_id": PERSON, "creation_timestamp": second });
        self.graph.wait(&[waiting]);
    }

    async fn reject(&self) {
        let path = format!("/v1/groups/{GROUP}/join-requests:reject");
        let body = json!({ "join_requests": ["R"] });
        let rejected = at_once(&self.groupfold, &path, Some(body)).await;
        assert_eq!(rejected["status"], "succeeded", "{rejected}");
        self.groupfold.caught_up().await;
    }

    async fn standing(&self) -> Value {
        let members = self.groupfold.get(&format!("/v1/groups/{GROUP}/members")).await.json;
        let mut all = members["members"].as_array().unwrap().iter();
        all.find(|member| member["wa_id"] == PERSON).map_or(Value::Null, |member| member["status"].clone())
    }

    /// The kinds of the lines that tell of the person, in their order.
    async fn lines(&self) -> Vec<String> {
        let timeline = self.groupfold.get(&format!("/v1/groups/{GROUP}/timeline")).await.json;
        let lines = timeline["entries"].as_array().unwrap().iter();
        let about = lines.filter(|line| line["member"]["wa_id"] == PERSON);
        about.map(|line| line["kind"].as_str().unwrap().to_owned()).collect()
    }
}

fn request(second: i64) -> Value {
    json!({ "timestamp": second.to_string(), "group_id": GROUP, "type": "group_join_request_created",
            "join_request_id": "R", "wa_id": PERSON })
}

/// It was dropped, and the request waited for ever.
#[tokio::test]
async fn a_rejection_holds_though_the_request_is_told_later() {
    let world = Apart::by(0).await;
    let asked_s = world.now_s - 50;
    world.waits(asked_s);
    world.reject().await;
    assert_eq!(
        (world.standing().await, world.lines().await),
        (json!("revoked"), vec!["join_request_rejected".to_owned()])
    );
    world.told_of_request(asked_s).await;
    assert_eq!(world.standing().await, "revoked");
    assert_eq!(world.lines().await, ["join_requested", "join_request_rejected"]);
}

#[tokio::test]
async fn a_rejection_holds_though_nobody_could_say_who_asked() {
    let world = Apart::by(0).await;
    world.graph.refuse_lists();
    world.reject().await;
    world.told_of_request(world.now_s - 50).await;
    assert_eq!(world.standing().await, "revoked");
    assert_eq!(world.lines().await, ["join_requested", "join_request_rejected"]);
}

#[tokio::test]
async fn a_rejection_stands_at_the_providers_time() {
    // Ours was before the request, which waited for ever.
    let ahead = Apart::by(600).await;
    ahead.told_of_request(ahead.now_s - 20).await;
    ahead.reject().await;
    assert_eq!(ahead.standing().await, "revoked");
    // Ours was after whatever came later.
    let behind = Apart::by(-600).await;
    behind.told_of_request(behind.now_s - 20).await;
    behind.reject().await;
    behind.told_of_request(behind.now_s + 60).await;
    assert_eq!(behind.standing().await, "pending");
    behind.tell(hook::participants(&[hook::joined(GROUP, PERSON, behind.now_s + 61)])).await;
    assert_eq!(behind.standing().await, "member");
}

/// Its clock tells one time in answers and another in webhooks.
#[tokio::test]
async fn a_rejection_is_after_the_request_that_it_closes_whatever_the_clocks_say() {
    let world = Apart::by(0).await;
    world.told_of_request(world.now_s + 60).await;
    world.reject().await;
    assert_eq!(world.standing().await, "revoked");
}

/// Whoever asks again while the answer is on its way was not rejected again.
#[tokio::test]
async fn a_rejection_is_as_old_as_its_call() {
    let world = Apart::by(0).await;
    world.told_of_request(world.now_s - 20).await;
    let held = world.graph.hold();
    let rejected = world.reject();
    let asked_again = async {
        let called_s = wait_until("the call is made", END_WAIT, async || held.since().ok_or("not yet")).await;
        wait_until("a while has passed", END_WAIT, async || {
            let now = Timestamp::now().as_second();
            if now > called_s + 1 { Ok(()) } else { Err(now) }
        })
        .await;
        world.told_of_request(called_s + 1).await;
        held.release();
    };
    tokio::join!(rejected, asked_again);
    assert_eq!(world.standing().await, "pending");
}

/// Somebody else's removal of the same person ended ours while its answer was on the way, and the end was taken back.
#[tokio::test]
async fn a_command_is_not_ended_by_what_others_asked_for_while_its_answer_is_on_the_way() {
    let world = Apart::by(0).await;
    world.tell(hook::participants(&[hook::joined(GROUP, PERSON, world.now_s - 50)])).await;
    let told = |request: &str, key: &str| {
        json!({ "timestamp": world.now_s.to_string(), "group_id": GROUP, "type": "group_participants_remove",
                "request_id": request, "initiated_by": "business", key: [{ "input": PERSON }],
                "errors": if key == "failed_participants" { json!([{ "code": 131_208 }]) } else { json!([]) } })
    };
    let held = world.graph.hold();
    let path = format!("/v1/groups/{GROUP}/members:remove");
    let body = json!({ "members": [PERSON] });
    let asked = ask(&world.groupfold, Method::POST, &path, Some(body), &[]).await;
    let id = asked.json["command_id"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned();
    wait_until("the call is made", END_WAIT, async || held.since().ok_or("not yet")).await;
    world.tell(hook::participants(&[told("THEIRS", "failed_participants")])).await;
    let show = async || world.groupfold.get(&format!("/v1/commands/{id}")).await.json;
    let meanwhile = show().await;
    held.release();
    assert_eq!(meanwhile["status"], "accepted", "{meanwhile}");
    wait_until("it is answered", END_WAIT, async || {
        let command = show().await;
        if command["request_id"] == Graph::REQUEST { Ok(()) } else { Err(command) }
    })
    .await;
    assert_eq!(show().await["status"], "accepted");
    world.tell(hook::participants(&[told(Graph::REQUEST, "removed_participants")])).await;
    let ended = show().await;
    shows(&ended, json!({ "status": "succeeded", "told_by_webhook": true, "code": null }));
}

/// Those on the second page were taken for gone.
#[tokio::test]
async fn a_list_of_requests_is_read_to_its_end_though_it_does_not_say_where_that_is() {
    let world = Apart::by(0).await;
    let request = |n: i64| {
        json!({ "join_request_id": format!("R{n}"), "wa_id": format!("551191111111{n}"),
                "creation_timestamp": world.now_s - n })
    };
    world.graph.wait(&[request(1), request(2), request(3)]);
    let listed = world.groupfold.get(&format!("/v1/groups/{GROUP}/join-requests")).await;
    let ids = listed.json["join_requests"].as_array().into_iter().flatten();
    let ids: Vec<_> = ids.map(|one| one["join_request_id"].clone()).collect();
    assert_eq!(ids, ["R1", "R2", "R3"], "{listed}");
}

/// The link from before was served on: the webhook that told it was later than the reset, by our clock.
#[tokio::test]
async fn a_reset_link_replaces_the_one_that_was_known_whatever_the_clocks_say() {
    for (ahead_s, told_s) in [(600, 0), (0, 60)] {
        let world = Apart::by(ahead_s).await;
        world.tell(hook::lifecycle(&[hook::created("H", "Tea", world.now_s + told_s)])).await;
        assert_eq!(reset_link(&world.groupfold, "H").await, Graph::NEW_LINK);
        world.groupfold.caught_up().await;
        let known = world.groupfold.get("/v1/groups/H").await.json;
        assert_eq!(known["invite_link"], Graph::NEW_LINK);
    }
}
