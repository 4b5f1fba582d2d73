//! The queue of connections that the kernel holds until a listener accepts them.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A worker's listener, while it accepts. The descriptor is another one of the same socket, given up when the worker ends:
/// a listener that is open and that nobody accepts from would be given its part of the connections.
#[derive(Debug, Default)]
pub(crate) struct Listening(Mutex<Option<OwnedFd>>);

/// Looks at the listener until it is dropped.
#[derive(Debug)]
pub(crate) struct Watched<'a>(&'a Listening);

/// The queue of one listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct AcceptQueue {
    /// Connections in it.
    pub waiting: u32,
    /// How many it may hold.
    pub most: u32,
}

// === impl Listening ===

impl Listening {
    /// From now on it is `listener`.
    pub(crate) fn watch(&self, listener: &impl AsFd) -> Watched<'_> {
        *self.lock() = listener.as_fd().try_clone_to_owned().ok();
        Watched(self)
    }

    /// Its queue, where the system tells of it.
    pub(super) fn queue(&self) -> Option<AcceptQueue> {
        self.lock().as_ref().and_then(AcceptQueue::of)
    }

    fn lock(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

// === impl AcceptQueue ===

impl AcceptQueue {
    /// Of a listener `tcp_get_info` in Linux's `net/ipv4/tcp.c` tells in `tcpi_unacked` how many connections wait, in
    /// `tcpi_sacked` how many may: what `ss -lt` shows as Recv-Q and Send-Q.
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "one system call that fills a plain struct on the stack")]
    fn of(listener: &OwnedFd) -> Option<Self> {
        use std::os::fd::AsRawFd as _;

        let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
        let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
        // SAFETY: the descriptor is open for the whole call, and `len` bytes of `info` may be written.
        let result = unsafe {
            libc::getsockopt(
                listener.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        // SAFETY: it is made of integers, for which zero is a value.
        let info = unsafe { info.assume_init() };
        (result == 0).then_some(Self { waiting: info.tcpi_unacked, most: info.tcpi_sacked })
    }

    /// Nothing is known.
    #[cfg(not(target_os = "linux"))]
    const fn of(_: &OwnedFd) -> Option<Self> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpStream;

    use super::*;
    use crate::listener;

    #[test]
    fn connections_that_nobody_accepts_are_seen_in_the_queue_until_somebody_does() {
        let listener = listener::bind_all("127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0);
        let listening = Listening::default();
        assert_eq!(listening.queue(), None);
        let watched = listening.watch(&listener);
        assert_eq!(listening.queue(), Some(AcceptQueue { waiting: 0, most: 16 }));
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        listener.set_nonblocking(false).unwrap();
        assert_eq!(listening.queue().unwrap().waiting, 3);
        listener.accept().unwrap();
        assert_eq!(listening.queue().unwrap().waiting, 2);
        drop(watched);
        assert_eq!(listening.queue(), None);
        drop((clients, listener));
        assert!(TcpStream::connect(address).is_err(), "nothing else keeps the listener open");
    }
}
