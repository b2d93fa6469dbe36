//! A provider whose clock is another than ours.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use groupfold_tests::{Groupfold, Options, wait_until};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use reqwest::Method;
use serde_json::{Value, json};

use super::{END_WAIT, NUMBER, ask};

/// Its clock is ten minutes behind.
const BEHIND_S: i64 = 600;

/// A provider of one group. It takes a creation and answers with a fault of its own, rejects whatever request it is asked to,
/// takes removals on as [`Self::REQUEST`], and has one link until that is reset.
pub(super) struct Graph {
    pub(super) url: String,
    state: Arc<State>,
}

struct State {
    ahead_s: i64,
    /// Who asks to join; `None`: that is not told.
    waiting: Mutex<Option<Vec<Value>>>,
    link: Mutex<&'static str>,
    hold: Mutex<Option<Arc<Hold>>>,
}

/// An answer that is held back.
#[derive(Default)]
pub(super) struct Hold {
    /// When the call came, by our clock, Unix seconds; and whether its answer may go.
    state: Mutex<(Option<i64>, bool)>,
    released: Condvar,
}

impl Hold {
    pub(super) fn since(&self) -> Option<i64> {
        self.state.lock().unwrap().0
    }

    pub(super) fn release(&self) {
        self.state.lock().unwrap().1 = true;
        self.released.notify_all();
    }

    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = Some(Timestamp::now().as_second());
        drop(self.released.wait_while(state, |(_, released)| !*released).unwrap());
    }
}

impl Graph {
    pub(super) const REQUEST: &'static str = "OURS";
    pub(super) const NEW_LINK: &str = "https://chat.whatsapp.com/NEW";

    pub(super) fn start(ahead_s: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v25.0", listener.local_addr().unwrap());
        let link = Mutex::new("https://chat.whatsapp.com/LINKID");
        let waiting = Mutex::new(Some(Vec::new()));
        let state = Arc::new(State { ahead_s, waiting, link, hold: Mutex::default() });
        let of_server = Arc::clone(&state);
        // Ends with the test's process: it waits for connections that no longer come.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&of_server);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { url, state }
    }

    /// These ask to join, as the list of requests has them.
    pub(super) fn wait(&self, requests: &[Value]) {
        *self.state.waiting.lock().unwrap() = Some(requests.to_vec());
    }

    /// Requests are not listed any more.
    pub(super) fn refuse_lists(&self) {
        *self.state.waiting.lock().unwrap() = None;
    }

    /// Holds the answer to the next rejection or removal back.
    pub(super) fn hold(&self) -> Arc<Hold> {
        let hold = Arc::<Hold>::default();
        *self.state.hold.lock().unwrap() = Some(Arc::clone(&hold));
        hold
    }
}

impl State {
    fn wait(&self) {
        let hold = self.hold.lock().unwrap().take();
        if let Some(hold) = hold {
            hold.wait();
        }
    }

    /// The list of requests in pages of one. As documented it has cursors, and no word on whether it goes on.
    fn page(waiting: &[Value], query: &str) -> Value {
        let place = query.strip_prefix("after=").map_or(0, |after| after.parse::<usize>().unwrap() + 1);
        match waiting.get(place) {
            Some(one) => json!({ "data": [one], "paging": { "cursors": { "after": place.to_string() } } }),
            None => json!({ "data": [] }),
        }
    }

    fn answer(&self, method: &str, path: &str, query: &str, now_s: i64) -> (u16, Value) {
        let error = |status, code| (status, json!({ "error": { "code": code, "message": "it is so" } }));
        let of = path.rsplit('/').next().unwrap_or_default();
        match (method, of) {
            ("GET", "groups") => {
                let group = json!({ "id": "G", "subject": "Tea", "created_at": (now_s - 1).to_string() });
                (200, json!({ "data": { "groups": [group] } }))
            }
            ("GET", "join_requests") => match &*self.waiting.lock().unwrap() {
                Some(waiting) => (200, Self::page(waiting, query)),
                None => error(403, 131_207),
            },
            ("DELETE", "join_requests") => {
                self.wait();
                (200, json!({ "rejected_join_requests": ["R"] }))
            }
            ("DELETE", "participants") => {
                self.wait();
                (200, json!({ "messaging_product": "whatsapp", "request_id": Graph::REQUEST }))
            }
            ("GET" | "POST", "invite_link") => {
                let mut link = self.link.lock().unwrap();
                if method == "POST" {
                    *link = Graph::NEW_LINK;
                }
                (200, json!({ "invite_link": *link }))
            }
            _ => error(500, 131_000),
        }
    }
}

fn serve(stream: TcpStream, state: &State) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.trim().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        let mut words = first.split_whitespace();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let now_s = || Timestamp::now().as_second() + state.ahead_s;
        let (status, body) = state.answer(method, path, query, now_s());
        let (body, now) = (body.to_string(), Timestamp::from_second(now_s()).unwrap());
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap();
        let length = body.len();
        let head = format!("HTTP/1.1 {status} so\r\ndate: {date}\r\ncontent-length: {length}\r\n\r\n");
        reader.get_mut().write_all((head + &body).as_bytes()).unwrap();
    }
}

/// Once it was taken for older than its creation, and the creation for failed.
#[tokio::test]
async fn a_group_is_as_old_as_the_providers_clock_says() {
    let graph = Graph::start(-BEHIND_S);
    let args = ["--meta-graph-url", &graph.url, "--meta-access-token", "t", "--command-deadline-ms", "4000"];
    let args = args.map(str::to_owned).to_vec();
    let groupfold = Groupfold::up(Options { args, ..Options::default() }).await;
    let body = json!({ "phone_number_id": NUMBER, "subject": "Tea" });
    let asked = ask(&groupfold, Method::POST, "/v1/groups", Some(body), &[]).await;
    let id = asked.json["command_id"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned();
    let command = wait_until("it was looked for", END_WAIT, async || {
        let command = groupfold.get(&format!("/v1/commands/{id}")).await.json;
        if command["detail"].is_string() && command["command_id"].is_string() {
            Ok::<Value, Value>(command)
        } else {
            Err(command)
        }
    })
    .await;
    assert_eq!((&command["status"], &command["group_id"]), (&json!("succeeded"), &json!("G")), "{command}");
}
