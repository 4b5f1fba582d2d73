//! When an upstream, one of its servers or one of its tiers is taken for broken: off, or how that is found out.

use std::time::Duration;

use floodgate_limiter::{CircuitError, CircuitSettings};
use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use crate::config::{Circuit, CircuitOverride};
use crate::duration::Timeout;
use crate::problem::Report;
use crate::reader::Reader;
use crate::source::{Span, quote};
use crate::suggest::nearest;
use crate::table::table;
use crate::validate::narrow;
use crate::value::{Complaint, Fraction, Integer, List, Setting, Text, Value};

/// Most kinds of failure in a list.
const MAX_KINDS: usize = 32;

/// What a lost probe has beyond the deadline, by which it has ended otherwise.
const BEYOND: Duration = Duration::from_secs(1);

type Calls = Integer<1, 1_000_000>;
type Probes = Integer<1, 10_000>;
type Kinds = List<FailureKind, 0, MAX_KINDS>;

table! {
    /// When the circuits of an upstream open, and how they close again.
    FileCircuit {
        /// Share of the calls of a window that have failed at which a circuit opens.
        default failure_rate: Fraction<true> = Fraction(0.5),
        /// Share of the calls that were slow at which it opens.
        default slow_rate: Fraction<true> = Fraction(0.5),
        /// From when on a call is slow, by when the head of its answer comes. Left out: at the deadline of its tier.
        optional slow_after: Timeout,
        /// Calls in a window below which no rate says anything. As many bad ones in a row open it whatever came before.
        default min_calls: Calls = Integer(20),
        /// How long a call counts.
        default window: Timeout = Timeout::from_secs(10),
        /// How long it is open at first; twice as long each time it opens again, a tenth more or less.
        default open: Timeout = Timeout::from_secs(10),
        /// How long it is open at most. Closed for as long, it has forgotten that it was open.
        default max_open: Timeout = Timeout::from_secs(60),
        /// Calls that then find out whether it may close; if they do well twice as many, and so on, up to 32 times.
        default probes: Probes = Integer(10),
        /// What a failure is: `"connect"`, no connection; `"timeout"`, no answer by the deadline of the tier; `"broken"`, the answer broke off or was none; a class of statuses, `"5xx"`; a status, `"503"`.
        default failures: Kinds = List(default_kinds()),
        /// Whether the circuits only count what they would refuse.
        default shadow: bool = false,
    }
}

table! {
    /// What is different for this tier, at every upstream.
    FileTierCircuit {
        /// As for an upstream. Left out, as all of these: what the upstream has.
        optional failure_rate: Fraction<true>,
        /// As for an upstream.
        optional slow_rate: Fraction<true>,
        /// As for an upstream; also what is slow at its servers.
        optional slow_after: Timeout,
        /// As for an upstream.
        optional min_calls: Calls,
        /// As for an upstream.
        optional window: Timeout,
        /// As for an upstream.
        optional open: Timeout,
        /// As for an upstream.
        optional max_open: Timeout,
        /// As for an upstream.
        optional probes: Probes,
        /// As for an upstream.
        optional failures: Kinds,
        /// As for an upstream.
        optional shadow: bool,
    }
}

/// One kind of failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureKind {
    /// No server took a connection.
    Connect,
    /// No answer within the deadline of the tier.
    Timeout,
    /// The answer was none, or broke off.
    Broken,
    /// Statuses of this hundred, 1 to 5.
    Class(u16),
    /// This status.
    Status(u16),
}

/// On or off, or on and how.
#[derive(Clone, Debug)]
pub(crate) enum Switched<T> {
    Switch(bool),
    Table(Box<T>),
}

// === impl Switched ===

impl<T: Value> Value for Switched<T> {
    fn schema() -> Json {
        json!({ "anyOf": [bool::schema(), T::schema()] })
    }

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_, '_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(_) => Some(Self::Table(Box::new(T::read(value, reader)?))),
            DeValue::Boolean(switch) => Some(Self::Switch(*switch)),
            _ => {
                reader.wrong_type(value, "false, or a table such as { failure_rate = 0.5 }");
                None
            }
        }
    }

    fn show(&self) -> Json {
        match self {
            Self::Switch(switch) => json!(switch),
            Self::Table(table) => table.show(),
        }
    }
}

impl<T> Switched<T> {
    fn is_off(&self) -> bool {
        matches!(self, Self::Switch(false))
    }

    pub(crate) fn table(&self) -> Option<&T> {
        match self {
            Self::Switch(_) => None,
            Self::Table(table) => Some(table),
        }
    }
}

/// The keys that were typed, with the places of their values, as keys of the table around them.
pub(crate) fn typed_keys(typed: Vec<(&'static str, Span)>) -> Vec<(&'static str, Span)> {
    let path = |key| match key {
        "failure_rate" => "circuit.failure_rate",
        "slow_rate" => "circuit.slow_rate",
        "slow_after" => "circuit.slow_after",
        "min_calls" => "circuit.min_calls",
        "window" => "circuit.window",
        "open" => "circuit.open",
        "max_open" => "circuit.max_open",
        "probes" => "circuit.probes",
        "failures" => "circuit.failures",
        _ => "circuit.shadow",
    };
    typed.into_iter().map(|(key, span)| (path(key), span)).collect()
}

/// What is meant for the servers of an upstream, and by the tiers that differ from it in `tiers`, each with its
/// deadline; nothing where there are no circuits.
pub(crate) fn circuits(
    typed: &Option<Setting<Switched<FileCircuit>>>,
    tiers: &[(&CircuitOverride, Duration)],
    span: Span,
    path: &str,
    report: &mut Report<'_>,
) -> (Option<Circuit>, Vec<Option<Circuit>>) {
    let off = || (None, vec![None; tiers.len()]);
    if typed.as_ref().is_some_and(|typed| typed.is_off()) {
        return off();
    }
    let left_out;
    let table = match typed.as_ref().and_then(|typed| typed.table()) {
        Some(table) => table,
        None => {
            left_out = FileCircuit::left_out(span, report);
            &left_out
        }
    };
    let all = CircuitOverride {
        on: true,
        failure_rate: Some(table.failure_rate.0),
        slow_rate: Some(table.slow_rate.0),
        slow_after: table.slow_after.as_ref().map(|it| it.0),
        min_calls: Some(narrow(table.min_calls.0)),
        window: Some(table.window.0),
        open: Some(table.open.0),
        max_open: Some(table.max_open.0),
        probes: Some(narrow(table.probes.0)),
        failures: Some(table.failures.values().copied().collect()),
        shadow: Some(table.shadow.value),
    };
    let longest = tiers.iter().map(|(_, deadline)| *deadline).max().unwrap_or_default();
    let key = |error: &CircuitError| match error {
        CircuitError::OpenAboveMax(..) => {
            let typed = table.open.span.or(table.max_open.span);
            (format!("{path}.circuit.open"), typed.unwrap_or(table.span))
        }
        _ => (format!("{path}.circuit"), table.span),
    };
    let servers = meant(&all, longest).map_err(|error| {
        let (key, span) = key(&error);
        report.error(key, span, error.to_string(), suggestion(&error));
    });
    let Ok(servers) = servers else { return off() };
    let of_tier = |&(differs, deadline): &(&CircuitOverride, Duration)| {
        let together = all.clone().with(differs);
        let circuit = differs.on.then(|| meant(&together, deadline))?;
        let told = |error: CircuitError| {
            let message = format!("what a tier changes does not fit: {error}");
            report.error(format!("{path}.circuit"), table.span, message, suggestion(&error));
        };
        let mut circuit = circuit.map_err(told).ok()?;
        circuit.slow_after = circuit.slow_after.or(Some(deadline));
        Some(circuit)
    };
    let mut of_tier = of_tier;
    (Some(servers), tiers.iter().map(&mut of_tier).collect())
}

/// What a tier changes.
pub(crate) fn tier_circuit(typed: &Option<Setting<Switched<FileTierCircuit>>>) -> CircuitOverride {
    let Some(typed) = typed else { return CircuitOverride::NOTHING };
    let Some(table) = typed.table() else {
        return CircuitOverride { on: !typed.is_off(), ..CircuitOverride::NOTHING };
    };
    let time = |it: &Option<Setting<Timeout>>| it.as_ref().map(|it| it.0);
    let rate = |it: &Option<Setting<Fraction<true>>>| it.as_ref().map(|it| it.0);
    CircuitOverride {
        on: true,
        failure_rate: rate(&table.failure_rate),
        slow_rate: rate(&table.slow_rate),
        slow_after: time(&table.slow_after),
        min_calls: table.min_calls.as_ref().map(|it| narrow(it.0)),
        window: time(&table.window),
        open: time(&table.open),
        max_open: time(&table.max_open),
        probes: table.probes.as_ref().map(|it| narrow(it.0)),
        failures: table.failures.as_ref().map(|it| it.values().copied().collect()),
        shadow: table.shadow.as_ref().map(|it| it.value),
    }
}

/// The circuit of which all is given, for calls that have until `deadline`.
fn meant(all: &CircuitOverride, deadline: Duration) -> Result<Circuit, CircuitError> {
    let new = CircuitSettings::default();
    let settings = new
        .with_rates(
            all.failure_rate.unwrap_or(new.failure_rate()),
            all.slow_rate.unwrap_or(new.slow_rate()),
        )?
        .with_window(all.window.unwrap_or(new.window()), all.min_calls.unwrap_or(new.min_calls()))?
        .with_open(all.open.unwrap_or(new.open()), all.max_open.unwrap_or(new.max_open()))?
        .with_probes(
            all.probes.unwrap_or(new.probes()),
            (deadline + BEYOND).min(Duration::from_secs(24 * 60 * 60)),
        )?
        .with_shadow(all.shadow.unwrap_or_default());
    let failures = all.failures.clone().unwrap_or_default();
    Ok(Circuit { settings, slow_after: all.slow_after, failures })
}

fn suggestion(error: &CircuitError) -> &'static str {
    match error {
        CircuitError::OpenAboveMax(..) => "raise `max_open`, or lower `open`",
        _ => "choose another value",
    }
}

// === impl CircuitOverride ===

impl CircuitOverride {
    /// What changes nothing.
    pub(crate) const NOTHING: Self = Self {
        on: true,
        failure_rate: None,
        slow_rate: None,
        slow_after: None,
        min_calls: None,
        window: None,
        open: None,
        max_open: None,
        probes: None,
        failures: None,
        shadow: None,
    };

    fn with(self, other: &Self) -> Self {
        Self {
            on: other.on,
            failure_rate: other.failure_rate.or(self.failure_rate),
            slow_rate: other.slow_rate.or(self.slow_rate),
            slow_after: other.slow_after.or(self.slow_after),
            min_calls: other.min_calls.or(self.min_calls),
            window: other.window.or(self.window),
            open: other.open.or(self.open),
            max_open: other.max_open.or(self.max_open),
            probes: other.probes.or(self.probes),
            failures: other.failures.clone().or(self.failures),
            shadow: other.shadow.or(self.shadow),
        }
    }
}

// === impl FailureKind ===

impl FailureKind {
    /// Whether an answer of `status` is of this kind.
    #[must_use]
    pub const fn is_status(self, status: u16) -> bool {
        match self {
            Self::Class(class) => status / 100 == class,
            Self::Status(own) => status == own,
            Self::Connect | Self::Timeout | Self::Broken => false,
        }
    }
}

impl std::fmt::Display for FailureKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Timeout => f.write_str("timeout"),
            Self::Broken => f.write_str("broken"),
            Self::Class(class) => write!(f, "{class}xx"),
            Self::Status(status) => write!(f, "{status}"),
        }
    }
}

impl Text for FailureKind {
    const FORM: &'static str =
        "\"connect\", \"timeout\", \"broken\", a class such as \"5xx\" or a status such as \"503\"";
    const PATTERN: Option<&'static str> = Some("^(connect|timeout|broken|[2-5](xx|[0-9][0-9]))$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let words = [Self::Connect, Self::Timeout, Self::Broken];
        if let Some(word) = words.into_iter().find(|word| word.to_string() == text) {
            return Ok(word);
        }
        let digit = |at: usize| {
            let byte = text.as_bytes().get(at).filter(|byte| byte.is_ascii_digit())?;
            Some(u16::from(byte - b'0'))
        };
        let class = digit(0).filter(|class| text.len() == 3 && (2..=5).contains(class));
        match (class, digit(1), digit(2)) {
            (Some(class), Some(tens), Some(ones)) => {
                return Ok(Self::Status(class * 100 + tens * 10 + ones));
            }
            (Some(class), None, None) if text.ends_with("xx") => return Ok(Self::Class(class)),
            _ => {}
        }
        let suggestion = match nearest(text, ["connect", "timeout", "broken"]) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("expected {}", Self::FORM),
        };
        Err(Complaint::new(format!("{} is no kind of failure", quote(text)), suggestion))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

fn default_kinds() -> Vec<Setting<FailureKind>> {
    let kinds =
        [FailureKind::Connect, FailureKind::Timeout, FailureKind::Broken, FailureKind::Class(5)];
    kinds.map(Setting::default).to_vec()
}
