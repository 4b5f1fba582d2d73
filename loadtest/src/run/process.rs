//! Who used how much CPU time, and which process listens on a port.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use crate::machine;

/// Name of the origin's thread, which is in this process and is not the generator.
const ORIGIN_THREAD: &str = "(origin)";

/// CPU time so far, user and system, in seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Cpu {
    /// By thread.
    pub(super) gateway: Option<BTreeMap<u32, f64>>,
    pub(super) generator: f64,
    pub(super) origin: f64,
}

// === impl Cpu ===

impl Cpu {
    pub(super) fn now(gateway: Option<u32>) -> Self {
        let here = std::process::id();
        let origin = threads(here).filter(|(_, stat)| stat.contains(ORIGIN_THREAD));
        let origin: f64 = origin.filter_map(|(_, stat)| machine::cpu_of_stat(&stat)).sum();
        let whole = machine::cpu_s(here).unwrap_or(0.0);
        let by_thread = |pid| {
            threads(pid).filter_map(|(id, stat)| Some((id, machine::cpu_of_stat(&stat)?))).collect()
        };
        Self { gateway: gateway.map(by_thread), generator: (whole - origin).max(0.0), origin }
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        let gateway = self.gateway.as_ref().zip(before.gateway.as_ref());
        let spent = |(now, then): (&BTreeMap<u32, f64>, &BTreeMap<u32, f64>)| {
            let before = |id| then.get(id).copied().unwrap_or(0.0);
            now.iter().map(|(id, seconds)| (*id, seconds - before(id))).collect()
        };
        Self {
            gateway: gateway.map(spent),
            generator: self.generator - before.generator,
            origin: self.origin - before.origin,
        }
    }
}

/// The threads of a process that it has now, each with its line of proc(5).
fn threads(pid: u32) -> impl Iterator<Item = (u32, String)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| {
        let id = task.file_name().to_str()?.parse().ok()?;
        Some((id, fs::read_to_string(task.path().join("stat")).ok()?))
    })
}

/// The process of this machine that listens on `addr`; `None` when it is not ours to see.
pub(super) fn listening_on(addr: SocketAddr) -> Option<u32> {
    if !addr.ip().is_loopback() {
        return None;
    }
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter();
    let sockets = sockets.flat_map(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let found = text.lines().filter_map(|line| inode(line, addr).map(str::to_owned));
        found.collect::<Vec<_>>()
    });
    let links: Vec<_> = sockets.map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| !links.is_empty() && holds(*pid, &links))
}

/// The inode of a listening socket, from a line of proc_net_tcp(5), when its port is the wanted one.
fn inode(line: &str, addr: SocketAddr) -> Option<&str> {
    const LISTENING: &str = "0A";
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let here = match addr.ip() {
        IpAddr::V4(v4) => ip == format!("{:08X}", u32::from_le_bytes(v4.octets())),
        IpAddr::V6(_) => ip.len() == 32,
    };
    let anywhere = ip.bytes().all(|byte| byte == b'0');
    let is_it = u16::from_str_radix(port, 16).ok()? == addr.port() && (here || anywhere);
    (fields.get(3) == Some(&LISTENING) && is_it).then(|| fields.get(9).copied())?
}

fn holds(pid: u32, links: &[String]) -> bool {
    let files = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd"));
    files.into_iter().flatten().flatten().any(|file| {
        let target = fs::read_link(file.path());
        target.is_ok_and(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        assert_eq!(listening_on(addr), Some(std::process::id()));
        drop(listener);
        assert_eq!(listening_on(addr), None);
    }

    #[test]
    fn cpu_time_does_not_go_back() {
        let before = Cpu::now(None);
        let spent = Cpu::now(None).since(&before);
        assert!(spent.generator >= 0.0 && spent.origin >= 0.0 && spent.gateway.is_none());
    }
}
