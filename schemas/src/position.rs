//! A position in the log: `partition:sequence`, several joined by commas (`3:1234,5:88`).
//!
//! What the receiver answers, what readers wait for and what feeds resume from.

use std::collections::BTreeMap;

/// Sequences by partition, printed in the order of partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position(BTreeMap<u16, u64>);

/// Why a text is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part:?} is not `partition:sequence`; a position looks like 3:1234,5:88")]
pub struct Error {
    part: String,
}

impl Position {
    /// Raises the position of one partition; never lowers it.
    pub fn raise(&mut self, partition: u16, sequence: u64) {
        let at = self.0.entry(partition).or_default();
        *at = (*at).max(sequence);
    }

    /// Raises to all of another position.
    pub fn join(&mut self, other: &Self) {
        for (partition, sequence) in other.iter() {
            self.raise(partition, sequence);
        }
    }

    /// The sequence of one partition, if the position names it.
    #[must_use]
    pub fn get(&self, partition: u16) -> Option<u64> {
        self.0.get(&partition).copied()
    }

    /// All parts, by partition.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.0.iter().map(|(&p, &s)| (p, s))
    }

    /// True if no partition is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(u16, u64)> for Position {
    fn from_iter<I: IntoIterator<Item = (u16, u64)>>(parts: I) -> Self {
        let mut position = Self::default();
        for (partition, sequence) in parts {
            position.raise(partition, sequence);
        }
        position
    }
}

impl std::str::FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.split(',').filter(|part| !part.is_empty()).map(parse_part).collect()
    }
}

fn parse_part(part: &str) -> Result<(u16, u64), Error> {
    part.trim()
        .split_once(':')
        .and_then(|(partition, sequence)| Some((partition.parse().ok()?, sequence.parse().ok()?)))
        .ok_or_else(|| Error { part: part.to_owned() })
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (partition, sequence)) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{partition}:{sequence}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_reads() {
        let position: Position = "5:88,3:1234".parse().unwrap();
        assert_eq!(position.to_string(), "3:1234,5:88");
        assert_eq!(position.get(5), Some(88));
        assert!("".parse::<Position>().unwrap().is_empty());
        for bad in ["3", "3:", ":4", "a:1", "70000:1", "1:-1"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
