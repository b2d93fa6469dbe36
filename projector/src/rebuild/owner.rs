//! Whose the stores are. Whoever works on stopped ones as somebody else, root say, leaves files that their owner cannot open
//! at the next start.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::store::Error;

/// Refuses to work on stores of another user.
///
/// # Errors
/// They are another user's, or cannot be looked at.
pub(super) fn check(root: &Path) -> Result<(), Error> {
    let io = |doing, source| Error::Io { doing, path: root.to_owned(), source };
    let owner = std::fs::metadata(root).map_err(|source| io("look at", source))?.uid();
    match refusal(owner, rustix::process::geteuid().as_raw()) {
        Some(why) => Err(io("work on", std::io::Error::new(std::io::ErrorKind::PermissionDenied, why))),
        None => Ok(()),
    }
}

fn refusal(owner: u32, me: u32) -> Option<String> {
    (owner != me).then(|| {
        format!(
            "it belongs to user {owner}, who could not open what user {me} leaves there; the same as its owner: \
             `sudo -u '#{owner}' groupfold …`, or by `systemd-run` where systemd made that user (deploy/RUNBOOK.md, Rebuild \
             and verify)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_of_another_user_are_refused_and_the_command_line_that_works_is_named() {
        assert_eq!(refusal(995, 995), None);
        let why = refusal(995, 0).unwrap();
        assert!(why.contains("`sudo -u '#995' groupfold …`") && why.contains("systemd-run"), "{why}");
        let missing = check(Path::new("/dev/null/store")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot look at"), "{missing}");
    }
}
