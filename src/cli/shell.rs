//! `neuralsmpl completions` and `neuralsmpl man`: what shells and `man` know of this command line.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap_complete::Shell;

use super::End;
use super::console::{Console, still_read};

/// Options of `neuralsmpl completions`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  neuralsmpl completions bash > ~/.local/share/bash-completion/completions/neuralsmpl
  neuralsmpl completions zsh > \"${fpath[1]}/_neuralsmpl\"
  neuralsmpl completions fish > ~/.config/fish/completions/neuralsmpl.fish")]
pub(super) struct CompletionsArgs {
    /// Whose
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// Options of `neuralsmpl man`.
#[derive(clap::Args)]
pub(super) struct ManArgs {
    /// Folder for the pages; it is made where it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs, mut cli: clap::Command) -> anyhow::Result<End> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "neuralsmpl", &mut script);
    let written = std::io::Write::write_all(&mut std::io::stdout().lock(), &script);
    still_read(written).map(|_| End::Done)
}

pub(super) fn man(args: &ManArgs, cli: clap::Command, console: &Console) -> anyhow::Result<End> {
    let out = args.out.display();
    fs::create_dir_all(&args.out)
        .with_context(|| format!("{out}: cannot be made; expected a folder that can be written"))?;
    clap_mangen::generate_to(cli, &args.out)
        .with_context(|| format!("{out}: the pages cannot be written; check space and rights"))?;
    console.say(&format!("{out}: man pages are written"))?;
    Ok(End::Done)
}
