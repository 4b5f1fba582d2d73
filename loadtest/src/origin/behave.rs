//! The answers: the plain one, and every way of misbehaving.

use std::{sync::Arc, time::Duration};

use bytes::Buf as _;
use tokio::{io::AsyncReadExt as _, time::sleep};

use super::{
    answer::{self, FILLING, Framing},
    connection::{Connection, Gone},
    request::{Behaviour, Request},
    shop::Reply,
};

/// Pieces of a slow body.
const PIECES: u32 = 10;
/// How long a slow body takes, unless told otherwise.
const BODY_TIME: Duration = Duration::from_millis(500);
/// Payload of one chunk.
const CHUNK_BYTES: usize = 8 * 1024;

/// How a request ended, when its client stayed.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Answered {
        keep_alive: bool,
    },
    /// The origin was told to leave the client without a whole answer.
    Deserted,
}

impl Connection {
    /// Answers as the request asks for.
    pub(super) async fn behave(&mut self, request: &Request) -> Result<End, Gone> {
        let instructions = &request.instructions;
        let bytes = instructions.body_bytes.unwrap_or(self.shared.config.body_bytes);
        let status = instructions.status.unwrap_or(200);
        let keep_alive = request.keep_alive && instructions.behaviour != Behaviour::EarlyAnswer;
        let body = if request.is_head || matches!(status, 204 | 304) { 0 } else { bytes };
        match instructions.behaviour {
            Behaviour::Answer | Behaviour::EarlyAnswer | Behaviour::EarlyHints => {
                let plain = instructions.status.is_none()
                    && instructions.body_bytes.is_none()
                    && instructions.headers.is_empty()
                    && instructions.behaviour == Behaviour::Answer
                    && keep_alive
                    && !request.is_head;
                let shared = Arc::clone(&self.shared);
                if let Some(ready) = shared.ready.as_ref().filter(|_| plain) {
                    self.write(ready).await?;
                    return Ok(End::Answered { keep_alive });
                }
                if instructions.behaviour == Behaviour::EarlyHints {
                    self.write(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n").await?;
                }
                self.head(request, answer::framing(status, bytes), keep_alive);
                self.write_output(body).await?;
            }
            Behaviour::Chunked => {
                self.head(request, Framing::Chunked, keep_alive);
                self.write_output(0).await?;
                self.write_chunks(body, !request.is_head).await?;
            }
            Behaviour::CloseBeforeAnswer => return Ok(End::Deserted),
            Behaviour::Echo => {
                let json = serde_json::to_vec(&request.echo).map_err(|_| Gone)?;
                self.head(request, answer::framing(status, json.len()), keep_alive);
                if body > 0 || !request.is_head {
                    self.output.extend_from_slice(&json);
                }
                self.write_output(0).await?;
            }
            Behaviour::Garbage => {
                self.write(b"\x00\x01 this is not HTTP \xff\r\n\r\n").await?;
                return Ok(End::Deserted);
            }
            Behaviour::NeverAnswer => {
                self.while_client_stays(std::future::pending()).await?;
                return Ok(End::Deserted);
            }
            Behaviour::Reset => {
                // Without it the connection closes in the ordinary way.
                drop(self.stream.set_zero_linger());
                return Ok(End::Deserted);
            }
            Behaviour::SlowBody => {
                self.head(request, answer::framing(status, bytes), keep_alive);
                self.write_output(0).await?;
                self.write_slowly(body, instructions.body_time.unwrap_or(BODY_TIME)).await?;
            }
            Behaviour::Switch101 => return self.switch(request).await,
            Behaviour::Truncate => {
                self.head(request, answer::framing(status, bytes), keep_alive);
                self.write_output(body / 2).await?;
                return Ok(End::Deserted);
            }
        }
        Ok(End::Answered { keep_alive })
    }

    /// Answers for the shop.
    pub(super) async fn answer_trade(
        &mut self,
        request: &Request,
        reply: &Reply,
    ) -> Result<End, Gone> {
        let lines = self.shared.header_lines.iter().chain(&reply.headers).map(String::as_str);
        let framing = answer::framing(reply.status, reply.body.len());
        let keep_alive = request.keep_alive;
        self.output.clear();
        let json = "application/json";
        answer::head(&mut self.output, reply.status, framing, json, keep_alive, lines);
        if !request.is_head {
            self.output.extend_from_slice(reply.body.as_bytes());
        }
        self.write_output(0).await?;
        Ok(End::Answered { keep_alive })
    }

    /// Puts the head of the answer into `output`.
    fn head(&mut self, request: &Request, framing: Framing, keep_alive: bool) {
        let content_type = if request.echo.is_some() { "application/json" } else { "text/plain" };
        let status = request.instructions.status.unwrap_or(200);
        let lines = self.shared.header_lines.iter().chain(&request.instructions.headers);
        self.output.clear();
        let lines = lines.map(String::as_str);
        answer::head(&mut self.output, status, framing, content_type, keep_alive, lines);
    }

    async fn write_chunks(&mut self, mut bytes: usize, has_body: bool) -> Result<(), Gone> {
        while bytes > 0 {
            let piece = bytes.min(CHUNK_BYTES);
            self.output.clear();
            self.output.extend_from_slice(format!("{piece:x}\r\n").as_bytes());
            self.output.extend_from_slice(&FILLING[..piece]);
            self.output.extend_from_slice(b"\r\n");
            self.write_output(0).await?;
            bytes -= piece;
        }
        if has_body {
            self.write(b"0\r\nx-origin-trailer: end\r\n\r\n").await?;
        }
        Ok(())
    }

    async fn write_slowly(&mut self, bytes: usize, time: Duration) -> Result<(), Gone> {
        for piece in 0..PIECES as usize {
            self.while_client_stays(sleep(time / PIECES)).await?;
            let from = bytes * piece / PIECES as usize;
            let to = bytes * (piece + 1) / PIECES as usize;
            self.output.clear();
            self.write_output(to - from).await?;
        }
        Ok(())
    }

    /// After the switch the origin says back what it hears, to the end of the connection.
    async fn switch(&mut self, request: &Request) -> Result<End, Gone> {
        let protocol = request.upgrade.as_deref().unwrap_or("echo");
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
        );
        self.write(head.as_bytes()).await?;
        loop {
            let heard = self.input.split();
            self.write(heard.chunk()).await?;
            self.input.reserve(4096);
            match self.stream.read_buf(&mut self.input).await {
                Ok(1..) => {}
                Ok(0) => return Ok(End::Answered { keep_alive: false }),
                Err(_) => return Err(Gone),
            }
        }
    }
}
