//! What the reasons mean, and what an operator could change: one plain sentence of each.

use crate::grant::token::Invalid;
use crate::reason::Reason;

/// About one reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advice {
    /// What it means.
    pub means: &'static str,
    /// What an operator could change.
    pub change: &'static str,
}

/// About `reason`.
pub(crate) const fn advice(reason: Reason) -> Advice {
    let (means, change) = match reason {
        Reason::AlreadyMade => (
            "The same purchase was made before, and its answer was too long to be kept.",
            "Nothing here: the client may look its order up, and answers of up to 8 KiB are given again.",
        ),
        Reason::BadRequest => (
            "What came was no HTTP, or could be read in two ways.",
            "Nothing here: the client, or a proxy in front, sends it so.",
        ),
        Reason::BodyTooLarge => (
            "The body is longer than its route allows.",
            "Raise `max_body` of the route if such bodies are meant to come.",
        ),
        Reason::BufferFull => (
            "All permits were out and all places to wait were taken, or somebody more important needed the place, or the memory of purchases was full of those being made.",
            "Raise `max_in_flight` if the upstream can take more at once, or `buffer` if `max_wait` leaves time for more to wait.",
        ),
        Reason::CallLimit => (
            "The grant is spent: it has made all its calls, or the upstream has ended it.",
            "Raise `calls` of the journey if an honest checkout needs more, with its retries.",
        ),
        Reason::CircuitOpen => (
            "So many requests of its tier, or to every server, had failed or were slow that nothing but a few probes was asked for a while.",
            "See to the `servers` of the upstream first; if what opened it is no failure, see `failures`, `failure_rate` and `slow_after` of its `circuit`, or try it with `shadow`.",
        ),
        Reason::Closed => (
            "The upstream is closed by the configuration.",
            "Set `max_in_flight` of the upstream to more than 0 to open it.",
        ),
        Reason::Deadline => (
            "Its turn would have come, or its answer, after the time that the tier has for the whole of it.",
            "Raise `deadline` of the tier if customers wait that long, or give the upstream more servers.",
        ),
        Reason::Draining => (
            "This gateway was about to stop.",
            "Nothing: others serve; if none does, start one before another is stopped.",
        ),
        Reason::ExpectationFailed => (
            "The client expected something other than `100-continue`.",
            "Nothing here: the client asks for what there is not.",
        ),
        Reason::GrantRequired => (
            "It asked for a later step of a journey without a grant that counts: a checkout begins at the entry.",
            "If honest customers meet this, compare `ttl` of the journey with how long a checkout takes, see that all gateways have the same `keys`, and that `identity` names what stays the same throughout.",
        ),
        Reason::HeadTooLarge => (
            "The head has more bytes, or more fields, than allowed.",
            "Raise `max_head` or `max_headers` of the server; big cookies are the usual cause.",
        ),
        Reason::InProgress => (
            "The same purchase was on its way already and its answer was not here in time.",
            "Nothing usually: the repeated click gets the answer once it is here; raise `deadline` of the tier if purchases take longer.",
        ),
        Reason::InvalidToken => (
            "The bearer token was none that counts: forged, at its end, or meant for others.",
            "If honest customers meet this, compare `issuer` and `audience` with what their tokens say, see that `keys` are those of whoever issues them, and that clocks differ by no more than `leeway`.",
        ),
        Reason::KeyLimit => (
            "Its client, or whatever else it is told apart by, had made as many requests as a limit of its route allows each.",
            "Raise `rate` of that limit, or `burst` if only the beginning is cut, or see with `shadow` first whom it would refuse; if many customers share an address, add another part to `key`.",
        ),
        Reason::KeyReused => (
            "The same purchase (idempotency key, or without one customer, step and SKU) had come before with another body.",
            "Nothing here: the client has to send an Idempotency-Key of its own for each purchase.",
        ),
        Reason::KeyShare => (
            "The article, or whatever else it is told apart by, had as many requests at the upstream as its share allows.",
            "Raise `share` if what is hot may take more from the rest, or `max_in_flight` if the upstream can take more at once.",
        ),
        Reason::MethodNotAllowed => (
            "The method is one that is never forwarded.",
            "Nothing: TRACE would show a customer what is added to a request.",
        ),
        Reason::NoGrant => (
            "More customers wanted to begin a checkout than the upstream can bring to its end.",
            "Give the upstream more servers and `max_in_flight`; raise `headroom` of the journey if it has permits to spare, or `max_grants` if that many are live.",
        ),
        Reason::NoRoute => (
            "No route has this method and path.",
            "Add a route, or widen the `path` or the `methods` of one.",
        ),
        Reason::NotImplemented => {
            ("CONNECT, or a transfer coding other than chunked.", "Nothing here: it is not spoken.")
        }
        Reason::QueueTimeout => (
            "It waited for a permit as long as its tier allows.",
            "Raise `max_wait` of the tier if customers are that patient, or `max_in_flight` if the upstream can take more.",
        ),
        Reason::Rate => (
            "The ceiling of its route, of its tier or of its upstream was reached.",
            "Raise `rate`, or `burst` if only the beginning of a rush is cut.",
        ),
        Reason::RequestTimeout => (
            "The client took too long to send its head or its body.",
            "Raise `header_timeout` or `body_timeout` of the server if honest clients are that slow.",
        ),
        Reason::ReservedOut => (
            "All that is left of this article is reserved by others; some of it may come back.",
            "Nothing usually: one request each `ttl` of the latch asks again; the state can also be set by the operator.",
        ),
        Reason::SoldOut => (
            "Nothing is left of this article, by the upstream's own word.",
            "Nothing usually: one request each `ttl` of the latch asks again; the state can also be set by the operator when goods have come.",
        ),
        Reason::TenantLimit => (
            "The tenant had used up its own rate, or its own share of permits and places.",
            "Raise `rate` of the tenant, or `burst` if only the beginning of a rush is cut, or `share` if the others can spare it.",
        ),
        Reason::TenantMismatch => (
            "The request said that it was of one tenant, and its token that it was of another.",
            "Nothing here: whoever sends it should leave the field out, which only the gateway may fill in.",
        ),
        Reason::TokenRequired => (
            "The route is for those with a bearer token, and there was none.",
            "Nothing usually: the client has to log in; take `require_token` off the route if anybody may ask.",
        ),
        Reason::TokenUnchecked => (
            "So many tokens turned out bad that nobody's was verified who had not been seen before.",
            "Nothing here: somebody tries tokens out, and whoever comes back is verified once that is less.",
        ),
        Reason::UpstreamError => (
            "It was let in, and no server gave a usable answer.",
            "See to the `servers` of the upstream; raise `connect_timeout` if they are far away.",
        ),
        Reason::UpstreamTimeout => (
            "It was let in, and the answer did not come in time.",
            "Lower `max_in_flight` if the upstream is slower the more it has at once; raise `deadline` of the tier if it simply takes that long.",
        ),
        Reason::UpgradeLimit => {
            ("As many connections have left HTTP as may.", "Raise `max_upgraded` of the upstream.")
        }
        Reason::UriTooLong => {
            ("The target is longer than can be read.", "Nothing here: the client sends it so.")
        }
        Reason::VersionNotSupported => (
            "It was neither HTTP/1.0 nor HTTP/1.1.",
            "Nothing here: let a proxy in front speak the other version.",
        ),
        Reason::Watermark => (
            "The pressure was at the tier's high watermark: the less important go first.",
            "Raise `watermarks` of the tier to shed it later, or move the route to a tier before it.",
        ),
    };
    Advice { means, change }
}

/// What is wrong with a grant.
pub(crate) const fn invalid(invalid: Invalid) -> &'static str {
    match invalid {
        Invalid::Expired => "Its time was over.",
        Invalid::Forged => {
            "The signature is wrong, or it comes from the future: clocks differ, or somebody tries."
        }
        Invalid::Malformed => "It was none: cut off, or something else of the same name.",
        Invalid::OtherCustomer => {
            "It was given to another customer, or this one has become known as another since."
        }
        Invalid::OtherJourney => "It was given for another journey.",
        Invalid::UnknownKey => {
            "No key that is used has signed it: another gateway has other keys, or it is older than the last two."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_told_in_one_sentence_each_and_names_only_keys_that_there_are() {
        let schema = floodgate_config::schema().to_string();
        for &reason in Reason::ALL {
            let Advice { means, change } = advice(reason);
            for sentence in [means, change] {
                assert!(sentence.ends_with('.') && !sentence.contains(". "), "{sentence}");
            }
            for key in change.split('`').skip(1).step_by(2) {
                assert!(schema.contains(&format!("\"{key}\":{{")), "{reason:?}: {key}");
            }
        }
    }
}
