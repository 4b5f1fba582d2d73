//! The query part of a request to the admin listener.

use std::time::Duration;

/// `name=value` pairs; nothing the API knows has to be escaped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(&'a str);

// === impl Query ===

impl<'a> Query<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// Names that are not among `known`, for a clear answer to a mistyped one.
    pub(super) fn unknown(self, known: &[&str]) -> Option<&'a str> {
        self.pairs().map(|(name, _)| name).find(|name| !known.contains(name))
    }

    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        self.pairs().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// # Errors
    /// One sentence: it is there and neither `true` nor `false`.
    pub(super) fn flag(self, name: &str) -> Result<bool, String> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => Err(format!("`{name}={other}`: say true or false")),
        }
    }

    /// # Errors
    /// One sentence: it is there and no number.
    pub(super) fn number(self, name: &str) -> Result<Option<u64>, String> {
        let parse = |text: &str| text.parse().map_err(|_| format!("`{name}={text}`: say a number"));
        self.get(name).map(parse).transpose()
    }

    /// # Errors
    /// One sentence: it is there and no duration, or a longer one than `longest`.
    pub(super) fn duration(
        self,
        name: &str,
        longest: Duration,
    ) -> Result<Option<Duration>, String> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match humantime::parse_duration(text) {
            Ok(duration) if duration <= longest => Ok(Some(duration)),
            Ok(_) => {
                Err(format!("`{name}={text}`: at most {}", humantime::format_duration(longest)))
            }
            Err(_) => Err(format!("`{name}={text}`: say a duration such as 120s or 5m")),
        }
    }

    fn pairs(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.0.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_and_mistakes_are_named() {
        let query = Query::new("confirm_within=120s&persist&to=x");
        assert_eq!(
            query.duration("confirm_within", Duration::from_secs(200)),
            Ok(Some(Duration::from_secs(120)))
        );
        assert!(query.duration("confirm_within", Duration::from_secs(60)).is_err());
        assert_eq!(query.flag("persist"), Ok(true));
        assert!(query.number("to").is_err_and(|sentence| sentence.contains("to=x")));
        assert_eq!(query.unknown(&["confirm_within", "to"]), Some("persist"));
        assert_eq!(Query::new("").unknown(&[]), None);
    }
}
