//! Kinds of lines of a history where kinds of events are asked for: who reads a timeline knows an event by the line it
//! became.

/// A kind of line that events of another name tell, and the kinds of events that do. A name that an event has stands for that
/// event alone, though a snapshot may tell such a line as well. An event may tell other lines, too, as one of settings tells
/// all that were changed at once; and a snapshot tells those alone that are news. Roles it lists are none.
pub(super) const ALIASES: &[(&str, &[&str])] = &[
    ("member_joined", &["participants_joined", "group_created", "group_snapshot"]),
    ("member_left", &["participants_left"]),
    ("member_removed", &["participants_removed"]),
    ("member_gone", &["participants_gone", "group_snapshot"]),
    ("member_promoted", &["participants_promoted"]),
    ("member_demoted", &["participants_demoted"]),
    ("subject_changed", &["settings_updated"]),
    ("description_changed", &["settings_updated"]),
    ("picture_changed", &["settings_updated"]),
    ("setting_changed", &["settings_updated"]),
    ("settings_failed", &["settings_updated"]),
    // Some were removed and others were not, or nobody was, whoever did it. Nobody fails to leave.
    ("remove_failed", &["participants_removed", "participants_remove_failed", "participants_gone"]),
    ("number_changed", &["identity_changed"]),
    ("user_id_changed", &["identity_changed"]),
    ("visibility_changed", &["group_visibility_set"]),
    ("moderators_changed", &["group_moderators_set"]),
    ("label_added", &["group_label_added"]),
    ("label_removed", &["group_label_removed"]),
    ("archived", &["group_archived"]),
    ("unarchived", &["group_unarchived"]),
    ("blocked", &["group_blocked"]),
    ("unblocked", &["group_unblocked"]),
];

/// The kinds of events that a name stands for; `None` if it is neither of a kind nor of a line.
pub(super) fn kinds(name: &str) -> Option<Vec<&'static str>> {
    let line = ALIASES.iter().find(|(line, _)| *line == name).map(|(_, kinds)| kinds.to_vec());
    line.or_else(|| super::catalogue::names().find(|kind| *kind == name).map(|kind| vec![kind]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::events::catalogue;

    #[test]
    fn a_line_stands_for_kinds_that_there_are_and_has_the_name_of_none() {
        let events: BTreeSet<&str> = catalogue::names().collect();
        let lines: BTreeSet<&str> = ALIASES.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines.len(), ALIASES.len());
        for (line, kinds) in ALIASES {
            assert!(!events.contains(line), "{line}");
            assert!(!kinds.is_empty() && kinds.iter().all(|kind| events.contains(kind)), "{line}");
        }
    }
}
