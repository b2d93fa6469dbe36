use groupfold_schemas::v1::Participant;

use super::*;

const LANGS: [Lang; 3] = [Lang::English, Lang::Portuguese, Lang::Spanish];

fn person(names: Participant) -> Option<Person> {
    Some(Person { member_id: "m".to_owned(), names })
}

fn wa_id(wa_id: &str) -> Option<Person> {
    person(Participant { wa_id: Some(wa_id.to_owned()), ..Participant::default() })
}

fn entry(kind: EntryKind) -> Entry {
    Entry {
        id: "e".to_owned(),
        at_ms: 0,
        between: None,
        kind,
        member: wa_id("5511900000000"),
        actor: ActorKind::Unknown,
        user_id: None,
        via: JoinVia::Unknown,
        text: None,
        errors: Vec::new(),
    }
}

fn all(entry: &Entry) -> [String; 3] {
    LANGS.map(|lang| line(lang, entry))
}

#[test]
fn a_join_says_how() {
    let joined = Entry { via: JoinVia::InviteLink, ..entry(EntryKind::Fact(FactKind::MemberJoined)) };
    assert_eq!(
        all(&joined),
        [
            "+55 11 90000-0000 joined using the invite link",
            "+55 11 90000-0000 entrou usando o link de convite",
            "+55 11 90000-0000 se unió usando el enlace de invitación",
        ]
    );
    let joined = Entry { via: JoinVia::JoinRequest, ..joined };
    assert_eq!(line(Lang::English, &joined), "+55 11 90000-0000 joined after their request was approved");
}

#[test]
fn a_removal_by_the_business_says_so() {
    let removed = Entry { actor: ActorKind::Business, ..entry(EntryKind::Fact(FactKind::MemberRemoved)) };
    assert_eq!(
        all(&removed),
        [
            "+55 11 90000-0000 was removed by the business",
            "+55 11 90000-0000 foi removido(a) pela empresa",
            "La empresa eliminó a +55 11 90000-0000",
        ]
    );
}

#[test]
fn a_new_number_is_formatted_and_a_new_subject_is_quoted() {
    let number = Entry { text: Some("16505551234".to_owned()), ..entry(EntryKind::NumberChanged) };
    assert_eq!(line(Lang::English, &number), "+55 11 90000-0000 changed their number to +1 650-555-1234");
    let text = Some("{who} & \"friends\"".to_owned());
    let subject = Entry { text, ..entry(EntryKind::Fact(FactKind::SubjectChanged)) };
    assert_eq!(line(Lang::English, &subject), "The subject was changed to \"{who} & \"friends\"\"");
}

#[test]
fn a_failure_says_why() {
    let error = ProviderError {
        code: "131201".to_owned(),
        title: "Not all removed".to_owned(),
        ..ProviderError::default()
    };
    let failed = Entry { errors: vec![error], ..entry(EntryKind::Fact(FactKind::GroupCreateFailed)) };
    assert_eq!(line(Lang::Spanish, &failed), "No se pudo crear el grupo: Not all removed (131201)");
}

#[test]
fn a_failure_of_settings_names_them_and_says_why() {
    let error = ProviderError {
        code: "131209".to_owned(),
        title: "Picture not square".to_owned(),
        ..ProviderError::default()
    };
    let failed = entry(EntryKind::Fact(FactKind::SettingsFailed));
    let failed = Entry { text: Some("picture".to_owned()), errors: vec![error], ..failed };
    assert_eq!(
        all(&failed),
        [
            "Changing the picture failed: Picture not square (131209)",
            "Falha ao alterar a imagem do grupo: Picture not square (131209)",
            "No se pudo cambiar la imagen del grupo: Picture not square (131209)",
        ]
    );
    let several = Entry { text: Some("subject, announce, new".to_owned()), errors: Vec::new(), ..failed };
    assert_eq!(line(Lang::English, &several), "Changing the subject, announcement mode, new failed");
}

#[test]
fn a_person_is_called_by_number_then_user_name_then_id() {
    let left = |member| Entry { member, ..entry(EntryKind::Fact(FactKind::MemberLeft)) };
    let names = Participant {
        username: Some("ana".to_owned()),
        user_id: Some("US.1".to_owned()),
        ..Participant::default()
    };
    assert_eq!(line(Lang::English, &left(person(names.clone()))), "@ana left");
    let names = Participant { username: None, ..names };
    assert_eq!(line(Lang::English, &left(person(names))), "US.1 left");
    assert_eq!(line(Lang::English, &left(None)), "Someone left");
    assert_eq!(line(Lang::English, &left(wa_id("999"))), "+999 left");
    assert_eq!(line(Lang::English, &left(wa_id("x-1"))), "x-1 left");
}

#[test]
fn every_kind_has_a_line_of_its_own_in_every_language() {
    let facts = (0..=22).map(|kind| EntryKind::Fact(FactKind::try_from(kind).unwrap()));
    let kinds: Vec<_> = facts.chain([EntryKind::NumberChanged, EntryKind::UserIdChanged]).collect();
    for lang in LANGS {
        let mut lines: Vec<String> = kinds.iter().map(|kind| line(lang, &entry(*kind))).collect();
        assert!(lines.iter().all(|line| !line.is_empty() && !line.contains(['{', '}'])), "{lines:?}");
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), kinds.len(), "{lang:?}");
    }
}

#[test]
fn languages_are_named_by_their_tags() {
    assert_eq!(Lang::parse("pt-br"), Some(Lang::Portuguese));
    assert_eq!(Lang::parse("pt-BR"), Some(Lang::Portuguese));
    assert_eq!(Lang::parse("de"), None);
}

#[test]
fn a_label_is_named_in_every_language() {
    let text = Some("vip".to_owned());
    let labelled = Entry { text, member: None, ..entry(EntryKind::Fact(FactKind::LabelAdded)) };
    assert_eq!(
        all(&labelled),
        ["The label \"vip\" was added", "A etiqueta \"vip\" foi adicionada", "Se añadió la etiqueta \"vip\""]
    );
}

#[test]
fn what_only_a_snapshot_tells_says_when_it_must_have_been() {
    let between = Some(Between { after_ms: Some(1_767_225_600_000), by_ms: 1_767_229_259_999 });
    let gone = Entry { between, ..entry(EntryKind::Fact(FactKind::MemberGone)) };
    assert_eq!(
        line(Lang::English, &gone),
        "+55 11 90000-0000 is no longer in the group (some time between 2026-01-01 00:00 UTC and 2026-01-01 01:00 UTC)"
    );
    let between = Some(Between { after_ms: Some(1_767_225_600_000), by_ms: 1_767_225_602_000 });
    assert_eq!(
        line(Lang::English, &Entry { between, ..gone }),
        "+55 11 90000-0000 is no longer in the group (some time between 2026-01-01 00:00:00 UTC and 2026-01-01 00:00:02 UTC)"
    );
    let between = Some(Between { after_ms: None, by_ms: 1_767_225_600_000 });
    let joined = Entry { between, ..entry(EntryKind::Fact(FactKind::MemberJoined)) };
    assert_eq!(
        line(Lang::Portuguese, &joined),
        "+55 11 90000-0000 entrou (em algum momento antes de 2026-01-01 00:00 UTC)"
    );
}
