#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::restriction)]
use cascade_simulator::{Habit, Scenario, World, preset};
use cascade_swarm::give::Tuning;

fn rows() -> Vec<Scenario> {
    let mut rows: Vec<Scenario> = "1-8 1-16 spread half-version-1 bad-peers seeder-leaves 100-fine"
        .split(' ')
        .map(|name| preset::find(name).unwrap().scenario)
        .collect();
    let large = Scenario {
        name: "large".into(),
        blocks: 32,
        block_size: 1 << 20,
        network: cascade_simulator::scenario::Network::for_blocks(1 << 20),
        rates: cascade_simulator::scenario::Rates { up: 20e6, down: 20e6 },
        seeder: cascade_simulator::scenario::Rates { up: 20e6, down: 20e6 },
        ..Scenario::default()
    };
    rows.push(large);
    rows
}

fn measure(tuning: Tuning, quick: bool) -> Vec<(String, f64)> {
    let mut out = Vec::new();
    for row in rows() {
        if quick && row.name == "100-fine" {
            continue;
        }
        let seeds: &[u64] = if row.peers() > 50 { &[1] } else { &[1, 2, 3] };
        let (mut last, mut v1, mut dup, mut copies) = (0.0, 0.0, 0.0, 0.0);
        for seed in seeds {
            let mut row = row.clone();
            row.seed = *seed;
            row.give = tuning;
            let o = World::new(row).unwrap().run();
            let n = seeds.len() as f64;
            let ours = o.group(Habit::Ours).map_or(o.times, |g| g.times);
            let complete = o.downloaders == o.times.complete;
            last += if complete { ours.last / o.unit / n } else { 999.0 };
            v1 += o.groups.iter().find(|g| g.habit.is_version1()).map_or(0.0, |g| g.times.mean / o.unit / n);
            dup += o.duplicates * 100.0 / n;
            copies += o.copies / n;
        }
        out.push((format!("{} last", row.name), last));
        if v1 > 0.0 {
            out.push((format!("{} v1", row.name), v1));
        }
        if dup > 0.3 || row.name == "large" {
            out.push((format!("{} dup%", row.name), dup));
        }
        let _ = copies;
    }
    out
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let quick = args.iter().any(|a| a == "--quick");
    let args: Vec<String> = args.into_iter().filter(|a| a != "--quick").collect();
    let base = measure(Tuning::DEFAULT, quick);
    for (name, value) in &base {
        println!("base {name} {value:.4}");
    }
    let variants: Vec<String> = if args.is_empty() {
        Tuning::NAMES.iter().flat_map(|n| ["0.5", "2"].map(|f| format!("{n}={f}"))).collect()
    } else {
        args
    };
    for variant in variants {
        let mut tuning = Tuning::DEFAULT;
        for part in variant.split(',') {
            let (name, factor) = part.split_once('=').unwrap();
            tuning = tuning.scaled(name, factor.parse().unwrap()).unwrap();
        }
        let got = measure(tuning, quick);
        let mut line = String::new();
        for (name, value) in &got {
            let Some((_, before)) = base.iter().find(|(b, _)| b == name) else {
                line += &format!(" {name} NEW {value:.3};");
                continue;
            };
            if name.ends_with("dup%") {
                if (value - before).abs() > 0.3 {
                    line += &format!(" {name} {before:.2}->{value:.2};");
                }
                continue;
            }
            let change = (value / before - 1.0) * 100.0;
            if change.abs() >= 0.8 {
                line += &format!(" {name} {change:+.1}%;");
            }
        }
        println!("{variant}:{line}");
    }
}
