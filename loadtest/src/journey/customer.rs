//! One customer: thinks, asks, waits, comes back, buys, or leaves.

use std::{rc::Rc, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::rng::Rng;

use super::{
    ask::{Line, Question, Said},
    client::ClientClass,
    heard::{Heard, Kept},
    plan::Step,
    venue::{Ending, Venue},
};

/// How long somebody waits whose request is under way already, unless the answer says.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Whoever is on the way through a checkout: a customer or a bot.
#[derive(Debug)]
pub(super) struct Shopper {
    /// Headers of answers that it sends back; cookies without.
    pub(super) carry: Vec<String>,
    pub(super) kept: Kept,
    pub(super) line: Line,
    /// `x-user-id`.
    pub(super) name: String,
    /// Wants something else than what the sale is about.
    is_other_sku: bool,
    pub(super) order: String,
    pub(super) rng: Rng,
    pub(super) sku: String,
    pub(super) until: Instant,
}

/// A customer.
#[derive(Debug)]
struct Customer {
    calls: u32,
    /// When the first step was granted.
    let_in: Option<Instant>,
    class: ClientClass,
    shopper: Shopper,
    venue: Rc<Venue>,
}

/// Where a customer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Begin,
    Step,
}

/// Lives through the journey of intent `index`.
pub(super) async fn live(venue: Rc<Venue>, class: ClientClass, index: u64, intended: Instant) {
    // The high bit keeps customers and the schedule apart.
    let mut rng = Rng::new(venue.plan.seed, index | 1 << 63);
    let patience = venue.plan.patience.unwrap_or_else(|| class.patience()).sample(&mut rng);
    let until = (intended + patience).min(venue.end());
    let name = format!("{}-{index}", class.name());
    let mut shopper = Shopper::new(&venue, name, rng, Line::new(until), until);
    if !class.is_browser() {
        shopper.carry.clone_from(&venue.plan.carry);
    }
    let mut customer =
        Customer { calls: 0, let_in: None, class, shopper, venue: Rc::clone(&venue) };
    venue.started(class);
    let ending = customer.go(intended).await;
    venue.ended(class, ending, (intended, customer.let_in), customer.calls);
}

// === impl Customer ===

impl Customer {
    async fn go(&mut self, intended: Instant) -> Ending {
        let plan = std::sync::Arc::clone(&self.venue.plan);
        let (mut due, mut index) = (intended, 0);
        while let Some(step) = plan.steps.get(index) {
            index = match self.step(index, step, &mut due).await {
                Ok(Next::Step) => index + 1,
                Ok(Next::Begin) => 0,
                Err(ending) => return ending,
            };
        }
        if Instant::now() < self.shopper.until { Ending::Completed } else { self.out_of_patience() }
    }

    /// Thinks and asks, as often as the step is to be repeated.
    async fn step(&mut self, index: usize, step: &Step, due: &mut Instant) -> Result<Next, Ending> {
        for turn in 0..step.repeat {
            *due += step.think.sample(&mut self.shopper.rng);
            if !self.wait(*due).await {
                return Err(self.out_of_patience());
            }
            if turn == 0 && self.shopper.rng.fraction() < step.abandon {
                return Err(Ending::Abandoned);
            }
            let next = self.pass(index, step, *due).await?;
            *due = Instant::now();
            if next == Next::Begin {
                return Ok(next);
            }
            self.calls += 1;
            self.let_in.get_or_insert(*due);
        }
        Ok(Next::Step)
    }

    /// Asks for one step until it is granted, or until there is no way but from the beginning.
    async fn pass(&mut self, index: usize, step: &Step, mut due: Instant) -> Result<Next, Ending> {
        let mut refusals = 0;
        loop {
            self.click_again(index, step, due);
            let fresh_share = self.venue.plan.fresh_share;
            let class = self.shopper.class(&self.venue, index);
            let call = self.shopper.call(&self.venue, class, step, due, fresh_share);
            let (said, told) = call.await;
            match said {
                Said::Yes => return Ok(Next::Step),
                Said::StartOver => return Ok(Next::Begin),
                Said::SoldOut => return Err(Ending::SoldOut),
                Said::TooLate => return Err(self.out_of_patience()),
                Said::InProgress => {
                    // No refusal: whoever asks again has the answer soon.
                    due = Instant::now() + told.unwrap_or(ASK_AGAIN);
                    if !self.wait(due).await {
                        return Err(self.out_of_patience());
                    }
                    continue;
                }
                Said::No => {}
            }
            if told.is_some() {
                let honoured = self.class.honours_retry_after();
                self.venue.traffic(|traffic| {
                    traffic.advised += 1;
                    traffic.honoured += u64::from(honoured);
                });
            }
            let wait = self.class.wait(refusals, told, &mut self.shopper.rng);
            due = Instant::now() + wait.ok_or(Ending::GaveUp)?;
            refusals += 1;
            if !self.wait(due).await {
                return Err(self.out_of_patience());
            }
        }
    }

    /// Impatient fingers: the same request again, at once, on connections of their own.
    fn click_again(&mut self, index: usize, step: &Step, due: Instant) {
        if !step.keyed {
            return;
        }
        let clicks = self.venue.plan.clicks;
        for _ in 0..clicks.sample(self.class, &mut self.shopper.rng) {
            let bytes = self.shopper.request(&self.venue, step);
            let (venue, until) = (Rc::clone(&self.venue), self.shopper.until);
            let class = self.shopper.class(&venue, index);
            let carry = self.shopper.carry.clone();
            venue.enter();
            tokio::task::spawn_local(async move {
                let (mut line, mut kept) = (Line::new(until), Kept::default());
                let question = Question { class, intended: due, bytes: &bytes, until, fresh: true };
                let mut heard = Heard::new(&carry, &mut kept, &venue.reasons);
                venue.traffic(|traffic| traffic.clicks += 1);
                line.ask(&venue, &question, &mut heard).await;
                venue.leave();
            });
        }
    }

    /// Waits for `due`; `false` when patience ends before.
    async fn wait(&self, due: Instant) -> bool {
        sleep_until(due.min(self.shopper.until)).await;
        due < self.shopper.until
    }

    fn out_of_patience(&self) -> Ending {
        let cut_off = self.shopper.until >= self.venue.end();
        if cut_off { Ending::Unfinished } else { Ending::GaveUp }
    }
}

// === impl Shopper ===

impl Shopper {
    pub(super) fn new(
        venue: &Venue,
        name: String,
        mut rng: Rng,
        line: Line,
        until: Instant,
    ) -> Self {
        let skus = &venue.plan.skus;
        let mut ticket = rng.below(skus.iter().map(|(_, weight)| weight).sum());
        let sku = skus.iter().position(|(_, weight)| {
            let hit = ticket < *weight;
            ticket = ticket.wrapping_sub(*weight);
            hit
        });
        Self {
            is_other_sku: sku.is_some_and(|index| index > 0),
            carry: Vec::new(),
            kept: Kept::default(),
            line,
            name,
            order: String::new(),
            rng,
            sku: sku.map_or_else(String::new, |index| skus[index].0.clone()),
            until,
        }
    }

    /// The class that its requests for a step are booked under.
    fn class(&self, venue: &Venue, step: usize) -> u16 {
        venue.plan.class(step, self.is_other_sku)
    }

    /// Asks for one step once. Gives back when the answer said to come again.
    pub(super) async fn call(
        &mut self,
        venue: &Venue,
        class: u16,
        step: &Step,
        due: Instant,
        fresh_share: f64,
    ) -> (Said, Option<Duration>) {
        let bytes = self.request(venue, step);
        let fresh = self.rng.fraction() < fresh_share;
        let question = Question { class, intended: due, bytes: &bytes, until: self.until, fresh };
        let mut heard = Heard::new(&self.carry, &mut self.kept, &venue.reasons);
        let said = self.line.ask(venue, &question, &mut heard).await;
        if let Some(order) = heard.order.take() {
            self.order = order;
        }
        (said, heard.retry_after)
    }

    /// The bytes of a request for a step.
    fn request(&self, venue: &Venue, step: &Step) -> Vec<u8> {
        let path = step.path.replace("{id}", &self.order).replace("{sku}", &self.sku);
        let mut head =
            format!("{} {path} HTTP/1.1\r\nhost: {}\r\n", step.method, venue.plan.target);
        let until = venue.unix_ms(self.until);
        head += &format!("x-user-id: {}\r\nx-customer-until: {until}\r\n", self.name);
        if !self.sku.is_empty() {
            head += &format!("x-sku: {}\r\n", self.sku);
        }
        if !self.order.is_empty() {
            head += &format!("x-order-id: {}\r\n", self.order);
        }
        if step.keyed {
            head += &format!("idempotency-key: {}-{}\r\n", self.name, step.name);
        }
        for (name, value) in &venue.plan.headers {
            head += &format!("{name}: {value}\r\n");
        }
        self.kept.write(&mut head);
        if step.body_bytes > 0 || matches!(step.method.as_str(), "PATCH" | "POST" | "PUT") {
            head += &format!("content-length: {}\r\n", step.body_bytes);
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.resize(bytes.len() + step.body_bytes, b'x');
        bytes
    }
}
