//! Groups are renamed, described anew and given pictures; or not, or in part.

use serde_json::{Map, Value, json};

use super::{World, ids};

const SETTINGS: &str = "group_settings_update";

/// What Meta says of one setting in the answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
    /// No flag: neither success nor failure may be read into it.
    Unsaid,
}

#[derive(Debug, Clone, Copy)]
struct Setting {
    name: &'static str,
    key: &'static str,
    /// As Meta's OpenAPI spells it.
    alias: &'static str,
    line: &'static str,
    rank: u32,
}

const ALL: [Setting; 3] = [
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
        let mut outcomes = Vec::new();
        let mut item = self.answer(key, "group_settings_update");
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
            let name = if self.dice.percent(3.0) { setting.alias } else { setting.key };
            let value = self.set(key, *setting, outcome);
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

    fn set(&mut self, key: u64, setting: Setting, outcome: Outcome) -> Map<String, Value> {
        let mut value = Map::new();
        let text = match setting.name {
            "subject" => {
                let serial = self.serial();
                ids::subject(&mut self.dice, serial)
            }
            "description" => ids::body(&mut self.dice),
            _ => ids::picture(&mut self.dice),
        };
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
