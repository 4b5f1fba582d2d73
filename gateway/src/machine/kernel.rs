//! The kernel's files: what stands in them, and where (proc(5)).

use std::fs;
use std::path::PathBuf;

/// Where the kernel tells of processes.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    /// `/proc/self`.
    process: PathBuf,
    /// Nanoseconds in a tick of the kernel's accounts.
    tick: u64,
}

// === impl Kernel ===

impl Kernel {
    /// That of this process.
    pub(super) fn new() -> Self {
        Self { process: "/proc/self".into(), tick: 1_000_000_000 / ticks_per_second() }
    }

    /// Processor time of the process, in nanoseconds.
    pub(super) fn cpu(&self) -> Option<u64> {
        self.ticks("stat")
    }

    /// Nanoseconds that the thread was on a core, and that it waited for one: to the nanosecond in `schedstat`, which not
    /// every kernel has; else only the first, in ticks.
    pub(super) fn thread_times(&self, tid: u64) -> (Option<u64>, Option<u64>) {
        let text = fs::read_to_string(self.process.join(format!("task/{tid}/schedstat")));
        let text = text.unwrap_or_default();
        let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(cpu), wait) => (Some(cpu), wait),
            _ => (self.ticks(&format!("task/{tid}/stat")), None),
        }
    }

    /// Descriptors that are open. Since Linux 6.2 it is the size of the folder; before, they are counted.
    pub(super) fn open_descriptors(&self) -> Option<u64> {
        let folder = self.process.join("fd");
        match fs::metadata(&folder).ok()?.len() {
            0 => u64::try_from(fs::read_dir(folder).ok()?.count()).ok(),
            // The one that the folder is read through is not open.
            open => Some(open),
        }
    }

    /// Connections that found the queue of their listener full, and all that were not accepted.
    pub(super) fn listen_counts(&self) -> (Option<u64>, Option<u64>) {
        let text = fs::read_to_string(self.process.join("net/netstat")).unwrap_or_default();
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
        let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let value = |wanted: &str| {
            let mut pairs = names.split(' ').zip(values.split(' '));
            pairs.find(|(name, _)| *name == wanted)?.1.parse().ok()
        };
        (value("ListenOverflows"), value("ListenDrops"))
    }

    /// `utime` and `stime`, the fields 14 and 15; the second, in parentheses, may hold anything.
    fn ticks(&self, file: &str) -> Option<u64> {
        let text = fs::read_to_string(self.process.join(file)).ok()?;
        let mut fields = text[text.rfind(')')? + 1..].split_whitespace().skip(11);
        let mut next = || fields.next()?.parse::<u64>().ok();
        Some((next()? + next()?).saturating_mul(self.tick))
    }
}

#[expect(unsafe_code, reason = "one system call without memory of ours")]
fn ticks_per_second() -> u64 {
    // SAFETY: it may be called with any name at any time.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| (1..=1_000_000).contains(ticks)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel of files: these, below a folder of their own; a tick is 10 ms.
    fn kernel(files: &[(&str, &str)]) -> (tempfile::TempDir, Kernel) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let kernel = Kernel { process: folder.path().to_owned(), tick: 10_000_000 };
        (folder, kernel)
    }

    const STAT: &str = "7 (a) b (c) S 1 7 7 0 -1 4194560 90 0 0 0 25 17 0 0 20 0 5 0 100 1 1\n";

    #[test]
    fn a_name_with_parentheses_hides_no_field() {
        let (_folder, kernel) = kernel(&[("stat", STAT)]);
        assert_eq!(kernel.cpu(), Some(420_000_000));
    }

    #[test]
    fn a_thread_is_told_of_in_nanoseconds_or_else_in_ticks() {
        let (_folder, kernel) = kernel(&[
            ("task/8/schedstat", "140752 677516 2\n"),
            ("task/8/stat", STAT),
            ("task/9/stat", STAT),
        ]);
        assert_eq!(kernel.thread_times(8), (Some(140_752), Some(677_516)));
        assert_eq!(kernel.thread_times(9), (Some(420_000_000), None));
        assert_eq!(kernel.thread_times(10), (None, None));
    }

    #[test]
    fn the_counts_of_listeners_stand_under_their_names() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits\nTcpExt: 0 12 34 5\nIpExt: InNoRoutes\nIpExt: 9\n";
        let (_folder, told) = kernel(&[("net/netstat", text)]);
        assert_eq!(told.listen_counts(), (Some(12), Some(34)));
        let (_folder, short) = kernel(&[("net/netstat", "TcpExt: A ListenOverflows\nTcpExt: 1\n")]);
        assert_eq!(short.listen_counts(), (None, None));
    }

    #[test]
    fn a_system_without_such_files_tells_nothing() {
        let (_folder, kernel) = kernel(&[("stat", "garbage"), ("task/1/schedstat", "x y")]);
        assert_eq!((kernel.cpu(), kernel.open_descriptors()), (None, None));
        assert_eq!(kernel.thread_times(1), (None, None));
        assert_eq!(kernel.listen_counts(), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_descriptor_more_is_one_more() {
        // Other tests open theirs meanwhile: far more than they do.
        let before = Kernel::new().open_descriptors().unwrap();
        let _open: Vec<_> = (0..500).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let after = Kernel::new().open_descriptors().unwrap();
        assert!(after >= before + 250, "{before} {after}");
    }
}
