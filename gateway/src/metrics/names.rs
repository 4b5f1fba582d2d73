//! Every metric name and label, once.

/// Requests that came, by route and tier.
pub(crate) const ARRIVALS: &str = "floodgate_arrivals_total";
/// Requests that got a permit, by route and tier.
pub(crate) const ADMITTED: &str = "floodgate_admitted_total";
/// Requests by how they ended: `completed`, `failed`, `rejected`, `abandoned`.
pub(crate) const REQUESTS: &str = "floodgate_requests_total";
/// Requests that said how long they wait, by what became of that: `shorter` than their tier's deadline, `ignored`.
pub(crate) const CLIENT_DEADLINES: &str = "floodgate_client_deadlines_total";
/// Refusals by reason.
pub(crate) const REJECTIONS: &str = "floodgate_rejections_total";
/// Admitted requests that failed, by reason.
pub(crate) const FAILURES: &str = "floodgate_failures_total";
/// Requests at an upstream now.
pub(crate) const IN_FLIGHT: &str = "floodgate_in_flight";
/// How many may be there at once.
pub(crate) const IN_FLIGHT_LIMIT: &str = "floodgate_in_flight_limit";
/// The limit that was found, where one is; it rules unless it is in the shadow.
pub(crate) const ADAPTIVE_LIMIT: &str = "floodgate_adaptive_limit";
/// Mean service time with few in flight, as it was learnt.
pub(crate) const ADAPTIVE_BASELINE: &str = "floodgate_adaptive_baseline_seconds";
/// Memory in use by the process, pages of files left out.
pub(crate) const MEMORY: &str = "floodgate_memory_bytes";
/// What counts as full, if anything does.
pub(crate) const MEMORY_LIMIT: &str = "floodgate_memory_limit_bytes";
/// 0..1, how full the memory is.
pub(crate) const MEMORY_PRESSURE: &str = "floodgate_memory_pressure";
/// Of those at an upstream, by tier; where tiers are guaranteed some.
pub(crate) const TIER_IN_FLIGHT: &str = "floodgate_tier_in_flight";
/// Permits that a tier is guaranteed.
pub(crate) const TIER_GUARANTEED: &str = "floodgate_tier_guaranteed";
/// Upgraded connections now, apart from the permits.
pub(crate) const UPGRADED: &str = "floodgate_upgraded_connections";
/// Waiting requests by upstream and tier.
pub(crate) const QUEUE_DEPTH: &str = "floodgate_queue_depth";
/// Time from arrival to permit of the admitted, by tier.
pub(crate) const QUEUE_WAIT: &str = "floodgate_queue_wait_seconds";
/// Time that completed requests spent per stage and tier; `upstream`: permit to last byte, `total`: all stages.
pub(crate) const STAGE: &str = "floodgate_stage_seconds";
/// How long an answer may take, by tier.
pub(crate) const OBJECTIVE_LATENCY: &str = "floodgate_objective_latency_seconds";
/// Share of the requests that is to be good, by tier and objective: `availability`, `latency`.
pub(crate) const OBJECTIVE_TARGET: &str = "floodgate_objective_target";
/// Requests by whether they were: `good`, `bad`.
pub(crate) const OBJECTIVE_REQUESTS: &str = "floodgate_objective_requests_total";
/// What is left of those that may be bad: 1 all, 0 nothing, below 0 more were.
pub(crate) const OBJECTIVE_BUDGET_LEFT: &str = "floodgate_objective_budget_left";
/// Bad ones over `5m` and `1h`, in multiples of what may be.
pub(crate) const OBJECTIVE_BURN_RATE: &str = "floodgate_objective_burn_rate";
/// Bad ones by reason and by the stage to blame.
pub(crate) const OBJECTIVE_VIOLATIONS: &str = "floodgate_objective_violations_total";
/// 0 closed, 1 open, by upstream and tier.
pub(crate) const BREAKER_STATE: &str = "floodgate_breaker_state";
/// Times the breaker tripped, by upstream and tier.
pub(crate) const BREAKER_TRIPS: &str = "floodgate_breaker_trips_total";
/// Whether a tier's circuit at an upstream admits: 0 closed, 0.5 half-open, 1 open, by `mode`: `enforced`, `shadow`.
pub(crate) const CIRCUIT_STATE: &str = "floodgate_circuit_state";
/// Times it went to a state: `open`, `half_open`, `closed`.
pub(crate) const CIRCUIT_TRANSITIONS: &str = "floodgate_circuit_transitions_total";
/// Calls that it let through and would have refused, were it no shadow.
pub(crate) const CIRCUIT_SHADOW_REFUSALS: &str = "floodgate_circuit_shadow_refusals_total";
/// The same three of the servers of an upstream.
pub(crate) const SERVER_CIRCUIT_STATE: &str = "floodgate_server_circuit_state";
/// Times it went to a state.
pub(crate) const SERVER_CIRCUIT_TRANSITIONS: &str = "floodgate_server_circuit_transitions_total";
/// Calls that it would have sent elsewhere or refused.
pub(crate) const SERVER_CIRCUIT_SHADOW_REFUSALS: &str =
    "floodgate_server_circuit_shadow_refusals_total";
/// 0..1, how full, by upstream.
pub(crate) const PRESSURE: &str = "floodgate_pressure";
/// Requests that were sent again, to another server, by upstream and why: `connect`, `stale`, `broken`, `status`.
pub(crate) const RETRIES: &str = "floodgate_retries_total";
/// Those that the budget of the upstream did not allow.
pub(crate) const RETRIES_REFUSED: &str = "floodgate_retries_refused_total";
/// Retries that a budget would still allow, beside those of each second.
pub(crate) const RETRY_BUDGET: &str = "floodgate_retry_budget";
/// 1 while an upstream server is left out since it refused connections.
pub(crate) const SERVER_EJECTED: &str = "floodgate_server_ejected";
/// Requests as a shadow configuration would have decided: `admitted`, `rejected`.
pub(crate) const SHADOW_REQUESTS: &str = "floodgate_shadow_requests_total";
/// What it would have refused, by reason.
pub(crate) const SHADOW_REJECTIONS: &str = "floodgate_shadow_rejections_total";
/// Requests that a rule of the live configuration would have refused were it not in the shadow, by rule, route and tier.
pub(crate) const SHADOW_RULE_REFUSALS: &str = "floodgate_shadow_rule_refusals_total";
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
/// 1 while keys cannot be read where they stand, by what names them: `jwt.keys`, `journeys.NAME.keys`; those of before stay.
pub(crate) const KEYS_BROKEN: &str = "floodgate_keys_broken";
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
/// Requests over a limit of their key's own, by whether it refuses: `enforced`, `shadow`.
pub(crate) const KEY_LIMIT_REFUSALS: &str = "floodgate_key_limit_refusals_total";
/// Requests that did not have its key.
pub(crate) const KEY_LIMIT_MISSING: &str = "floodgate_key_limit_missing_total";
/// Keys that it remembers.
pub(crate) const KEY_LIMIT_KEYS: &str = "floodgate_key_limit_keys";
/// How many it may remember.
pub(crate) const KEY_LIMIT_MAX_KEYS: &str = "floodgate_key_limit_max_keys";
/// Requests of keys that shared a time with others for want of a place.
pub(crate) const KEY_LIMIT_IN_COMPANY: &str = "floodgate_key_limit_in_company_total";
/// Requests over the share of their key, by whether it refuses.
pub(crate) const KEY_SHARE_REFUSALS: &str = "floodgate_key_share_refusals_total";
/// Requests that did not have its key.
pub(crate) const KEY_SHARE_MISSING: &str = "floodgate_key_share_missing_total";
/// Keys that hold a permit or wait for one.
pub(crate) const KEY_SHARE_KEYS: &str = "floodgate_key_share_keys";
/// How many one of them holds at most.
pub(crate) const KEY_SHARE_LARGEST: &str = "floodgate_key_share_largest";
/// How many it may hold.
pub(crate) const KEY_SHARE_LIMIT: &str = "floodgate_key_share_limit";
/// Number of the live configuration.
pub(crate) const CONFIG_GENERATION: &str = "floodgate_config_generation";
/// Loads of a configuration by result: `applied`, `rejected`, `unchanged`.
pub(crate) const CONFIG_RELOADS: &str = "floodgate_config_reloads_total";
/// Downstream connections by state: `open` (all), `upgraded` (of these).
pub(crate) const CONNECTIONS: &str = "floodgate_connections";
/// Connections closed at the door by reason: `total_limit`, `client_limit`.
pub(crate) const CONNECTIONS_REFUSED: &str = "floodgate_connections_refused_total";
/// When the process began, in seconds since 1970.
pub(crate) const PROCESS_START: &str = "floodgate_process_start_time_seconds";
/// Processor time of all its threads.
pub(crate) const PROCESS_CPU: &str = "floodgate_process_cpu_seconds_total";
/// Resident memory, pages of files among it.
pub(crate) const PROCESS_RESIDENT: &str = "floodgate_process_resident_memory_bytes";
/// Open file descriptors.
pub(crate) const PROCESS_OPEN_FDS: &str = "floodgate_process_open_fds";
/// How many may be open.
pub(crate) const PROCESS_MAX_FDS: &str = "floodgate_process_max_fds";
/// Time of a worker's thread on a core, by worker.
pub(crate) const WORKER_CPU: &str = "floodgate_worker_cpu_seconds_total";
/// Time that it was ready to run and waited for a core.
pub(crate) const WORKER_RUN_QUEUE: &str = "floodgate_worker_run_queue_seconds_total";
/// 0..1, part of the last second that it was on a core.
pub(crate) const WORKER_BUSY: &str = "floodgate_worker_busy_ratio";
/// How late turns of the loops came, all workers together.
pub(crate) const WORKER_LAG: &str = "floodgate_worker_loop_lag_seconds";
/// The latest turn of the last 15 to 30 s, by worker.
pub(crate) const WORKER_LAG_MAX: &str = "floodgate_worker_loop_lag_max_seconds";
/// Connections that wait to be accepted, by worker.
pub(crate) const LISTEN_QUEUE: &str = "floodgate_listen_queue";
/// How many may wait there.
pub(crate) const LISTEN_BACKLOG: &str = "floodgate_listen_backlog";
/// Connections that found a listener's queue full, in the whole network namespace.
pub(crate) const LISTEN_OVERFLOWS: &str = "floodgate_listen_overflows_total";
/// Connections that were not accepted, for any reason, in the whole network namespace.
pub(crate) const LISTEN_DROPS: &str = "floodgate_listen_drops_total";
/// Lines of the access log that were written.
pub(crate) const ACCESS_LOG_LINES: &str = "floodgate_access_log_lines_total";
/// Lines that were dropped: `no_room` in the channel, `unwritten`.
pub(crate) const ACCESS_LOG_DROPPED: &str = "floodgate_access_log_dropped_total";
