//! `cargo xtask bench framework`: what a service costs beyond the libraries that it is made of.
//!
//! `framework/examples/bench.rs` is every contestant and the gRPC load, so that all are built alike. Services on core 0, load
//! and collector on core 1, in turns as in [`super::proxy`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::contestant::{Contestant, LOAD_CORE, accepts, free_address, pin, start};
use super::load::{self, SAMPLED, UNSAMPLED};
use super::median;
use crate::command::{cargo, run as run_command, target};

/// What is compared with what: a name, and how much of the bare library's CPU time it may take.
const AIMS: [(&str, &str, f64); 4] = [
    ("samspill, unsampled", "axum", 1.10),
    ("samspill, sampled", "axum", 1.25),
    ("samspill gRPC, unsampled", "tonic", 1.10),
    ("samspill gRPC, sampled", "tonic", 1.25),
];

/// One way of asking one contestant.
struct Turn<'a> {
    name: &'static str,
    contestant: &'a Contestant,
    traceparent: &'static str,
    is_grpc: bool,
}

pub(crate) fn run(rounds: usize, seconds: Duration) -> Result<()> {
    run_command(&mut cargo(&["build", "--release", "--package", "samspill", "--example", "bench"]))?;
    pin(std::process::id(), LOAD_CORE)?;
    let folder = target().join("bench");
    std::fs::create_dir_all(&folder)?;

    let collector = serve("collector", None, &folder)?;
    let otlp = Some(collector.address);
    let axum = serve("axum", None, &folder)?;
    let tonic = serve("tonic", None, &folder)?;
    let samspill = serve("samspill", otlp, &folder)?;
    let contestants = [&axum, &tonic, &samspill];
    contestants.iter().try_for_each(|contestant| contestant.pin())?;
    let turn = |name, contestant, traceparent, is_grpc| Turn { name, contestant, traceparent, is_grpc };
    let turns = [
        turn("axum", &axum, UNSAMPLED, false),
        turn("samspill, unsampled", &samspill, UNSAMPLED, false),
        turn("samspill, sampled", &samspill, SAMPLED, false),
        turn("tonic", &tonic, UNSAMPLED, true),
        turn("samspill gRPC, unsampled", &samspill, UNSAMPLED, true),
        turn("samspill gRPC, sampled", &samspill, SAMPLED, true),
    ];
    for turn in &turns {
        turn.micros_per_request(Duration::from_millis(500)).with_context(|| format!("warming up {}", turn.name))?;
    }

    let mut micros: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        let mut order: Vec<_> = turns.iter().collect();
        order.rotate_left(round % turns.len());
        if round % 2 == 1 {
            order.reverse();
        }
        for turn in order {
            micros.entry(turn.name).or_default().push(turn.micros_per_request(seconds)?);
        }
    }
    report(&turns, &micros);
    Ok(())
}

fn report(turns: &[Turn<'_>], micros: &BTreeMap<&str, Vec<f64>>) {
    println!("a quote as JSON over 16 connections, and as gRPC; medians of {} rounds", micros["axum"].len());
    println!();
    println!("| contestant | CPU per request |");
    println!("|---|---:|");
    for turn in turns {
        println!("| {} | {:.1} µs |", turn.name, median(micros[turn.name].iter().copied()));
    }
    println!();
    for (ours, theirs, aim) in AIMS {
        let ratios: Vec<f64> = micros[ours].iter().zip(&micros[theirs]).map(|(ours, theirs)| ours / theirs).collect();
        let (low, high) = (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
        let ratio = median(ratios.into_iter());
        println!("CPU per request, {ours} / {theirs}: {ratio:.2} (rounds: {low:.2} to {high:.2}; aim: {aim:.2})");
    }
}

impl Turn<'_> {
    /// CPU time of the contestant in a turn, by the answers that it gave.
    fn micros_per_request(&self, time: Duration) -> Result<f64> {
        let before = self.contestant.cpu_time()?;
        let answered = if self.is_grpc { self.grpc(time)? } else { self.http(time)? };
        let cpu = self.contestant.cpu_time()? - before;
        Ok(cpu.as_secs_f64() * 1e6 / f64::from(u32::try_from(answered)?))
    }

    fn http(&self, time: Duration) -> Result<u64> {
        let body = r#"{"from":"NO","to":"SE","grams":2500}"#;
        let request = format!(
            "POST /v1/quotes HTTP/1.1\r\nhost: bench\r\nuser-agent: xtask\r\naccept: */*\r\ntraceparent: {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.traceparent,
            body.len()
        );
        load::send(self.contestant.address, &request, time)
    }

    fn grpc(&self, time: Duration) -> Result<u64> {
        let mut load = Command::new(program());
        load.args(["load", &self.contestant.address.to_string(), &time.as_millis().to_string(), self.traceparent]);
        let output = load.output().context("the gRPC load")?;
        ensure!(output.status.success(), "the gRPC load: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }
}

/// Built as `up` builds services.
fn program() -> PathBuf {
    target().join("release/examples/bench")
}

fn serve(who: &'static str, otlp: Option<SocketAddr>, folder: &Path) -> Result<Contestant> {
    let address = free_address()?;
    let otlp = otlp.map(|otlp| format!("OTEL_EXPORTER_OTLP_ENDPOINT=http://{otlp}"));
    let mut arguments = vec![format!("BENCH_CONTESTANT={who}"), format!("PORT={}", address.port())];
    arguments.extend(otlp);
    arguments.push(program().to_string_lossy().into_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // `env` becomes the program, so the pid is the program's.
    let child = start(Path::new("env"), &arguments, &folder.join(format!("{who}.log")))?;
    let pids = vec![child.id()];
    accepts(address)?;
    Ok(Contestant { name: who, address, host: "bench", pids, children: vec![child] })
}
