//! `groupfold failed raw`.

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use groupfold_schemas::v1;
use serde_json::json;

use super::RawArgs;
use super::show::find;
use crate::cli::Output;
use crate::exit::Failure;
use crate::print;

pub(super) async fn run(args: RawArgs) -> Result<(), Failure> {
    let (_, _, failed) = find(&args.one).await?;
    match args.output {
        Output::Table => bytes(&failed.raw),
        Output::Json => print::json(&to_json(&failed)),
    }
}

/// The bytes alone, without as much as a line end.
fn bytes(raw: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(raw).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed("cannot print", &error))
        }
        _ => Ok(()),
    }
}

/// A text of JSON holds no bytes that are no UTF-8: these are in base64.
fn to_json(failed: &v1::FailedWebhook) -> String {
    let (encoding, raw) = match std::str::from_utf8(&failed.raw) {
        Ok(text) => ("utf-8", text.to_owned()),
        Err(_) => ("base64", BASE64_STANDARD.encode(&failed.raw)),
    };
    json!({ "failed_id": failed.failed_id, "encoding": encoding, "raw": raw }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_as_a_text_where_they_are_one_and_else_in_base64() {
        for (raw, encoding, told) in
            [(&b"{\"a\": \"\xc3\xa9\"}\n"[..], "utf-8", "{\"a\": \"é\"}\n"), (b"f\xff", "base64", "Zv8=")]
        {
            let failed = v1::FailedWebhook {
                failed_id: "00ff".into(),
                raw: raw.to_vec().into(),
                ..Default::default()
            };
            let read: serde_json::Value = serde_json::from_str(&to_json(&failed)).unwrap();
            assert_eq!(read, json!({ "failed_id": "00ff", "encoding": encoding, "raw": told }));
        }
    }
}
