//! Door, log and projector as a small model, every interleaving of which is looked at: of retries, duplicates, lost
//! acknowledgements, kills, power cuts and rebuilds, up to a number of faults. The steps are those between which a
//! real process can die (`schemas/src/crash.rs`). The same model with one step done wrongly must be found out: else
//! the search proves nothing.

mod pipeline;

use std::collections::{HashMap, VecDeque};

use pipeline::{Mutation, Pipeline, Step};

/// More states than any of the searches has: one that needs more has a mistake.
const STATES_MAX: usize = 3_000_000;

/// What a search came to.
struct Search {
    states: usize,
    /// The law that was broken, and the steps that lead there.
    broken: Option<(String, Vec<Step>)>,
}

/// Looks at all states that can be reached, breadth first: what is found has the shortest way.
fn search(begin: Pipeline) -> Search {
    let mut ways: HashMap<Pipeline, Option<(Pipeline, Step)>> = HashMap::from([(begin.clone(), None)]);
    let mut next = VecDeque::from([begin]);
    while let Some(state) = next.pop_front() {
        if let Err(law) = state.holds() {
            let mut steps = Vec::new();
            let mut at = &state;
            while let Some(Some((before, step))) = ways.get(at) {
                steps.push(*step);
                at = before;
            }
            steps.reverse();
            return Search { states: ways.len(), broken: Some((law, steps)) };
        }
        for step in state.steps() {
            let after = state.after(step);
            if !ways.contains_key(&after) {
                ways.insert(after.clone(), Some((state.clone(), step)));
                next.push_back(after);
            }
        }
        assert!(ways.len() < STATES_MAX, "more than {STATES_MAX} states");
    }
    Search { states: ways.len(), broken: None }
}

#[test]
fn no_interleaving_of_retry_duplicate_kill_and_rebuild_breaks_a_law() {
    let found = search(Pipeline::new(2, None));
    println!("{} states", found.states);
    assert!(found.broken.is_none(), "{:?}", found.broken);
    // A model that can hardly move is no model.
    assert!(found.states > 20_000, "{} states", found.states);
}

#[test]
fn each_step_done_wrongly_is_found_out() {
    let expected = [
        (Mutation::PositionBeforeState, "law 5"),
        (Mutation::VisibleBeforeSync, "law 5"),
        (Mutation::AckBeforeLog, "law 1"),
        (Mutation::AckAfterFirstItem, "law 1"),
        (Mutation::ReadUnsynced, "law 11"),
        (Mutation::CountTwice, "law 6"),
        (Mutation::SwapUnfinished, "law 9"),
    ];
    for (mutation, law) in expected {
        let found = search(Pipeline::new(2, Some(mutation)));
        let (broken, steps) = found.broken.unwrap_or_else(|| panic!("{mutation:?} is not found"));
        println!("{mutation:?}: {broken} after {steps:?}");
        assert!(broken.starts_with(law), "{mutation:?}: {broken}, expected {law}");
    }
}
