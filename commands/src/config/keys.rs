//! The table of settings.

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Name in the config file; flag and variable follow from it.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) default: Option<&'static str>,
    /// May be given several times (in a variable: joined by commas).
    pub(crate) many: bool,
    /// Never printed.
    pub(crate) secret: bool,
    pub(crate) value_name: &'static str,
}

impl Key {
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.long())
    }

    pub(crate) fn long(&self) -> String {
        self.name.replace('_', "-")
    }

    pub(crate) fn variable(&self) -> String {
        format!("GROUPFOLD_{}", self.name.to_uppercase())
    }
}

const fn key(
    name: &'static str,
    value_name: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Key {
    Key { name, help, default, many: false, secret: false, value_name }
}

const fn secret(key: Key) -> Key {
    Key { secret: true, ..key }
}

const fn many(key: Key) -> Key {
    Key { many: true, ..key }
}

/// All settings, in the order of the help.
pub(crate) const KEYS: &[Key] = &[
    key("data", "DIR", Some("./groupfold-data"), "Folder of everything that is kept"),
    key("webhook_addr", "ADDR", Some("127.0.0.1:8080"), "Where webhooks arrive; port 0 picks one"),
    key(
        "webhook_tls_cert",
        "FILE",
        None,
        "Certificate chain of the webhook address, PEM; read again when it changes",
    ),
    key("webhook_tls_key", "FILE", None, "Its private key, PEM"),
    key(
        "webhook_tls_client_ca",
        "FILE",
        None,
        "Authorities of which senders must show a certificate, PEM (Meta's mTLS)",
    ),
    many(key(
        "webhook_tls_client_name",
        "NAME",
        None,
        "Common name that it must have, such as client.webhooks.fbclientcerts.com",
    )),
    key(
        "api_addr",
        "ADDR",
        Some("127.0.0.1:8081"),
        "Where the query API, health and metrics answer; those of ingest alone on port 8082 unless told",
    ),
    key("api_tls_cert", "FILE", None, "Certificate chain of that address, PEM; read again when it changes"),
    key("api_tls_key", "FILE", None, "Its private key, PEM"),
    secret(many(key(
        "meta_app_secret",
        "SECRET",
        None,
        "App secret of Meta; several to rotate: repeat it, with commas in the variable, one a line in a file",
    ))),
    secret(key(
        "meta_verify_token",
        "TOKEN",
        None,
        "Token that Meta's handshake must bring; without one each gets 403",
    )),
    secret(many(key(
        "meta_access_token",
        "[ID=]TOKEN",
        None,
        "Access token of Meta's API, for all phone numbers or (PHONE_NUMBER_ID=TOKEN) for one",
    ))),
    many(key("meta_access_token_file", "FILE", None, "File of such tokens, one a line; # begins a comment")),
    key(
        "meta_graph_url",
        "URL",
        Some("https://graph.facebook.com/v25.0"),
        "Meta's API, with its version; http only on this machine",
    ),
    key("provider_deadline_ms", "MS", Some("30000"), "Time for one call to the provider's API"),
    key(
        "provider_patience_ms",
        "MS",
        Some("60000"),
        "Time for a call in all: its turn, and further attempts where nothing was done",
    ),
    key(
        "command_deadline_ms",
        "MS",
        Some("120000"),
        "Time for the outcome of a command; after it the provider's state is looked at",
    ),
    key("provider_calls_max", "N", Some("64"), "Calls to the provider under way at once, of all numbers"),
    key(
        "reconcile_interval_s",
        "S",
        None,
        "Compare all groups with the provider this often, and append what was missed (default: never)",
    ),
    secret(many(key(
        "api_token",
        "TOKEN",
        None,
        "Bearer token of the API, or sha256:HEX; without one it binds loopback only",
    ))),
    key(
        "api_requests_per_second",
        "N",
        Some("1000"),
        "Requests of one API token in a second; more get 429 (0: no bound)",
    ),
    key(
        "nats_server",
        "PATH",
        None,
        "The nats-server to run (default: PATH, then .tools here or above the program)",
    ),
    secret(key(
        "nats_url",
        "URL",
        None,
        "Use this broker (or cluster, comma-separated) instead of an own one",
    )),
    key("nats_monitor_url", "URL", None, "The broker's monitoring address, to learn whether it syncs"),
    key("nats_tls_ca", "FILE", None, "PEM file of the authorities that sign the broker's certificate"),
    key("nats_creds", "FILE", None, "Credentials file (JWT and seed) for the broker"),
    key("nats_nkey", "FILE", None, "File of the seed of an nkey for the broker"),
    key("nats_user", "NAME", None, "User of the broker"),
    secret(key("nats_password", "PASSWORD", None, "Password of that user")),
    key("nats_inbox", "SUBJECT", None, "Subject below which the broker answers [default: _INBOX]"),
    key(
        "partitions",
        "N",
        None,
        "Partitions of a log not yet provisioned [default: 8]; ever after it must match",
    ),
    key("replicas", "N", Some("1"), "Replicas of each stream (1, 3 or 5)"),
    key("log_bytes_max", "BYTES", None, "Bound of each stream; a full one refuses (default: none)"),
    key("own", "P,P", None, "Partitions this projector owns (default: all)"),
    key("batch_events_max", "N", Some("1000"), "Most events read and folded at a time"),
    key("cache_bytes", "BYTES", Some("67108864"), "Store cache of each partition"),
    key(
        "rebuild_bytes",
        "BYTES",
        Some("536870912"),
        "Memory that a rebuild of served stores takes beside them; below 104 MiB it is slow",
    ),
    key("wait_ms_max", "MS", Some("30000"), "Longest wait_ms a reader may ask for"),
    key("body_bytes_max", "BYTES", Some("3145728"), "Longest webhook body (Meta sends up to 3 MB)"),
    key("requests_max", "N", Some("2048"), "Webhooks under way at once; more get 503"),
    key("bytes_in_flight_max", "BYTES", Some("67108864"), "Body bytes under way at once; more get 503"),
    key("connections_max", "N", Some("4096"), "Webhook connections open at once; more get 503"),
    key("header_deadline_ms", "MS", Some("10000"), "Time for a request's header, else 408"),
    key("body_deadline_ms", "MS", Some("20000"), "Time for a request's body, else 408"),
    key(
        "append_deadline_ms",
        "MS",
        Some("5000"),
        "Time for the log to acknowledge, and 10 ms more for each item, else 503",
    ),
    key("drain_budget_ms", "MS", Some("15000"), "Time to finish what is under way when told to stop"),
    key("ignore_one_to_one", "BOOL", Some("true"), "Ignore (and count) messages and statuses outside groups"),
    key(
        "ignore_other_fields",
        "BOOL",
        Some("true"),
        "Ignore (and count) webhook fields that are not about groups",
    ),
    key("log", "FILTER", Some("info"), "What to log: a level, or module=level,…"),
    key("log_format", "FORMAT", Some("text"), "text or json"),
];
