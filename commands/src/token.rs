//! `groupfold token`: tokens of the API, made and hashed.

use std::io::Read;

use clap::Subcommand;
use groupfold_projector::Token;
use serde_json::json;

use crate::cli::Output;
use crate::config::HASH;
use crate::data::random_hex;
use crate::exit::Failure;
use crate::print;

/// Longest token that is read.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Tokens of the API: make one, hash one.
#[derive(clap::Args, Debug)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Subcommand, Debug)]
enum TokenVerb {
    /// Make a token; it is printed once, the settings keep its hash
    New(NewArgs),
    /// Hash a token that is read from stdin
    Hash(HashArgs),
}

#[derive(clap::Args, Debug)]
struct NewArgs {
    /// Who has it, for audit lines
    #[arg(long, default_value = "reader")]
    name: String,
    /// What it is good for; repeatable
    #[arg(long, value_name = "SCOPE", value_parser = ["read", "read-links", "operate"], default_value = "read")]
    scope: Vec<String>,
    /// Business number whose groups it may see; repeatable (default: all)
    #[arg(long, value_name = "ID")]
    phone_number_id: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(clap::Args, Debug)]
struct HashArgs {
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

/// `groupfold token new|hash`.
pub(crate) fn run(args: TokenArgs) -> Result<(), Failure> {
    match args.verb {
        TokenVerb::New(args) => new(args),
        TokenVerb::Hash(args) => hash(args.output),
    }
}

fn new(args: NewArgs) -> Result<(), Failure> {
    let token = format!("gf_{}", random_hex()?);
    let hash = hash_of(&token);
    let NewArgs { name, scope, phone_number_id, output } = args;
    if output == Output::Json {
        let numbers = Some(phone_number_id).filter(|numbers| !numbers.is_empty());
        let line = json!({
            "token": token, "name": name, "hash": hash, "scopes": scope, "phone_number_ids": numbers,
        });
        return print::json(&line.to_string());
    }
    let numbers = if phone_number_id.is_empty() {
        String::new()
    } else {
        format!("\nphone_number_ids = {}", json!(phone_number_id))
    };
    print::text(&format!(
        "{token}\n\nThis is printed once. For the --config file of `groupfold project` or `up`:\n\n[[api.tokens]]\n\
         name = {}\nhash = \"{hash}\"\nscopes = {}{numbers}",
        json!(name),
        json!(scope),
    ))
}

fn hash(output: Output) -> Result<(), Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::failed("cannot read the token from stdin", &error))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::Usage(
            "the token is read from stdin, which is empty: printf %s TOKEN | groupfold token hash".into(),
        ));
    }
    print::either(output, || json!({ "hash": hash_of(token) }).to_string(), || hash_of(token))
}

fn hash_of(token: &str) -> String {
    format!("{HASH}{}", groupfold_schemas::id::hex(&Token::all("", token).sha256))
}

#[cfg(test)]
mod tests {
    use groupfold_projector::Scope;

    #[test]
    fn the_flag_takes_the_scopes_that_there_are() {
        assert_eq!(Scope::ALL.map(Scope::name), ["read", "read-links", "operate"]);
    }
}
