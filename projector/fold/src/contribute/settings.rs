//! Contributions of events about a group's settings.

use groupfold_schemas::v1::setting_value::Value as New;
use groupfold_schemas::v1::{self, FactKind, FailureType, Outcome, Setting};

use prost::Message as _;

use super::Contribution;

/// Bytes of the errors of single settings that are kept beside those of the whole: a record whose errors are
/// too large for a register would not be folded at all.
const BESIDE_BYTES_MAX: usize = 2048;

impl Contribution<'_> {
    pub(super) fn settings_updated(&mut self, event: &v1::SettingsUpdated) {
        for change in &event.changes {
            match change.outcome() {
                Outcome::Succeeded => self.setting_changed(change),
                Outcome::Unknown => self.setting_unconfirmed(change),
                Outcome::Failed => {}
            }
        }
        let failed: Vec<_> = event.changes.iter().filter(|c| c.outcome() == Outcome::Failed).collect();
        if failed.is_empty() && event.errors.is_empty() {
            return;
        }
        let own: Vec<_> = failed.iter().flat_map(|change| &change.errors).collect();
        let mut errors = errors(&event.errors, own.iter().copied());
        let settings: Vec<_> = failed.iter().map(|change| change.setting().name()).collect();
        let text = Some(settings.join(", ")).filter(|text| !text.is_empty());
        self.last_failure(FailureType::Settings, FactKind::SettingsFailed, &errors);
        // A line of history says one reason: that of the whole may be no more than that not all of it went well.
        errors.sort_by_key(|error| !own.contains(&error));
        self.fact(FactKind::SettingsFailed, "", v1::Fact { text, errors, ..Default::default() });
    }

    fn setting_changed(&mut self, change: &v1::SettingChange) {
        let setting = change.setting();
        let kind = match setting {
            Setting::Subject => FactKind::SubjectChanged,
            Setting::Description => FactKind::DescriptionChanged,
            Setting::Picture => FactKind::PictureChanged,
            _ => FactKind::SettingChanged,
        };
        let new = change.new.as_ref().and_then(|new| new.value.as_ref());
        let stamp = self.stamp_of(kind);
        let text = |new: Option<&New>| v1::TextRegister {
            stamp: stamp.clone(),
            value: match new {
                Some(New::Text(text)) => Some(text.clone()),
                _ => None,
            },
        };
        let flag = |new: Option<&New>| {
            let Some(New::Flag(value)) = new else { return None };
            Some(v1::FlagRegister { stamp: stamp.clone(), value: *value })
        };
        let number = |new: Option<&New>| {
            let Some(New::Number(value)) = new else { return None };
            Some(v1::NumberRegister { stamp: stamp.clone(), value: *value })
        };
        let mut head = v1::GroupHead::default();
        match setting {
            // That it changed is told, and not to what. A description that is taken away is an empty text.
            Setting::Subject | Setting::Description | Setting::Picture if new.is_none() => {
                self.setting_unconfirmed(change);
            }
            Setting::Subject => head.subject = Some(text(new)),
            Setting::Description => head.description = Some(text(new)),
            Setting::Picture => head.picture = Some(picture(stamp.clone(), new)),
            Setting::JoinApprovalMode => head.join_approval_mode = Some(text(new)),
            Setting::InviteLink => head.invite_link = Some(text(new)),
            Setting::MemberAddMode => head.member_add_mode = Some(text(new)),
            Setting::Announce => head.announce = flag(new),
            Setting::Locked => head.locked = flag(new),
            Setting::EphemeralSeconds => head.ephemeral_seconds = number(new),
            Setting::Unspecified => {}
        }
        let about = if kind == FactKind::SettingChanged { setting.name() } else { "" };
        // An invite link is a secret of the group, not of its history.
        let shown = match new {
            Some(New::Text(text)) if setting != Setting::InviteLink => Some(text.clone()),
            Some(New::Flag(value)) => Some(value.to_string()),
            Some(New::Number(value)) => Some(value.to_string()),
            _ => None,
        };
        self.head(head);
        self.fact(kind, about, v1::Fact { text: shown, ..Default::default() });
    }

    fn setting_unconfirmed(&mut self, change: &v1::SettingChange) {
        let new = change.new.as_ref().and_then(|new| new.value.as_ref());
        let text = |kind| v1::TextRegister {
            stamp: self.stamp_of(kind),
            value: match new {
                Some(New::Text(text)) => Some(text.clone()),
                _ => None,
            },
        };
        let mut head = v1::GroupHead::default();
        match change.setting() {
            Setting::Subject => head.subject_unconfirmed = Some(text(FactKind::SubjectChanged)),
            Setting::Description => head.description_unconfirmed = Some(text(FactKind::DescriptionChanged)),
            Setting::Picture => {
                head.picture_unconfirmed = Some(picture(self.stamp_of(FactKind::PictureChanged), new));
            }
            _ => return,
        }
        self.head(head);
    }

    pub(super) fn snapshot_head(&mut self, event: &v1::GroupSnapshot) {
        // A text that is known to be empty is none.
        let text = |kind, value: &Option<String>| {
            value.as_ref().map(|text| self.text(kind, Some(text).filter(|text| !text.is_empty())))
        };
        let created = event.created_at_ms.map(|time_ms| v1::TextRegister {
            stamp: Some(v1::Stamp { time_ms, rank: 0, event_id: self.record.event_id.clone() }),
            value: None,
        });
        self.head(v1::GroupHead {
            created,
            suspended: event
                .suspended
                .map(|value| v1::FlagRegister { stamp: self.stamp_of(FactKind::Unspecified), value }),
            subject: text(FactKind::Unspecified, &event.subject),
            description: text(FactKind::Unspecified, &event.description),
            join_approval_mode: text(FactKind::Unspecified, &event.join_approval_mode),
            invite_link: text(FactKind::Unspecified, &event.invite_link),
            ..Default::default()
        });
    }
}

/// Those of the whole, then those of single settings that say something else.
fn errors<'a>(
    whole: &[v1::ProviderError],
    each: impl Iterator<Item = &'a v1::ProviderError>,
) -> Vec<v1::ProviderError> {
    let mut errors = whole.to_vec();
    let mut beside = 0;
    for error in each.filter(|error| !whole.contains(error)) {
        beside += error.encoded_len();
        if whole.is_empty() || beside <= BESIDE_BYTES_MAX {
            errors.push(error.clone());
        }
    }
    errors
}

fn picture(stamp: Option<v1::Stamp>, new: Option<&New>) -> v1::PictureRegister {
    let value = match new {
        Some(New::Picture(picture)) => Some(picture.clone()),
        _ => None,
    };
    v1::PictureRegister { stamp, value }
}

#[cfg(test)]
mod tests {
    use groupfold_schemas::v1::event::Kind;

    use super::*;
    use crate::apply::Contributions;
    use crate::entry::Value;
    use crate::story::at;

    #[test]
    fn history_shows_what_was_set_whatever_its_type_but_for_a_link() {
        for (setting, value, shown) in [
            (Setting::JoinApprovalMode, New::Text("auto".to_owned()), Some("auto")),
            (Setting::Announce, New::Flag(true), Some("true")),
            (Setting::EphemeralSeconds, New::Number(86_400), Some("86400")),
            (Setting::InviteLink, New::Text("secret".to_owned()), None),
        ] {
            let change = v1::SettingChange {
                setting: setting.into(),
                new: Some(v1::SettingValue { value: Some(value) }),
                outcome: v1::Outcome::Succeeded.into(),
                ..Default::default()
            };
            let event = v1::SettingsUpdated { changes: vec![change], errors: Vec::new() };
            let contributions = Contributions::of([&at(1, Kind::SettingsUpdated(event))]);
            let facts = contributions.values().filter_map(|value| match value {
                Value::Fact(fact) => Some(fact.text.as_deref()),
                _ => None,
            });
            assert_eq!(facts.collect::<Vec<_>>(), [shown], "{setting:?}");
        }
    }

    #[test]
    fn what_is_not_confirmed_keeps_what_was_asked_for() {
        let change = v1::SettingChange {
            setting: Setting::Subject.into(),
            new: Some(v1::SettingValue { value: Some(New::Text("s".to_owned())) }),
            ..Default::default()
        };
        assert_eq!(change.outcome(), Outcome::Unknown);
        let event = v1::SettingsUpdated { changes: vec![change], errors: Vec::new() };
        let contributions = Contributions::of([&at(1, Kind::SettingsUpdated(event))]);
        let kept = contributions.values().filter_map(|value| match value {
            Value::Head(head) => head.subject_unconfirmed.as_ref(),
            _ => None,
        });
        assert_eq!(kept.map(|register| register.value.as_deref()).collect::<Vec<_>>(), [Some("s")]);
    }

    /// A success without the value took the name of the group away.
    #[test]
    fn what_changed_without_saying_to_what_is_unconfirmed_and_told_in_the_history() {
        let [set, unsaid] = [Some("s"), None].map(|text| v1::SettingChange {
            setting: Setting::Subject.into(),
            new: text.map(|text| v1::SettingValue { value: Some(New::Text(text.to_owned())) }),
            outcome: Outcome::Succeeded.into(),
            ..Default::default()
        });
        let [first, second] = [(1, set), (2, unsaid)].map(|(second, change)| {
            at(
                second,
                Kind::SettingsUpdated(v1::SettingsUpdated { changes: vec![change], errors: Vec::new() }),
            )
        });
        let mut memory = crate::entry::Memory::default();
        memory.apply(&[first, second]).unwrap();
        let group = crate::view::group(&memory, crate::story::GROUP).unwrap().unwrap();
        assert_eq!((group.subject.as_deref(), group.unconfirmed), (Some("s"), vec![Setting::Subject]));
        let lines = crate::view::timeline(&memory, crate::story::GROUP).unwrap().unwrap();
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_deref()).collect();
        assert_eq!(texts, [Some("s"), None]);
    }

    #[test]
    fn errors_of_single_settings_stand_beside_those_of_the_whole_as_far_as_there_is_room() {
        let error = |code: &str| v1::ProviderError {
            code: code.to_owned(),
            details: "x".repeat(BESIDE_BYTES_MAX / 2 - 20),
            ..Default::default()
        };
        let each = ["1", "2", "3"].map(error);
        let codes = |whole: &[v1::ProviderError]| {
            errors(whole, each.iter()).into_iter().map(|error| error.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(&[error("0")]), ["0", "1", "2"]);
        assert_eq!(codes(&[error("1")]), ["1", "2", "3"], "what the whole says is not said again");
        assert_eq!(codes(&[]), ["1", "2", "3"]);
    }

    #[test]
    fn a_line_says_first_why_a_setting_failed() {
        let error = |code: &str| v1::ProviderError { code: code.to_owned(), ..Default::default() };
        let picture = v1::SettingChange {
            setting: Setting::Picture.into(),
            outcome: Outcome::Failed.into(),
            errors: vec![error("131209")],
            ..Default::default()
        };
        let partial = [vec![error("131201")], vec![error("131201"), error("131209")]];
        for whole in partial {
            let event = v1::SettingsUpdated { changes: vec![picture.clone()], errors: whole };
            let contributions = Contributions::of([&at(1, Kind::SettingsUpdated(event))]);
            let codes = contributions.values().find_map(|value| match value {
                Value::Fact(fact) => Some(fact.errors.iter().map(|error| error.code.as_str()).collect()),
                _ => None,
            });
            assert_eq!(codes, Some(vec!["131209", "131201"]));
        }
    }

    #[test]
    fn a_failure_names_the_settings_that_failed_if_any_does() {
        let shown = |failed: &[Setting]| {
            let change = |setting: &Setting| v1::SettingChange {
                setting: (*setting).into(),
                outcome: Outcome::Failed.into(),
                ..Default::default()
            };
            let changes = failed.iter().map(change).collect();
            let event = v1::SettingsUpdated { changes, errors: vec![v1::ProviderError::default()] };
            let contributions = Contributions::of([&at(1, Kind::SettingsUpdated(event))]);
            let text = contributions.values().find_map(|value| match value {
                Value::Fact(fact) => Some(fact.text.clone()),
                _ => None,
            });
            text.unwrap()
        };
        assert_eq!(shown(&[Setting::Subject, Setting::Description]).as_deref(), Some("subject, description"));
        assert_eq!(shown(&[]), None);
    }
}
