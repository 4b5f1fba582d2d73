//! `floodgate`: the command line.

mod cli;

use std::process::ExitCode;

use clap::Parser;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: floodgate_gateway::allocator::Mimalloc = floodgate_gateway::allocator::Mimalloc;

fn main() -> ExitCode {
    cli::Cli::parse().run()
}
