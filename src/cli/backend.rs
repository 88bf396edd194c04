//! `--backend` and its options: what runs the fit.

use std::env;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::error::{Error, ErrorKind};

use crate::cpu::Stage;
use crate::engine::{BackendChoice, BackendKind};
use crate::vulkan::{Options, Preference};

/// Names the file of compiled shaders for all runs.
const VARIABLE: &str = "NEURALSMPL_PIPELINE_CACHE";

/// Switches it off.
const NONE: &str = "none";

/// Where it lies in the user's cache folder.
const FILE: &str = "neuralsmpl/pipelines.bin";

/// Options that choose what runs the fit.
#[derive(clap::Args)]
pub(super) struct BackendArgs {
    /// What runs the fit
    #[arg(long, value_enum, default_value_t)]
    backend: BackendKind,
    /// Vulkan device: its number, or a part of its name (`neuralsmpl devices` lists them)
    #[arg(long, value_name = "N|NAME", value_parser = NonEmptyStringValueParser::new())]
    device: Option<String>,
    /// Keeps compiled shaders for the next start; `none` keeps nothing [default:
    /// NEURALSMPL_PIPELINE_CACHE, else neuralsmpl/pipelines.bin in the user's cache folder]
    #[arg(long, value_name = "FILE", value_parser = clap::value_parser!(PathBuf))]
    pipeline_cache: Option<PathBuf>,
    /// To find a stage of the device that differs from the CPU's: the last stage that runs on the
    /// device, the CPU runs the others and the solver. Slow; needs --backend vulkan
    #[arg(long, value_enum, value_name = "STAGE")]
    until: Option<Stage>,
}

impl BackendArgs {
    /// Refuses options that contradict each other.
    ///
    /// # Errors
    /// One line for the user; the exit code is 2.
    pub(super) fn check(&self) -> Result<(), Error> {
        let fault = |text: String| Err(Error::raw(ErrorKind::ValueValidation, text));
        if self.backend == BackendKind::Cpu
            && let Some(device) = &self.device
        {
            return fault(format!(
                "--device {device}: found --backend cpu, expected --backend vulkan or auto with a Vulkan device; leave one of the two out"
            ));
        }
        if self.backend != BackendKind::Vulkan && self.until.is_some() {
            return fault(
                "--until: found no --backend vulkan, expected it, for stages are compared on a Vulkan device; add --backend vulkan or leave --until out".to_owned(),
            );
        }
        Ok(())
    }

    /// What the user wants to fit with.
    pub(super) fn choice(&self) -> BackendChoice {
        BackendChoice {
            kind: self.backend,
            vulkan: Options {
                device: self
                    .device
                    .as_deref()
                    .map_or(Preference::Best, Preference::from),
                pipeline_cache: self.pipeline_cache(),
                ..Options::default()
            },
            until: self.until,
        }
    }

    /// The option, else the environment's, else a file in the user's cache folder, else none.
    fn pipeline_cache(&self) -> Option<PathBuf> {
        let variable = |name: &str| {
            env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let named = self.pipeline_cache.clone().or_else(|| variable(VARIABLE));
        match named {
            Some(path) if path == Path::new(NONE) => None,
            Some(path) => Some(path),
            None => in_caches(variable("XDG_CACHE_HOME"), variable("HOME")),
        }
    }
}

/// The file in the user's cache folder. As the base directory specification has it, a path that is
/// not absolute does not count.
fn in_caches(caches: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let whole = |path: &PathBuf| path.is_absolute();
    let caches = caches.filter(whole);
    let folder = caches.or_else(|| Some(home.filter(whole)?.join(".cache")));
    folder.map(|folder| folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;

    fn typed(words: &[&str]) -> BackendArgs {
        let command = BackendArgs::augment_args(clap::Command::new("test").no_binary_name(true));
        BackendArgs::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
    }

    #[test]
    fn choices() {
        let choice = typed(&[]).choice();
        assert_eq!(choice.kind, BackendKind::Auto);
        assert_eq!(choice.vulkan.device, Preference::Best);
        let choice = typed(&[
            "--backend",
            "vulkan",
            "--device",
            "1",
            "--until",
            "raster",
            "--pipeline-cache",
            "a.bin",
        ])
        .choice();
        assert_eq!(choice.kind, BackendKind::Vulkan);
        assert_eq!(choice.vulkan.device, Preference::Number(1));
        assert_eq!(choice.vulkan.pipeline_cache, Some("a.bin".into()));
        assert_eq!(choice.until, Some(Stage::Raster));
        let choice = typed(&["--device", "Orin", "--pipeline-cache", "none"]).choice();
        assert_eq!(choice.vulkan.device, Preference::Name("orin".to_owned()));
        assert_eq!(choice.vulkan.pipeline_cache, None);
    }

    #[test]
    fn contradictions() {
        assert!(
            typed(&["--backend", "vulkan", "--until", "skin"])
                .check()
                .is_ok()
        );
        for (words, named) in [
            (["--backend", "cpu", "--device", "0"], "--device 0"),
            (["--backend", "auto", "--until", "skin"], "--until"),
            (["--backend", "cpu", "--until", "skin"], "--until"),
        ] {
            let error = typed(&words).check().unwrap_err();
            let text = error.to_string();
            assert!(text.contains(named) && text.contains("expected"), "{text}");
            assert_eq!((error.exit_code(), text.trim().lines().count()), (2, 1));
        }
    }

    #[test]
    fn cache_folders() {
        let path = |text: &str| Some(PathBuf::from(text));
        let file = |folder: &str| path(folder).map(|p| p.join(FILE));
        assert_eq!(in_caches(path("/c"), path("/h")), file("/c"));
        assert_eq!(in_caches(path("c"), path("/h")), file("/h/.cache"));
        assert_eq!(in_caches(None, path("/h")), file("/h/.cache"));
        assert_eq!(in_caches(None, None), None);
    }
}
