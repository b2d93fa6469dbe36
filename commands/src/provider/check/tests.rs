use super::*;

fn faults(call: &Call) -> Vec<String> {
    let faults = validate(call).err().unwrap_or_default();
    faults.into_iter().map(|fault| fault.field).collect()
}

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

fn send(content: Content) -> Call {
    Call::Send { group: "G".to_owned(), message: Message { content, opaque: None, reply_to: None } }
}

/// The header of a JPEG: start of image, a frame of this size.
fn jpeg(width: u16, height: u16) -> Picture {
    let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE0, 0, 16, b'J', b'F', b'I', b'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0];
    bytes.extend([0xFF, 0xC0, 0, 17, 8]);
    bytes.extend(height.to_be_bytes());
    bytes.extend(width.to_be_bytes());
    bytes.extend([3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1, 0xFF, 0xD9]);
    Picture(bytes.into())
}

fn picture(picture: Picture) -> Call {
    Call::UpdateGroup { group: "G".to_owned(), subject: None, description: None, picture: Some(picture) }
}

fn create(subject: &str, description: Option<String>, mode: Option<&str>) -> Call {
    Call::CreateGroup {
        subject: subject.to_owned(),
        description,
        join_approval_mode: mode.map(str::to_owned),
    }
}

#[test]
fn a_subject_has_1_to_128_characters_and_a_description_at_most_2048() {
    assert_eq!(faults(&create(&"é".repeat(128), Some("d".repeat(2048)), Some("auto_approve"))), [""; 0]);
    let all = faults(&create(&"é".repeat(129), Some("d".repeat(2049)), Some("open")));
    assert_eq!(all, ["subject", "description", "join_approval_mode"]);
    assert_eq!(faults(&create("  ", None, None)), ["subject"]);
}

#[test]
fn an_update_changes_something_of_a_named_group() {
    let call = Call::UpdateGroup { group: String::new(), subject: None, description: None, picture: None };
    assert_eq!(faults(&call), ["group_id", "subject"]);
}

#[test]
fn one_to_eight_participants_none_twice_however_they_are_spelt() {
    let remove = |items: &[&str]| {
        faults(&Call::RemoveParticipants { group: "G".to_owned(), participants: texts(items) })
    };
    assert_eq!(remove(&["1", "2", "3", "4", "5", "6", "7", "8"]), [""; 0]);
    assert_eq!(remove(&[]), ["participants"]);
    assert_eq!(remove(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]), ["participants"]);
    assert_eq!(remove(&["+1 (786) 534-7866", "US.1", "17865347866"]), ["participants[2]"]);
    assert_eq!(remove(&["US.1", "US.1"]), ["participants[1]"]);
}

#[test]
fn a_picture_is_a_square_jpeg_of_at_least_192_pixels_and_at_most_5_mb() {
    assert_eq!(faults(&picture(jpeg(192, 192))), [""; 0]);
    assert_eq!(faults(&picture(jpeg(300, 200))), ["picture"]);
    assert_eq!(faults(&picture(jpeg(191, 191))), ["picture"]);
    let png = Picture(bytes::Bytes::from_static(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\x01\0"));
    assert_eq!(faults(&picture(png)), ["picture"]);
    assert_eq!(faults(&picture(Picture(bytes::Bytes::new()))), ["picture"]);
    let Picture(small) = jpeg(200, 200);
    let mut large = small.to_vec();
    large.resize((5 << 20) + 1, 0);
    assert_eq!(faults(&picture(Picture(large.into()))), ["picture"]);
}

#[test]
fn groups_take_text_media_and_templates() {
    let text = |body: &str| send(Content::Text { body: body.to_owned(), preview_url: false });
    assert_eq!(faults(&text("hello")), [""; 0]);
    assert_eq!(faults(&text("")), ["text.body"]);
    assert_eq!(faults(&text(&"x".repeat(4097))), ["text.body"]);
    for kind in ["interactive", "order", "location", "reaction"] {
        assert_eq!(faults(&send(Content::Other { kind: kind.to_owned() })), ["type"], "{kind}");
    }
    let media = |kind: &str, id: Option<&str>, link: Option<&str>| {
        faults(&send(Content::Media {
            kind: kind.to_owned(),
            id: id.map(str::to_owned),
            link: link.map(str::to_owned),
            caption: None,
            filename: None,
        }))
    };
    assert_eq!(media("image", Some("1"), None), [""; 0]);
    assert_eq!(media("image", None, Some("https://a.example/b.jpg")), [""; 0]);
    assert_eq!(media("image", None, None), ["image"]);
    assert_eq!(media("contacts", Some("1"), None), ["type"]);
    assert_eq!(media("video", None, Some("file:///etc/passwd")), ["video.link"]);
    let template = |components| {
        faults(&send(Content::Template { name: "hi".into(), language: "en".into(), components }))
    };
    assert_eq!(template(serde_json::Value::Null), [""; 0]);
    assert_eq!(template(serde_json::json!({})), ["template.components"]);
}

#[test]
fn a_message_is_pinned_for_1_to_30_days() {
    let pin = |days| faults(&Call::Pin { group: "G".to_owned(), message_id: "wamid.1".to_owned(), days });
    assert_eq!((pin(0).len(), pin(1).len(), pin(30).len(), pin(31).len()), (1, 0, 0, 1));
}
