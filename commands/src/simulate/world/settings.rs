//! Groups are renamed, described anew and given pictures; or not, or in part.

use serde_json::{Map, Value, json};

use super::{World, ids};

const SETTINGS: &str = "group_settings_update";

/// What Meta says of one setting in the answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed,
    /// No flag: neither success nor failure may be read into it.
    Unsaid,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    name: &'static str,
    key: &'static str,
    /// As Meta's OpenAPI spells it.
    alias: &'static str,
    line: &'static str,
    rank: u32,
}

impl Setting {
    pub(super) fn name(self) -> &'static str {
        self.name
    }
}

/// Subject, description and picture.
pub(crate) const ALL: [Setting; 3] = [
    Setting { name: "subject", key: "group_subject", alias: "subject", line: "subject_changed", rank: 3 },
    Setting {
        name: "description",
        key: "group_description",
        alias: "description",
        line: "description_changed",
        rank: 4,
    },
    Setting {
        name: "picture",
        key: "profile_picture",
        alias: "profile_picture",
        line: "picture_changed",
        rank: 5,
    },
];

impl World {
    pub(super) fn change_settings(&mut self) {
        let Some(key) = self.some_group() else { return };
        let first = self.dice.index(ALL.len());
        let more = self.dice.percent(35.0);
        let chosen: Vec<Setting> =
            ALL.into_iter().enumerate().filter(|(i, _)| *i == first || more).map(|(_, s)| s).collect();
        let kind = self.dice.below(10);
        let mut changes = Vec::new();
        for (i, setting) in chosen.iter().enumerate() {
            let outcome = match kind {
                0 => Outcome::Failed,
                1 if i > 0 => Outcome::Failed,
                2 => Outcome::Unsaid,
                _ => Outcome::Done,
            };
            if outcome == Outcome::Done && !self.may_set(key, *setting) {
                continue;
            }
            let text = self.something_to_set(*setting);
            changes.push((*setting, text, outcome));
        }
        let request_id = self.request_id();
        self.set_all(key, &request_id, changes);
    }

    fn something_to_set(&mut self, setting: Setting) -> String {
        match setting.name {
            "subject" => {
                let serial = self.serial();
                ids::subject(&mut self.dice, serial)
            }
            "description" => ids::body(&mut self.dice),
            _ => ids::picture(&mut self.dice),
        }
    }

    /// Changes settings, each to its own outcome, in a second in which it may be told.
    pub(crate) fn change_to(&mut self, key: u64, request_id: &str, changes: Vec<(Setting, String, Outcome)>) {
        let done = |(setting, _, outcome): &(Setting, String, Outcome)| {
            (*outcome == Outcome::Done).then_some(*setting)
        };
        let done: Vec<Setting> = changes.iter().filter_map(done).collect();
        while self.groups.get(&key).is_some_and(|group| {
            done.iter().any(|setting| !group.is_free(setting.name, (self.now(), setting.rank)))
        }) {
            self.wait(1.0);
        }
        for setting in done {
            self.may_set(key, setting);
        }
        self.set_all(key, request_id, changes);
    }

    fn set_all(&mut self, key: u64, request_id: &str, changes: Vec<(Setting, String, Outcome)>) {
        let mut outcomes = Vec::new();
        let mut item = self.answer(key, "group_settings_update", request_id);
        for (setting, text, outcome) in changes {
            let name = if self.dice.percent(3.0) { setting.alias } else { setting.key };
            let value = self.set(key, setting, text, outcome);
            item.insert(name.into(), Value::Object(value));
            outcomes.push(outcome);
        }
        let failed = outcomes.contains(&Outcome::Failed);
        let told = match (outcomes.as_slice(), failed, outcomes.contains(&Outcome::Done)) {
            ([], ..) => return,
            (_, true, true) => "settings_partly",
            (_, true, false) => "settings_failed",
            (_, false, true) => "settings",
            (_, false, false) => "settings_unsaid",
        };
        if failed {
            item.insert("errors".into(), self.errors(131_205, "Not All Settings Were Updated"));
            self.line(key, "settings_failed");
        }
        self.tell(told, SETTINGS, item);
    }

    fn may_set(&mut self, key: u64, setting: Setting) -> bool {
        let now = self.now();
        self.groups.get_mut(&key).is_some_and(|group| group.touch(setting.name, (now, setting.rank)))
    }

    fn set(&mut self, key: u64, setting: Setting, text: String, outcome: Outcome) -> Map<String, Value> {
        let mut value = Map::new();
        if setting.name == "picture" {
            value.insert("mime_type".into(), json!("image/jpeg"));
            value.insert("sha256".into(), json!(text));
        } else {
            value.insert("text".into(), json!(text));
        }
        match outcome {
            Outcome::Done => {
                value.insert("update_successful".into(), json!(true));
                self.line(key, setting.line);
                if let Some(group) = self.groups.get_mut(&key) {
                    let register = match setting.name {
                        "subject" => &mut group.subject,
                        "description" => &mut group.description,
                        _ => &mut group.picture,
                    };
                    *register = Some(text);
                }
            }
            Outcome::Failed => {
                value.insert("update_successful".into(), json!(false));
                value.insert("errors".into(), self.errors(131_206, "Setting could not be updated"));
            }
            Outcome::Unsaid => {}
        }
        value
    }
}
