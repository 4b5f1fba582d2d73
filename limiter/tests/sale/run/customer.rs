//! One customer, as the sale keeps account of it.

use floodgate_limiter::{Begun, Permit, Ticket};

pub(super) struct Customer {
    pub(super) bot: bool,
    pub(super) honours: bool,
    pub(super) came: u64,
    pub(super) until: u64,
    pub(super) step: usize,
    pub(super) nonce: Option<u64>,
    pub(super) expires: u64,
    pub(super) begun: Option<Begun>,
    /// Which wait of this customer is the running one.
    pub(super) ticket: Option<Ticket>,
    pub(super) permit: Option<Permit>,
    pub(super) asked: u64,
    /// How often it has waited for a permit.
    pub(super) waits: u32,
    pub(super) standing: usize,
}

impl Customer {
    pub(super) fn new(bot: bool, honours: bool, came: u64, until: u64) -> Self {
        Self {
            bot,
            honours,
            came,
            until,
            step: 0,
            nonce: None,
            expires: 0,
            begun: None,
            ticket: None,
            permit: None,
            asked: 0,
            waits: 0,
            standing: 0,
        }
    }
}
