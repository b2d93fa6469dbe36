//! Texts that stand for something: subjects and their tokens, positions, cursors, marks, ids.

use groupfold_projector::probe;
use groupfold_schemas::position::Position;
use groupfold_schemas::{change, id, log};

use super::hold;

/// A text as an id that becomes part of a subject, as a token and as a subject.
pub(super) fn read_subject(bytes: &[u8]) -> Result<(), String> {
    let text = &*String::from_utf8_lossy(bytes);
    let token = log::token(text);
    hold(log::untoken(&token).as_deref() == Some(text), || format!("{text:?} is another id, once {token}"))?;
    let plain = |token: &str| {
        !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'%')
    };
    hold(plain(&token) && token != log::NO_GROUP, || format!("{text:?} is the token {token:?}"))?;
    for group in [None, Some(text)] {
        let subject = log::event_subject(3, text, "kind", group);
        let said = Some((3, text.to_owned(), "kind".to_owned(), group.map(str::to_owned)));
        hold(log::read_event_subject(&subject) == said, || format!("{subject} does not say {said:?}"))?;
    }
    // What reads as one of ours is one: nothing has two names.
    if let Some(id) = log::untoken(text) {
        hold(log::token(&id) == text, || format!("{text:?} is a token of {id:?}"))?;
    }
    if let Some((partition, account, kind, group)) = log::read_event_subject(text) {
        let again = log::event_subject(partition, &account, &kind, group.as_deref());
        hold(again == text, || format!("{text:?} reads as {again:?}"))?;
    }
    Ok(())
}

/// A text as whatever says where to go on: what is taken prints the same again.
pub(super) fn read_cursor(bytes: &[u8]) -> Result<(), String> {
    let text = &*String::from_utf8_lossy(bytes);
    for again in probe::cursors(text).into_iter().flatten() {
        hold(again == text, || format!("cursor {text:?} is printed {again:?}"))?;
    }
    // What is printed is taken, and by one kind alone.
    for plain in [format!("g:{text}"), format!("t:-7:2:{text}"), format!("u:3:{text}")] {
        let cursor = id::hex(plain.as_bytes());
        let taken: Vec<_> = probe::cursors(&cursor).into_iter().flatten().collect();
        hold(taken == [cursor.as_str()], || format!("{plain:?} is taken as {taken:?}"))?;
    }
    if let Ok(position) = text.parse::<Position>() {
        let again = position.to_string().parse::<Position>();
        hold(again.as_ref() == Ok(&position), || format!("{position} is {again:?} once printed"))?;
        let mut joined = position.clone();
        joined.join(&position);
        hold(joined == position, || format!("{position} joined with itself is {joined}"))?;
    }
    if let Some((partition, mark)) = change::Mark::from_id(text) {
        let again = mark.id(partition);
        hold(again == text, || format!("change {text:?} is printed {again:?}"))?;
    }
    if let Ok(id) = id::EventId::parse(text) {
        hold(id.as_str() == text, || format!("event {text:?} is {id}"))?;
    }
    hold(id::check(text).is_err() || (1..=id::ID_BYTES_MAX).contains(&text.len()), || format!("{text:?}"))
}

pub(super) fn subjects() -> Vec<Vec<u8>> {
    let subject = log::event_subject(3, "102290129340398", "group_created", Some("a.b@g.us"));
    [subject.as_str(), "groupfold.event.0.A.account_error._", "a%2eb", "%", "_", "ção", "%c3%a7"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

pub(super) fn cursors() -> Vec<Vec<u8>> {
    let cursor = |plain: &str| id::hex(plain.as_bytes());
    let event = id::EventId::hash([&b"x"[..]]).to_string();
    [cursor("g:120363@g.us"), cursor("t:-5:7:a:b"), cursor("u:3:wamid.x"), event]
        .into_iter()
        .chain(["0:18446744073709551615,3:1", "3:1234:2", "", ",3:4,"].map(str::to_owned))
        .map(String::into_bytes)
        .collect()
}
