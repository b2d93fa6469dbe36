//! The kinds as a list: what each means, which webhook tells it, and its fields.

/// A kind of event.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// What happened, in a sentence.
    pub(super) means: &'static str,
    /// Meta's webhook that tells it.
    pub(super) source: &'static str,
    /// The fields of `data`; each may be absent.
    pub(super) fields: &'static [Field],
}

/// A field of `data`.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) of: Of,
    pub(super) says: &'static str,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Text,
    Texts,
    Time,
    Flag,
    Number,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// One of the definitions of the schema.
    One(&'static str),
    /// A list of one of them.
    List(&'static str),
}

const fn field(name: &'static str, of: Of, says: &'static str) -> Field {
    Field { name, of, says }
}

const PARTICIPANTS: Field = field("participants", Of::List("person"), "whom it concerns");
const PARTICIPANT: Field = field("participant", Of::One("person"), "whom it concerns");
const ERRORS: Field = field("errors", Of::List("error"), "what the provider says went wrong");
const REASON: Field = field("reason", Of::Text, "the provider's own word for why");
const SUBJECT: Field = field("subject", Of::Text, "the group's name");
const DESCRIPTION: Field = field("description", Of::Text, "the group's description");
const INVITE_LINK: Field = field("invite_link", Of::Text, "the link by which people join");
const APPROVAL: Field = field("join_approval_mode", Of::Text, "auto_approve or approval_required");
const JOIN_REQUEST_ID: Field = field("join_request_id", Of::Text, "the provider's id of the request");
const ROLE: Field = field("role", Of::Word(&["member", "admin"]), "the role they have from then on");

const ENDED: &[Field] = &[
    field("ended", Of::List("person"), "whose membership ended"),
    field("failed", Of::List("failure"), "whose membership was to end and did not"),
    ERRORS,
];
const REQUEST_CLOSED: &[Field] = &[PARTICIPANT, JOIN_REQUEST_ID, REASON, ERRORS];
const PROMOTED: &[Field] = &[PARTICIPANTS, ROLE];
const RECEIPT: &[Field] = &[
    field("conversation_id", Of::Text, "the provider's conversation"),
    field("conversation_origin", Of::Text, "what opened the conversation"),
    field("conversation_expires_at", Of::Time, "when the conversation ends"),
    field("opaque_callback_data", Of::Text, "what the sender attached to the message"),
    field("identity_key_hash", Of::Text, "the provider's hash of the recipient's key"),
    ERRORS,
];

const COMMAND_ID: Field = field("command_id", Of::Text, "the command");
const ITEMS: Field = field("items", Of::List("item"), "each thing that was asked for, and what became of it");
const RESULT: Field = field(
    "result",
    Of::Word(&["accepted", "succeeded", "partly", "failed", "unknown"]),
    "how far the command has got by this",
);
const OURS: &str = "none: groupfold writes it itself";
const LIFECYCLE: &str = "group_lifecycle_update";
const PEOPLE: &str = "group_participants_update";
const SETTINGS: &str = "group_settings_update";
const STATUS: &str = "group_status_update";
const MESSAGES: &str = "messages";
const STATUSES: &str = "messages (statuses[])";
const NONE: &str = "none of Meta's: told by other providers or by reading the group";

const PLATFORM: &str = "platform (none: the platform said so over the API)";
const LABEL: Field = field("label", Of::Text, "the label");

const fn kind(
    name: &'static str,
    source: &'static str,
    means: &'static str,
    fields: &'static [Field],
) -> Kind {
    Kind { name, means, source, fields }
}

/// All kinds, in the order of the documentation.
pub(super) const KINDS: &[Kind] = &[
    kind(
        "group_created",
        LIFECYCLE,
        "A group was created.",
        &[SUBJECT, DESCRIPTION, INVITE_LINK, APPROVAL, PARTICIPANTS],
    ),
    kind(
        "group_create_failed",
        LIFECYCLE,
        "A group could not be created. It often has no group id.",
        &[SUBJECT, DESCRIPTION, ERRORS],
    ),
    kind("group_deleted", LIFECYCLE, "A group was deleted, for ever.", &[]),
    kind("group_delete_failed", LIFECYCLE, "A group could not be deleted.", &[ERRORS]),
    kind(
        "participants_joined",
        PEOPLE,
        "People became members.",
        &[
            PARTICIPANTS,
            field("via", Of::Word(&["invite_link", "join_request", "added"]), "how they came in"),
            REASON,
        ],
    ),
    kind("participants_left", PEOPLE, "Members left by themselves.", ENDED),
    kind("participants_removed", PEOPLE, "Members were removed by the business.", ENDED),
    kind("participants_gone", PEOPLE, "Members are no longer there; nobody says why.", ENDED),
    kind("participants_remove_failed", PEOPLE, "Members were to be removed, and none was.", ENDED),
    kind("join_requested", PEOPLE, "Somebody asks to join.", &[PARTICIPANT, JOIN_REQUEST_ID, REASON]),
    kind("join_request_revoked", PEOPLE, "Somebody took the request to join back.", REQUEST_CLOSED),
    kind("join_request_rejected", PEOPLE, "The business turned a request to join down.", REQUEST_CLOSED),
    kind("join_request_failed", PEOPLE, "A request to join could not be dealt with.", REQUEST_CLOSED),
    kind("participants_promoted", NONE, "Members became admins.", PROMOTED),
    kind("participants_demoted", NONE, "Admins became plain members.", PROMOTED),
    kind(
        "settings_updated",
        SETTINGS,
        "Settings of a group were changed, or were to be: each has its outcome.",
        &[field("changes", Of::List("change"), "setting, old and new value, outcome"), ERRORS],
    ),
    kind("group_suspended", STATUS, "The provider suspended a group.", &[]),
    kind("group_unsuspended", STATUS, "A suspended group is back.", &[]),
    kind("receipt_sent", STATUSES, "A message was sent to the group.", RECEIPT),
    kind("receipt_delivered", STATUSES, "A message reached a member's device.", RECEIPT),
    kind("receipt_read", STATUSES, "A member read a message.", RECEIPT),
    kind("receipt_played", STATUSES, "A member played a voice message.", RECEIPT),
    kind("receipt_failed", STATUSES, "A message could not be sent or delivered.", RECEIPT),
    kind("receipt_unknown", STATUSES, "A status that this build does not know.", RECEIPT),
    kind(
        "message_received",
        MESSAGES,
        "A member wrote in the group.",
        &[
            field("type", Of::Text, "text, image, …; the content is in the original alone"),
            field("context_message_id", Of::Text, "the message that it answers"),
        ],
    ),
    kind(
        "message_unsupported",
        MESSAGES,
        "A member sent something that the provider does not pass on.",
        &[field("type", Of::Text, "unsupported"), ERRORS],
    ),
    kind(
        "identity_changed",
        "messages (system)",
        "A person's number or user id changed. It concerns every group, and stands in every partition under one event id.",
        &[
            field("change", Of::Word(&["number", "user_id"]), "what changed"),
            field("previous", Of::One("person"), "the names until then, free from then on"),
            field("current", Of::One("person"), "the names from then on"),
            field("body", Of::Text, "the provider's sentence about it"),
        ],
    ),
    kind(
        "account_error",
        "messages (errors[])",
        "The provider tells an error that concerns the account.",
        &[ERRORS],
    ),
    kind(
        "group_snapshot",
        NONE,
        "A group as it was read from the provider.",
        &[
            SUBJECT,
            DESCRIPTION,
            APPROVAL,
            INVITE_LINK,
            field("suspended", Of::Flag, "whether it is suspended"),
            field("created_at", Of::Time, "when it was created"),
            field("participants_total", Of::Number, "how many members the provider counts"),
            field("participants", Of::List("snapshot_person"), "the members that were listed"),
            field("participants_complete", Of::Flag, "whether the list is known to be whole"),
            field(
                "join_requests_complete",
                Of::Flag,
                "whether the list of those who wait is known to be whole",
            ),
            field("read_until", Of::Time, "when the reading had ended; its beginning is the event's time"),
        ],
    ),
    kind(
        "command_requested",
        OURS,
        "Somebody asked for something. It is in the log before anything leaves.",
        &[
            COMMAND_ID,
            field("type", Of::Text, "what is to be done: group_create, members_remove, message_send, …"),
            field("body", Of::Text, "what was asked for, as JSON"),
            field("asked_by", Of::Text, "who asked, as the platform names them"),
            field("idempotency_key", Of::Text, "the key under which the same request is the same command"),
            field("deadline_at", Of::Time, "when the outcome is looked for at the provider"),
            field("about", Of::List("name"), "the persons, join requests or settings that it is about"),
        ],
    ),
    kind(
        "command_refused",
        OURS,
        "A command breaks a rule and was not sent.",
        &[
            COMMAND_ID,
            field("code", Of::Text, "the rule's stable name"),
            field("field", Of::Text, "the field that breaks it"),
            field("rule", Of::Text, "what would have been right"),
        ],
    ),
    kind(
        "command_sent",
        OURS,
        "A command is about to leave, this once.",
        &[COMMAND_ID, field("sender", Of::Text, "the process that sends it")],
    ),
    kind(
        "command_answered",
        OURS,
        "What the provider answered at once, or that no answer came.",
        &[
            COMMAND_ID,
            RESULT,
            field("request_id", Of::Text, "the provider's id, by which a webhook tells the outcome"),
            field("message_id", Of::Text, "the message that was sent"),
            ITEMS,
            ERRORS,
            field("code", Of::Text, "the error's stable name"),
            field("advice", Of::Text, "what to do about it"),
        ],
    ),
    kind(
        "command_reconciled",
        OURS,
        "No webhook told the outcome in time: what a look at the provider says.",
        &[
            COMMAND_ID,
            RESULT,
            field("seen", Of::Text, "what was seen"),
            ITEMS,
            field("group_id", Of::Text, "the group that a creation turns out to have made"),
        ],
    ),
    kind(
        "group_visibility_set",
        PLATFORM,
        "The platform laid down who of its users may see a group.",
        &[
            field("all", Of::Flag, "everybody; the lists are empty then"),
            field("teams", Of::Texts, "the platform's ids of teams"),
            field("users", Of::Texts, "the platform's ids of users"),
        ],
    ),
    kind(
        "group_moderators_set",
        PLATFORM,
        "The platform laid down who of its users may command a group.",
        &[field("users", Of::Texts, "the platform's ids of users; empty: everybody may")],
    ),
    kind("group_label_added", PLATFORM, "A label was put on a group.", &[LABEL]),
    kind("group_label_removed", PLATFORM, "A label was taken off a group.", &[LABEL]),
    kind(
        "group_archived",
        PLATFORM,
        "A group was put aside, until a newer message comes.",
        &[field("newest_message_at", Of::Time, "the newest message of a member that was known then")],
    ),
    kind("group_unarchived", PLATFORM, "A group that was put aside was taken back.", &[]),
    kind("group_blocked", PLATFORM, "Sending to a group was forbidden. What arrives is logged as ever.", &[]),
    kind("group_unblocked", PLATFORM, "Sending to a group was allowed again.", &[]),
    kind(
        "message_viewed",
        PLATFORM,
        "A user of the platform saw a message.",
        &[field("user_id", Of::Text, "the platform's id of the user")],
    ),
];
