//! What a run found, for people: in the terminal while it lasts and when it is over, as
//! `report.json` for programs, and as `report.html`.
//!
//! ```text
//! SecondRow ─> Progress                    a line per second, a bar below
//! Record ───> table, json, page            terminal, report.json, report.html
//! [Record] ─> comparison                   several runs beside each other
//! ```
//!
//! A page is one file: no network, no foreign script, drawings made here.

mod chart;
mod comparison;
mod document;
#[cfg(test)]
pub(crate) mod example;
mod figure;
mod hover;
mod page;
mod panels;
mod scale;
mod tables;
mod terminal;
mod timeline;
#[cfg(test)]
pub(crate) mod wellformed;

pub(crate) use chart::{Mark, Plot};
pub(crate) use document::{card, document, escape, standalone};
pub(crate) use figure::{latency, number, share};
pub(crate) use scale::Scale;
pub(crate) use tables::{Table, pairs};

pub use comparison::{MAX_COMPARED, comparison};
pub use page::page;
pub use terminal::{Progress, table};

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::record::{FORMAT, Record};

/// Largest `report.json` that is read.
const MAX_JSON_BYTES: u64 = 256 * 1024 * 1024;

/// Writes `report.json` and `report.html` into a folder, which is made if need be, and returns
/// where they are.
///
/// # Errors
/// The folder cannot be made or written to.
pub fn write(record: &Record, folder: &Path) -> io::Result<[PathBuf; 2]> {
    fs::create_dir_all(folder)?;
    let paths = ["report.json", "report.html"].map(|name| folder.join(name));
    fs::write(&paths[0], json(record)?)?;
    fs::write(&paths[1], page(record))?;
    Ok(paths)
}

/// A record as `report.json`.
///
/// # Errors
/// Never, for a record that was filled by a run.
pub fn json(record: &Record) -> io::Result<String> {
    serde_json::to_string(record).map_err(io::Error::other)
}

/// Reads a `report.json`, or the one in a folder.
///
/// # Errors
/// There is none, it is too large, it is no record, or one of another [`FORMAT`].
pub fn read(path: &Path) -> io::Result<Record> {
    let path = if path.is_dir() { path.join("report.json") } else { path.to_owned() };
    if fs::metadata(&path)?.len() > MAX_JSON_BYTES {
        return Err(io::Error::other("too large to be a report"));
    }
    let record: Record = serde_json::from_slice(&fs::read(&path)?).map_err(io::Error::other)?;
    if record.format != FORMAT {
        let format = record.format;
        return Err(io::Error::other(format!("its format is {format}, this program's {FORMAT}")));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let folder = std::env::temp_dir().join(format!("floodgate-report-{}", std::process::id()));
        let record = example::record();
        let written = write(&record, &folder).unwrap();
        assert_eq!(read(&folder).unwrap(), record);
        assert_eq!(read(&written[0]).unwrap(), record);
        let other = Record { format: FORMAT + 1, ..record };
        fs::write(&written[0], json(&other).unwrap()).unwrap();
        assert!(read(&folder).is_err(), "a later format is not guessed at");
        fs::remove_dir_all(&folder).unwrap();
    }
}
