//! Where a run takes place, as far as the machine tells.

use std::{fs, process::Command, thread};

use crate::record::Machine;

/// Clock ticks per second in `/proc`: fixed at 100 towards programs on every architecture of Linux
/// that is still in use (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

// === impl Machine ===

impl Machine {
    /// This one. What is not known is empty or zero.
    #[must_use]
    pub fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let kib = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|value| value.trim_end_matches("kB").trim().parse::<u64>().ok());
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            cores: thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kib.unwrap_or(0).saturating_mul(1024),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// The revision of the source that this program was built from, with `-dirty` if it was changed
/// since; `None` where the source or git is not at hand.
#[must_use]
pub fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let folder = env!("CARGO_MANIFEST_DIR");
        Command::new("git").args(["-C", folder]).args(arguments).output().ok()
    };
    let revision = git(&["rev-parse", "--short=12", "HEAD"]).filter(|run| run.status.success())?;
    let revision = String::from_utf8(revision.stdout).ok()?;
    let clean = git(&["diff", "--quiet", "HEAD", "--", "."])?.status.success();
    Some(format!("{}{}", revision.trim(), if clean { "" } else { "-dirty" }))
}

/// The command line as it can be typed again.
#[must_use]
pub fn command() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_=+./:,@%".contains(char);
    let quoted = |word: String| {
        let is_plain = !word.is_empty() && word.chars().all(plain);
        if is_plain { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    std::iter::once(program).chain(words.map(quoted)).collect::<Vec<_>>().join(" ")
}

/// CPU time of a process so far, user and system, seconds; `None` when there is no such process.
#[must_use]
pub fn cpu_s(pid: u32) -> Option<f64> {
    cpu_of_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 14 and 15 of proc(5). The second field is a name in parentheses that may hold anything.
pub(crate) fn cpu_of_stat(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_S)
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let named = |line: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    };
    text.lines().find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_process_name() {
        let stat = "7 (a ) 1 2) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 5";
        assert_eq!(cpu_of_stat(stat), Some(2.0));
        assert_eq!(cpu_of_stat("7 (cut off"), None);
        assert_eq!(cpu_of_stat("7 (x) S 1"), None);
    }

    #[test]
    fn this_machine_has_cores_and_this_process_has_used_time() {
        assert!(Machine::here().cores > 0);
        assert!(cpu_s(std::process::id()).is_some());
        assert_eq!(cpu_s(u32::MAX), None);
    }
}
