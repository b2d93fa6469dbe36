use serde_json::json;

use super::*;

fn differences(compare: impl Fn(&mut Differences)) -> Vec<String> {
    let mut found = Differences { of: "group g".to_owned(), lines: Vec::new() };
    compare(&mut found);
    found.lines
}

#[test]
fn differences_are_told_by_name() {
    let truth = json!({
        "status": "active", "subject": "a", "counts": { "member": 1, "pending": 0 },
        "window_open_until": 86_400, "members": [{ "wa_id": "1", "status": "member" }],
    });
    let mut api = json!({
        "status": "active", "subject": "a", "counts": { "member": 1, "pending": 0 },
        "service_window": { "open_until": "1970-01-02T00:00:00Z" },
        "members": [{ "member_id": "x", "wa_id": "1", "user_id": null, "status": "member" }],
    });
    assert_eq!(differences(|found| found.group(&truth, &api)), Vec::<String>::new());
    api["members"][0]["status"] = "left".into();
    api["subject"] = "b".into();
    let found = differences(|found| found.group(&truth, &api));
    assert_eq!(
        found,
        ["group g: subject: truth \"a\", API \"b\"", "group g: wa_id 1: truth member, API left"]
    );
}

#[test]
fn lines_of_a_timeline_are_counted() {
    let truth = json!([{ "kind": "member_joined", "at": 60 }]);
    let line = json!({ "kind": "member_joined", "at": "1970-01-01T00:01:00Z" });
    assert!(differences(|found| found.timeline(&truth, std::slice::from_ref(&line))).is_empty());
    assert_eq!(
        differences(|found| found.timeline(&truth, &[line.clone(), line.clone()])),
        ["group g: timeline: member_joined at 60: truth 1, API 2"]
    );
}
