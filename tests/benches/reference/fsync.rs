//! What the disk can do.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A folder on the disk that is asked about
    #[arg(long)]
    folder: PathBuf,
    #[arg(long, default_value_t = 889)]
    bytes: usize,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

pub(crate) fn run(args: &Args) {
    let path = args.folder.join("fsync");
    let mut file = File::create(&path).expect("a file can be made");
    let payload = vec![b'x'; args.bytes];
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(args.seconds);
    let mut done = 0_u64;
    while Instant::now() < end {
        file.write_all(&payload).expect("the disk takes it");
        file.sync_data().expect("the disk syncs");
        done += 1;
    }
    let seconds = began.elapsed().as_secs_f64();
    let _ = std::fs::remove_file(&path);
    println!("{}", serde_json::json!({"done": done, "seconds": seconds}));
}
