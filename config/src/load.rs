//! The pipeline from a path or a text to a [`Config`].

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::config::Config;
use crate::environment;
use crate::file::FileConfig;
use crate::given::Sources;
use crate::problem::{Problems, Report};
use crate::reader::Reader;
use crate::source::{Source, Span, quote};
use crate::validate::validate;
use crate::warn::warn;

/// Largest file that is read, in bytes.
pub const MAX_FILE: usize = 4 << 20;

/// Syntax errors that are reported: after the first few the rest is guesswork.
const SYNTAX_ERRORS: usize = 10;

/// A good configuration with where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is meant.
    pub config: Config,
    /// The text it was read from.
    pub text: String,
    /// What is legal and probably not what was meant.
    pub warnings: Problems,
    /// What was typed where.
    pub(crate) sources: Sources,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// It was read and is wrong.
    Problems(Problems),
    /// It could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads and checks the file at `path`.
///
/// # Errors
/// [`LoadError::Read`] if it cannot be read: missing, forbidden, a directory, over [`MAX_FILE`], not UTF-8.
/// [`LoadError::Problems`] with all its problems if it is wrong.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    load_with(path, &[])
}

/// Reads and checks the file at `path` like [`load`], under the overrides of `environment` as [`check_with`] has them.
///
/// # Errors
/// Those of [`load`].
pub fn load_with(path: &Path, environment: &[(String, String)]) -> Result<Loaded, LoadError> {
    let read = |source| LoadError::Read { path: path.to_owned(), source };
    let text = read_text(path).map_err(read)?;
    let name = path.display().to_string();
    check_with(&name, &text, environment).map_err(LoadError::Problems)
}

/// Checks a text; `source_name` stands for the file in messages.
///
/// # Errors
/// All problems at once.
pub fn parse(source_name: &str, text: &str) -> Result<Config, Problems> {
    check(source_name, text).map(|loaded| loaded.config)
}

/// Checks a text like [`parse`], and keeps it with its warnings.
///
/// # Errors
/// All problems at once.
pub fn check(source_name: &str, text: &str) -> Result<Loaded, Problems> {
    check_with(source_name, text, &[])
}

/// Checks a text like [`check`], under overrides of `environment`: names and values of variables, in any order.
///
/// A variable whose name begins with `FLOODGATE__` overrides a key: `FLOODGATE__SERVER__LISTEN`,
/// `FLOODGATE__UPSTREAMS__CHECKOUT__BUFFER`, `FLOODGATE__TIERS__L1__WATERMARKS__HIGH`. Case does not count, `-` and `.`
/// of a name are written `_`. Values are typed as in the file; a string needs no quotes. Other variables are not looked at.
///
/// # Errors
/// All problems at once, those of the variables included.
pub fn check_with(
    source_name: &str,
    text: &str,
    environment: &[(String, String)],
) -> Result<Loaded, Problems> {
    let mut report = Report::new(Source::new(source_name, text));
    if text.len() > MAX_FILE {
        report.error("", Span::default(), "the text is too large", "at most 4 MiB");
        return Err(report.finish().0);
    }
    let good = read_file_config(text, environment, &mut report).and_then(|file| {
        let config = validate(&file, &mut report)?;
        warn(&file, &config, &mut report);
        Some((config, Sources::of(&file, report.source())))
    });
    let (errors, warnings) = report.finish();
    match good {
        Some((config, sources)) if errors.is_empty() => {
            Ok(Loaded { config, text: text.to_owned(), warnings, sources })
        }
        _ => Err(errors),
    }
}

/// The one problem of a text that is good in itself: `value`, which stands in it at `key`, is of no use.
pub fn unusable(
    source_name: &str,
    text: &str,
    (key, value): (&str, &str),
    message: &str,
    suggestion: &str,
) -> Problems {
    let mut report = Report::new(Source::new(source_name, text));
    let quoted = format!("\"{value}\"");
    let span = text.find(&quoted).map_or(0..0, |at| at..at + quoted.len());
    report.error(key, span.into(), message, suggestion);
    report.finish().0
}

/// Text to what was typed. After a syntax error nothing else is reported: it would be about a torn tree.
fn read_file_config(
    text: &str,
    environment: &[(String, String)],
    report: &mut Report<'_>,
) -> Option<FileConfig> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(SYNTAX_ERRORS) {
        let span = error.span().unwrap_or(text.len()..text.len());
        let (message, suggestion) = match text.get(span.clone()) {
            Some(key) if error.message() == "duplicate key" => {
                (format!("{} is given twice", quote(key)), "leave one of them out")
            }
            _ => (format!("not TOML: {}", error.message()), "cannot be read from here on"),
        };
        report.error("", span.into(), message, suggestion);
    }
    if report.has_errors() {
        return None;
    }
    let mut table = table.into_inner();
    environment::apply(&mut table, environment, report);
    Some(FileConfig::read_keys(&table, Span::default(), &mut Reader::new(report)))
}

/// The text of a file, never more than [`MAX_FILE`] bytes of it.
fn read_text(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}

// === impl LoadError ===

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, source) = match self {
            Self::Problems(problems) => return problems.fmt(f),
            Self::Read { path, source } => (path, source),
        };
        let advice = match source.kind() {
            io::ErrorKind::FileTooLarge => "a configuration has at most 4 MiB".to_owned(),
            io::ErrorKind::InvalidData => "save the file as UTF-8".to_owned(),
            io::ErrorKind::IsADirectory => "name a file inside it".to_owned(),
            io::ErrorKind::NotFound => "check the path".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "make it readable for the user that floodgate runs as".to_owned()
            }
            _ => "check that the path names a readable file".to_owned(),
        };
        write!(f, "cannot read {}: {source}; {advice}", path.display())
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Problems(_) => None,
            Self::Read { source, .. } => Some(source),
        }
    }
}
