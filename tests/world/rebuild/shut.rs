//! Stopped stores that cannot be worked on: one whose database does not open, and those of another user.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use groupfold_schemas::log::partition_of;

use super::{GROUP, digest, groupfold, stopped_after_a_story, told};

/// Force was advised to whoever had used it.
#[tokio::test]
async fn of_a_store_that_does_not_open_it_is_said_to_start_the_process_not_to_use_force() {
    let (nats, mut up, before) = stopped_after_a_story().await;
    let partition = partition_of(GROUP, 8);
    let database = up.data().join(format!("store/{partition}/db"));
    let bytes = std::fs::metadata(&database).unwrap().len();
    std::fs::write(&database, vec![0xff; usize::try_from(bytes).unwrap()]).unwrap();
    let advice =
        format!("the store of partition {partition} does not open: start `groupfold project` (or `up`)");
    let url = nats.url();
    for (verb, args) in [("verify", &[][..]), ("rebuild", &[][..]), ("rebuild", &["--force"][..])] {
        let args = [&["--nats-url", url.as_str()], args].concat();
        let (code, _, said) = told(&groupfold(verb, &up.data(), &args));
        assert!(
            code == Some(3) && said.contains(&advice) && !said.contains("--force"),
            "{verb}: {code:?}: {said}"
        );
    }
    up.restart().await;
    assert_eq!(digest(&up).await, before);
}

/// What others than the owner of files below a folder own.
fn not_of(owner: u32, folder: &Path) -> Vec<String> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                folders.push(path.clone());
            }
            if meta.uid() != owner {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

/// They were left with files of root's, and their owner's next start ended with `Permission denied`. Nobody but root can
/// give files to another user: for others this test looks at nothing.
#[tokio::test]
async fn stopped_stores_of_another_user_are_refused_and_the_doctor_names_files_of_others() {
    const NOBODY: u32 = 65_534;
    let (nats, up, _) = stopped_after_a_story().await;
    let store = up.data().join("store");
    let given = Command::new("chown").arg("-R").arg(NOBODY.to_string()).arg(&store).output();
    if !given.is_ok_and(|output| output.status.success()) {
        return;
    }
    for verb in ["verify", "rebuild"] {
        let (code, _, said) = told(&groupfold(verb, &up.data(), &["--nats-url", &nats.url()]));
        assert!(code == Some(1) && said.contains("sudo -u '#65534' groupfold"), "{verb}: {code:?}: {said}");
    }
    assert_eq!(not_of(NOBODY, &store), Vec::<String>::new());

    let mine = store.join(format!("{}/db", partition_of(GROUP, 8)));
    assert!(Command::new("chown").arg("0").arg(&mine).status().unwrap().success());
    let (_, doctor, _) = told(&groupfold("doctor", &up.data(), &[]));
    let findings = doctor["findings"].as_array().unwrap();
    let finding = findings.iter().find(|one| one["mend"].to_string().contains("chown -R --reference="));
    let reason = finding.unwrap_or_else(|| panic!("{doctor:#}"))["reason"].as_str().unwrap();
    assert!(reason.contains(&mine.display().to_string()), "{reason}");
}
