//! Save: the neural mesh into its file and the pack's manifest, each replaced as a whole.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io::Write;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::NamedTempFile;
use toml_edit::{DocumentMut, Item, Table, value};

use super::report::{Goal, Report};
use super::{LearnArgs, LearnError};
use crate::pack::{Pack, PackError, sha256_hex};
use crate::texture::Texture;

/// File name in a pack that has no neural mesh yet.
const NAME: &str = "texture.safetensors";

/// Writes the texture: to `args.out`, or into the pack with its manifest brought up to date.
pub fn save(
    args: &LearnArgs,
    pack: &Pack,
    texture: &Texture,
    cells: u64,
) -> Result<(), LearnError> {
    let command = command(args);
    let bytes = tensors(args, texture, cells, &command).map_err(|e| {
        let path = args.out.clone().unwrap_or_else(|| args.pack.join(NAME));
        write_error(&path, &e)
    })?;
    if let Some(path) = &args.out {
        return replace(path, &bytes);
    }
    let name = pack
        .manifest
        .files
        .texture
        .as_ref()
        .map_or(NAME, |entry| &entry.path);
    let manifest_path = args.pack.join("pack.toml");
    let manifest = manifest(
        &manifest_path,
        args,
        texture,
        name,
        &sha256_hex(&bytes),
        &command,
    )?;
    replace(&args.pack.join(name), &bytes)?;
    replace(&manifest_path, manifest.as_bytes())
}

/// Writes the figures of held-out pictures as JSON.
pub fn write_report(path: &Path, report: &Report) -> Result<(), LearnError> {
    #[derive(serde::Serialize)]
    struct Whole<'a> {
        #[serde(flatten)]
        report: &'a Report,
        goals: [Goal; 3],
    }
    let whole = Whole {
        report,
        goals: report.goals(),
    };
    let text = serde_json::to_string_pretty(&whole).map_err(|e| write_error(path, &e))?;
    replace(path, format!("{text}\n").as_bytes())
}

/// The command that makes the same file again. Threads do not matter to it, nor where the files
/// lie: paths are given by their last names.
fn command(args: &LearnArgs) -> String {
    let mut text = format!(
        "neuralsmpl learn --count {} --seed {}",
        args.count, args.seed
    );
    let folders = [
        ("poses", &args.poses),
        ("hdri", &args.hdri),
        ("photos", &args.photos),
    ];
    for (option, path) in folders {
        if let Some(path) = path {
            text += &format!(" --{option} {}", base_name(path));
        }
    }
    let numbers = [
        ("components", args.components.map(|k| k.to_string())),
        ("tau", args.tau.map(|t| t.to_string())),
        ("background", args.background.map(|m| m.to_string())),
    ];
    for (option, number) in numbers {
        if let Some(number) = number {
            text += &format!(" --{option} {number}");
        }
    }
    text
}

fn tensors(
    args: &LearnArgs,
    texture: &Texture,
    cells: u64,
    command: &str,
) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let (k, d, m) = (
        texture.components,
        texture.channels,
        texture.background.len(),
    );
    let vertices = texture.sigma.len() / k;
    let background = &texture.background;
    let parts: [(&str, &[f32], Vec<usize>); 6] = [
        ("phi", &texture.phi, vec![vertices, k, d]),
        ("sigma", &texture.sigma, vec![vertices, k]),
        ("bg_mean", &background.mean, vec![m, d]),
        ("bg_sigma", &background.sigma, vec![m]),
        ("bg_weight", &background.weight, vec![m]),
        ("clutter", &texture.clutter, vec![d]),
    ];
    let bytes = parts.each_ref().map(|(_, values, _)| {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        bytes
    });
    let mut views = Vec::with_capacity(parts.len());
    for ((name, _, shape), bytes) in parts.into_iter().zip(&bytes) {
        views.push((name, TensorView::new(Dtype::F32, shape, bytes)?));
    }
    // One key: the order of several in the file's header would change from run to run.
    let described = serde_json::json!({
        "count": args.count,
        "seed": args.seed,
        "components": k,
        "tau": texture.tau,
        "background": m,
        "cells": cells,
        "command": command,
    });
    let metadata = HashMap::from([("texture".to_owned(), described.to_string())]);
    safetensors::serialize(views, Some(metadata))
}

fn manifest(
    path: &Path,
    args: &LearnArgs,
    texture: &Texture,
    name: &str,
    sha256: &str,
    command: &str,
) -> Result<String, LearnError> {
    let fault = |message: String| PackError::Manifest {
        path: path.to_owned(),
        message,
    };
    let text = fs::read_to_string(path).map_err(|source| PackError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut document: DocumentMut = text
        .parse()
        .map_err(|e: toml_edit::TomlError| fault(e.message().replace('\n', " ")))?;
    let missing = |table: &str| fault(format!("table `{table}` is missing; restore the file"));
    let settings = document
        .get_mut("texture")
        .and_then(Item::as_table_like_mut)
        .ok_or_else(|| missing("texture"))?;
    let mut set = |key: &str, new: toml_edit::Value| match settings.get_mut(key) {
        Some(Item::Value(old)) => {
            let decor = old.decor().clone();
            *old = new;
            *old.decor_mut() = decor;
        }
        _ => drop(settings.insert(key, Item::Value(new))),
    };
    set("components", (texture.components as i64).into());
    set("tau", shortest(texture.tau).into());
    set("background", (texture.background.len() as i64).into());
    let files = document
        .get_mut("files")
        .and_then(Item::as_table_like_mut)
        .ok_or_else(|| missing("files"))?;
    let poses = args
        .poses
        .as_deref()
        .map_or("the pack's poses".to_owned(), base_name);
    let mut source = format!(
        "learned by maximum likelihood from {} synthetic people: the pack's body and backbone, {poses}",
        args.count
    );
    for folder in [&args.hdri, &args.photos].into_iter().flatten() {
        source += &format!(", {}", base_name(folder));
    }
    let entry = files.entry("texture").or_insert_with(|| {
        let mut table = Table::new();
        table.insert("path", value(name));
        table.insert("sha256", value(""));
        table.insert("licence", value("Apache-2.0"));
        Item::Table(table)
    });
    entry["sha256"] = value(sha256);
    entry["source"] = value(source);
    entry["command"] = value(command);
    Ok(document.to_string())
}

/// The number as it was typed, not with the tail that f32 has as f64.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or_else(|_| f64::from(x))
}

fn base_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Replaces a file as a whole: nobody ever sees half of it.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), LearnError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        if let Some(permissions) = permissions(path) {
            file.as_file().set_permissions(permissions)?;
        }
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|e| write_error(path, &e))
}

/// Those of the file that is replaced; a new one may be read by everybody.
fn permissions(path: &Path) -> Option<Permissions> {
    if let Ok(old) = fs::metadata(path) {
        return Some(old.permissions());
    }
    #[cfg(unix)]
    return Some(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    #[cfg(not(unix))]
    return None;
}

fn write_error(path: &Path, error: &dyn std::fmt::Display) -> LearnError {
    LearnError::Write {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::pack::{Manifest, TensorFile};
    use crate::texture::Background;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: LearnArgs,
    }

    fn args(line: &str) -> LearnArgs {
        Line::parse_from(format!("learn {line}").split_whitespace()).args
    }

    fn texture() -> Texture {
        Texture {
            components: 2,
            channels: 4,
            tau: 7.3,
            phi: (0..24).map(|i| i as f32).collect(),
            sigma: vec![0.5; 6],
            gram: Vec::new(),
            background: Background {
                mean: vec![0.0; 12],
                sigma: vec![1.0; 3],
                weight: vec![0.25; 3],
            },
            clutter: vec![0.5; 4],
        }
    }

    #[test]
    fn the_manifest_keeps_its_comments_and_learns_the_rest() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/person/pack.toml");
        let before = fs::read_to_string(&shipped).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pack.toml");
        let untaught: String = match before.split_once("[files.texture]") {
            Some((head, tail)) => format!("{head}{}", &tail[tail.find("\n[").unwrap_or(0)..]),
            None => before,
        };
        let args = args("--count 40 --seed 3 --poses out/p.safetensors --tau 7.3 --threads 4");
        for text in [untaught.as_str(), &fs::read_to_string(&shipped).unwrap()] {
            fs::write(&path, text).unwrap();
            let command = command(&args);
            let new = manifest(&path, &args, &texture(), "t.safetensors", "ab", &command).unwrap();
            let comments = |text: &str| text.lines().filter(|l| l.starts_with('#')).count();
            assert_eq!(comments(&new), comments(text));
            let parsed = Manifest::parse(&path, &new).unwrap();
            let entry = parsed.files.texture.unwrap();
            assert_eq!(entry.sha256, "ab");
            let expected = "neuralsmpl learn --count 40 --seed 3 --poses p.safetensors --tau 7.3";
            assert_eq!(entry.command, expected);
            let settings = parsed.texture;
            assert_eq!(
                (settings.components, settings.tau, settings.background),
                (2, 7.3, 3)
            );
        }
    }

    #[test]
    fn the_file_reads_back_and_is_the_same_every_time() {
        let args = args("--count 40");
        let bytes = tensors(&args, &texture(), 9, "neuralsmpl learn").unwrap();
        assert_eq!(
            bytes,
            tensors(&args, &texture(), 9, "neuralsmpl learn").unwrap()
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        replace(&path, &bytes).unwrap();
        let file = TensorFile::parse(path.clone(), fs::read(&path).unwrap()).unwrap();
        let whole = crate::pack::Dim::Is;
        let phi = file.f32("phi", &[whole(3), whole(2), whole(4)]).unwrap();
        assert_eq!(phi.data, texture().phi);
        assert_eq!(
            file.f32("bg_mean", &[whole(3), whole(4)])
                .unwrap()
                .data
                .len(),
            12
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let message = replace(Path::new("/nowhere/at/all/t.bin"), b"x")
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("/nowhere/at/all/t.bin: cannot write ("),
            "{message}"
        );
    }
}
