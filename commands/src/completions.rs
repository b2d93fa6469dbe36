//! `groupfold completions`: what a shell completes.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Failure;
use crate::print;

/// Print a script by which a shell completes verbs and flags
#[derive(clap::Args, Debug)]
#[command(after_help = "bash: source <(groupfold completions bash)\n\
                  zsh:  groupfold completions zsh > \"${fpath[1]}/_groupfold\"\n\
                  fish: groupfold completions fish > ~/.config/fish/completions/groupfold.fish")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

/// Into memory first: its writer panics where nobody reads to the end.
pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "groupfold", &mut script);
    print::json(String::from_utf8_lossy(&script).trim_end())
}
