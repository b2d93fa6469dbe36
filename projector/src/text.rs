//! Lines of a history in the languages of people who read chats. One table of phrases per language; the
//! rules of how to fill them are here, once.

mod en;
mod es;
mod phone;
mod pt_br;
#[cfg(test)]
mod tests;

use groupfold_fold::view::{Between, Entry, EntryKind, Person};
use groupfold_schemas::v1::{ActorKind, FactKind, JoinVia, ProviderError};

/// A language that lines are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lang {
    English,
    Portuguese,
    Spanish,
}

impl Lang {
    /// Tags of all languages, as clients write them.
    pub(crate) const TAGS: &'static str = "en, pt-BR or es";

    /// Reads a language tag; upper and lower case are the same.
    pub(crate) fn parse(tag: &str) -> Option<Self> {
        match tag.to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "pt-br" => Some(Self::Portuguese),
            "es" => Some(Self::Spanish),
            _ => None,
        }
    }

    fn phrases(self) -> &'static Phrases {
        match self {
            Self::English => &en::PHRASES,
            Self::Portuguese => &pt_br::PHRASES,
            Self::Spanish => &es::PHRASES,
        }
    }
}

/// The phrases of one language. `{who}` stands for a person, `{text}` for what the line is about.
struct Phrases {
    someone: &'static str,
    created: &'static str,
    created_named: &'static str,
    create_failed: &'static str,
    deleted: &'static str,
    delete_failed: &'static str,
    suspended: &'static str,
    unsuspended: &'static str,
    subject: &'static str,
    subject_to: &'static str,
    description: &'static str,
    picture: &'static str,
    setting: &'static str,
    settings_failed: &'static str,
    settings_failed_named: &'static str,
    /// What [`groupfold_schemas::v1::Setting::name`] names, as it stands in the phrase before.
    settings: [(&'static str, &'static str); 9],
    requested: &'static str,
    revoked: &'static str,
    rejected: &'static str,
    joined: &'static str,
    joined_by_link: &'static str,
    joined_by_request: &'static str,
    added: &'static str,
    promoted: &'static str,
    demoted: &'static str,
    gone: &'static str,
    left: &'static str,
    removed: &'static str,
    removed_by_business: &'static str,
    remove_failed: &'static str,
    account_error: &'static str,
    visibility: &'static str,
    moderators: &'static str,
    label_added: &'static str,
    label_removed: &'static str,
    archived: &'static str,
    unarchived: &'static str,
    blocked: &'static str,
    unblocked: &'static str,
    something: &'static str,
    number: &'static str,
    number_to: &'static str,
    user_id: &'static str,
    /// Added to a line that only a snapshot tells of; `{who}` and `{text}` are the times around it.
    between: &'static str,
    until: &'static str,
}

/// One line of a history.
pub(crate) fn line(lang: Lang, entry: &Entry) -> String {
    let phrases = lang.phrases();
    let about = entry.text.as_deref().filter(|text| !text.is_empty());
    let phrase = phrase(phrases, entry, about.is_some());
    let who = entry.member.as_ref().map_or_else(|| phrases.someone.to_owned(), |m| name(m, phrases));
    let about = match entry.kind {
        EntryKind::NumberChanged => about.map(phone::format),
        EntryKind::Fact(FactKind::SettingsFailed) => about.map(|names| settings(names, phrases)),
        EntryKind::UserIdChanged | EntryKind::Fact(_) => about.map(str::to_owned),
    };
    let mut text = fill(phrase, &who, about.as_deref().unwrap_or_default());
    if let Some(Between { after_ms, by_ms }) = entry.between {
        let known = after_ms.filter(|ms| *ms != 0);
        let when = if known.is_some() { phrases.between } else { phrases.until };
        // Between a minute and the same minute is no time.
        let moment = if known.map(minute) == Some(minute(by_ms)) { second } else { minute };
        text.push_str(&fill(when, &known.map(moment).unwrap_or_default(), &moment(by_ms)));
    }
    match entry.errors.first() {
        Some(error) => format!("{text}: {}", reason(error)),
        None => text,
    }
}

fn phrase(phrases: &Phrases, entry: &Entry, named: bool) -> &'static str {
    let fact = match entry.kind {
        EntryKind::Fact(fact) => fact,
        EntryKind::NumberChanged if named => return phrases.number_to,
        EntryKind::NumberChanged => return phrases.number,
        EntryKind::UserIdChanged => return phrases.user_id,
    };
    match fact {
        FactKind::Unspecified | FactKind::SnapshotTaken => phrases.something,
        FactKind::GroupCreated if named => phrases.created_named,
        FactKind::GroupCreated => phrases.created,
        FactKind::GroupCreateFailed => phrases.create_failed,
        FactKind::SubjectChanged if named => phrases.subject_to,
        FactKind::SubjectChanged => phrases.subject,
        FactKind::DescriptionChanged => phrases.description,
        FactKind::PictureChanged => phrases.picture,
        FactKind::SettingChanged => phrases.setting,
        FactKind::SettingsFailed if named => phrases.settings_failed_named,
        FactKind::SettingsFailed => phrases.settings_failed,
        FactKind::JoinRequested => phrases.requested,
        FactKind::JoinRequestRevoked => phrases.revoked,
        FactKind::JoinRequestRejected => phrases.rejected,
        FactKind::MemberJoined => match entry.via {
            JoinVia::Unknown => phrases.joined,
            JoinVia::InviteLink => phrases.joined_by_link,
            JoinVia::JoinRequest => phrases.joined_by_request,
            JoinVia::Added => phrases.added,
        },
        FactKind::MemberPromoted => phrases.promoted,
        FactKind::MemberDemoted => phrases.demoted,
        FactKind::MemberGone => phrases.gone,
        FactKind::MemberLeft => phrases.left,
        FactKind::MemberRemoved if entry.actor == ActorKind::Business => phrases.removed_by_business,
        FactKind::MemberRemoved => phrases.removed,
        FactKind::RemoveFailed => phrases.remove_failed,
        FactKind::GroupUnsuspended => phrases.unsuspended,
        FactKind::GroupSuspended => phrases.suspended,
        FactKind::GroupDeleteFailed => phrases.delete_failed,
        FactKind::GroupDeleted => phrases.deleted,
        FactKind::AccountError => phrases.account_error,
        FactKind::VisibilityChanged => phrases.visibility,
        FactKind::ModeratorsChanged => phrases.moderators,
        FactKind::LabelAdded => phrases.label_added,
        FactKind::LabelRemoved => phrases.label_removed,
        FactKind::Archived => phrases.archived,
        FactKind::Unarchived => phrases.unarchived,
        FactKind::Unblocked => phrases.unblocked,
        FactKind::Blocked => phrases.blocked,
    }
}

/// Names of settings as people call them.
fn settings(names: &str, phrases: &Phrases) -> String {
    let word =
        |name| phrases.settings.iter().find(|(known, _)| *known == name).map_or(name, |(_, word)| *word);
    names.split(", ").map(word).collect::<Vec<_>>().join(", ")
}

fn minute(unix_ms: i64) -> String {
    moment(unix_ms, "%Y-%m-%d %H:%M UTC")
}

fn second(unix_ms: i64) -> String {
    moment(unix_ms, "%Y-%m-%d %H:%M:%S UTC")
}

fn moment(unix_ms: i64, format: &str) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).unwrap_or_default().strftime(format).to_string()
}

/// What people call a person: the number, else the user name, else what there is.
fn name(person: &Person, phrases: &Phrases) -> String {
    let names = &person.names;
    let known = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    known(&names.wa_id)
        .map(|wa_id| phone::format(&wa_id))
        .or_else(|| known(&names.username).map(|username| format!("@{username}")))
        .or_else(|| known(&names.display_name))
        .or_else(|| known(&names.input).map(|input| phone::format(&input)))
        .or_else(|| known(&names.user_id))
        .or_else(|| known(&names.lid))
        .unwrap_or_else(|| phrases.someone.to_owned())
}

/// Fills both places in one pass, so that braces in a name or subject stay what they are.
fn fill(phrase: &str, who: &str, text: &str) -> String {
    let mut out = String::with_capacity(phrase.len() + who.len() + text.len());
    let mut rest = phrase;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let (value, hole) = if from.starts_with("{who}") { (who, "{who}") } else { (text, "{text}") };
        out.push_str(value);
        rest = from.strip_prefix(hole).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn reason(error: &ProviderError) -> String {
    let texts = [&error.title, &error.message, &error.details];
    let text = texts.into_iter().find(|text| !text.is_empty());
    match (text, error.code.as_str()) {
        (Some(text), "") => text.clone(),
        (Some(text), code) => format!("{text} ({code})"),
        (None, code) => code.to_owned(),
    }
}
