//! The pipeline cache on disk: drivers trust its content blindly, so a hash stands in front.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::CacheError;
use crate::limits::MAX_PIPELINE_CACHE;

const HASH: usize = 32;

/// Reads what [`store`] has written; `None` where there is no file yet.
///
/// # Errors
/// [`CacheError`] when the file cannot be read or is damaged.
pub(super) fn load(path: &Path) -> Result<Option<Vec<u8>>, CacheError> {
    let damaged = |why| CacheError::Damaged {
        path: path.to_owned(),
        why,
    };
    let io = |source| CacheError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Ok(meta) if meta.len() > MAX_PIPELINE_CACHE => return Err(damaged("too large")),
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    }
    let bytes = fs::read(path).map_err(io)?;
    let Some((hash, data)) = bytes.split_at_checked(HASH) else {
        return Err(damaged("too short"));
    };
    if Sha256::digest(data).as_slice() != hash {
        return Err(damaged("its hash does not match"));
    }
    Ok(Some(data.to_vec()))
}

/// Writes the cache whole or not at all.
///
/// # Errors
/// [`CacheError::Io`] with the cause.
pub(super) fn store(path: &Path, data: &[u8]) -> Result<(), CacheError> {
    let io = |source| CacheError::Io {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    fs::create_dir_all(&folder).map_err(io)?;
    let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(io)?;
    file.write_all(&Sha256::digest(data)).map_err(io)?;
    file.write_all(data).map_err(io)?;
    file.persist(path).map_err(|e| io(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded_and_damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/pipelines.bin");
        assert!(load(&path).unwrap().is_none());
        store(&path, b"compiled").unwrap();
        assert_eq!(load(&path).unwrap().unwrap(), b"compiled");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        let text = load(&path).unwrap_err().to_string();
        assert!(
            text.contains("pipelines.bin") && text.contains("damaged"),
            "{text}"
        );
        fs::write(&path, b"short").unwrap();
        assert!(matches!(load(&path), Err(CacheError::Damaged { .. })));
        fs::write(&path, b"").unwrap();
        assert!(matches!(load(&path), Err(CacheError::Damaged { .. })));
    }
}
