//! Words about the access log: where it goes, what it says of clients.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::AccessLog;
use crate::file::FileAccessLog;
use crate::problem::Report;
use crate::source::quote;
use crate::suggest::nearest;
use crate::value::{Complaint, Text};

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// This file; a relative path has been joined to the folder of the configuration.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// What the access log says of a client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientShown {
    /// All of it.
    Full,
    /// Its network: 24 bits of an IPv4 address, 48 of an IPv6 address.
    Network,
    /// Nothing.
    None,
}

/// What is meant by the typed table.
pub(crate) fn access_log(file: &FileAccessLog, report: &Report<'_>) -> AccessLog {
    let folder = Path::new(report.source().name).parent().unwrap_or(Path::new(""));
    AccessLog {
        to: file.to.as_ref().map(|to| match &to.value {
            LogTarget::File(path) => LogTarget::File(folder.join(path)),
            LogTarget::Stdout => LogTarget::Stdout,
        }),
        sample: file.sample.0,
        sample_refusals: file.sample_refusals.0,
        failures: u32::try_from(file.failures.0).unwrap_or(u32::MAX),
        query: file.query.value,
        client: file.client.value,
    }
}

// === impl LogTarget ===

impl Text for LogTarget {
    const FORM: &'static str = "\"stdout\" or \"file:PATH\"";
    const PATTERN: Option<&'static str> = Some("^(stdout$|file:)");

    fn parse(text: &str) -> Result<Self, Complaint> {
        if text == "stdout" {
            return Ok(Self::Stdout);
        }
        let Some(path) = text.strip_prefix("file:") else {
            let message = format!("the access log cannot go to {}", quote(text));
            return Err(Complaint::new(message, format!("expected {}", Self::FORM)));
        };
        if path.is_empty() || path.len() > 4_096 || path.chars().any(char::is_control) {
            let message = format!("{} is no path of a file", quote(path));
            return Err(Complaint::new(message, "such as \"file:/var/log/floodgate/access.log\""));
        }
        Ok(Self::File(PathBuf::from(path)))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// As it is typed.
impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Stdout => f.write_str("stdout"),
        }
    }
}

// === impl ClientShown ===

impl ClientShown {
    const ALL: [Self; 3] = [Self::Full, Self::Network, Self::None];

    /// As it is typed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Network => "network",
            Self::None => "none",
        }
    }
}

impl Text for ClientShown {
    const FORM: &'static str = "\"full\", \"network\" or \"none\"";
    const PATTERN: Option<&'static str> = Some("^(full|network|none)$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or_else(|| {
            let message = format!("{} says nothing of an address", quote(text));
            let suggestion = match nearest(text, Self::ALL.map(Self::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("expected {}", Self::FORM),
            };
            Complaint::new(message, suggestion)
        })
    }

    fn show(&self) -> String {
        self.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_to_standard_output_or_a_file() {
        for text in ["stdout", "file:access.log", "file:/var/log/a b"] {
            assert_eq!(LogTarget::parse(text).map(|it| it.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "stderr", "Stdout", "file:", "file:a\nb", "/var/log/x"] {
            assert!(LogTarget::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_shown_as_one_of_three_words_says() {
        for one in ClientShown::ALL {
            assert_eq!(ClientShown::parse(one.as_str()), Ok(one));
        }
        assert_eq!(ClientShown::parse("ful").unwrap_err().suggestion, "did you mean \"full\"?");
    }
}
