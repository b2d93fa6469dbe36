//! `groupfold events catalogue`: every kind of event, for those who build on them. Documents and JSON Schemas come from
//! the list of columns and the list of kinds; the examples are laid out by the code that lays out events.

mod kinds;
mod markdown;
mod samples;
mod schema;

use std::path::PathBuf;

use clap::Args;

use crate::exit::Failure;
use crate::print;

/// The kinds of events and what each says, as Markdown, or with JSON Schemas as files.
#[derive(Args, Debug)]
pub(crate) struct CatalogueArgs {
    /// Write events.md and json-schemas/*.json into this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// The names of all kinds, in the order of the documentation.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    kinds::KINDS.iter().map(|kind| kind.name)
}

/// Prints or writes it.
pub(crate) fn run(args: &CatalogueArgs) -> Result<(), Failure> {
    let Some(folder) = &args.out else { return print::text(markdown::document().trim_end()) };
    let schemas = folder.join("json-schemas");
    std::fs::create_dir_all(&schemas)
        .map_err(|error| Failure::failed(&format!("cannot write {}", schemas.display()), &error))?;
    let files = [
        (folder.join("events.md"), markdown::document()),
        (schemas.join("event.json"), schema::event()),
        (schemas.join("cloudevent.json"), schema::cloud_event()),
    ];
    for (path, text) in files {
        std::fs::write(&path, text)
            .map_err(|error| Failure::failed(&format!("cannot write {}", path.display()), &error))?;
        print::text(&path.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::events::data;

    #[test]
    fn every_kind_is_told_of_once_and_its_example_is_one_of_it() {
        assert_eq!(names().collect::<BTreeSet<_>>().len(), kinds::KINDS.len());
        for kind in kinds::KINDS {
            let sample = samples::of(kind.name);
            assert_eq!(sample.name(), kind.name);
            let fields: BTreeSet<&str> = kind.fields.iter().map(|field| field.name).collect();
            let value = serde_json::to_value(data::of_kind(&sample)).unwrap();
            let used: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(used.is_subset(&fields), "{}: {used:?} is not in {fields:?}", kind.name);
        }
    }

    /// A time that is named in another way than most became a pseudonym.
    #[test]
    fn all_times_stay_when_persons_are_replaced() {
        use crate::events::{json::Json, redact::Redactor, row::Cell, shape::rfc3339};

        let redactor = Redactor::new("0123456789abcdef").unwrap();
        let fields = kinds::KINDS.iter().flat_map(|kind| kind.fields);
        let times = fields.filter(|field| matches!(field.of, kinds::Of::Time));
        let times: BTreeSet<&'static str> = times.map(|field| field.name).collect();
        assert!(times.contains("read_until"), "{times:?}");
        let time = |name: &'static str| (name, Json::from(rfc3339(1_767_225_600_800)));
        let mut row = vec![Cell::Json(Json::object(times.into_iter().map(time).collect()))];
        let whole = row.clone();
        redactor.row(&mut row);
        assert_eq!(row, whole);
    }
}
