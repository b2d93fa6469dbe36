//! The parameters that a route has, as the API's description says it. Others are ignored, as proxies and browsers add
//! some; but not those that are nearly one of them, and not those that narrow what another route answers, as whoever asks
//! meant it.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use axum::extract::MatchedPath;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, ParameterIn};

use crate::api::openapi;
use crate::problem::Problem;

/// Shorter names are near to anything.
const NEAR_CHARS_MIN: usize = 4;

/// Names by route.
static KNOWN: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(|| {
    let paths = openapi::document("").paths.paths.into_iter();
    paths
        .map(|(route, path)| {
            let operations = [path.get, path.put, path.post, path.delete, path.patch];
            (route, operations.into_iter().flatten().flat_map(names).collect())
        })
        .collect()
});

/// Of any route, but for those that do not change what is told of.
static NARROWING: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let names = KNOWN.values().flatten().map(String::as_str);
    names.filter(|name| !["limit", "cursor", "lang", "min_position", "wait_ms"].contains(name)).collect()
});

fn names(operation: Operation) -> Vec<String> {
    let parameters = operation.parameters.unwrap_or_default().into_iter();
    let named = parameters.filter_map(|one| match one {
        RefOr::T(one) => (one.parameter_in == ParameterIn::Query).then_some(one.name),
        RefOr::Ref(_) => None,
    });
    named.collect()
}

/// Refuses what is nearly a parameter of the route, and what other routes have and this one cannot heed.
pub(super) fn check(route: &MatchedPath, pairs: &[(String, String)]) -> Result<(), Problem> {
    if pairs.is_empty() {
        return Ok(());
    }
    let Some(known) = KNOWN.get(route.as_str()) else { return Ok(()) };
    for (found, value) in pairs.iter().filter(|(found, _)| !known.contains(found)) {
        if let Some(meant) = known.iter().find(|name| is_near(found, name)) {
            return Err(Problem::unknown_parameter(found, meant));
        }
        if !value.is_empty() && NARROWING.contains(found.as_str()) {
            return Err(Problem::parameter_of_others(found, known));
        }
    }
    Ok(())
}

/// True if names differ by one letter that is wrong, missing, too many or swapped with the next, or in how words are joined.
fn is_near(found: &str, known: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_").into_bytes();
    let (found, known) = (plain(found), plain(known));
    if known.len() < NEAR_CHARS_MIN {
        return false;
    }
    let begin = found.iter().zip(&known).take_while(|(one, other)| one == other).count();
    let (found, known) = (&found[begin..], &known[begin..]);
    let end = found.iter().rev().zip(known.iter().rev()).take_while(|(one, other)| one == other).count();
    match (&found[..found.len() - end], &known[..known.len() - end]) {
        ([one, two], [three, four]) => one == four && two == three,
        (found, known) => found.len() <= 1 && known.len() <= 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_near_and_what_proxies_add_is_not() {
        for (found, known) in [
            ("visible-to", "visible_to"),
            ("Visible_To", "visible_to"),
            ("stauts", "status"),
            ("statu", "status"),
            ("statuses", "status"),
            ("lable", "label"),
            ("groups", "group"),
            ("kund", "kind"),
        ] {
            assert_eq!(is_near(found, known), found != "statuses", "{found}");
        }
        for found in ["_", "t", "utm_source", "utm_medium", "fbclid", "v", "colour", "pretty"] {
            let near: Vec<&String> = KNOWN.values().flatten().filter(|known| is_near(found, known)).collect();
            assert!(near.is_empty(), "{found} is near {near:?}");
        }
    }

    #[test]
    fn no_parameter_of_a_route_is_near_another_one_of_it() {
        assert!(KNOWN["/v1/groups"].contains(&"visible_to".to_owned()));
        for (route, names) in KNOWN.iter() {
            for name in names {
                let near: Vec<_> =
                    names.iter().filter(|other| *other != name && is_near(name, other)).collect();
                assert!(near.is_empty(), "{route}: {name} is near {near:?}");
            }
        }
    }
}
