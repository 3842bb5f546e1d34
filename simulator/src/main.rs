//! `simulate`: one swarm, or the table.
#![allow(clippy::disallowed_methods, reason = "this is where it prints; nothing of it comes from others")]

use cascade_simulator::cli::Cli;
use cascade_simulator::preset::{Preset, compared, presets};
use cascade_simulator::report::{idle, json, picture, table};
use cascade_simulator::search::Search;
use cascade_simulator::sweep::Sweep;
use cascade_simulator::{Outcome, Scenario, World, clock};
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "simulate: {error}");
            ExitCode::from(2)
        }
    }
}

/// Tells whether everybody got the file, or every goal is reached.
fn run(cli: &Cli) -> Result<bool, String> {
    if cli.list {
        let names = presets().into_iter().map(|preset| preset.scenario.name + "\n").collect::<String>();
        return print(&names).map(|()| true);
    }
    if cli.table {
        return run_table(cli);
    }
    if cli.sweep {
        let (rows, only) =
            (presets().into_iter().filter(|preset| is_chosen(cli, preset)).collect(), cli.constant.clone());
        let sweep = Sweep { rows, seeds: cli.seeds.max(1), only, threads: cli.threads.max(1) };
        return sweep.run(&print).map(|()| true);
    }
    if let Some(swarms) = cli.search {
        let (seed, threads) = (cli.seed.unwrap_or(1), cli.threads.max(1));
        let (text, complete) = Search { swarms, seed, worst: cli.worst, threads }.run()?;
        return print(&text).map(|()| complete);
    }
    let (outcome, wall) = simulate(cli.scenario()?)?;
    if let Some(path) = &cli.svg {
        std::fs::write(path, picture::draw(&outcome))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    if cli.json {
        print(&json(&outcome).map_err(|error| error.to_string())?)?;
    } else {
        print(&table::outcome(&outcome, wall))?;
        if cli.links {
            print(&idle::links(&outcome))?;
        }
    }
    Ok(outcome.is_complete())
}

fn run_table(cli: &Cli) -> Result<bool, String> {
    let mut all = true;
    print(table::HEAD)?;
    for mut preset in presets().into_iter().filter(|preset| is_chosen(cli, preset)) {
        preset.scenario.seed = cli.seed.unwrap_or(preset.scenario.seed);
        let other = match compared(&preset.scenario) {
            Some((scenario, what)) => Some(what(&simulate(scenario)?.0)),
            None => None,
        };
        let (outcome, wall) = simulate(preset.scenario.clone())?;
        let (text, passes) = table::goals(&preset, &outcome, other, wall);
        all &= passes;
        print(&text)?;
    }
    Ok(all)
}

fn is_chosen(cli: &Cli, preset: &Preset) -> bool {
    let named = |name: &String| preset.scenario.name.contains(name.as_str());
    let fits = cli.up_to.is_none_or(|most| preset.scenario.peers() <= most);
    fits && (cli.only.is_empty() || cli.only.iter().any(named))
}

fn simulate(scenario: Scenario) -> Result<(Outcome, f64), String> {
    let start = clock::now();
    let outcome = World::new(scenario).map_err(|error| error.to_string())?.run();
    Ok((outcome, start.elapsed().as_secs_f64()))
}

fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot print: {error}"))
}
