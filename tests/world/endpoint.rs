//! Somebody's endpoint: answers as it is told and keeps what it took.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What came in one POST.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Post {
    /// A header's value by its name in lower case; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

pub(crate) struct Endpoint {
    pub(crate) url: String,
    taken: Arc<Mutex<Vec<Post>>>,
}

impl Endpoint {
    /// `answer` gives the status for the n-th request, the first being 1.
    pub(crate) fn start(answer: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let taken = Arc::new(Mutex::new(Vec::new()));
        let keep = taken.clone();
        let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        // Ends with the test's process: it waits for connections that no longer come.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, count, keep) = (answer.clone(), count.clone(), keep.clone());
                std::thread::spawn(move || serve(stream, &count, &*answer, &keep));
            }
        });
        Self { url, taken }
    }

    /// All that was answered 200, in the order in which it came.
    pub(crate) fn taken(&self) -> Vec<Post> {
        self.taken.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, count: &AtomicUsize, answer: &impl Fn(usize) -> u16, keep: &Mutex<Vec<Post>>) {
    let mut reader = BufReader::new(stream);
    while let Some(post) = read(&mut reader) {
        let status = answer(count.fetch_add(1, Ordering::SeqCst) + 1);
        if status == 200 {
            keep.lock().unwrap().push(post);
        }
        let head = format!("HTTP/1.1 {status} so\r\ncontent-length: 0\r\n\r\n");
        if reader.get_mut().write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Post> {
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None if line.trim().is_empty() => break,
            None => continue,
        };
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some(Post { headers, body })
}
