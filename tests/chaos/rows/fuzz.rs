//! Row 16: bytes that nobody would send. Into parsers and fold directly, and over HTTP into a running pipeline.
//!
//! Inputs grow from the fixtures, from values of the store's own making, and from `tests/chaos/corpus`: what breaks
//! something is kept there. Chance, not coverage, leads; it runs on any toolchain.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use groupfold_fold::entry::{Key, Memory};
use groupfold_ingest::meta::{self, Delivery, Item};
use groupfold_schemas::position::Position;
use groupfold_schemas::{change, frame, id, log, v1};
use groupfold_tests::{Groupfold, Options, Rng, fixture, fixtures, http, sign, workspace};

use crate::args::Budget;
use crate::outcome::Outcome;

/// Inputs of one round, for each target.
const INPUTS: u32 = 500;
const REQUESTS: u32 = 50;
/// No input of a few kilobytes may take longer.
const SLOW: Duration = Duration::from_secs(2);
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Texts that have a meaning somewhere.
const WORDS: [&str; 34] = [
    "null",
    "true",
    "-0",
    "1e999",
    "18446744073709551616",
    "-9223372036854775808",
    "\"\"",
    "[]",
    "{}",
    "[[[[[[[[",
    "{\"a\":",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\u{0}",
    "%00",
    "%ff",
    "%",
    "..",
    "0:18446744073709551615",
    "65535:1",
    "0:1,0:2",
    ":",
    ",",
    "*",
    ">",
    " ",
    "\r\n",
    "sha256=",
    "timestamp",
    "group_id",
    "type",
    "9999999999999",
    "\u{10ffff}",
];

/// What inputs grow from.
struct Seeds(Vec<Vec<u8>>);

impl Seeds {
    fn load() -> Self {
        let mut seeds: Vec<Vec<u8>> = fixtures("meta").iter().map(|name| fixture(name)).collect();
        let mut kept: Vec<_> = std::fs::read_dir(workspace().join("tests/chaos/corpus"))
            .expect("the corpus is in the tree")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        kept.sort();
        seeds.extend(kept.iter().map(|path| std::fs::read(path).expect("an input can be read")));
        for record in seeds.clone().iter().flat_map(|body| records(body)) {
            seeds.push(frame::encode(&record));
            let mut memory = Memory::default();
            if memory.apply([&record]).is_ok() {
                seeds.extend(memory.0.into_iter().flat_map(|(key, value)| [key, value]));
            }
        }
        Self(seeds)
    }

    fn input(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = rng.choose(&self.0).clone();
        for _ in 0..rng.between(0, 6) {
            self.mutate(&mut bytes, rng);
        }
        bytes.truncate(INPUT_BYTES_MAX);
        bytes
    }

    fn mutate(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        let len = bytes.len() as u64;
        let at = rng.below(len + 1) as usize;
        let end = at + rng.below(len - at as u64 + 1) as usize;
        match rng.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            1 if at < bytes.len() => bytes[at] = rng.next_u64() as u8,
            2 => drop(bytes.drain(at..end.min(at + 64))),
            3 => bytes.truncate(at),
            4 => {
                let part = bytes[at..end].repeat(rng.between(1, 4) as usize);
                bytes.splice(at..at, part);
            }
            5 => {
                let word = rng.choose(&WORDS).as_bytes();
                let word = word.repeat(if rng.below(20) == 0 { 2_000 } else { 1 });
                bytes.splice(at..at, word);
            }
            _ => {
                let other = rng.choose(&self.0);
                let from = rng.below(other.len() as u64 + 1) as usize;
                let to = (from + rng.below(256) as usize).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
}

pub(super) fn records(body: &[u8]) -> Vec<v1::Record> {
    let delivery = Delivery {
        received_time_ms: 1_767_225_600_000,
        request_id: "fuzz",
        build: "fuzz",
        headers: meta::Headers::default(),
        ignore_one_to_one: false,
        ignore_other_fields: false,
        replayed: false,
    };
    let items = meta::adapt(body, &delivery);
    items
        .into_iter()
        .filter_map(|item| if let Item::Event(record) = item { Some(*record) } else { None })
        .collect()
}

/// Reads bytes; what is wrong with how they were read.
type Read = fn(&[u8]) -> Result<(), String>;

/// All that reads bytes, by name.
const PARSERS: [(&str, Read); 5] = [
    ("webhooks", |bytes| folds(&records(bytes))),
    ("records", |bytes| folds(&Vec::from_iter(groupfold_projector::record_of(bytes)))),
    ("entries", read_entries),
    ("frames", |bytes| {
        let _ = frame::decode::<v1::FailedWebhook>(bytes);
        let _ = frame::decode::<v1::Change>(bytes);
        let _ = frame::decode::<v1::Progress>(bytes);
        Ok(())
    }),
    ("texts", |bytes| read_texts(&String::from_utf8_lossy(bytes))),
];

/// What was read folds to the same in any order and however often, and is the same once written.
fn folds(read: &[v1::Record]) -> Result<(), String> {
    let (mut forward, mut backward) = (Memory::default(), Memory::default());
    for record in read {
        forward.apply([record]).map_err(|error| format!("a record that was read does not fold: {error}"))?;
        let again: v1::Record = frame::decode(&frame::encode(record)).map_err(|error| error.to_string())?;
        if again != *record {
            return Err("a record is another one once written and read".to_owned());
        }
    }
    for record in read.iter().rev().chain(read) {
        backward.apply([record]).map_err(|error| error.to_string())?;
    }
    if forward != backward {
        return Err("the fold depends on order or on duplicates".to_owned());
    }
    for (key, value) in &forward.0 {
        let key = Key::decode(key).map_err(|error| format!("a key of the fold's own: {error}"))?;
        key.decode_value(value).map_err(|error| format!("a value of the fold's own: {error}"))?;
    }
    Ok(())
}

fn read_entries(bytes: &[u8]) -> Result<(), String> {
    if let Ok(key) = Key::decode(bytes)
        && key.encode() != bytes
    {
        return Err(format!("{key:?} is another key once written"));
    }
    // As the value of a key of each kind.
    for key in kinds_of_keys() {
        let _ = key.decode_value(bytes);
    }
    Ok(())
}

/// One key of each kind that the fixtures come to.
fn kinds_of_keys() -> &'static [Key] {
    static KEYS: OnceLock<Vec<Key>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut memory = Memory::default();
        for name in fixtures("meta") {
            memory.apply(&records(&fixture(&name))).expect("fixtures fold");
        }
        let mut keys: Vec<Key> = memory.0.keys().filter_map(|key| Key::decode(key).ok()).collect();
        keys.dedup_by_key(|key| std::mem::discriminant(key));
        keys
    })
}

fn read_texts(text: &str) -> Result<(), String> {
    if log::untoken(&log::token(text)).as_deref() != Some(text) && !text.is_empty() {
        return Err("an id is another one once it was a token of a subject".to_owned());
    }
    let subject = log::event_subject(3, text, "kind", Some(text));
    if subject.contains(['*', '>', ' ', '\r', '\n']) {
        return Err(format!("an id makes a subject of {subject:?}"));
    }
    let _ = log::read_event_subject(text);
    let _ = log::untoken(text);
    let _ = change::Mark::from_id(text);
    let _ = id::EventId::parse(text);
    if let Ok(position) = text.parse::<Position>()
        && position.to_string().parse::<Position>().ok().as_ref() != Some(&position)
    {
        return Err(format!("{position} is another position once written"));
    }
    Ok(())
}

/// Bytes into all parsers and the fold, or into one that is asked for.
pub(crate) async fn parsers(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let seeds = Seeds::load();
    let mut rng = Rng::new(budget.seed);
    let mut parsers = Targets::of(&PARSERS, &budget);
    while budget.allows(&outcome) && !parsers.0.is_empty() {
        for target in &mut parsers.0 {
            let begun = Instant::now();
            for _ in 0..INPUTS {
                let input = seeds.input(&mut rng);
                let at = Instant::now();
                let read = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
                let why = match read {
                    Ok(Ok(())) if at.elapsed() < SLOW => continue,
                    Ok(Ok(())) => format!("took {:?}", at.elapsed()),
                    Ok(Err(why)) => why,
                    Err(_) => "panicked".to_owned(),
                };
                outcome.violation(format!("{}: {why}: {}", target.name, kept(&input)));
            }
            target.ran(INPUTS, begun);
        }
        outcome.round(u64::from(INPUTS) * parsers.0.len() as u64, None);
    }
    parsers.tell(&mut outcome);
    outcome
}

/// What inputs go into, and how many did.
struct Target<R> {
    name: &'static str,
    run: R,
    inputs: u64,
    time: Duration,
}

struct Targets<R>(Vec<Target<R>>);

impl<R: Copy> Targets<R> {
    /// Those that are asked for; all if none is.
    fn of(all: &[(&'static str, R)], budget: &Budget) -> Self {
        let wanted = all.iter().filter(|(name, _)| budget.target.as_deref().is_none_or(|one| one == *name));
        Self(wanted.map(|(name, run)| Target { name, run: *run, inputs: 0, time: Duration::ZERO }).collect())
    }

    fn tell(&self, outcome: &mut Outcome) {
        for Target { name, inputs, time, .. } in &self.0 {
            let rate = *inputs as f64 / time.as_secs_f64();
            outcome.note(format!("{name}: {inputs} inputs in {time:.0?}, {rate:.0} a second"));
        }
    }
}

impl<R> Target<R> {
    fn ran(&mut self, inputs: u32, begun: Instant) {
        self.inputs += u64::from(inputs);
        self.time += begun.elapsed();
    }
}

/// Names of all targets.
pub(crate) fn targets() -> impl Iterator<Item = &'static str> {
    PARSERS.iter().map(|(name, _)| *name).chain(REQUESTS_OF.iter().map(|(name, _)| *name))
}

/// Writes an input down; move it into the corpus once its fault is mended.
fn kept(input: &[u8]) -> String {
    let name = format!("target/chaos/input-{}", &id::hex(&id::sha256([input]))[..16]);
    let path = workspace().join(&name);
    std::fs::create_dir_all(workspace().join("target/chaos")).expect("the input can be kept");
    std::fs::write(path, input).expect("the input can be kept");
    name
}

/// Paths of the query API with a place for whatever comes.
const PATHS: [&str; 14] = [
    "/v1/groups?cursor=",
    "/v1/groups?limit=",
    "/v1/groups?status=",
    "/v1/groups/",
    "/v1/groups/G/members?status=",
    "/v1/groups/G/timeline?cursor=",
    "/v1/groups/G?at=",
    "/v1/groups?min_position=",
    "/v1/messages/",
    "/v1/usage?",
    "/v1/position?group=",
    "/v1/changes?after=",
    "/v1/groups/G/timeline?lang=",
    "/",
];

type Request = fn(&http::Client, &Groupfold, &[u8], &mut Rng) -> reqwest::RequestBuilder;

/// Where bytes go over HTTP, by name.
const REQUESTS_OF: [(&str, Request); 3] = [
    ("bodies", |client, up, input, _| {
        let signature = sign("app-secret-of-a-test", input);
        client.post(up.webhook_url()).header("x-hub-signature-256", signature).body(input.to_vec())
    }),
    ("signatures", |client, up, input, _| {
        client.post(up.webhook_url()).header("x-hub-signature-256", header(input)).body("{}")
    }),
    ("queries", |client, up, input, rng| {
        client.get(format!("{}{}{}", up.api_url(""), rng.choose(&PATHS), encoded(input, rng)))
    }),
];

/// Bodies, signatures, paths and queries over HTTP.
pub(crate) async fn over_http(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let seeds = Seeds::load();
    let mut rng = Rng::new(budget.seed);
    let mut targets = Targets::of(&REQUESTS_OF, &budget);
    if targets.0.is_empty() {
        return outcome;
    }
    let mut up = Groupfold::up(Options::default()).await;
    let client = http::client();
    while budget.allows(&outcome) {
        for target in &mut targets.0 {
            let begun = Instant::now();
            for _ in 0..REQUESTS {
                let input = seeds.input(&mut rng);
                let request = (target.run)(&client, &up, &input, &mut rng);
                // A stream of changes goes on for ever: its head is enough.
                let answer = request.timeout(Duration::from_secs(10)).send().await;
                match answer.map(|answer| answer.status().as_u16()) {
                    Ok(200..=499 | 503) => {}
                    Ok(status) => outcome.violation(format!("answered {status}: {}", kept(&input))),
                    Err(error) if error.is_builder() => {}
                    Err(error) => outcome.violation(format!("{error}: {}", kept(&input))),
                }
            }
            target.ran(REQUESTS, begun);
        }
        outcome.round(u64::from(REQUESTS) * targets.0.len() as u64, None);
    }
    let log = up.process().log();
    for line in log.lines().filter(|line| line.contains("panicked")) {
        outcome.violation(line);
    }
    let verified = crate::world::groupfold("verify", &up);
    if verified.0 != Some(0) {
        outcome.violation(format!("verify: {verified:?}"));
    }
    targets.tell(&mut outcome);
    outcome
}

/// Bytes that may stand in a header.
fn header(input: &[u8]) -> reqwest::header::HeaderValue {
    let allowed: Vec<u8> =
        input.iter().copied().filter(|byte| *byte >= 32 && *byte != 127).take(512).collect();
    reqwest::header::HeaderValue::from_bytes(&allowed).expect("only bytes of a header are left")
}

/// As a part of a URL: most of it percent-encoded, now and then as it is.
fn encoded(input: &[u8], rng: &mut Rng) -> String {
    let plain = rng.below(4) == 0;
    let mut out = String::new();
    for byte in input.iter().take(256) {
        if byte.is_ascii_alphanumeric()
            || b"-._~".contains(byte)
            || (plain && byte.is_ascii_graphic() && *byte != b'#')
        {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
