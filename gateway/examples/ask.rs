//! A client for `benches/instructions.sh`: so many requests over so many kept connections, one on each at
//! a time, without any thought of time.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, connections, requests, more @ ..] = args.as_slice() else {
        return Err("usage: ask ADDRESS PATH CONNECTIONS REQUESTS [FIELD]".into());
    };
    let (address, connections) = (address.parse::<SocketAddr>()?, connections.parse::<usize>()?);
    // In a field, {} is the number of the request.
    let field = more.first().map(|field| format!("{field}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{field}\r\n");
    let mut number = 0;
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(TcpStream::connect(address)?);
    }
    let mut buffer = vec![0; 64 * 1024];
    for _ in 0..requests.parse::<usize>()?.div_ceil(connections) {
        for stream in &mut open {
            number += 1;
            stream.write_all(request.replace("{}", &format!("{number:06}")).as_bytes())?;
        }
        for stream in &mut open {
            read_answer(stream, &mut buffer)?;
        }
    }
    Ok(())
}

/// Reads an answer of a known length to its end.
fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<(), Box<dyn Error>> {
    let mut filled = 0;
    loop {
        let came = stream.read(&mut buffer[filled..])?;
        if came == 0 {
            return Err("the connection ended".into());
        }
        filled += came;
        let text = std::str::from_utf8(&buffer[..filled])?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            })
            .ok_or("an answer without a length")?;
        if body.len() == length {
            return Ok(());
        }
    }
}
