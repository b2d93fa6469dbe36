//! Lists, page by page.

use super::*;

fn page(ids: &[&str], after: Option<&str>) -> Reply {
    let groups: Vec<Value> = ids.iter().map(|id| json!({"id": id, "created_at": "1700000000"})).collect();
    let mut body = json!({"data": {"groups": groups}});
    if let Some(after) = after {
        body["paging"] = json!({"cursors": {"after": after}, "next": "https://graph.facebook.com/next"});
    }
    Reply::json(200, body)
}

fn expired() -> Reply {
    Reply::json(400, json!({"error": {"code": 131059, "message": "cursor"}}))
}

#[tokio::test]
async fn a_list_is_read_to_its_end_and_anew_when_the_cursor_expires() {
    let replies = vec![
        page(&["A", "B"], Some("c1")),
        expired(),
        page(&["B", "C"], Some("c2")),
        page(&["C", "D"], None),
    ];
    let (provider, server) = provider(replies).await;
    let groups = provider.all_groups(NUMBER).await.unwrap();
    let ids: Vec<&str> = groups.iter().map(|group| group.group_id.as_str()).collect();
    assert_eq!(ids, ["B", "C", "D"]);
    let lines: Vec<String> = server.requests().into_iter().map(|request| request.line).collect();
    let line = |after: &str| format!("GET /v25.0/111/groups?limit=1024{after}");
    assert_eq!(lines, [line(""), line("&after=c1"), line(""), line("&after=c2")]);
}

/// Who waits on a later page was taken for gone: only cursors are documented for this list, no word on whether it goes on.
#[tokio::test]
async fn a_list_of_requests_goes_on_as_long_as_there_is_a_cursor_and_somebody_on_its_page() {
    let page = |ids: &[&str], paging: Value| {
        let data: Vec<Value> = ids.iter().map(|id| json!({"join_request_id": id, "wa_id": "1"})).collect();
        Reply::json(200, json!({"data": data, "paging": paging}))
    };
    let after = |cursor: &str| json!({"cursors": {"after": cursor, "before": "b"}});
    let ended = |paging: Value| page(&[], paging);
    let stays = || page(&["J1"], after("c1"));
    let cases = [
        // A page without requests ends it, with a cursor or without paging at all.
        (vec![stays(), page(&["J2", "J3"], after("c2")), ended(after("c3"))], "J1 J2 J3", "/c1/c2"),
        (vec![stays(), ended(Value::Null)], "J1", "/c1"),
        // So does the same cursor: the provider does not look at it.
        (vec![stays(), stays()], "J1", "/c1"),
        // Nor is there anything to go on by.
        (vec![page(&["J1"], Value::Null)], "J1", ""),
        (vec![page(&["J1"], json!({"cursors": {}}))], "J1", ""),
        (vec![ended(after("c1"))], "", ""),
        // Whom the cursor stood for was let in meanwhile.
        (vec![stays(), expired(), page(&["J2"], after("c2")), ended(Value::Null)], "J2", "/c1/c2"),
    ];
    for (replies, listed, asked) in cases {
        let (provider, server) = provider(replies).await;
        let requests = provider.all_join_requests(NUMBER, GROUP).await.unwrap();
        let ids: Vec<&str> = requests.iter().map(|request| request.join_request_id.as_str()).collect();
        let cursor =
            |request: server::Request| request.line.split_once("after=").map(|(_, to)| format!("/{to}"));
        let cursors: String = server.requests().into_iter().filter_map(cursor).collect();
        assert_eq!((ids.join(" ").as_str(), cursors.as_str()), (listed, asked));
    }
    // Of the list of groups `next` is documented: without it a cursor is no promise.
    let groups = json!({"data": {"groups": [{"id": "A"}]}, "paging": after("c1")});
    let (provider, server) = provider(vec![Reply::json(200, groups)]).await;
    assert_eq!(provider.all_groups(NUMBER).await.unwrap().len(), 1);
    assert_eq!(server.requests().len(), 1);
}
