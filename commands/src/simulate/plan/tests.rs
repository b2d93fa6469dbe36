use clap::Parser;
use serde_json::Value;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: SimulateArgs,
}

fn plan(flags: &str) -> Plan {
    let flags = std::iter::once("simulate").chain(flags.split_whitespace());
    Plan::new(&Cli::parse_from(flags).args, "secret")
}

fn posts(mut plan: Plan) -> Vec<Post> {
    std::iter::from_fn(move || plan.next_post()).collect()
}

const ALL: &str = "--events 3000 --duplicates 10% --reorder 20 --bad 3 --wrong-signatures 2";

#[test]
fn a_seed_tells_one_story() {
    let bodies = |seed| {
        let posts = posts(plan(&format!("{ALL} --seed {seed}")));
        posts.into_iter().map(|post| (post.body, post.signature)).collect::<Vec<_>>()
    };
    assert_eq!(bodies(4), bodies(4));
    assert_ne!(bodies(4), bodies(5));
}

#[test]
fn disorder_and_duplicates_do_not_change_the_story() {
    let sorted = |flags| {
        let mut bodies: Vec<_> = posts(plan(flags)).into_iter().map(|post| post.body).collect();
        bodies.sort();
        bodies.dedup();
        bodies
    };
    assert_eq!(
        sorted("--events 2000 --batch 1"),
        sorted("--events 2000 --batch 1 --duplicates 30 --reorder 30")
    );
}

#[test]
fn every_post_is_what_it_says() {
    let posts = posts(plan(ALL));
    let mut duplicates = 0;
    for post in &posts {
        let right = Some(signature("secret", &post.body));
        assert_eq!(post.signature == right, post.why != Why::Forged);
        assert!(post.body.is_ascii());
        assert!(post.bad <= post.items && post.items > 0);
        duplicates += usize::from(post.why == Why::Duplicate);
        match serde_json::from_slice::<Value>(&post.body) {
            Err(_) => assert_eq!((post.items, post.bad), (1, 1)),
            Ok(body) => assert_eq!(items_of(&body), post.items, "{body}"),
        }
    }
    let share = |n: usize| n * 100 / posts.len();
    assert!((6..=12).contains(&share(duplicates)), "{duplicates} of {}", posts.len());
    assert!((10..=25).contains(&share(posts.iter().filter(|post| post.late).count())));
    assert!(posts.iter().any(|post| post.why == Why::Forged) && posts.iter().any(|post| post.bad > 0));
}

fn items_of(body: &Value) -> usize {
    let arrays = ["groups", "statuses", "messages", "errors"];
    let changes = |entry: &Value| entry["changes"].as_array().unwrap().clone();
    body["entry"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(changes)
        .flat_map(|change| arrays.map(|array| change["value"][array].as_array().map_or(0, Vec::len)))
        .sum()
}
