//! `group_settings_update`: each setting has an outcome of its own.

use groupfold_schemas::id::EventId;
use groupfold_schemas::v1::event::Kind;
use groupfold_schemas::v1::setting_value::Value;
use groupfold_schemas::v1::{Outcome, Picture, Setting, SettingChange, SettingValue, SettingsUpdated};

use super::draft::Draft;
use super::fault::Result;
use super::group::Common;
use super::node::Node;
use super::person;

/// Settings by the names of their members: the documented one, then the one of Meta's OpenAPI.
const TEXTS: [(Setting, [&str; 2]); 2] = [
    (Setting::Subject, ["group_subject", "subject"]),
    (Setting::Description, ["group_description", "description"]),
];

pub(super) fn read(node: &Node<'_, '_>, mut common: Common) -> Result<Draft> {
    let mut changes = Vec::new();
    for (setting, names) in TEXTS {
        if let Some(name) = names.into_iter().find(|name| node.has(name)) {
            changes.push(text(node, setting, name)?);
        }
    }
    if let Some(picture) = node.object("profile_picture")? {
        let value = Picture { mime_type: picture.short("mime_type")?, sha256: picture.short("sha256")? };
        let known = value != Picture::default();
        changes.push(change(&picture, Setting::Picture, known.then_some(Value::Picture(value)))?);
    }
    if changes.is_empty() && common.errors.is_empty() {
        return Err(node.missing("group_subject", "at least one setting, or errors"));
    }
    let any_done = changes.iter().any(|c| c.outcome() != Outcome::Failed);
    let key = common.key(common.outcome(any_done), String::new(), "", digest(&changes));
    let errors = std::mem::take(&mut common.errors);
    Ok(common.into_draft(Kind::SettingsUpdated(SettingsUpdated { changes, errors }), key))
}

/// A subject or a description: an object, or a bare text that says nothing about its outcome.
fn text(node: &Node<'_, '_>, setting: Setting, name: &str) -> Result<SettingChange> {
    let words = |node: &Node<'_, '_>, name| match setting {
        Setting::Subject => node.subject(name),
        _ => node.text(name),
    };
    if node.text(name).is_ok() {
        let new = words(node, name)?.map(|text| SettingValue { value: Some(Value::Text(text)) });
        return Ok(SettingChange { setting: setting.into(), new, ..SettingChange::default() });
    }
    let object = node.object(name)?;
    let object = object.ok_or_else(|| node.missing(name, "an object"))?;
    // An empty text is a value here: a description can be taken away.
    let text = if object.get("text").is_some_and(|raw| raw.raw() == b"\"\"") {
        Some(String::new())
    } else {
        words(&object, "text")?
    };
    change(&object, setting, text.map(Value::Text))
}

fn change(object: &Node<'_, '_>, setting: Setting, value: Option<Value>) -> Result<SettingChange> {
    let errors = person::errors(object)?;
    let outcome = match object.flag("update_successful") {
        Some(true) => Outcome::Succeeded,
        Some(false) => Outcome::Failed,
        None if !errors.is_empty() => Outcome::Failed,
        // Neither flag nor errors: not to be read as either.
        None => Outcome::Unknown,
    };
    let new = value.map(|value| SettingValue { value: Some(value) });
    Ok(SettingChange { setting: setting.into(), old: None, new, outcome: outcome.into(), errors })
}

/// Settings, values and outcomes as a part of the natural key, for updates without a request id.
fn digest(changes: &[SettingChange]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for change in changes {
        parts.push(change.setting.to_string());
        parts.push(change.outcome.to_string());
        match change.new.as_ref().and_then(|new| new.value.as_ref()) {
            Some(Value::Text(text)) => parts.push(text.clone()),
            Some(Value::Picture(picture)) => parts.push(picture.sha256.clone().unwrap_or_default()),
            Some(Value::Flag(_) | Value::Number(_)) | None => parts.push(String::new()),
        }
    }
    EventId::hash(parts.iter().map(|part| part.as_bytes())).as_str().to_owned()
}
