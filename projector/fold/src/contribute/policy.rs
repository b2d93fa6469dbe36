//! Contributions of what the platform lays down about a group. All of it is read back from the history: an event
//! that is written again later, under the same id, is one fact with the earliest time, so that a repeat undoes
//! nothing that came in between.

use groupfold_schemas::v1::{self, Fact, FactKind};

use super::Contribution;
use crate::entry::{Key, Value};

impl Contribution<'_> {
    pub(super) fn visibility_set(&mut self, event: &v1::VisibilitySet) {
        let visibility = Some(event.visibility.clone().unwrap_or_default());
        self.laid_down(FactKind::VisibilityChanged, Fact { visibility, ..Fact::default() });
    }

    pub(super) fn moderators_set(&mut self, event: &v1::ModeratorsSet) {
        let users = event.users.clone();
        self.laid_down(FactKind::ModeratorsChanged, Fact { users, ..Fact::default() });
    }

    pub(super) fn label_set(&mut self, event: &v1::LabelSet) {
        let kind = if event.present { FactKind::LabelAdded } else { FactKind::LabelRemoved };
        self.laid_down(kind, Fact { text: Some(event.label.clone()), ..Fact::default() });
    }

    pub(super) fn archive_set(&mut self, event: &v1::ArchiveSet) {
        let kind = if event.archived { FactKind::Archived } else { FactKind::Unarchived };
        self.laid_down(kind, Fact { newest: event.newest.clone(), ..Fact::default() });
    }

    pub(super) fn block_set(&mut self, event: &v1::BlockSet) {
        let kind = if event.blocked { FactKind::Blocked } else { FactKind::Unblocked };
        self.laid_down(kind, Fact::default());
    }

    fn laid_down(&mut self, kind: FactKind, fact: Fact) {
        if self.record.group_id.is_empty() {
            return;
        }
        self.head(v1::GroupHead { policy: true, ..Default::default() });
        self.fact(kind, "", fact);
    }

    pub(super) fn message_viewed(&mut self, event: &v1::MessageViewed) {
        self.head(v1::GroupHead::default());
        let (message, user) = (event.message_id.clone(), event.user_id.clone());
        let head = v1::MessageHead {
            viewed_in: Some(v1::TextRegister { stamp: self.stamp(0), value: Some(self.group()) }),
            ..Default::default()
        };
        self.put(Key::Message { message: message.clone() }, Value::Message(head));
        let view = v1::View { stamp: self.stamp(0) };
        self.put(Key::View { message, user, group: self.group() }, Value::View(view));
    }
}
