//! Work that is finished even if nobody waits for it any more; a drain waits for it.

use std::cell::Cell;
use std::rc::Rc;

use crate::worker::Worker;

/// Something that is being done: once nobody waits for it, it counts as active by itself.
struct Alone {
    worker: Rc<Worker>,
    is_alone: Cell<bool>,
    has_ended: Cell<bool>,
}

/// Whoever waits for it.
struct Waits(Rc<Alone>);

/// Has `made` done to its end, also if this is dropped before. `None` if it panics.
pub(crate) async fn to_its_end<T: 'static>(
    worker: Rc<Worker>,
    made: impl Future<Output = T> + 'static,
) -> Option<T> {
    let alone = Rc::new(Alone::new(worker));
    let waits = Waits(Rc::clone(&alone));
    let made = async move {
        let made = made.await;
        alone.end();
        made
    };
    let made = tokio::task::spawn_local(made).await;
    drop(waits);
    made.ok()
}

// === impl Alone ===

impl Alone {
    fn new(worker: Rc<Worker>) -> Self {
        Self { worker, is_alone: Cell::new(false), has_ended: Cell::new(false) }
    }

    fn end(&self) {
        self.has_ended.set(true);
        if self.is_alone.take() {
            self.worker.leave();
        }
    }
}

impl Drop for Alone {
    /// Also if it ends by a panic.
    fn drop(&mut self) {
        self.end();
    }
}

// === impl Waits ===

impl Drop for Waits {
    fn drop(&mut self) {
        if !self.0.has_ended.get() && !self.0.is_alone.replace(true) {
            self.0.worker.enter();
        }
    }
}
