//! Slow and idle clients: every wait for a client has an end.

use std::time::Duration;

use crate::{
    case::{Case, case, get, head, post},
    client::Step,
    expect::*,
    origin::{Act, Reply, When},
};

/// Longer apart than any of the short time-outs would allow in sum, shorter than each.
const GAP: Duration = Duration::from_millis(100);

fn drip(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Drip { bytes: bytes.into(), piece: 1, gap: GAP }
}

/// Told 408 or just closed, and the origin never asked.
fn timed_out(case: Case) -> Case {
    case.impatient()
        .step(Step::ReadToEnd)
        .expect(all(vec![untouched(), gone(), any(vec![unanswered(), status(408)])]))
        .returns_permits()
}

pub(crate) fn cases() -> Vec<Case> {
    let complete_head = get(&[]);
    vec![
        timed_out(
            case("head-drips").step(drip(get(&["X-A: 0123456789012345678901234567890123456789"]))),
        ),
        timed_out(
            case("head-never-ends").step(Step::Send(b"GET /c HTTP/1.1\r\nHost: a\r\n".to_vec())),
        ),
        timed_out(case("head-stops-in-the-request-line").step(Step::Send(b"GET /c".to_vec()))),
        timed_out(case("one-byte-then-nothing").step(Step::Send(b"G".to_vec()))),
        timed_out(case("only-line-ends").step(Step::Send(b"\r\n".to_vec()))),
        timed_out(case("line-ends-drip").step(drip("\r\n".repeat(30)))),
        timed_out(
            case("fields-without-end").step(Step::Drip {
                bytes: [
                    b"GET /c HTTP/1.1\r\nHost: a\r\n".to_vec(),
                    "x: y\r\n".repeat(60).into_bytes(),
                ]
                .concat(),
                piece: 6,
                gap: GAP,
            }),
        ),
        timed_out(case("never-a-byte")),
        case("idle-behind-an-answer")
            .impatient()
            .send(get(&[]))
            .step(Step::WaitAnswers(1))
            .step(Step::ReadToEnd)
            .expect(all(vec![served(), closed()])),
        case("idle-behind-a-refusal")
            .impatient()
            .send(head("GET /closed/x HTTP/1.1", &["Host: a"]))
            .step(Step::WaitAnswers(1))
            .step(Step::ReadToEnd)
            .expect(all(vec![turned_away(&[503]), closed()])),
        case("second-head-never-ends")
            .impatient()
            .send([complete_head.clone(), b"GET /c/second HTTP/1.1\r\nHo".to_vec()].concat())
            .step(Step::WaitAnswers(1))
            .step(Step::ReadToEnd)
            .requests(2)
            .expect(all(vec![forwarded(1), gone()])),
        case("second-head-drips")
            .impatient()
            .send(complete_head)
            .step(Step::WaitAnswers(1))
            .step(drip(get(&["X-A: 01234567890123456789"])))
            .step(Step::ReadToEnd)
            .requests(2)
            .expect(all(vec![forwarded(1), gone()])),
        case("slow-head-in-time-is-served")
            .impatient()
            .step(Step::Drip { bytes: get(&[]), piece: 12, gap: Duration::from_millis(20) })
            .expect(served()),
        case("body-stops")
            .impatient()
            .send(post(&["Content-Length: 10"], "hello"))
            .step(Step::ReadToEnd)
            .expect(all(vec![never_whole(), never_completed(), gone()]))
            .returns_permits(),
        case("body-never-begins")
            .impatient()
            .send(post(&["Content-Length: 10"], ""))
            .step(Step::ReadToEnd)
            .expect(all(vec![never_whole(), never_completed(), gone()]))
            .returns_permits(),
        case("chunked-body-stops")
            .impatient()
            .send(post(&["Transfer-Encoding: chunked"], "5\r\nhello\r\n"))
            .step(Step::ReadToEnd)
            .expect(all(vec![never_whole(), never_completed(), gone()]))
            .returns_permits(),
        case("chunked-body-stops-in-a-size")
            .impatient()
            .send(post(&["Transfer-Encoding: chunked"], "5\r\nhello\r\n5"))
            .step(Step::ReadToEnd)
            .expect(all(vec![never_whole(), never_completed(), gone()]))
            .returns_permits(),
        case("expected-body-never-comes")
            .impatient()
            .send(post(&["Expect: 100-continue", "Content-Length: 5"], ""))
            .step(Step::ReadToEnd)
            .expect(all(vec![never_whole(), never_completed(), gone()]))
            .returns_permits(),
        case("slow-body-in-time-is-served")
            .impatient()
            .send(post(&["Content-Length: 10"], ""))
            .step(Step::Drip {
                bytes: b"0123456789".to_vec(),
                piece: 1,
                gap: Duration::from_millis(50),
            })
            .expect(all(vec![served(), sent_body("0123456789")])),
        case("refused-body-never-comes")
            .impatient()
            .send(head("POST /closed/x HTTP/1.1", &["Host: a", "Content-Length: 10"]))
            .step(Step::WaitAnswers(1))
            .step(Step::ReadToEnd)
            .expect(all(vec![turned_away(&[503]), gone()])),
        case("refused-body-drips")
            .impatient()
            .send(head("POST /closed/x HTTP/1.1", &["Host: a", "Content-Length: 1000"]))
            .step(Step::WaitAnswers(1))
            .step(Step::Drip { bytes: vec![b'x'; 30], piece: 1, gap: Duration::from_millis(100) })
            .step(Step::ReadToEnd)
            // Whatever is drained is bounded in time as well as in bytes.
            .expect(all(vec![turned_away(&[503]), gone()])),
        // The time-outs are about the client; while it waits for us they do not run.
        case("waiting-for-the-origin-is-not-idling")
            .impatient()
            .send(get(&[]))
            .origin(Reply::acts(
                When::Body,
                vec![
                    Act::Pause(Duration::from_millis(1_200)),
                    Act::Write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
                ],
            ))
            .expect(all(vec![served(), body("ok"), kept()])),
        case("client-that-does-not-read-is-let-go")
            .impatient()
            .send(head("GET /hasty/x HTTP/1.1", &["Host: a"]))
            .reply(
                [
                    b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n".to_vec(),
                    vec![b'z'; 30_000_000],
                ]
                .concat(),
            )
            .step(Step::WaitUpstreamEnd)
            .without_probe()
            .expect(never_completed())
            .returns_permits(),
    ]
}
