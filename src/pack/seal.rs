//! Writes the sha256 of every file of a pack into its manifest.

use std::fs;
use std::io::Write;
use std::path::Path;

use toml_edit::{DocumentMut, value};

use super::{PackError, read, sha256_hex};

/// Recomputes the hashes in `root/pack.toml`, keeping comments and order.
/// Returns the names of the entries that changed.
///
/// # Errors
/// When the manifest or a file cannot be read, parsed or written.
pub fn seal(root: &Path) -> Result<Vec<String>, PackError> {
    let path = root.join("pack.toml");
    let fault = |message: String| PackError::Manifest {
        path: path.clone(),
        message,
    };
    let text = String::from_utf8(read(&path)?)
        .map_err(|e| fault(format!("not UTF-8 text ({e}); restore the file")))?;
    let mut document: DocumentMut = text
        .parse()
        .map_err(|e: toml_edit::TomlError| fault(e.message().replace('\n', " ")))?;
    let files = document
        .get_mut("files")
        .and_then(|f| f.as_table_like_mut())
        .ok_or_else(|| fault("table `files` is missing; restore the file".to_owned()))?;
    let mut changed = Vec::new();
    for (key, entry) in files.iter_mut() {
        let name = entry
            .get("path")
            .and_then(|p| p.as_str())
            .map(str::to_owned);
        let name = name.ok_or_else(|| fault(format!("`files.{key}.path` is missing; add it")))?;
        let hash = sha256_hex(&read(&root.join(&name))?);
        if entry.get("sha256").and_then(|h| h.as_str()) != Some(hash.as_str()) {
            entry["sha256"] = value(hash);
            changed.push(name);
        }
    }
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(root)?;
        file.write_all(document.to_string().as_bytes())?;
        let permissions = fs::metadata(&path)?.permissions();
        file.as_file().set_permissions(permissions)?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|e| {
        fault(format!(
            "cannot write ({e}); check permissions and free space"
        ))
    })?;
    Ok(changed)
}
