//! Access tokens: one for all numbers, or one per number. No way of printing shows them.

use std::collections::BTreeMap;

/// An access token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(****)")
    }
}

impl Token {
    /// For the `Authorization` header alone.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// The tokens that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    by_number: BTreeMap<String, Token>,
    fallback: Option<Token>,
}

impl Tokens {
    /// Reads `[PHONE_NUMBER_ID=]TOKEN`, each; of two for one number the last holds.
    ///
    /// # Errors
    /// What is wrong, without the text itself.
    pub(crate) fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, &'static str> {
        let mut tokens = Self::default();
        for text in texts {
            // A token may end with `=` itself: only digits before the first one are a number's id.
            let (number, token) = match text.trim().split_once('=') {
                Some((number, token)) if is_id(number) => (Some(number.trim()), token.trim()),
                _ => (None, text.trim()),
            };
            if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
                return Err("[PHONE_NUMBER_ID=]TOKEN, the token of printable ASCII without blanks");
            }
            let token = Token(token.to_owned());
            match number {
                Some(number) => {
                    tokens.by_number.insert(number.to_owned(), token);
                }
                None => tokens.fallback = Some(token),
            }
        }
        Ok(tokens)
    }

    /// Adds others, which win.
    pub(crate) fn add(&mut self, others: Self) {
        self.by_number.extend(others.by_number);
        self.fallback = others.fallback.or(self.fallback.take());
    }

    /// The lines of a file, without blank ones and those that begin with `#`.
    pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    }

    /// The token to use for a number.
    pub(crate) fn of(&self, phone_number_id: &str) -> Option<&Token> {
        self.by_number.get(phone_number_id).or(self.fallback.as_ref())
    }

    /// No token is known at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_number.is_empty() && self.fallback.is_none()
    }
}

fn is_id(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_its_own_token_or_the_common_one_and_none_is_printed() {
        let file = "# the numbers\n\n 111=EAAone \nEAAall==\n";
        let tokens = Tokens::parse(Tokens::lines(file)).unwrap();
        assert_eq!(tokens.of("111").unwrap().reveal(), "EAAone");
        assert_eq!(tokens.of("222").unwrap().reveal(), "EAAall==");
        let printed = format!("{tokens:?}");
        assert!(!printed.contains("EAA") && printed.contains("****"), "{printed}");
        for bad in ["", "111=", "two words", "tab\there"] {
            let error = Tokens::parse([bad]).unwrap_err();
            assert!(!error.contains("words"));
        }
    }
}
