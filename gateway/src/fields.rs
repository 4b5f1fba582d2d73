//! Header fields, looked at the same way in a head that was just parsed and in hyper's map of them.

use http::HeaderMap;

/// The fields of a head. Looking at them allocates nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fields<'a> {
    /// As hyper keeps them.
    Map(&'a HeaderMap),
    /// As the parser found them.
    Parsed(&'a [httparse::Header<'a>]),
}

/// More than one field of a name that is to come once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Several;

// === impl Fields ===

impl<'a> Fields<'a> {
    /// The value of the one field of this name, whatever its case. `None` if there is none, and if there
    /// are several: who would take the first and who the last is not known.
    pub(crate) fn only(self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }

    /// The value of the one field of this name, whatever its case; `None` if there is none.
    ///
    /// # Errors
    /// There are several.
    pub(crate) fn at_most_one(self, name: &str) -> Result<Option<&'a [u8]>, Several> {
        let mut values = self.all(name);
        let first = values.next();
        values.next().map_or(Ok(first), |_| Err(Several))
    }

    /// The value of the cookie of exactly this name, in whichever Cookie field. `None` if there is none,
    /// and if there are several that differ.
    pub(crate) fn cookie(self, name: &str) -> Option<&'a [u8]> {
        let mut found = None;
        let pairs = self.all("cookie").flat_map(|field| field.split(|&b| b == b';'));
        for (_, value) in pairs.filter_map(cookie_pair).filter(|(n, _)| *n == name.as_bytes()) {
            if found.is_some_and(|other| other != value) {
                return None;
            }
            found = Some(value);
        }
        found
    }

    /// The values of all fields of this name, whatever its case, in their order.
    pub(crate) fn all<'n>(
        self,
        name: &'n str,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a, 'n> {
        let (map, parsed) = match self {
            Self::Map(map) => (Some(map), None),
            Self::Parsed(parsed) => (None, Some(parsed)),
        };
        let parsed = parsed.unwrap_or_default().iter();
        let parsed = parsed.filter(|field| field.name.eq_ignore_ascii_case(name));
        let map = map.into_iter().flat_map(move |map| map.get_all(name));
        parsed.map(|field| field.value).chain(map.map(http::HeaderValue::as_bytes))
    }
}

/// Name and value of one cookie among those of a field (RFC 6265bis §5.7): white space around both is
/// not theirs, a value may stand in quotes, and what has no name is no cookie.
pub(crate) fn cookie_pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == b'=')?;
    let (name, value) = (text[..at].trim_ascii(), text[at + 1..].trim_ascii());
    let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    (!name.is_empty()).then_some((name, unquoted.unwrap_or(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What both kinds of fields say, which has to be the same.
    fn both<T: Eq + std::fmt::Debug>(
        head: &[(&str, &str)],
        look: impl Fn(Fields<'_>) -> Option<T>,
    ) -> Option<T> {
        let parsed: Vec<_> = head
            .iter()
            .map(|&(name, value)| httparse::Header { name, value: value.as_bytes() })
            .collect();
        let mut map = HeaderMap::new();
        for &(name, value) in head {
            map.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let found = look(Fields::Parsed(&parsed));
        assert_eq!(found, look(Fields::Map(&map)), "{head:?}");
        found
    }

    fn only(head: &[(&str, &str)], name: &str) -> Option<String> {
        both(head, |fields| fields.only(name).map(|v| String::from_utf8_lossy(v).into_owned()))
    }

    fn cookie(head: &[(&str, &str)], name: &str) -> Option<String> {
        both(head, |fields| fields.cookie(name).map(|v| String::from_utf8_lossy(v).into_owned()))
    }

    #[test]
    fn a_field_counts_only_if_it_is_the_only_one_of_its_name() {
        assert_eq!(only(&[("X-User-Id", "7"), ("a", "b")], "x-user-id").as_deref(), Some("7"));
        assert_eq!(only(&[("x-user-id", "7")], "X-USER-ID").as_deref(), Some("7"));
        assert_eq!(only(&[("x-user-id", "7"), ("X-User-ID", "7")], "x-user-id"), None);
        assert_eq!(only(&[("x-user-idx", "7")], "x-user-id"), None);
        assert_eq!(only(&[], "x-user-id"), None);
        assert_eq!(only(&[("a", "b")], "no field's name"), None);
    }

    #[test]
    fn cookies_are_found_wherever_they_stand() {
        let found = |value: &str| cookie(&[("Cookie", value)], "id");
        for value in [
            "id=7",
            "a=b; id=7; c=d",
            "a=b;id=7",
            "  id =  7 ;",
            "id=\"7\"",
            "x; id=7; =y; ;",
            "id=7; id=7",
            "ID=8; xid=9; idx=1; id=7",
        ] {
            assert_eq!(found(value).as_deref(), Some("7"), "{value}");
        }
        assert_eq!(found("id=a=b").as_deref(), Some("a=b"));
        assert_eq!(found("id=\"").as_deref(), Some("\""));
        assert_eq!(found("id=").as_deref(), Some(""));
        let fields = [("cookie", "a=b"), ("COOKIE", "id=7")];
        assert_eq!(cookie(&fields, "id").as_deref(), Some("7"));
    }

    #[test]
    fn a_cookie_with_two_values_is_none() {
        assert_eq!(cookie(&[("cookie", "id=7; id=8")], "id"), None);
        assert_eq!(cookie(&[("cookie", "id=7"), ("cookie", "id=8")], "id"), None);
        assert_eq!(cookie(&[("cookie", "id; ID=7")], "id"), None);
    }
}
