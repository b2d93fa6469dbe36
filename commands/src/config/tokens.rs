//! Tokens of the API, as flags, environment and the config file tell of them.

use groupfold_projector::{Holder, Scope, Token};

use super::{Fault, Setting};

/// What a hashed token begins with.
pub(crate) const HASH: &str = "sha256:";
/// Numbers of one token, and tokens of one file: more are a mistake.
const NUMBERS_MAX: usize = 10_000;
const TOKENS_MAX: usize = 10_000;

/// The tokens of `--api-token` and its variable: each may do everything. Empty ones are told elsewhere.
pub(super) fn plain(setting: &Setting, faults: &mut Vec<Fault>) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (place, text) in (1..).zip(&setting.values) {
        match hashed(text) {
            Ok(Some(sha256)) => tokens.push(Token { sha256, ..Token::all(&format!("token {place}"), "") }),
            Ok(None) => tokens.push(Token::all(&format!("token {place}"), text)),
            Err(expected) => {
                let from = &setting.origin;
                faults.push(Fault(format!("api_token: **** (from {from}); expected {expected}")));
            }
        }
    }
    tokens
}

/// The hash of `sha256:<hex>`; `None` for a plain token.
fn hashed(text: &str) -> Result<Option<[u8; 32]>, &'static str> {
    let Some(digits) = text.trim().strip_prefix(HASH) else { return Ok(None) };
    let expected = "sha256: and 64 hex digits, as `groupfold token hash` prints them";
    let byte = |at: usize| digits.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(expected);
    }
    let mut hash = [0; 32];
    for (place, to) in hash.iter_mut().enumerate() {
        *to = byte(place * 2).ok_or(expected)?;
    }
    Ok(Some(hash))
}

/// The tokens of `[[api.tokens]]`, and of them those that are not hashed.
pub(super) fn of_file(value: &toml::Value, faults: &mut Vec<Fault>) -> (Vec<Token>, Vec<String>) {
    let (mut tokens, mut texts) = (Vec::<Token>::new(), Vec::new());
    let list = match value {
        toml::Value::Table(api) if api.keys().all(|key| key == "tokens") => {
            api.get("tokens").and_then(toml::Value::as_array)
        }
        _ => None,
    };
    let Some(list) = list.filter(|list| list.len() <= TOKENS_MAX) else {
        faults.push(Fault("api: expected [[api.tokens]] alone below it, each a table".to_owned()));
        return (tokens, texts);
    };
    for (place, one) in (1..).zip(list) {
        match token(one, &mut texts) {
            Ok(token) if tokens.iter().any(|other| other.name == token.name) => {
                faults.push(Fault(format!("api.tokens: the name {:?} is there twice", token.name)));
            }
            Ok(token) => tokens.push(token),
            Err(why) => faults.push(Fault(format!("api.tokens: number {place}: {why}"))),
        }
    }
    (tokens, texts)
}

/// Of those that are not hashed the first that is bound to no number, for what a bound one sees is not all there is; one
/// that may operate before one that reads.
pub(super) fn of_all(tokens: &[Token], plain: &[String]) -> Option<String> {
    let token = |text: &String| {
        let sha256 = Token::all("", text).sha256;
        tokens.iter().find(|token| token.sha256 == sha256 && token.phone_number_ids.is_none())
    };
    let found = |operates: bool| {
        plain
            .iter()
            .find(|text| token(text).is_some_and(|one| one.scopes.contains(&Scope::Operate) == operates))
    };
    found(true).or_else(|| found(false)).cloned()
}

fn token(value: &toml::Value, texts: &mut Vec<String>) -> Result<Token, String> {
    let table = value.as_table().ok_or("expected a table")?;
    let known = ["name", "hash", "token", "scopes", "phone_number_ids", "requests_per_second"];
    if let Some(unknown) = table.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("unknown key {unknown}; expected {}", known.join(", ")));
    }
    let text =
        |key: &str| table.get(key).map(|value| value.as_str().map(str::trim)).map(|text| text.unwrap_or(""));
    let name = text("name").filter(|name| !name.is_empty()).ok_or("expected a name")?;
    let sha256 = match (text("hash"), text("token")) {
        (Some(hash), None) => hashed(hash)?.ok_or("hash: expected sha256: and 64 hex digits")?,
        (None, Some(plain)) if !plain.is_empty() => {
            texts.push(plain.to_owned());
            match hashed(plain)? {
                Some(hash) => hash,
                None => Token::all(name, plain).sha256,
            }
        }
        _ => return Err("expected a hash (or a token), and one of them".to_owned()),
    };
    let scopes = match table.get("scopes") {
        None => vec![Scope::Read],
        Some(scopes) => self::scopes(scopes)?,
    };
    let phone_number_ids = table.get("phone_number_ids").map(numbers).transpose()?;
    let requests_per_second = match table.get("requests_per_second") {
        None => None,
        Some(number) => {
            let number = number.as_integer().and_then(|number| u32::try_from(number).ok());
            Some(number.filter(|n| *n > 0).ok_or("requests_per_second: expected a whole number from 1 on")?)
        }
    };
    let (name, holder) = (name.to_owned(), Holder::Name);
    Ok(Token { name, holder, sha256, scopes, phone_number_ids, requests_per_second })
}

fn scopes(value: &toml::Value) -> Result<Vec<Scope>, String> {
    let names = Scope::ALL.map(Scope::name).join(", ");
    let expected = || format!("scopes: expected a list of {names}");
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(expected)?;
    list.iter().map(|one| one.as_str().and_then(Scope::from_name).ok_or_else(expected)).collect()
}

/// Some numbers: an empty list would be a token for nothing, or a slip.
fn numbers(value: &toml::Value) -> Result<Vec<String>, String> {
    let expected = "phone_number_ids: expected a list of at least one id, as texts";
    let list = value.as_array().filter(|list| (1..=NUMBERS_MAX).contains(&list.len())).ok_or(expected)?;
    let text = |one: &toml::Value| one.as_str().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
    list.iter().map(text).collect::<Option<_>>().ok_or_else(|| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_ask_by_a_token_bound_to_no_number_that_may_operate_if_there_is_one() {
        let table =
            |name: &str, rest: &str| format!("[[tokens]]\nname = \"{name}\"\ntoken = \"{name}\"\n{rest}\n");
        let bound = table("bound", "scopes = [\"read\", \"operate\"]\nphone_number_ids = [\"1\"]");
        let reader = table("reader", "scopes = [\"read\"]");
        let operator = table("operator", "scopes = [\"read\", \"operate\"]");
        let chosen = |tables: &[&String]| {
            let text: String = tables.iter().map(|table| table.as_str()).collect();
            let mut faults = Vec::new();
            let (tokens, plain) = of_file(&toml::Value::Table(text.parse().unwrap()), &mut faults);
            assert!(faults.is_empty(), "{text}");
            of_all(&tokens, &plain)
        };
        assert_eq!(chosen(&[&bound]), None);
        assert_eq!(chosen(&[&bound, &reader]).as_deref(), Some("reader"));
        assert_eq!(chosen(&[&bound, &reader, &operator]).as_deref(), Some("operator"));
    }
}
