//! What is remembered of one SKU, and what an answer makes of it.

use std::time::Duration;

use super::SkuStatus;
use super::index::Tag;
use crate::chain::{Linked, Links};
use crate::stock::{Says, Seen, Stock};
use crate::timestamp::Timestamp;

/// A status that says "gone" is believed when it has been said this often...
const STRIKES: u8 = 3;
/// ...within this time, and nobody was served between.
const STRIKE_TIME: Duration = Duration::from_secs(1);
/// Longest name that is kept, in bytes.
const MAX_NAME: usize = 64;

#[derive(Debug)]
pub(super) struct Record {
    pub(super) tag: Tag,
    pub(super) name: Box<str>,
    pub(super) stock: Stock,
    pub(super) remaining: Option<u64>,
    /// When it was last latched or opened. What was asked before says nothing about it.
    pub(super) since: Timestamp,
    /// When something was last heard that counted.
    pub(super) observed: Timestamp,
    /// When the newest question was asked that `remaining` is the answer to.
    asked: Timestamp,
    /// Latched by statuses alone, so that a status alone opens it.
    by_status: bool,
    strikes: u8,
    /// The last two, the older one first.
    struck: [Timestamp; 2],
    links: Links,
}

impl Record {
    /// One of which nothing is known. It was open `since` then.
    pub(super) fn new(tag: Tag, name: &str, since: Timestamp) -> Self {
        Self {
            tag,
            name: name[..name.floor_char_boundary(MAX_NAME)].into(),
            stock: Stock::Open,
            remaining: None,
            since,
            observed: since,
            asked: Timestamp::default(),
            by_status: false,
            strikes: 0,
            struck: [since; 2],
            links: Links::NONE,
        }
    }

    /// Takes note of an answer to a question asked then. Whether it counts.
    pub(super) fn hear(&mut self, seen: Seen, low: u64, asked: Timestamp, now: Timestamp) -> bool {
        if asked < self.since {
            return false;
        }
        self.observed = now;
        if asked >= self.asked {
            self.asked = asked;
            self.remaining = seen.remaining.or(self.remaining);
        }
        let before = self.stock;
        match seen.says(low) {
            Says::Is(stock) => self.enter(stock, false, now),
            Says::NoneLeft => self.enter(before.max(Stock::ReservedOut), false, now),
            // Of what is out it says nothing new.
            Says::Refused if before.is_out() => {}
            Says::Refused if self.strike(now) => self.enter(Stock::SoldOut, true, now),
            Says::Refused => {}
            Says::Served if self.stock.is_out() && self.by_status => {
                self.enter(Stock::Open, false, now);
            }
            Says::Served => self.strikes = 0,
        }
        if self.stock != before {
            self.remaining = seen.remaining;
        }
        true
    }

    /// Somebody has the last word: it is `stock` from now on.
    pub(super) fn set(&mut self, stock: Stock, now: Timestamp) {
        self.since = self.since.max(now);
        self.observed = now;
        self.remaining = None;
        self.enter(stock, false, now);
    }

    /// Knows what `other` does.
    pub(super) fn take_over(&mut self, other: &Self) {
        *self = Self { name: other.name.clone(), links: self.links, ..*other };
    }

    pub(super) fn status(&self) -> SkuStatus {
        SkuStatus {
            name: self.name.to_string(),
            stock: self.stock,
            remaining: self.remaining,
            since: self.since,
            observed: self.observed,
        }
    }

    fn enter(&mut self, stock: Stock, by_status: bool, now: Timestamp) {
        self.strikes = 0;
        if stock == self.stock {
            // In so many words is never less than by status.
            self.by_status &= by_status;
            return;
        }
        // Between open and low nothing is latched: an answer that is under way may still do that.
        if stock.is_out() || self.stock.is_out() {
            self.since = self.since.max(now);
        }
        self.stock = stock;
        self.by_status = by_status;
    }

    /// Whether that was the last strike it takes.
    fn strike(&mut self, now: Timestamp) -> bool {
        let [first, last] = self.struck;
        self.struck = [last, now];
        self.strikes = (self.strikes + 1).min(STRIKES);
        self.strikes == STRIKES && now.saturating_since(first) <= STRIKE_TIME
    }
}

impl Linked for Record {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}
