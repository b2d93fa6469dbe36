//! The report for people, and for scripts.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::args::Output;
use crate::figures::Spread;
use crate::report::{Aim, Measurement, Report, Verdict, Wanted};

pub(crate) fn report(report: &Report, earlier: Option<&Report>, output: Output) {
    if output == Output::Json {
        println!("{}", serde_json::to_string(report).expect("a report prints"));
        return;
    }
    println!("{}", machine(report));
    println!("{}", measurements(&report.measurements));
    for fit in &report.fits {
        let Some(line) = fit.line else { continue };
        let points: Vec<_> =
            fit.points.iter().map(|(events, seconds)| format!("{events:.0}: {seconds:.2} s")).collect();
        println!(
            "{}: {:.2} s + {:.3} s per 100,000 events, r² {:.4} ({})",
            fit.what,
            line.at_zero,
            line.slope * 100_000.0,
            line.r_squared,
            points.join(", ")
        );
    }
    for note in &report.notes {
        println!("{note}");
    }
    println!("\n{}", aims(&report.aims, earlier));
    let count = |verdict| report.aims.iter().filter(|aim| aim.verdict == verdict).count();
    let (met, not_met, void) = (count(Verdict::Met), count(Verdict::NotMet), count(Verdict::Void));
    let small = report.aims.len() - met - not_met - void;
    println!("{met} met, {not_met} not met, {void} void, {small} not judged by so small a run");
}

fn machine(report: &Report) -> String {
    let machine = &report.machine;
    format!(
        "{} cores of {}, {:.0} GiB, {}, {}\n{}, {}\nload average before {}, after {}; {} round(s) in turn, medians with least and most\n",
        machine.cores,
        machine.cpu,
        machine.memory_gib,
        machine.kernel,
        machine.file_system,
        machine.groupfold,
        machine.nats_server,
        machine.load_before,
        machine.load_after,
        report.rounds
    )
}

fn measurements(all: &[Measurement]) -> Table {
    let mut table = table([
        "PART",
        "CONDITION",
        "DURABILITY",
        "WHO",
        "RATE",
        "p50 ms",
        "p99 ms",
        "CPU µs own",
        "broker",
        "RSS MiB",
        "ACKNOWLEDGED",
        "LANDED",
    ]);
    for one in all {
        let count = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
        let landed = one.void.as_ref().map_or_else(|| count(one.landed), |why| format!("VOID: {why}"));
        table.add_row([
            one.part.clone(),
            one.condition.clone(),
            one.durability.clone(),
            one.who.clone(),
            one.rate.map_or_else(String::new, |rate| format!("{} {}", whole(rate), one.unit)),
            spread(one.p50_ms),
            spread(one.p99_ms),
            spread(one.cpu_own_us),
            spread(one.cpu_broker_us),
            one.rss_mib.map_or_else(String::new, |mib| format!("{mib:.0}")),
            count(one.acknowledged),
            landed,
        ]);
    }
    for index in 4..11 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn aims(all: &[Aim], earlier: Option<&Report>) -> Table {
    let mut heads = vec!["AIM", "WHAT", "DURABILITY", "FOUND", "WANTED", "VERDICT"];
    heads.extend(earlier.map(|_| "BEFORE"));
    let mut table = table(heads);
    for aim in all {
        let mut row = vec![
            aim.aim.to_string(),
            aim.what.clone(),
            aim.durability.clone(),
            spread(aim.found),
            match aim.wanted {
                Wanted::AtLeast(bound) => format!("≥ {bound}"),
                Wanted::AtMost(bound) => format!("≤ {bound}"),
            },
            match aim.verdict {
                Verdict::Met => "met".to_owned(),
                Verdict::NotMet => "NOT MET".to_owned(),
                Verdict::Void => "VOID".to_owned(),
                Verdict::SmallRun(events) => format!("from {events} events on"),
            },
        ];
        if let Some(earlier) = earlier {
            let same =
                |one: &&Aim| (one.aim, &one.what, &one.durability) == (aim.aim, &aim.what, &aim.durability);
            row.push(spread(earlier.aims.iter().find(same).and_then(|one| one.found)));
        }
        table.add_row(row);
    }
    table
}

fn table<'a>(heads: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads);
    table
}

/// A figure with its range, to three digits or so.
fn spread(spread: Option<Spread>) -> String {
    let Some(Spread { median, least, most }) = spread else { return String::new() };
    let digits = match median.abs() {
        at_least_100 if at_least_100 >= 100.0 => 0,
        at_least_10 if at_least_10 >= 10.0 => 1,
        _ => 2,
    };
    format!("{median:.digits$} [{least:.digits$}–{most:.digits$}]")
}

fn whole(Spread { median, least, most }: Spread) -> String {
    format!("{median:.0} [{least:.0}–{most:.0}]")
}
