use super::*;
use hyper::header::HeaderValue;
use serde_json::Value;

fn secrets(list: &[&str]) -> Secrets {
    Secrets::new(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn webhook(body: &[u8], signature: Option<&str>) -> RawWebhook {
    let mut headers = HeaderMap::new();
    if let Some(signature) = signature {
        headers.insert(SIGNATURE, HeaderValue::from_str(signature).unwrap());
    }
    RawWebhook::new(Bytes::copy_from_slice(body), &headers)
}

/// Base 64 without a crate: vectors are few.
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for c in text.chars().filter(|c| *c != '=') {
        bits = bits << 6 | u32::try_from(DIGITS.find(c).unwrap()).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    out
}

#[test]
fn every_vector_holds() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/meta/signature_vectors.json")).unwrap();
    let mut seen = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let secret = vector["app_secret"].as_str().or(vectors["app_secret"].as_str()).unwrap();
        let body = base64(vector["body_base64"].as_str().unwrap());
        let signature = vector["x_hub_signature_256"].as_str().unwrap();
        let verified = webhook(&body, Some(signature)).verify(&secrets(&[secret]));
        assert_eq!(verified.is_ok(), vector["must_verify"].as_bool().unwrap(), "{}", vector["name"]);
        seen += 1;
    }
    assert_eq!(seen, 3);
}

const BODY: &[u8] = b"what do ya want for nothing?";
const SIGNED_BY_JEFE: &str = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

#[test]
fn several_secrets_hold_and_the_one_that_signed_is_told() {
    let verified = webhook(BODY, Some(SIGNED_BY_JEFE)).verify(&secrets(&["old", "Jefe", "new"])).unwrap();
    assert_eq!(verified.secret(), 1);
    let verified = webhook(BODY, Some(SIGNED_BY_JEFE)).verify(&secrets(&["Jefe", "x"])).unwrap();
    assert_eq!(verified.secret(), 0);
    assert_eq!(verified.body().as_ref(), BODY);
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    for bit in 0..BODY.len() * 8 {
        let mut bad = BODY.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            webhook(&bad, Some(SIGNED_BY_JEFE)).verify(&secrets(&["Jefe"])).unwrap_err(),
            Error::Wrong
        );
    }
}

#[test]
fn digits_are_of_either_case() {
    let upper = format!("sha256={}", SIGNED_BY_JEFE[7..].to_uppercase());
    assert!(webhook(BODY, Some(&upper)).verify(&secrets(&["Jefe"])).is_ok());
}

#[test]
fn missing_malformed_and_wrong_are_told_apart() {
    let refused = |signature| webhook(BODY, signature).verify(&secrets(&["Jefe"])).unwrap_err();
    assert_eq!(refused(None), Error::Missing);
    let zeros = format!("sha256={}", "0".repeat(64));
    assert_eq!(refused(Some(&zeros)), Error::Wrong);
    let sha1 = SIGNED_BY_JEFE.replace("sha256", "sha1");
    for malformed in ["", "sha256=", &SIGNED_BY_JEFE[7..], &SIGNED_BY_JEFE[..70], &sha1, "sha256=zz"] {
        assert_eq!(refused(Some(malformed)), Error::Malformed, "{malformed:?}");
    }
}

#[test]
fn two_signature_headers_are_refused() {
    let mut headers = HeaderMap::new();
    headers.append(SIGNATURE, HeaderValue::from_static(SIGNED_BY_JEFE));
    headers.append(SIGNATURE, HeaderValue::from_static(SIGNED_BY_JEFE));
    let webhook = RawWebhook::new(Bytes::from_static(BODY), &headers);
    assert_eq!(webhook.verify(&secrets(&["Jefe"])).unwrap_err(), Error::Missing);
}

#[test]
fn empty_secrets_are_refused_at_start() {
    assert_eq!(Secrets::new(&[]).err(), Some(SecretError::None));
    assert_eq!(Secrets::new(&["a".into(), " ".into()]).err(), Some(SecretError::Empty { index: 1 }));
}
