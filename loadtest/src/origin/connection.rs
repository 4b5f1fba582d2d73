//! One connection: head, body, work, answer, again.

use std::{future::Future, io, ops::ControlFlow, sync::Arc, time::Duration};

use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    answer::{self, FILLING},
    behave::End,
    fault::FaultKind,
    request::{self, Behaviour, Echo, Parsed, Request},
    shared::Shared,
    shop::Reply,
};

/// Bytes that are read ahead while a request is worked on; the rest waits in the kernel.
const MAX_READ_AHEAD: usize = 64 * 1024;
/// Room from which on a read begins without more being made.
const MIN_READ: usize = 1024;
/// Largest body that an echo repeats.
const MAX_ECHO_BYTES: usize = 64 * 1024;
/// What is read and thrown away after an early answer, so that the client can read it.
const MAX_DISCARD: usize = 1 << 20;
/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(5);
/// Where the counts are read; such requests are not counted.
const STATS_PATH: &str = "/__origin/stats";

/// One client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) input: BytesMut,
    /// Kept between answers for its allocation.
    pub(super) output: Vec<u8>,
    pub(super) shared: Arc<Shared>,
    pub(super) stream: TcpStream,
}

/// The client left.
#[derive(Debug)]
pub(super) struct Gone;

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _open = shared.stats.open();
    // Without it answers are as good, only later.
    drop(stream.set_nodelay(true));
    let (input, output) = (BytesMut::with_capacity(4096), Vec::new());
    let mut connection = Connection { input, output, shared, stream };
    while connection.next().await.is_continue() {}
}

// === impl Connection ===

impl Connection {
    /// One request, from head to the end of its answer.
    async fn next(&mut self) -> ControlFlow<()> {
        let mut request = match self.receive_head().await {
            Ok(Parsed::Complete(request)) => request,
            Ok(Parsed::Bad(status, why)) => {
                self.shared.stats.count_bad_request();
                drop(self.refuse(status, why).await);
                return ControlFlow::Break(());
            }
            Ok(Parsed::Incomplete) | Err(Gone) => return ControlFlow::Break(()),
        };
        if &self.input[request.path.clone()] == STATS_PATH.as_bytes() {
            let answered = self.answer_stats(&mut request).await;
            return if answered.is_ok() && request.keep_alive {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            };
        }
        if self.shared.stats.is_full() {
            // Clients that left before this request came are noticed first and do not count.
            tokio::task::yield_now().await;
        }
        if let Some(flow) = self.answer_at_once(&request).await {
            return flow;
        }
        let shared = Arc::clone(&self.shared);
        let path = std::str::from_utf8(&self.input[request.path.clone()]).unwrap_or_default();
        let time = request.instructions.delay.unwrap_or_else(|| shared.service_time(path));
        let visit = shared.stats.enter(request::prefix_of(path));
        shared.note_request(visit.before);
        self.input.advance(request.head_bytes);
        match self.attend(&mut request, time).await {
            Ok(End::Answered { keep_alive }) => {
                visit.answered();
                if keep_alive {
                    return ControlFlow::Continue(());
                }
                self.close(request.instructions.behaviour).await;
            }
            Ok(End::Deserted) => {}
            Err(Gone) => visit.client_left(),
        }
        ControlFlow::Break(())
    }

    /// What most requests get: the ready answer, in the same turn and in one write. `None` when
    /// there is more to it.
    async fn answer_at_once(&mut self, request: &Request) -> Option<ControlFlow<()>> {
        if !request.is_plain() {
            return None;
        }
        let Self { input, shared, stream, .. } = self;
        let path = std::str::from_utf8(&input[request.path.clone()]).unwrap_or_default();
        let ready = shared.answer_at_once(path)?;
        let visit = shared.stats.enter(request::prefix_of(path));
        input.advance(request.head_bytes);
        // Nearly always all of it fits into the kernel's buffer.
        let written = match stream.try_write(ready) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        };
        let whole = match written {
            Ok(written) if written == ready.len() => Ok(()),
            Ok(written) => stream.write_all(&ready[written..]).await,
            Err(error) => Err(error),
        };
        Some(match whole {
            Ok(()) => {
                visit.answered();
                ControlFlow::Continue(())
            }
            Err(_) => {
                visit.client_left();
                ControlFlow::Break(())
            }
        })
    }

    /// Body, work, answer.
    async fn attend(&mut self, request: &mut Request, time: Duration) -> Result<End, Gone> {
        if request.instructions.behaviour != Behaviour::EarlyAnswer {
            if request.expects_continue && !request.body.is_done() && self.input.is_empty() {
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            if !self.receive_body(request).await? {
                self.shared.stats.count_bad_request();
                drop(self.refuse(400, "malformed body").await);
                return Ok(End::Deserted);
            }
        }
        let shared = Arc::clone(&self.shared);
        if shared.finishes_work() {
            shared.work(time).await;
        } else if !shared.is_idle_work(time) {
            self.while_client_stays(shared.work(time)).await?;
        }
        self.suffer(request);
        if let Some(reply) = self.trade(request) {
            self.while_client_stays(std::future::ready(())).await?;
            return self.answer_trade(request, &reply).await;
        }
        if shared.finishes_work() {
            self.while_client_stays(std::future::ready(())).await?;
        }
        self.behave(request).await
    }

    /// What goes wrong now happens to this request, unless it asked for something itself.
    fn suffer(&self, request: &mut Request) {
        if request.instructions.behaviour != Behaviour::Answer {
            return;
        }
        match self.shared.fault() {
            Some(FaultKind::Errors(status)) => request.instructions.status = Some(status),
            Some(FaultKind::Reset) => request.instructions.behaviour = Behaviour::Reset,
            Some(FaultKind::SlowBody) => request.instructions.behaviour = Behaviour::SlowBody,
            Some(FaultKind::Down | FaultKind::Freeze) | None => {}
        }
    }

    /// Does what the request asks of the shop; an instruction or a fault goes first.
    fn trade(&self, request: &Request) -> Option<Reply> {
        let instructions = &request.instructions;
        let plain = instructions.behaviour == Behaviour::Answer && instructions.status.is_none();
        let (shop, call) = (self.shared.shop.as_ref()?, request.call.as_deref()?);
        plain.then(|| shop.trade(call, self.shared.since_begin()))
    }

    async fn receive_head(&mut self) -> Result<Parsed, Gone> {
        loop {
            if !self.input.is_empty() {
                match request::parse(&self.input, self.shared.shop.as_ref()) {
                    Parsed::Incomplete => {}
                    parsed => return Ok(parsed),
                }
            }
            self.read().await?;
        }
    }

    /// Reads the body and forgets it, except for what an echo wants to know. Whether it was well
    /// formed.
    async fn receive_body(&mut self, request: &mut Request) -> Result<bool, Gone> {
        let Request { body, echo, .. } = request;
        let (mut kept, mut bytes, mut hash) = (Vec::new(), 0u64, 0xcbf2_9ce4_8422_2325u64);
        loop {
            let taken = body.advance(&self.input, |payload| {
                bytes += payload.len() as u64;
                if echo.is_some() {
                    // FNV-1a, 64 bit.
                    hash = payload.iter().fold(hash, |hash, byte| {
                        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
                    });
                    if bytes <= MAX_ECHO_BYTES as u64 {
                        kept.extend_from_slice(payload);
                    }
                }
            });
            let Ok(taken) = taken else { return Ok(false) };
            self.input.advance(taken);
            if body.is_done() {
                break;
            }
            self.read().await?;
        }
        if let Some(echo) = echo {
            describe(echo, bytes, hash, &kept);
        }
        Ok(true)
    }

    /// Waits for `event`, unless the client leaves before it.
    pub(super) async fn while_client_stays<T>(
        &mut self,
        event: impl Future<Output = T>,
    ) -> Result<T, Gone> {
        let leave = async {
            while self.input.len() < MAX_READ_AHEAD {
                match self.stream.read_buf(&mut self.input).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return,
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            () = leave => Err(Gone),
            done = event => Ok(done),
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.stream.write_all(bytes).await.map_err(|_| Gone)
    }

    /// Sends what is in `output`, then `bytes` bytes of filling.
    pub(super) async fn write_output(&mut self, mut bytes: usize) -> Result<(), Gone> {
        // Small bodies go out together with their head.
        if bytes <= 4096 {
            self.output.extend_from_slice(&FILLING[..bytes]);
            bytes = 0;
        }
        self.stream.write_all(&self.output).await.map_err(|_| Gone)?;
        while bytes > 0 {
            let piece = bytes.min(FILLING.len());
            self.write(&FILLING[..piece]).await?;
            bytes -= piece;
        }
        Ok(())
    }

    async fn answer_stats(&mut self, request: &mut Request) -> Result<(), Gone> {
        self.input.advance(request.head_bytes);
        if !self.receive_body(request).await? {
            return Err(Gone);
        }
        let json = serde_json::to_vec(&self.shared.stats()).map_err(|_| Gone)?;
        self.output.clear();
        let framing = answer::framing(200, json.len());
        answer::head(&mut self.output, 200, framing, "application/json", request.keep_alive, []);
        if !request.is_head {
            self.output.extend_from_slice(&json);
        }
        self.write_output(0).await
    }

    async fn refuse(&mut self, status: u16, why: &str) -> Result<(), Gone> {
        self.output.clear();
        let framing = answer::framing(status, why.len());
        answer::head(&mut self.output, status, framing, "text/plain", false, []);
        self.output.extend_from_slice(why.as_bytes());
        self.write_output(0).await?;
        self.discard().await.map_err(|_| Gone)
    }

    /// Ends the connection so that the client can read the answer.
    async fn close(&mut self, behaviour: Behaviour) {
        let ended = if behaviour == Behaviour::EarlyAnswer {
            self.discard().await
        } else {
            self.stream.shutdown().await
        };
        // The client may have gone first, and may.
        drop(ended);
    }

    /// Half-closes and throws away a bounded amount, so that no reset overtakes the answer.
    async fn discard(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let discard = async {
            let mut left = MAX_DISCARD;
            while left > 0 {
                self.input.clear();
                self.input.reserve(4096);
                match self.stream.read_buf(&mut self.input).await? {
                    0 => break,
                    bytes => left = left.saturating_sub(bytes),
                }
            }
            Ok(())
        };
        timeout(DISCARD_TIME, discard).await.unwrap_or(Ok(()))
    }

    async fn read(&mut self) -> Result<(), Gone> {
        // A head fits; making room for each moves bytes about.
        let is_roomy = self.input.is_empty() && self.input.capacity() >= MIN_READ;
        if !is_roomy {
            self.input.reserve(4096);
        }
        match self.stream.read_buf(&mut self.input).await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(Gone),
        }
    }
}

fn describe(echo: &mut Echo, bytes: u64, hash: u64, kept: &[u8]) {
    echo.body_bytes = bytes;
    echo.body_fnv1a = format!("{hash:016x}");
    echo.body =
        (bytes <= MAX_ECHO_BYTES as u64).then(|| String::from_utf8_lossy(kept).into_owned());
}
