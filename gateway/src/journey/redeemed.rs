//! What a customer used up by coming on time, until it is let in.

use std::sync::Arc;

use floodgate_limiter::{Returns, Standing};

use crate::clock;

/// The precedence of a customer who came on time. Dropped before that one was let in, it is given back: whoever is
/// refused behind this, or whose connection breaks while it waits, has had nothing of it.
#[derive(Debug)]
pub(super) struct Redeemed {
    /// Empty once the customer is in.
    returns: Option<Arc<Returns>>,
    customer: u64,
}

// === impl Redeemed ===

impl Redeemed {
    pub(super) fn new(returns: &Arc<Returns>, customer: u64) -> Self {
        Self { returns: Some(Arc::clone(returns)), customer }
    }

    /// The customer is in.
    pub(super) fn settle(mut self) {
        self.returns = None;
    }
}

impl Drop for Redeemed {
    fn drop(&mut self) {
        let now = clock::now();
        if let Some(returns) = self.returns.take()
            // What another request of the same customer was told meanwhile holds.
            && returns.standing(self.customer, now) == Standing::New
        {
            returns.tell(self.customer, now, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_let_in_after_all_is_on_time_still_and_who_is_let_in_is_not() {
        let returns = Arc::new(Returns::new(8));
        let redeem = || {
            let now = clock::now();
            assert!(returns.redeem(7, now));
            assert_eq!(returns.standing(7, now), Standing::New);
            Redeemed::new(&returns, 7)
        };
        returns.tell(7, clock::now(), clock::now());
        drop(redeem());
        assert_eq!(returns.standing(7, clock::now()), Standing::OnTime);
        redeem().settle();
        assert_eq!(returns.standing(7, clock::now()), Standing::New);
        // What it was told meanwhile holds.
        returns.tell(7, clock::now(), clock::now());
        let redeemed = redeem();
        let now = clock::now();
        returns.tell(7, now, now + std::time::Duration::from_secs(30));
        drop(redeemed);
        assert!(matches!(returns.standing(7, clock::now()), Standing::Early { .. }));
    }
}
