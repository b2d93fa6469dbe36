//! Row 16: bytes that nobody would send. Into parsers and fold directly, and over HTTP into a running pipeline.
//!
//! Parsers are the targets of [`groupfold_tests::targets`], which `make fuzz` searches led by coverage. Here each reads
//! all inputs that are kept in the tree, and then what chance makes of them, on any toolchain.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use groupfold_schemas::id;
use groupfold_tests::targets::{TARGETS, Target};
use groupfold_tests::{Groupfold, Options, Rng, http, sign, workspace};

use crate::args::Budget;
use crate::outcome::Outcome;

/// Inputs of one round, for each target.
const INPUTS: usize = 300;
const REQUESTS: usize = 50;
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
    fn of_all() -> Self {
        Self(TARGETS.iter().flat_map(Target::inputs).collect())
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

/// All inputs of the tree and then mutations of them into all targets, or into one that is asked for.
pub(crate) async fn parsers(budget: Budget) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rng = Rng::new(budget.seed);
    let mut counters = Counters::of(&TARGETS.map(|target| (target.name, target)), &budget);
    let seeds: Vec<Seeds> = counters.0.iter().map(|counter| Seeds(counter.run.inputs())).collect();
    for (counter, seeds) in counters.0.iter_mut().zip(&seeds) {
        counter.count(seeds.0.len(), |target, n| throw(target, &seeds.0[n], &mut outcome));
    }
    while budget.allows(&outcome) && !seeds.is_empty() {
        for (counter, seeds) in counters.0.iter_mut().zip(&seeds) {
            counter.count(INPUTS, |target, _| throw(target, &seeds.input(&mut rng), &mut outcome));
        }
        outcome.round((INPUTS * seeds.len()) as u64, None);
    }
    counters.tell(&mut outcome);
    outcome
}

fn throw(target: Target, input: &[u8], outcome: &mut Outcome) {
    let timed = || {
        let at = Instant::now();
        (catch_unwind(AssertUnwindSafe(|| (target.read)(input))), at.elapsed())
    };
    let (mut read, mut took) = timed();
    // Others may have had the processor meanwhile: what is slow is slow each time.
    for _ in 0..4 {
        if took >= SLOW && matches!(read, Ok(Ok(()))) {
            let again = timed();
            (read, took) = (again.0, took.min(again.1));
        }
    }
    let why = match read {
        Ok(Ok(())) if took < SLOW => return,
        Ok(Ok(())) => format!("took {took:?}"),
        Ok(Err(why)) => why,
        Err(_) => "panicked".to_owned(),
    };
    outcome.violation(format!("{}: {why}: {}", target.name, kept(input)));
}

/// What inputs go into, and how many did.
struct Counter<R> {
    name: &'static str,
    run: R,
    inputs: u64,
    time: Duration,
}

struct Counters<R>(Vec<Counter<R>>);

impl<R: Copy> Counters<R> {
    /// Those that are asked for; all if none is.
    fn of(all: &[(&'static str, R)], budget: &Budget) -> Self {
        let wanted = all.iter().filter(|(name, _)| budget.target.as_deref().is_none_or(|one| one == *name));
        Self(wanted.map(|(name, run)| Counter { name, run: *run, inputs: 0, time: Duration::ZERO }).collect())
    }

    fn tell(&self, outcome: &mut Outcome) {
        for Counter { name, inputs, time, .. } in &self.0 {
            let rate = *inputs as f64 / time.as_secs_f64();
            outcome.note(format!("{name}: {inputs} inputs in {time:.0?}, {rate:.0} a second"));
        }
    }
}

impl<R: Copy> Counter<R> {
    fn count(&mut self, inputs: usize, mut one: impl FnMut(R, usize)) {
        let begun = Instant::now();
        (0..inputs).for_each(|n| one(self.run, n));
        self.ran(inputs, begun);
    }

    fn ran(&mut self, inputs: usize, begun: Instant) {
        self.inputs += inputs as u64;
        self.time += begun.elapsed();
    }
}

/// Names of all targets.
pub(crate) fn targets() -> impl Iterator<Item = &'static str> {
    TARGETS.iter().map(|target| target.name).chain(REQUESTS_OF.iter().map(|(name, _)| *name))
}

/// Writes an input down; move it into `tests/fuzz/corpus` under a name of its own once its fault is mended.
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
    let seeds = Seeds::of_all();
    let mut rng = Rng::new(budget.seed);
    let mut targets = Counters::of(&REQUESTS_OF, &budget);
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
                let answer = request.timeout(Duration::from_secs(30)).send().await;
                match answer {
                    Ok(answer) if matches!(answer.status().as_u16(), 200..=499) => {}
                    // No room, or not yet: but never for a fault of ours.
                    Ok(answer) => {
                        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
                        if status != 503 || text.contains("\"code\":\"fault\"") || text.is_empty() {
                            outcome.violation(format!("answered {status} {text}: {}", kept(&input)));
                        }
                    }
                    Err(error) if error.is_builder() => {}
                    Err(error) => outcome.violation(format!("{error}: {}", kept(&input))),
                }
            }
            target.ran(REQUESTS, begun);
        }
        outcome.round((REQUESTS * targets.0.len()) as u64, None);
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
