//! Speed and memory, beside the peers, in one run: ratios, because absolute times say more about the machine.

use anyhow::Result;
use clap::Subcommand;

mod contestant;
mod framework;
mod load;
mod proxy;

#[derive(Subcommand)]
pub(crate) enum What {
    /// One hop in the clear, and a pair with mutual TLS, beside Envoy.
    Proxy {
        /// Rounds; in each, every contestant has one turn, in changing order.
        #[arg(long, default_value_t = 12)]
        rounds: usize,
        /// Seconds of one turn.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// A service written with `samspill` beside one of bare axum, and one of bare tonic.
    Framework {
        /// Rounds; in each, every contestant has one turn, in changing order.
        #[arg(long, default_value_t = 12)]
        rounds: usize,
        /// Seconds of one turn.
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
    /// Answers on the port in `PORT`: the workload that the measured mesh calls.
    #[command(hide = true)]
    Serve,
    /// Writes the address of its sidecar to a file: the workload that calls.
    #[command(hide = true)]
    Show { file: std::path::PathBuf },
}

pub(crate) fn run(what: &What) -> Result<()> {
    match what {
        What::Proxy { rounds, seconds } => proxy::run(*rounds, std::time::Duration::from_secs_f64(*seconds)),
        What::Framework { rounds, seconds } => framework::run(*rounds, std::time::Duration::from_secs_f64(*seconds)),
        What::Serve => {
            contestant::pin(std::process::id(), contestant::LOAD_CORE)?;
            load::serve(std::env::var("PORT")?.parse()?)?;
            rest()
        }
        What::Show { file } => {
            std::fs::write(file, std::env::var("SAMSPILL_OUTBOUND")?)?;
            rest()
        }
    }
}

/// Stays until it is killed.
fn rest() -> ! {
    loop {
        std::thread::park();
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
