//! Connections that cost a place and ask for little: slow readers and heads that never end.

use std::{rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout_at},
};

use super::venue::Venue;

/// Pause before the next connection, whatever became of the last.
const PAUSE: Duration = Duration::from_millis(100);
/// How much a slow reader takes, and how often: 2 KB/s.
const SIP: (usize, Duration) = (20, Duration::from_millis(10));
/// How often an unfinished head goes on by a byte.
const DRIP: Duration = Duration::from_secs(1);

/// Keeps one slow reader busy until no more intents come.
pub(super) async fn slow_reader(venue: Rc<Venue>) {
    let request =
        format!("GET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", venue.plan.target);
    let stop = venue.start + venue.plan.duration;
    while let Ok(read) = timeout_at(stop, read_slowly(&venue, &request)).await {
        venue.traffic(|traffic| match read {
            Ok(()) => traffic.slow_reads.0 += 1,
            Err(_) => traffic.slow_reads.1 += 1,
        });
        sleep(PAUSE).await;
    }
}

async fn read_slowly(venue: &Venue, request: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(venue.plan.target).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut sip = [0; SIP.0];
    while stream.read(&mut sip).await? > 0 {
        sleep(SIP.1).await;
    }
    Ok(())
}

/// Keeps one unfinished head open until no more intents come.
pub(super) async fn unfinished_head(venue: Rc<Venue>) {
    let stop = venue.start + venue.plan.duration;
    while timeout_at(stop, drip(&venue)).await.is_ok() {
        venue.traffic(|traffic| traffic.heads_closed += 1);
        sleep(PAUSE).await;
    }
}

/// Ends when the target closes the connection.
async fn drip(venue: &Venue) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(venue.plan.target).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nx-never-ends: ").await?;
    let mut answer = [0; 512];
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => if read? == 0 { return Ok(()) },
            () = sleep(DRIP) => stream.write_all(b"x").await?,
        }
    }
}
