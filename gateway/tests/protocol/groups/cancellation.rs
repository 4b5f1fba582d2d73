//! Clients that wait and clients that leave: the origin is let go and the permit comes back.

use std::time::Duration;

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
        cases.push(
            behind_another(&format!("client-{leaving}-while-it-waits"))
                .send(head("GET /single/waiter HTTP/1.1", &["Host: a"]))
                .step(step)
                .expect(all(vec![unanswered(), bytes_not_sent("/single/waiter")]))
                .returns_permits(),
        );
    }
    cases.extend(waits());
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
        case("permit-comes-back-after-a-refused-body")
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

/// A request that holds the only permit, so that the next one has to wait.
fn behind_another(id: &str) -> Case {
    case(id)
        .step(Step::Beside(head("GET /single/holder HTTP/1.1", &["Host: a"])))
        .step(Step::WaitUpstream(b"/single/holder".to_vec()))
        .origin(hang())
        .requests(2)
}

fn waits() -> Vec<Case> {
    let waiting = |fields: &[&str], body: &str| {
        let fields = [&["Host: a"], fields].concat();
        [head("POST /waiting/x HTTP/1.1", &fields), body.into()].concat()
    };
    let timed_out = || {
        all(vec![
            status(503),
            any(vec![
                answer_field("x-floodgate-reason", "queue_timeout"),
                answer_field("x-floodgate-reason", "deadline"),
            ]),
            problem(),
            retry_after(),
            bytes_not_sent("/waiting/x"),
        ])
    };
    let permit_soon = |id: &str| {
        let answer = Act::Write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
        let mut case = behind_another(id);
        case.replies =
            vec![Reply::acts(When::Body, vec![Act::Pause(Duration::from_millis(100)), answer])];
        case
    };
    vec![
        permit_soon("waits-and-is-served")
            .send(head("GET /single/waiter HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(1))
            .expect(all(vec![status(200), body("/single/waiter"), kept()]))
            .returns_permits(),
        permit_soon("waits-with-a-body-and-is-served")
            .send(
                [
                    head("POST /single/waiter HTTP/1.1", &["Host: a", "Content-Length: 5"]),
                    b"hello".into(),
                ]
                .concat(),
            )
            .step(Step::WaitAnswers(1))
            .expect(all(vec![status(200), body("/single/waiter"), kept()]))
            .returns_permits(),
        permit_soon("waits-with-a-pipeline-and-is-served")
            .send(head("GET /single/waiter HTTP/1.1", &["Host: a"]).repeat(2))
            .step(Step::WaitAnswers(2))
            .requests(3)
            .expect(all(vec![statuses(&[200, 200]), forwarded(3), kept()]))
            .returns_permits(),
        behind_another("waits-in-vain")
            .send(waiting(&["Content-Length: 0"], ""))
            .step(Step::WaitAnswers(1))
            .expect(all(vec![timed_out(), kept()]))
            .returns_permits(),
        behind_another("waits-in-vain-with-a-body")
            .send(waiting(&["Content-Length: 5"], "hello"))
            .step(Step::WaitAnswers(1))
            .expect(all(vec![timed_out(), any(vec![kept(), closed()])]))
            .returns_permits(),
        behind_another("waits-in-vain-with-a-large-body")
            .send(waiting(&["Content-Length: 900000"], &"b".repeat(900_000)))
            .step(Step::WaitAnswers(1))
            .expect(all(vec![timed_out(), any(vec![kept(), closed()])]))
            .returns_permits(),
        behind_another("waits-in-vain-and-expects-no-100")
            .send(waiting(&["Expect: 100-continue", "Content-Length: 5"], ""))
            .step(Step::WaitAnswers(1))
            .without_probe()
            .expect(all(vec![timed_out(), interim(&[])]))
            .returns_permits(),
    ]
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
