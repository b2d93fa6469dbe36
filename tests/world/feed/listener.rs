//! A reader of server-sent events, as a browser has one.

use groupfold_tests::{Answer, Groupfold, http};

/// Longest that a reader stays: what it reads may have to be published first.
const LISTENS_MAX: std::time::Duration = std::time::Duration::from_secs(600);

/// One block of the stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) comment: bool,
}

pub(crate) struct Listener {
    response: reqwest::Response,
    text: String,
}

impl Listener {
    /// Connects, or says what the server answered instead.
    pub(crate) async fn open(
        groupfold: &Groupfold,
        query: &str,
        after: Option<&str>,
    ) -> Result<Self, Answer> {
        let mut request = http::client().get(groupfold.api_url(&format!("/v1/changes{query}")));
        if let Some(token) = &groupfold.addresses().api_token {
            request = request.bearer_auth(token);
        }
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after);
        }
        let response = request.timeout(LISTENS_MAX).send().await.unwrap();
        if response.status() != 200 {
            return Err(http::read(response).await.unwrap());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Ok(Self { response, text: String::new() })
    }

    /// The position that the answer named.
    pub(crate) fn position(&self) -> Option<String> {
        let header = self.response.headers().get("groupfold-position")?;
        Some(header.to_str().unwrap().to_owned())
    }

    /// The next block; `None` when the connection ends or breaks.
    pub(crate) async fn block(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let event = parse(block);
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).ok()?);
        }
    }

    /// The next event with data.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            let event = self.block().await?;
            if event.data.is_some() {
                return Some(event);
            }
        }
    }
}

fn parse(block: &str) -> Event {
    let mut event = Event::default();
    for line in block.lines() {
        match line.split_once(": ").unwrap_or((line, "")) {
            ("id", text) => event.id = Some(text.to_owned()),
            ("event", text) => event.kind = Some(text.to_owned()),
            ("data", text) => event.data = Some(text.to_owned()),
            ("", _) => event.comment = true,
            ("retry", _) => {}
            other => panic!("{other:?}"),
        }
    }
    event
}
