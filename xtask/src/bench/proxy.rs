//! `cargo xtask bench proxy`: our data path beside Envoy's.
//!
//! Proxies on core 0, the load on core 1, in turns of a few seconds whose order changes from round to round, so that what
//! the machine does meanwhile hits all alike. The headline is CPU time per request, which the load cannot saturate away.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::contestant::{Contestant, LOAD_CORE, accepts, built, free_address, pin, start};
use super::load;
use super::median;
use crate::command::{cargo, command, run as run_command, target};
use crate::peers::python_program;

/// What one contestant did in one turn.
struct Turn {
    cpu_micros_per_request: f64,
    requests_per_second: f64,
}

pub(crate) fn run(rounds: usize, seconds: Duration) -> Result<()> {
    crate::peers::require()?;
    run_command(&mut cargo(&["build", "--profile", "dist", "--package", "samspill-cli"]))?;
    run_command(&mut cargo(&["build", "--profile", "dist", "--package", "samspill-engine", "--example", "plain_hop"]))?;
    pin(std::process::id(), LOAD_CORE)?;
    let folder = target().join("bench");
    std::fs::create_dir_all(&folder)?;

    let echo = load::serve(0)?;
    let contestants = [plain(echo, &folder)?, envoy_plain(echo, &folder)?, pair(&folder)?, envoy_pair(echo, &folder)?];
    for contestant in &contestants {
        contestant.pin()?;
        load::send(contestant.address, &load::echo(contestant.host), Duration::from_millis(500))
            .with_context(|| format!("warming up {}", contestant.name))?;
    }

    let mut turns: BTreeMap<&str, Vec<Turn>> = BTreeMap::new();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        let mut order: Vec<&Contestant> = contestants.iter().collect();
        order.rotate_left(round % contestants.len());
        if round % 2 == 1 {
            order.reverse();
        }
        for contestant in order {
            turns.entry(contestant.name).or_default().push(turn(contestant, seconds)?);
        }
    }
    report(&contestants, &turns)
}

fn turn(contestant: &Contestant, seconds: Duration) -> Result<Turn> {
    let (cpu_before, begun) = (contestant.cpu_time()?, Instant::now());
    let answered = load::send(contestant.address, &load::echo(contestant.host), seconds)?;
    let (cpu, took) = (contestant.cpu_time()? - cpu_before, begun.elapsed());
    let answered = u32::try_from(answered)?;
    Ok(Turn {
        cpu_micros_per_request: cpu.as_secs_f64() * 1e6 / f64::from(answered),
        requests_per_second: f64::from(answered) / took.as_secs_f64(),
    })
}

fn report(contestants: &[Contestant], turns: &BTreeMap<&str, Vec<Turn>>) -> Result<()> {
    println!(
        "16 connections, 1 KiB answers, untraced; medians of {} rounds",
        turns.values().next().map_or(0, Vec::len)
    );
    println!();
    println!("| contestant | CPU per request | requests per CPU second | requests per second | memory |");
    println!("|---|---:|---:|---:|---:|");
    for contestant in contestants {
        let of = &turns[contestant.name];
        let cpu = median(of.iter().map(|turn| turn.cpu_micros_per_request));
        let rate = median(of.iter().map(|turn| turn.requests_per_second));
        let mebibytes = contestant.memory()? / (1 << 20);
        println!("| {} | {cpu:.1} µs | {:.0} | {rate:.0} | {mebibytes} MiB |", contestant.name, 1e6 / cpu);
    }
    println!();
    for (ours, theirs) in
        [("samspill, one plain hop", "Envoy, one plain hop"), ("samspill, mTLS pair", "Envoy, mTLS pair")]
    {
        let ratios = turns[ours].iter().zip(&turns[theirs]);
        let ratios: Vec<f64> =
            ratios.map(|(ours, theirs)| ours.cpu_micros_per_request / theirs.cpu_micros_per_request).collect();
        let (low, high) = (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
        println!(
            "CPU per request, {ours} / {theirs}: {:.2} (rounds: {low:.2} to {high:.2})",
            median(ratios.into_iter())
        );
    }
    Ok(())
}

fn plain(echo: SocketAddr, folder: &Path) -> Result<Contestant> {
    let address = free_address()?;
    let arguments = [address.to_string(), echo.to_string()];
    let child =
        start(&built("examples/plain_hop"), &arguments.each_ref().map(String::as_str), &folder.join("plain_hop.log"))?;
    let pids = vec![child.id()];
    accepts(address)?;
    Ok(Contestant { name: "samspill, one plain hop", address, host: "echo", pids, children: vec![child] })
}

/// A real mesh: `samspill up` with a workload that is called and one that only shows where its sidecar listens.
fn pair(folder: &Path) -> Result<Contestant> {
    let manifests = folder.join("mesh");
    let state = folder.join("state");
    let outbound = folder.join("outbound");
    drop(std::fs::remove_dir_all(&state));
    drop(std::fs::remove_file(&outbound));
    std::fs::create_dir_all(&manifests)?;
    let mesh = include_str!("mesh.yaml").replace("OUTBOUND", &outbound.to_string_lossy());
    std::fs::write(manifests.join("mesh.yaml"), mesh)?;
    let xtask = std::env::current_exe()?;
    let local = include_str!("mesh.local.yaml").replace("XTASK", &xtask.to_string_lossy());
    std::fs::write(manifests.join("samspill.local.yaml"), local)?;

    let manifests = manifests.to_string_lossy().into_owned();
    let state = state.to_string_lossy().into_owned();
    let arguments = ["up", manifests.as_str(), "--state-dir", state.as_str(), "--http-port", "0"];
    let mut child = start(&built("samspill"), &arguments, &folder.join("up.log"))?;
    let address = loop {
        if let Ok(text) = std::fs::read_to_string(&outbound)
            && let Some(address) = text.trim().strip_prefix("http://")
        {
            break address.parse()?;
        }
        if child.try_wait()?.is_some() {
            bail!("`samspill up` has ended, see {}", folder.join("up.log").display());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let pids = sidecars(&state)?;
    let mut contestant = Contestant { name: "samspill, mTLS pair", address, host: "echo", pids, children: vec![child] };
    for _ in 0..200 {
        if load::send(address, &load::echo(contestant.host), Duration::from_millis(50)).is_ok() {
            contestant.pids = sidecars(&state)?;
            return Ok(contestant);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("the mesh answers no request, see {}", folder.join("up.log").display())
}

/// The two sidecars of the mesh that was started.
fn sidecars(state: &str) -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if arguments.contains(" proxy ") && arguments.contains(state) && !arguments.contains("--edge") {
            pids.push(pid);
        }
    }
    Ok(pids)
}

fn envoy_plain(echo: SocketAddr, folder: &Path) -> Result<Contestant> {
    let address = free_address()?;
    let child = envoy("plain", include_str!("envoy-plain.yaml"), folder, &[("LISTEN", address), ("UPSTREAM", echo)])?;
    let pids = vec![child.id()];
    accepts(address)?;
    Ok(Contestant { name: "Envoy, one plain hop", address, host: "echo", pids, children: vec![child] })
}

fn envoy_pair(echo: SocketAddr, folder: &Path) -> Result<Contestant> {
    certificates(folder)?;
    let (address, between) = (free_address()?, free_address()?);
    let inbound =
        envoy("inbound", include_str!("envoy-inbound.yaml"), folder, &[("LISTEN", between), ("UPSTREAM", echo)])?;
    let outbound =
        envoy("outbound", include_str!("envoy-outbound.yaml"), folder, &[("LISTEN", address), ("UPSTREAM", between)])?;
    let pids = vec![inbound.id(), outbound.id()];
    accepts(address)?;
    Ok(Contestant { name: "Envoy, mTLS pair", address, host: "echo", pids, children: vec![inbound, outbound] })
}

fn envoy(name: &str, template: &str, folder: &Path, addresses: &[(&str, SocketAddr)]) -> Result<std::process::Child> {
    let mut config = template.replace("FOLDER", &folder.to_string_lossy());
    for (key, address) in addresses {
        config = config.replace(&format!("{key}_PORT"), &address.port().to_string());
    }
    let path = folder.join(format!("envoy-{name}.yaml"));
    std::fs::write(&path, config)?;
    let path = path.to_string_lossy().into_owned();
    let log = folder.join(format!("envoy-{name}.log"));
    let arguments =
        ["--config-path", path.as_str(), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"];
    start(Path::new(&python_program("envoy")), &arguments, &log)
}

/// An authority and two leaves with a SPIFFE ID each, P-256 as ours are.
fn certificates(folder: &Path) -> Result<()> {
    let openssl = |arguments: &str| {
        let arguments = arguments.replace("FOLDER", &folder.to_string_lossy());
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = command("openssl", &arguments).output().context("cannot run openssl")?;
        anyhow::ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /O=bench \
         -keyout FOLDER/ca.key -out FOLDER/ca.pem",
    )?;
    for name in ["client", "server"] {
        openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=bench -keyout FOLDER/{name}.key \
             -out FOLDER/{name}.csr"
        ))?;
        std::fs::write(
            folder.join(format!("{name}.ext")),
            format!(
                "subjectAltName=URI:spiffe://bench/ns/default/sa/{name}\nbasicConstraints=CA:FALSE\n\
                 keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n"
            ),
        )?;
        openssl(&format!(
            "x509 -req -days 2 -in FOLDER/{name}.csr -CA FOLDER/ca.pem -CAkey FOLDER/ca.key -CAcreateserial \
             -extfile FOLDER/{name}.ext -out FOLDER/{name}.pem"
        ))?;
    }
    Ok(())
}
