//! What a scenario cannot be run without, and why it is skipped then.

/// Something that a scenario, or one of its promises, needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The target stores what it answers with 202.
    Durable,
    /// Several gateways in front of one origin.
    Gateways,
    /// The target signs a right to finish a checkout that was begun.
    Grants,
    /// The target learns that a SKU is sold out, and says so itself.
    Latch,
    /// The target passes a repeated order or payment on once, whatever the origin does about it.
    Once,
    /// The target is restarted during the run.
    Restart,
    /// Tenants with shares of their own.
    Tenants,
    /// TLS on the customers' side.
    Tls,
}

// === impl Need ===

impl Need {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Durable,
        Self::Gateways,
        Self::Grants,
        Self::Latch,
        Self::Once,
        Self::Restart,
        Self::Tenants,
        Self::Tls,
    ];

    /// As it stands in scenario files and after `--has`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Gateways => "gateways",
            Self::Grants => "grants",
            Self::Latch => "latch",
            Self::Once => "once",
            Self::Restart => "restart",
            Self::Tenants => "tenants",
            Self::Tls => "tls",
        }
    }

    /// What is missing, as a clause.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Durable => "the target has to store what it answers with 202",
            Self::Gateways => "several gateways have to run, and this program talks to one",
            Self::Grants => "the target has to give grants to whoever began a checkout",
            Self::Latch => "the target has to refuse by itself what is sold out",
            Self::Once => "the target has to pass repeated orders and payments on once",
            Self::Restart => "the target has to be restarted, and this program does not start it",
            Self::Tenants => "the target has to keep tenants apart",
            Self::Tls => "this program does not speak TLS",
        }
    }

    /// Whether `--has` can provide it: the target may have it, this program lacks nothing.
    #[must_use]
    pub const fn is_of_target(self) -> bool {
        matches!(self, Self::Durable | Self::Grants | Self::Latch | Self::Once | Self::Tenants)
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|need| need.name() == name)
    }
}

/// The first of `needs` that `has` does not provide.
pub(crate) fn missing(needs: &[Need], has: &[Need]) -> Option<Need> {
    needs.iter().copied().find(|need| !need.is_of_target() || !has.contains(need))
}

impl std::str::FromStr for Need {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let of_target = || Self::ALL.into_iter().filter(|need| need.is_of_target());
        of_target().find(|need| need.name() == text).ok_or_else(|| {
            format!("use one of {}", of_target().map(Self::name).collect::<Vec<_>>().join(", "))
        })
    }
}
