//! The stream of `/api/events`: what is made once a second goes to everybody who watches.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame};
use serde_json::json;
use tokio::sync::mpsc;

use super::moment::{self, Moment, Source};
use super::past::Past;
use crate::admin::answer::{Answer, problem};
use crate::admin::token::Role;
use crate::clock;

/// How often there is news; a watcher who hears nothing for longer knows that something is wrong.
pub(in crate::admin) const STEP: Duration = Duration::from_secs(1);

/// Watchers at once.
const MAX_WATCHERS: usize = 64;

/// The news that one watcher has not taken yet: at most the first two, the past and the present.
const UNTAKEN: usize = 2;

/// What was seen in the last minutes, and who wants to see the next second.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    past: Past,
    moment: Moment,
    watchers: Vec<mpsc::Sender<Bytes>>,
}

/// The body of a stream. It ends with the gateway, and never before.
#[derive(Debug)]
pub(in crate::admin) struct Events(mpsc::Receiver<Bytes>);

// === impl Live ===

impl Live {
    /// A second is over: it is written down, and told to everybody who watches. Who has not taken what was told before
    /// misses it.
    pub(in crate::admin) fn step(&self, source: &Source<'_>) {
        let mut state = self.lock();
        let State { past, moment, watchers } = &mut *state;
        past.record(&source.snapshot, clock::now());
        watchers.retain(|watcher| !watcher.is_closed());
        if watchers.is_empty() {
            return;
        }
        let news = event("now", &moment.tell(source, past));
        for watcher in watchers {
            // Full: it is slow, and skips this one. Closed: it is gone by the next second.
            let _skipped = watcher.try_send(news.clone());
        }
    }

    /// One more watcher, who is told the past and the present at once.
    pub(in crate::admin) fn watch(&self, source: &Source<'_>, role: Role) -> Answer {
        let mut state = self.lock();
        let State { past, moment, watchers } = &mut *state;
        watchers.retain(|watcher| !watcher.is_closed());
        if watchers.len() >= MAX_WATCHERS {
            let sentence =
                format!("{MAX_WATCHERS} watch already: close a dashboard that nobody looks at");
            return problem(StatusCode::SERVICE_UNAVAILABLE, "too_many_watchers", &sentence);
        }
        let (watcher, events) = mpsc::channel(UNTAKEN);
        let past_told = moment::past(source, past, role);
        for news in [event("past", &past_told), event("now", &moment.tell(source, past))] {
            // There is room for these.
            let _sent = watcher.try_send(news);
        }
        watchers.push(watcher);
        Answer::stream("text/event-stream", Events(events))
    }

    /// Tells everybody that this was all. Whether there was anybody.
    pub(in crate::admin) fn end(&self) -> bool {
        let watchers = std::mem::take(&mut self.lock().watchers);
        let last = event("end", &json!({ "because": "stopped" }).to_string());
        for watcher in &watchers {
            let _skipped = watcher.try_send(last.clone());
        }
        !watchers.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event as it stands in the stream (WHATWG HTML, "server-sent events"); `data` is one line.
fn event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

// === impl Events ===

impl Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|news| Some(Ok(Frame::data(news?))))
    }
}
