//! Clients that leave: the origin is let go and the permit comes back.

use crate::{
    case::{Case, case, get, head, post},
    client::Step,
    expect::*,
    origin::{Act, Reply, When},
};

fn hang() -> Reply {
    Reply::acts(When::Body, vec![Act::Hang])
}

fn begun(bytes: &str) -> Reply {
    Reply::acts(When::Body, vec![Act::Write(bytes.as_bytes().to_vec()), Act::Hang])
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (leaving, step) in [("closes", Step::Close), ("resets", Step::Reset)] {
        cases.extend(leaves(leaving, &step));
    }
    cases.extend([
        case("half-close-behind-a-request")
            .send(get(&[]))
            .step(Step::HalfClose)
            .step(Step::ReadToEnd)
            // RFC 9112 §9.6 does not take an end for disinterest, but freeing the place is allowed.
            .expect(any(vec![status(200), unanswered()]))
            .returns_permits(),
        case("single-permit-is-usable-again")
            .send(head("GET /single/x HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(1))
            .send(head("GET /single/y HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(2))
            .requests(2)
            .expect(all(vec![statuses(&[200, 200]), forwarded(2), kept()]))
            .returns_permits(),
        case("single-permit-comes-back-after-an-upstream-error")
            .send(head("GET /single/x HTTP/1.1", &["Host: a"]))
            .origin(Reply::acts(When::Body, vec![Act::Reset]))
            .step(Step::WaitAnswers(1))
            .send(head("GET /single/y HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(2))
            .requests(2)
            .expect(all(vec![statuses(&[502, 200]), kept()]))
            .returns_permits(),
        case("single-permit-comes-back-after-a-malformed-body")
            .send(
                [
                    head("POST /single/x HTTP/1.1", &["Host: a", "Transfer-Encoding: chunked"]),
                    b"zz\r\n".to_vec(),
                ]
                .concat(),
            )
            .step(Step::WaitAnswers(1))
            .expect(all(vec![never_whole(), status(400), closed()]))
            .returns_permits(),
        case("single-permit-comes-back-after-a-refused-body")
            .send(head("POST /small/x HTTP/1.1", &["Host: a", "Content-Length: 5000"]))
            .step(Step::WaitAnswers(1))
            .step(Step::Close)
            .expect(status(413))
            .returns_permits(),
        case("single-permit-comes-back-after-a-pipeline")
            .send(head("GET /single/x HTTP/1.1", &["Host: a"]).repeat(5))
            .requests(5)
            .expect(all(vec![statuses(&[200; 5]), kept()]))
            .returns_permits(),
    ]);
    cases
}

fn leaves(leaving: &str, step: &Step) -> Vec<Case> {
    let leave = |id: &str, case: Case| {
        let mut case = case.step(step.clone()).returns_permits();
        case.id = format!("client-{leaving}-{id}");
        case
    };
    let upstream_ends = |case: Case| {
        // A reset is only carried out when the client's socket goes, behind the last step.
        if matches!(step, Step::Close) { case.step(Step::WaitUpstreamEnd) } else { case }
    };
    vec![
        upstream_ends(leave(
            "before-the-answer",
            case("").send(get(&[])).origin(hang()).step(Step::WaitUpstream(b"\r\n\r\n".to_vec())),
        ))
        .expect(unanswered()),
        upstream_ends(leave(
            "in-the-answer",
            case("")
                .send(get(&[]))
                .origin(begun("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"))
                .step(Step::WaitBytes(b"hello".to_vec())),
        ))
        .expect(never_completed()),
        upstream_ends(leave(
            "in-a-chunked-answer",
            case("")
                .send(get(&[]))
                .origin(begun(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                ))
                .step(Step::WaitBytes(b"hello".to_vec())),
        ))
        .expect(never_completed()),
        upstream_ends(leave(
            "in-its-body",
            case("")
                .send(post(&["Content-Length: 10"], "hello"))
                .origin(hang())
                .step(Step::WaitUpstream(b"hello".to_vec())),
        ))
        .expect(all(vec![never_whole(), unanswered()])),
        upstream_ends(leave(
            "in-its-chunked-body",
            case("")
                .send(post(&["Transfer-Encoding: chunked"], "5\r\nhello\r\n"))
                .origin(hang())
                .step(Step::WaitUpstream(b"hello".to_vec())),
        ))
        .expect(all(vec![never_whole(), unanswered()])),
        upstream_ends(leave(
            "behind-its-body",
            case("")
                .send(post(&["Content-Length: 5"], "hello"))
                .origin(hang())
                .step(Step::WaitUpstream(b"hello".to_vec())),
        ))
        .expect(unanswered()),
        upstream_ends(leave(
            "with-a-pipeline-open",
            case("")
                .send(get(&[]).repeat(5))
                .requests(5)
                .origin(hang())
                .step(Step::WaitUpstream(b"\r\n\r\n".to_vec())),
        ))
        .expect(unanswered()),
        upstream_ends(leave(
            "on-the-only-permit",
            case("")
                .send(head("GET /single/x HTTP/1.1", &["Host: a"]))
                .origin(hang())
                .step(Step::WaitUpstream(b"\r\n\r\n".to_vec())),
        ))
        .expect(unanswered()),
        leave("in-its-head", case("").send("GET /c HTTP/1.1\r\nHo")).expect(untouched()),
        leave("without-a-byte", case("")).expect(untouched()),
        leave("with-a-refusal-unread", case("").send(head("GET /closed/x HTTP/1.1", &["Host: a"])))
            .expect(untouched()),
        leave(
            "with-an-answer-unread",
            case("")
                .send(get(&[]))
                .reply(
                    [
                        b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n".to_vec(),
                        vec![b'z'; 3_000_000],
                    ]
                    .concat(),
                )
                .step(Step::WaitBytes(b"zzz".to_vec())),
        )
        .expect(never_completed()),
    ]
}
