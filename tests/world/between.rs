//! What stands between a verb and the API, such as a proxy, answers for it: the verb says what it heard.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use groupfold_tests::Groupfold;

/// Answers every request so, for as long as the test runs.
fn answering(head: &'static str, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // To its end, a blank line: what is unread when the connection closes resets it, and the answer is lost.
            let (mut asked, mut byte) = (Vec::new(), [0]);
            while !asked.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                asked.push(byte[0]);
            }
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
        }
    });
    addr
}

/// It was taken for nobody who answers, and its status was not told.
#[test]
fn an_answer_that_is_none_of_the_apis_is_told_with_its_status() {
    let page = "<html>\n<body><h1>Bad Gateway</h1></body>\n</html>";
    let html = answering("502 Bad Gateway", page);
    let busy = answering("503 Service Unavailable", "");
    let other = answering("200 OK", page);
    for (addr, code, says) in
        [(html, 75, "502 Bad Gateway: <html> <body><h1>"), (busy, 75, "503"), (other, 69, "address right?")]
    {
        for verb in [vec!["group", "list"], vec!["usage"], vec!["verify"], vec!["rebuild"]] {
            let mut command = Groupfold::command();
            let output = command.args(&verb).args(["--api-url", &format!("http://{addr}")]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{verb:?}: {said}");
            assert!(said.contains(says) && said.trim().lines().count() == 1, "{verb:?}: {said}");
        }
    }
}
