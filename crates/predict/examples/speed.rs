//! Simulates 60 s of the storm's chain at 500 requests per second, once per trigger with retries everywhere, on one thread: `speed
//! [SERVICES]`. `bench/predict` measures its CPU time.

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use meshy_predict::simulate;
use meshy_predict::storm::{Storm, Trigger, policies};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let trigger: Trigger = args.next().ok_or("usage: speed TRIGGER [SERVICES]")?.parse()?;
    let services = args.next().map_or(Ok(4), |text| text.parse())?;
    // The shipped storm, about 17 times as large: the last service can do 838 requests per second.
    let scale: f64 = 500.0 / 30.0;
    let storm = Storm {
        services,
        workers: (4.0 * scale).ceil() as usize,
        queue: (100.0 * scale) as usize,
        rate: 500.0,
        ..Storm::default()
    };
    let policy = policies().into_iter().find(|policy| policy.name == "retries-everywhere");
    let mut model = storm.model(&policy.ok_or("no such policy")?, Some(&trigger));
    model.load.duration = Duration::from_secs(60);
    model.load.phases.clear();
    let run = simulate(&model, 1)?;
    let attempts: u64 =
        run.entry.total.attempts + run.edges.iter().map(|edge| edge.total.attempts).sum::<u64>();
    let (goodput, wasted) = (run.goodput_ratio(), run.wasted_ratio());
    writeln!(std::io::stdout(), "{attempts} attempts, goodput {goodput:.2}, wasted {wasted:.2}")?;
    Ok(())
}
