//! How full the memory of the process is: a pressure on all upstreams.
//!
//! What requests keep in memory, bodies first of all, is on the heap, and so in what is counted here: the resident pages that are
//! not of a file, since the kernel takes those back when it has to. It is held against the least limit of the cgroup and those
//! it is in, of either version, or against `server.max_memory`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A limit of the first version of cgroups from here on is none: it says so by a number close to the largest.
const NO_LIMIT: u64 = 1 << 60;

/// What is known of the memory of the process; zero: nothing yet.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    used: AtomicU64,
    resident: AtomicU64,
    limit: AtomicU64,
}

/// Where the kernel tells of memory.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// `/proc/self`.
    process: PathBuf,
    /// `/sys/fs/cgroup`.
    groups: PathBuf,
    page: u64,
}

// === impl Memory ===

impl Memory {
    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Bytes that are resident, pages of files among them: what other tools call RSS.
    pub(crate) fn resident(&self) -> u64 {
        self.resident.load(Relaxed)
    }

    /// Bytes that may be in use; `None`: as many as there are.
    pub(crate) fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Relaxed)).filter(|&limit| limit > 0)
    }

    /// How full it is, 0..1; 0 without a limit.
    pub(crate) fn pressure(&self) -> f64 {
        self.limit().map_or(0.0, |limit| (self.used() as f64 / limit as f64).min(1.0))
    }

    /// Looks at what the kernel says, with the limit that is configured, if one is.
    pub(crate) fn look(&self, kernel: &Kernel, configured: Option<u64>) {
        let group = kernel.group_limit();
        let limit = [configured, group].into_iter().flatten().min().unwrap_or(0);
        self.limit.store(limit, Relaxed);
        if let Some((resident, used)) = kernel.used() {
            self.resident.store(resident, Relaxed);
            self.used.store(used, Relaxed);
        }
    }
}

// === impl Kernel ===

impl Kernel {
    /// That of this process.
    pub(crate) fn new() -> Self {
        Self { process: "/proc/self".into(), groups: "/sys/fs/cgroup".into(), page: page_size() }
    }

    /// Bytes of this process that are resident, and of these those of no file.
    fn used(&self) -> Option<(u64, u64)> {
        let text = fs::read_to_string(self.process.join("statm")).ok()?;
        let mut pages = text.split_whitespace().skip(1).map(str::parse::<u64>);
        let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
        let bytes = |pages: u64| pages.saturating_mul(self.page);
        Some((bytes(resident), bytes(resident.saturating_sub(shared))))
    }

    /// The least limit of the group of this process and of those that it is in.
    fn group_limit(&self) -> Option<u64> {
        let text = fs::read_to_string(self.process.join("cgroup")).ok()?;
        let limits = text.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            match controllers {
                "" => least(&self.groups, path, "memory.max"),
                _ if controllers.split(',').any(|one| one == "memory") => {
                    least(&self.groups.join("memory"), path, "memory.limit_in_bytes")
                }
                _ => None,
            }
        });
        limits.min()
    }
}

/// The least number in the files `name` from the group `path` below `root` up to `root` itself.
fn least(root: &Path, path: &str, name: &str) -> Option<u64> {
    let path = Path::new(path.trim_start_matches('/'));
    // Without a path of its own in sight, as in many a container, the group is the root.
    let groups = path.ancestors().filter(|path| !path.starts_with(".."));
    let limits = groups.filter_map(|group| {
        let text = fs::read_to_string(root.join(group).join(name)).ok()?;
        text.trim().parse::<u64>().ok().filter(|&limit| limit > 0 && limit < NO_LIMIT)
    });
    limits.min()
}

#[expect(unsafe_code, reason = "one system call without memory of ours")]
fn page_size() -> u64 {
    // SAFETY: it may be called with any name at any time.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).ok().filter(|&size| size > 0).unwrap_or(4_096)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel of files: these, below a folder of their own.
    fn kernel(files: &[(&str, &str)]) -> (tempfile::TempDir, Kernel) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let kernel = Kernel {
            process: folder.path().join("self"),
            groups: folder.path().join("groups"),
            page: 4_096,
        };
        (folder, kernel)
    }

    #[test]
    fn the_least_limit_from_the_group_up_to_the_root_counts() {
        let limit = |files: &[(&str, &str)]| kernel(files).1.group_limit();
        let own = ("self/cgroup", "0::/pods/checkout\n");
        assert_eq!(limit(&[own]), None);
        assert_eq!(limit(&[own, ("groups/pods/checkout/memory.max", "max\n")]), None);
        let pods = ("groups/pods/memory.max", "4096\n");
        assert_eq!(limit(&[own, ("groups/pods/checkout/memory.max", "max\n"), pods]), Some(4_096));
        assert_eq!(limit(&[own, ("groups/pods/checkout/memory.max", "99\n"), pods]), Some(99));
        // In a namespace of its own.
        assert_eq!(limit(&[("self/cgroup", "0::/\n"), ("groups/memory.max", "77\n")]), Some(77));
        let outside = ("self/cgroup", "0::/../../etc\n");
        assert_eq!(limit(&[outside, ("groups/memory.max", "77\n")]), Some(77));
    }

    #[test]
    fn the_first_version_of_cgroups_counts_too() {
        let limit = |files: &[(&str, &str)]| kernel(files).1.group_limit();
        let own = ("self/cgroup", "12:cpu,cpuacct:/x\n5:memory:/docker/abc\n0::/\n");
        let none = ("groups/memory/docker/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit(&[own, none]), None);
        let some = ("groups/memory/docker/abc/memory.limit_in_bytes", "512\n");
        assert_eq!(limit(&[own, none, some]), Some(512));
    }

    #[test]
    fn what_is_resident_and_of_no_file_is_held_against_the_lesser_limit() {
        let (_folder, kernel) = kernel(&[
            ("self/statm", "9999 300 100 1 0 1 0\n"),
            ("self/cgroup", "0::/\n"),
            ("groups/memory.max", "1638400\n"),
        ]);
        let memory = Memory::default();
        assert_eq!(memory.pressure(), 0.0);
        memory.look(&kernel, None);
        assert_eq!((memory.used(), memory.limit()), (200 * 4_096, Some(1_638_400)));
        assert_eq!(memory.resident(), 300 * 4_096);
        assert_eq!(memory.pressure(), 0.5);
        memory.look(&kernel, Some(1_024_000));
        assert_eq!(memory.pressure(), 0.8);
        memory.look(&kernel, Some(1 << 40));
        assert_eq!(memory.pressure(), 0.5);
        memory.look(&kernel, Some(4_096));
        assert_eq!(memory.pressure(), 1.0);
    }

    #[test]
    fn without_such_files_there_is_no_pressure() {
        let (_folder, kernel) = kernel(&[("self/statm", "garbage")]);
        let memory = Memory::default();
        memory.look(&kernel, None);
        assert_eq!((memory.used(), memory.limit(), memory.pressure()), (0, None, 0.0));
    }

    #[test]
    fn this_process_uses_some() {
        let (resident, used) = Kernel::new().used().unwrap();
        assert!((100_000..1 << 40).contains(&used) && used <= resident, "{used} {resident}");
    }
}
