//! `floodgate demo`.

use std::io;
use std::process::ExitCode;

use floodgate_gateway::demo::{self, Demonstration, Paint, Scenario};
use tracing_subscriber::filter::LevelFilter;

use super::{complain, say, signals};

/// Plays the demonstration; with `serve` the gateway and the origin stay up until a signal comes.
pub(super) fn demo(scenario: &Scenario, serve: bool) -> ExitCode {
    tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(io::stderr).init();
    let Demonstration { passed, stage } =
        match demo::run(scenario, Paint::for_stdout(), &mut io::stdout().lock()) {
            Ok(demonstration) => demonstration,
            Err(sentence) => return complain(&sentence),
        };
    let verdict = ExitCode::from(u8::from(!passed));
    if !serve {
        stage.gateway.stop();
        return verdict;
    }
    let (listen, admin) = (stage.gateway.listen(), stage.gateway.admin());
    say(&format!(
        "\nStill up until Ctrl-C: gateway {listen}, admin {admin}, origin {}. Try\n\n  \
         http://{admin}/ in a browser\n  curl -i http://{listen}/orders/1 -d ''\n  curl http://{admin}/metrics",
        stage.origin.addr()
    ));
    let stopped = signals::wait(stage.gateway, || {});
    if stopped == ExitCode::SUCCESS { verdict } else { stopped }
}
