//! Tenants: those who share the gateway, and what each may have of it.
//!
//! ```text
//! token or trusted header ──> tenant ──> tier it may have ──> own rate ──> own share ──> the upstream's gate
//!                                                              429          429, or a wait for it
//! ```
//!
//! A share is a limiter in front of the upstream's: a tenant waits for its own permits in its own queue, so that
//! what stands in the queue of all is never more than it may have.

mod share;
mod stats;

use std::collections::HashMap;
use std::sync::Arc;

use floodgate_config::{Config, NO_TENANT, TenantSource};
use floodgate_limiter::{Class, Gcra, TierId, Timestamp};

use crate::fields::Fields;
use crate::jwt::Verified;
use crate::reason::Reason;
use crate::snapshot::carried_rate;
use crate::upstream::Upstream;

pub(crate) use share::{Seen, Share, TenantHeld};
pub(crate) use stats::{Rule, TenantStats};

/// The field that tells an upstream whose a request is, and that nobody else may fill in.
pub(crate) const TENANT_HEADER: &str = "x-tenant-id";

/// Those who share the gateway.
#[derive(Debug)]
pub(crate) struct Tenants {
    /// In the order of the file, and whoever is of no other at the end if it is not in that; empty if
    /// nobody is told from anybody else.
    list: Vec<Tenant>,
    by_id: HashMap<Box<[u8]>, u16>,
    nobody: u16,
    from: Option<TenantSource>,
}

/// One tenant's live state.
#[derive(Debug)]
pub(crate) struct Tenant {
    /// Name of the tenant.
    pub name: String,
    /// Its ceiling.
    pub rate: Option<Arc<Gcra>>,
    /// What it may have of each upstream, by index; `None`: all.
    shares: Vec<Option<Arc<Share>>>,
    /// The highest tier in which it is served.
    highest_tier: Option<TierId>,
    /// What would be refused is counted and let in.
    pub shadow: bool,
    /// Its counters.
    pub stats: Arc<TenantStats>,
}

/// Which tenant's a request is, and what that one's own limits say of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tenancy {
    /// Index of it; `None` if nobody is told from anybody else.
    tenant: Option<u16>,
    /// The limit that refuses it, or would.
    rule: Option<Rule>,
}

/// What an upstream is told of the tenant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TenantField<'a> {
    /// The field that goes no further than here.
    pub removed: Option<&'a str>,
    /// What stands in [`TENANT_HEADER`] instead.
    pub told: Option<&'a [u8]>,
}

// === impl Tenancy ===

impl Tenancy {
    /// Nobody's.
    pub(crate) const NONE: Self = Self { tenant: None, rule: None };
}

// === impl Tenants ===

impl Tenants {
    /// Those of `config` at `upstreams`, with the state that `old` has, whose tiers stood where `from` says.
    pub(crate) fn compile(
        config: &Config,
        upstreams: &[Arc<Upstream>],
        old: Option<&Self>,
        from: &[Option<usize>],
        cores: usize,
        now: Timestamp,
    ) -> Self {
        let old_of = |name: &str| old.and_then(|old| old.list.iter().find(|it| it.name == name));
        let mut list: Vec<Tenant> = (config.tenants.iter())
            .map(|meant| {
                let old = old_of(&meant.name);
                let share = |(upstream, limits): (&Arc<Upstream>, &floodgate_config::Upstream)| {
                    let old = old.and_then(|old| old.share_named(&upstream.name));
                    Share::compile(meant, upstream, &limits.limits, old, from, now)
                };
                Tenant {
                    rate: carried_rate(meant.rate, old.and_then(|old| old.rate.as_ref()), now),
                    shares: upstreams.iter().zip(&config.upstreams).map(share).collect(),
                    highest_tier: Some(meant.highest_tier),
                    shadow: meant.shadow,
                    ..Tenant::unlimited(&meant.name, old, cores)
                }
            })
            .collect();
        if !list.is_empty() && list.iter().all(|tenant| tenant.name != NO_TENANT) {
            list.push(Tenant::unlimited(NO_TENANT, old_of(NO_TENANT), cores));
        }
        let index = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        let named = config.tenants.iter().enumerate().filter(|(_, it)| it.name != NO_TENANT);
        let nobody = list.iter().position(|tenant| tenant.name == NO_TENANT);
        Self {
            by_id: named.map(|(at, it)| (it.id.as_bytes().into(), index(at))).collect(),
            nobody: index(nobody.unwrap_or_default()),
            from: config.server.tenant_from.clone().filter(|_| !list.is_empty()),
            list,
        }
    }

    /// All of them, whoever is of no other among them.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Tenant> {
        self.list.iter()
    }

    /// Whose a request is that came with this good `token` and these `fields`, from a proxy that `is_trusted`.
    ///
    /// # Errors
    /// It says two things.
    pub(crate) fn of(
        &self,
        token: Option<&Verified>,
        fields: Fields<'_>,
        is_trusted: impl FnOnce() -> bool,
    ) -> Result<Tenancy, Reason> {
        let id = match &self.from {
            None => return Ok(Tenancy::default()),
            Some(TenantSource::Claim(claim)) => {
                let id = token.and_then(|token| token.claim(claim));
                if let Some(id) = id
                    && fields.all(TENANT_HEADER).any(|said| said.trim_ascii() != id)
                {
                    return Err(Reason::TenantMismatch);
                }
                id
            }
            Some(TenantSource::Header(name)) => match is_trusted() {
                true => fields.at_most_one(name).map_err(|_| Reason::TenantMismatch)?,
                false => None,
            },
        };
        let found = id.and_then(|id| self.by_id.get(id.trim_ascii()));
        Ok(Tenancy { tenant: Some(*found.unwrap_or(&self.nobody)), rule: None })
    }

    /// Whose requests those of this tenancy are.
    pub(crate) fn get(&self, tenancy: Tenancy) -> Option<&Tenant> {
        self.list.get(usize::from(tenancy.tenant?))
    }

    /// The tier in which a request for something of `tier` is served.
    #[inline]
    pub(crate) fn tier(&self, tenancy: Tenancy, tier: TierId) -> TierId {
        let highest = self.get(tenancy).and_then(|tenant| tenant.highest_tier);
        highest.map_or(tier, |highest| tier.max(highest))
    }

    /// Whether the tenant's own limits would refuse a request for `upstream` in `tier` at `now`. Only reads.
    ///
    /// # Errors
    /// They do.
    pub(crate) fn look(
        &self,
        tenancy: &mut Tenancy,
        upstream: usize,
        class: Class,
        now: Timestamp,
    ) -> Result<(), Reason> {
        let Some(tenant) = self.get(*tenancy) else { return Ok(()) };
        let rule = if tenant.rate.as_ref().is_some_and(|rate| rate.peek(now).is_err()) {
            Rule::Rate
        } else if tenant.share(upstream).is_some_and(|share| share.is_exhausted(class)) {
            Rule::Share
        } else {
            return Ok(());
        };
        tenancy.rule = Some(rule);
        if tenant.shadow { Ok(()) } else { Err(Reason::TenantLimit) }
    }

    /// Takes from the tenant's rate what one request takes.
    ///
    /// # Errors
    /// There is nothing to be taken.
    pub(crate) fn take(&self, tenancy: Tenancy, now: Timestamp) -> Result<(), Reason> {
        let Some(tenant) = self.get(tenancy) else { return Ok(()) };
        let taken = tenant.rate.as_ref().map_or(Ok(()), |rate| rate.take(now));
        if tenant.shadow { Ok(()) } else { taken.map_err(|_| Reason::TenantLimit) }
    }

    /// When the tenant's own rate lets the next one in, if it is that which refuses.
    pub(crate) fn wait(&self, tenancy: Tenancy, now: Timestamp) -> Option<std::time::Duration> {
        self.get(tenancy)?.rate.as_ref()?.peek(now).err()
    }

    /// What the tenant may have of `upstream`; `None`: all.
    pub(crate) fn share(&self, tenancy: Tenancy, upstream: usize) -> Option<&Arc<Share>> {
        self.get(tenancy)?.share(upstream)
    }

    /// What an upstream is told of whoever came with this good `token`.
    pub(crate) fn field<'a>(
        &'a self,
        token: Option<&'a Verified>,
        is_trusted: bool,
    ) -> TenantField<'a> {
        match &self.from {
            None => TenantField::default(),
            Some(TenantSource::Claim(claim)) => {
                let id = token.and_then(|token| token.claim(claim));
                let is_plain = |id: &&[u8]| id.iter().all(|byte| matches!(byte, b' '..=b'~'));
                TenantField { removed: Some(TENANT_HEADER), told: id.filter(is_plain) }
            }
            Some(TenantSource::Header(name)) => {
                TenantField { removed: (!is_trusted).then_some(name), told: None }
            }
        }
    }

    /// Counts one request of `tier` on core `core` that was refused for `reason`, or not.
    pub(crate) fn count(
        &self,
        core: usize,
        tenancy: Tenancy,
        tier: TierId,
        reason: Option<Reason>,
    ) {
        let Some(tenant) = self.get(tenancy) else { return };
        let shard = tenant.stats.shard(core);
        shard.arrivals.increment();
        if tenant.highest_tier.is_some_and(|highest| highest > tier) {
            shard.lowered.increment();
        }
        if reason == Some(Reason::TenantLimit) {
            shard.refused[tenancy.rule.unwrap_or(Rule::Share).index()].increment();
        } else if let Some(rule) = tenancy.rule {
            shard.would_refuse[rule.index()].increment();
        }
    }

    /// How long requests that go before others have waited for their tenants' own permits of an upstream.
    pub(crate) fn ranked_wait_nanos(&self, upstream: usize) -> u64 {
        let shares = self.list.iter().filter_map(|tenant| tenant.share(upstream));
        shares.fold(0, |sum, share| sum.saturating_add(share.ranked_wait_nanos()))
    }

    /// Lets the shares follow what `upstreams` can take now.
    pub(crate) fn tick(&self, upstreams: &[Arc<Upstream>], now: Timestamp) {
        for tenant in &self.list {
            for (share, upstream) in tenant.shares.iter().zip(upstreams) {
                if let Some(share) = share {
                    share.follow(upstream.limiter.totals().limit, now);
                }
            }
        }
    }

    /// Refuses who waits for a share.
    pub(crate) fn drain(&self, now: Timestamp) {
        let shares = self.list.iter().flat_map(|tenant| tenant.shares.iter().flatten());
        shares.for_each(|share| share.drain(now));
    }
}

// === impl Tenant ===

impl Tenant {
    /// One that is only counted, on from where `old` was.
    fn unlimited(name: &str, old: Option<&Self>, cores: usize) -> Self {
        Self {
            name: name.to_owned(),
            rate: None,
            shares: Vec::new(),
            highest_tier: None,
            shadow: false,
            stats: old
                .map_or_else(|| Arc::new(TenantStats::new(cores)), |old| Arc::clone(&old.stats)),
        }
    }

    fn share(&self, upstream: usize) -> Option<&Arc<Share>> {
        self.shares.get(upstream)?.as_ref()
    }

    fn share_named(&self, upstream: &str) -> Option<&Arc<Share>> {
        self.shares.iter().flatten().find(|share| share.upstream == upstream)
    }

    /// What it may have of the upstreams where it may not have all.
    pub(crate) fn shares(&self) -> impl Iterator<Item = &Share> {
        self.shares.iter().flatten().map(Arc::as_ref)
    }
}
