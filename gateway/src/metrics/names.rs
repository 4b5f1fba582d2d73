//! Every metric name and label, once.

/// Requests that came, by route and tier.
pub(crate) const ARRIVALS: &str = "floodgate_arrivals_total";
/// Requests that got a permit, by route and tier.
pub(crate) const ADMITTED: &str = "floodgate_admitted_total";
/// Requests by how they ended: `completed`, `failed`, `rejected`, `abandoned`.
pub(crate) const REQUESTS: &str = "floodgate_requests_total";
/// Refusals by reason.
pub(crate) const REJECTIONS: &str = "floodgate_rejections_total";
/// Admitted requests that failed, by reason.
pub(crate) const FAILURES: &str = "floodgate_failures_total";
/// Requests at an upstream now.
pub(crate) const IN_FLIGHT: &str = "floodgate_in_flight";
/// How many may be there at once.
pub(crate) const IN_FLIGHT_LIMIT: &str = "floodgate_in_flight_limit";
/// Upgraded connections now, apart from the permits.
pub(crate) const UPGRADED: &str = "floodgate_upgraded_connections";
/// Waiting requests by upstream and tier.
pub(crate) const QUEUE_DEPTH: &str = "floodgate_queue_depth";
/// Time from arrival to permit of the admitted, by tier.
pub(crate) const QUEUE_WAIT: &str = "floodgate_queue_wait_seconds";
/// Time spent per stage and tier: `upstream` permit to last byte, `total` head to last byte.
pub(crate) const STAGE: &str = "floodgate_stage_seconds";
/// 0 closed, 1 open, by upstream and tier.
pub(crate) const BREAKER_STATE: &str = "floodgate_breaker_state";
/// Times the breaker tripped, by upstream and tier.
pub(crate) const BREAKER_TRIPS: &str = "floodgate_breaker_trips_total";
/// 0..1, how full, by upstream.
pub(crate) const PRESSURE: &str = "floodgate_pressure";
/// 1 while an upstream server is left out since it refused connections.
pub(crate) const SERVER_EJECTED: &str = "floodgate_server_ejected";
/// Requests as a shadow configuration would have decided: `admitted`, `rejected`.
pub(crate) const SHADOW_REQUESTS: &str = "floodgate_shadow_requests_total";
/// What it would have refused, by reason.
pub(crate) const SHADOW_REJECTIONS: &str = "floodgate_shadow_rejections_total";
/// Grants by what became of them: `given`, `finished`, `ended` by the origin.
pub(crate) const GRANTS: &str = "floodgate_grants_total";
/// Calls that were let in by a grant, the entry not among them.
pub(crate) const GRANT_CALLS: &str = "floodgate_grant_calls_total";
/// Grants that were shown and count as none, by why.
pub(crate) const GRANTS_INVALID: &str = "floodgate_grants_invalid_total";
/// Grants in the table.
pub(crate) const GRANTS_LIVE: &str = "floodgate_grants_live";
/// Those of them whose customers are on their way.
pub(crate) const GRANTS_IN_PROGRESS: &str = "floodgate_grants_in_progress";
/// Planned entries per second.
pub(crate) const GRANT_RATE: &str = "floodgate_grant_rate";
/// What a grant costs.
pub(crate) const CALLS_PER_GRANT: &str = "floodgate_calls_per_grant";
/// Mean wait of holders for a permit.
pub(crate) const HOLDERS_WAIT: &str = "floodgate_holders_wait_seconds";
/// Memory for when refused customers were told to come back.
pub(crate) const RETURN_MEMORY: &str = "floodgate_return_memory_bytes";
/// SKUs that something is known of, by state.
pub(crate) const SKUS: &str = "floodgate_skus";
/// Requests that were answered with an answer that was here.
pub(crate) const REPLAYS: &str = "floodgate_replays_total";
/// Purchases that are remembered: `in_flight`, `kept`.
pub(crate) const PURCHASES: &str = "floodgate_purchases";
/// Memory that they take.
pub(crate) const PURCHASES_BYTES: &str = "floodgate_purchases_bytes";
/// Tokens that were verified, by what they were; one that was seen before is not verified again.
pub(crate) const TOKENS: &str = "floodgate_tokens_total";
/// Requests that came, by tenant.
pub(crate) const TENANT_ARRIVALS: &str = "floodgate_tenant_arrivals_total";
/// Of these, those served in a lower tier than that of their route.
pub(crate) const TENANT_LOWERED: &str = "floodgate_tenant_lowered_total";
/// Refused by a tenant's own limits: `rate`, `share`.
pub(crate) const TENANT_REFUSALS: &str = "floodgate_tenant_refusals_total";
/// Let in, though a tenant's limit would have refused it were it not in shadow.
pub(crate) const TENANT_WOULD_REFUSE: &str = "floodgate_tenant_shadow_refusals_total";
/// Permits that a tenant holds of an upstream of which it has a share.
pub(crate) const TENANT_IN_FLIGHT: &str = "floodgate_tenant_in_flight";
/// How many it may hold.
pub(crate) const TENANT_IN_FLIGHT_LIMIT: &str = "floodgate_tenant_in_flight_limit";
/// Its requests that wait, for its share or in the buffer.
pub(crate) const TENANT_WAITING: &str = "floodgate_tenant_waiting";
/// Fields by which clients gave themselves a tier, a priority or a tenant, taken off.
pub(crate) const STRIPPED: &str = "floodgate_stripped_fields_total";
/// Number of the live configuration.
pub(crate) const CONFIG_GENERATION: &str = "floodgate_config_generation";
/// Loads of a configuration by result: `applied`, `rejected`, `unchanged`.
pub(crate) const CONFIG_RELOADS: &str = "floodgate_config_reloads_total";
/// Downstream connections by state: `open` (all), `upgraded` (of these).
pub(crate) const CONNECTIONS: &str = "floodgate_connections";
/// Connections closed at the door by reason: `total_limit`, `client_limit`.
pub(crate) const CONNECTIONS_REFUSED: &str = "floodgate_connections_refused_total";
