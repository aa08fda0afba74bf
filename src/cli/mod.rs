//! The command line: one file per command; the only place that prints.
//!
//! To add a command: `NAME.rs` with its arguments and `run`, a variant of [`Command`], a line in
//! `README.md`. A command of the contract that is not built yet stands in [`NOT_BUILT`].

mod apply;
mod check;
mod daemon;
mod demo;
mod diff;
mod exit;
mod explain;
mod fc;
mod folder;
mod plan;
mod report;
mod resend;
mod rollback;
mod run;
mod runs;
mod scan;
mod schedules;
mod secret;
mod setup;
mod show;
mod signals;
mod simulate;
mod verify;
mod waive;

pub use exit::Exit;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Commands of the contract that this version does not have, refused by that name.
const NOT_BUILT: [&str; 1] = ["merge"];

/// Finds what Alibaba Cloud ECS security groups expose to the internet, and keeps the evidence.
#[derive(Debug, Parser)]
#[command(name = "sgwarden", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that stand before or after any command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Configuration of the program [default: sgwarden.toml here, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Send every service's calls there, such as http://127.0.0.1:8080
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Where sealed runs lie [default: file:./evidence]
    #[arg(long, global = true, value_name = "URL")]
    pub store: Option<String>,
    /// Say more on stderr; twice, still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Form of the log on stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// Colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// No progress line, not even on a terminal
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Answer with one JSON object on stdout
    #[arg(long, global = true)]
    pub json: bool,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the words are the meaning")]
pub enum LogFormat {
    Text,
    Json,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the words are the meaning")]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole job on the embedded simulated cloud: no account, no network, nothing to set up
    Demo(demo::Demo),
    /// Read, judge, keep evidence, write reports; changes nothing
    Scan(scan::Scan),
    /// One whole job, as a schedule says
    Run(run::Run),
    /// What a run would change, written down for people who approve in between
    Plan(plan::Plan),
    /// Carry out a plan, that and nothing else
    Apply(apply::Apply),
    /// Put back what a run revoked
    Rollback(rollback::Rollback),
    /// Try credentials, permissions, mail, storage and schedules; changes nothing
    Check(check::Check),
    /// Why a packet is accepted or dropped by a group
    Explain(explain::Explain),
    /// Render a sealed run again
    Report(report::Report),
    /// Check hashes and chain of sealed runs
    Verify(verify::Verify),
    /// List stored runs
    Runs(runs::Runs),
    /// What changed between two sealed runs
    Diff(diff::Diff),
    /// Print the block of a waivers' file that would approve a finding
    Waive(waive::Waive),
    /// Deliver what could not be delivered
    Resend(resend::Resend),
    /// List the schedules of a folder with their next times, and what is wrong in any
    Schedules(schedules::Schedules),
    /// Run every schedule of a folder at its times
    Daemon(daemon::Daemon),
    /// Serve Function Compute's custom runtime: timers, and events of Cloud Config
    Fc(fc::Fc),
    /// Serve the simulated cloud over HTTP
    Simulate(simulate::Simulate),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own codes: 0 for help and version, 2 for usage.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    // A daemon is watched by its log alone.
    let talks = matches!(cli.command, Command::Daemon(_) | Command::Fc(_));
    show::start_log(&cli.global, talks);
    let outcome = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(dispatch(cli.global.clone(), cli.command)),
        Err(why) => Err(exit::Failure::start(format!("cannot start threads: {why}"))),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            show::failure(&cli.global, &failure);
            failure.exit.into()
        }
    }
}

async fn dispatch(global: Global, command: Command) -> Result<Exit, exit::Failure> {
    match command {
        Command::Demo(command) => command.run(&global).await,
        Command::Scan(command) => command.run(&global).await,
        Command::Run(command) => command.run(&global).await,
        Command::Plan(command) => command.run(&global).await,
        Command::Apply(command) => command.run(&global).await,
        Command::Rollback(command) => command.run(&global).await,
        Command::Check(command) => command.run(&global).await,
        Command::Explain(command) => command.run(&global).await,
        Command::Report(command) => command.run(&global),
        Command::Verify(command) => command.run(&global),
        Command::Runs(command) => command.run(&global),
        Command::Diff(command) => command.run(&global),
        Command::Waive(command) => command.run(&global),
        Command::Resend(command) => command.run(&global).await,
        Command::Schedules(command) => command.run(&global),
        Command::Daemon(command) => command.run(&global).await,
        Command::Fc(command) => command.run(&global).await,
        Command::Simulate(command) => command.run(&global).await,
        Command::Other(words) => {
            let name = words
                .first()
                .map(|word| word.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            Err(exit::Failure::usage(
                if NOT_BUILT.contains(&name.as_str()) {
                    format!("the command \"{name}\" is not built yet in this version")
                } else {
                    format!("there is no command \"{name}\"; `sgwarden --help` lists them")
                },
            ))
        }
    }
}
