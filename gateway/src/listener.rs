//! Listening sockets: one per core on the same address, shared out by the kernel.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Listeners of one address for `count` cores. With port 0 the system chooses one port for all.
///
/// # Errors
/// One sentence that says which address, why, and what to do.
pub(crate) fn bind_all(
    address: SocketAddr,
    count: usize,
    backlog: u32,
) -> Result<Vec<TcpListener>, String> {
    let explain = |error: io::Error| explain(address, &error);
    // Sockets that share a port share it with every process of the same user that asks to. So the
    // address is first taken alone: another gateway on it is an error, not a partner.
    let alone = open(address, false).map_err(explain)?;
    let actual = alone.local_addr().ok().and_then(|address| address.as_socket()).unwrap_or(address);
    drop(alone);
    let listen = |_| {
        let socket = open(actual, true)?;
        // Every connection has it from its listener, which saves a system call for each.
        socket.set_tcp_nodelay(true)?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    };
    (0..count).map(listen).collect::<io::Result<_>>().map_err(explain)
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn explain(address: SocketAddr, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "stop the other process or choose another port",
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: use one of its own or 0.0.0.0"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: choose a higher one",
        _ => "choose another address",
    };
    format!("cannot listen on {address}: {error}; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cores_listen_on_the_port_that_the_system_chose() {
        let listeners = bind_all("127.0.0.1:0".parse().unwrap(), 3, 16).unwrap();
        let ports: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    }

    #[test]
    fn small_answers_to_an_accepted_connection_are_not_delayed() {
        let listeners = bind_all("127.0.0.1:0".parse().unwrap(), 1, 16).unwrap();
        let _client = std::net::TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        listeners[0].set_nonblocking(false).unwrap();
        assert!(listeners[0].accept().unwrap().0.nodelay().unwrap());
    }

    #[test]
    fn a_port_in_use_is_an_error_that_says_what_to_do() {
        let taken = bind_all("127.0.0.1:0".parse().unwrap(), 2, 16).unwrap();
        let error = bind_all(taken[0].local_addr().unwrap(), 2, 16).unwrap_err();
        assert!(error.contains("in use") && error.contains("choose another port"), "{error}");
    }
}
