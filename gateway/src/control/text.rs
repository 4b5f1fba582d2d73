//! The configuration file as text: read within bounds, written so that no reader sees half of it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// Reads the file, as far as a configuration may be long.
///
/// # Errors
/// It cannot be read, is too long, or is not UTF-8.
pub(super) fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let limit = floodgate_config::MAX_FILE as u64 + 1;
    File::open(file)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// Replaces the file's contents at once; a symbolic link stays one.
///
/// # Errors
/// It cannot be written; the old contents are then still there.
pub(super) fn write(file: &Path, text: &str) -> io::Result<()> {
    let target = fs::canonicalize(file)?;
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = target.with_file_name(name);
    let mut out = File::create(&new)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::set_permissions(&new, fs::metadata(&target)?.permissions())?;
    fs::rename(&new, &target)
}
