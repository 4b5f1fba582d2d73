//! Whom a sweep judges, as it is written on a command line.

use std::{net::SocketAddr, str::FromStr};

/// One of those to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it stands in tables and folders.
    pub name: String,
    /// Where it is, or what starts it.
    pub place: Place,
}

/// Where a target is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It runs already.
    At {
        /// HOST:PORT.
        address: String,
        /// Its admin listener, so that its own counts are compared with ours.
        admin: Option<SocketAddr>,
    },
    /// A command of the shell starts it, anew for every run, and it is ended behind it.
    Command(String),
}

// === impl Target ===

impl FromStr for Target {
    type Err = String;

    /// `NAME=HOST:PORT`, or `HOST:PORT` alone; then `,admin=HOST:PORT` if it has one.
    /// `NAME=exec:COMMAND` is a program that listens on a port of its own choice and prints
    /// `listening HOST:PORT`, with ` admin HOST:PORT` behind it if it has one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((name, command)) = text.split_once("=exec:") {
            if name.is_empty() || command.trim().is_empty() {
                return Err("write NAME=exec:COMMAND".to_owned());
            }
            return Ok(Self { name: name.to_owned(), place: Place::Command(command.to_owned()) });
        }
        let (text, admin) = match text.split_once(",admin=") {
            Some((text, admin)) => {
                let unusable = |_| format!("{admin:?} is no address; write admin=127.0.0.1:9090");
                (text, Some(admin.parse().map_err(unusable)?))
            }
            None => (text, None),
        };
        let (name, address) = text.split_once('=').unwrap_or((text, text));
        let name = name.trim_start_matches("http://");
        if name.is_empty() || address.is_empty() {
            let write = "write NAME=HOST:PORT, HOST:PORT or NAME=exec:COMMAND";
            return Err(format!("{write}, the first two with ,admin=HOST:PORT if it has one"));
        }
        let place = Place::At { address: address.to_owned(), admin };
        Ok(Self { name: name.to_owned(), place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> (String, String, Option<u16>) {
        let target: Target = text.parse().unwrap();
        let Place::At { address, admin } = target.place else { panic!("{text}") };
        (target.name, address, admin.map(|admin| admin.port()))
    }

    #[test]
    fn targets_have_names_and_places() {
        assert_eq!(at("nginx=127.0.0.1:80"), ("nginx".into(), "127.0.0.1:80".into(), None));
        assert_eq!(at("http://127.0.0.1:80").0, "127.0.0.1:80");
        let with_admin = at("a=127.0.0.1:80,admin=127.0.0.1:90");
        assert_eq!(with_admin, ("a".into(), "127.0.0.1:80".into(), Some(90)));
        let target: Target = "a b=exec:x --y=1,admin=2".parse().unwrap();
        assert_eq!(target.place, Place::Command("x --y=1,admin=2".to_owned()));
        for odd in
            ["=x", "a=127.0.0.1:80,admin=", "a=127.0.0.1:80,admin=9090", "=exec:x", "a=exec: "]
        {
            assert!(odd.parse::<Target>().is_err(), "{odd}");
        }
    }
}
