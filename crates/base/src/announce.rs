//! Reports slow servers while a command waits.

use std::time::Duration;

use crate::activity::{Kind, longest};
use crate::report::Report;

/// How long a server may be silent before it is reported.
const SILENT: Duration = Duration::from_secs(10);

/// How often [`announce`] checks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Reports once which server has not responded for `SILENT`, so that the terminal is not silent until the time is over.
/// Never ends.
pub async fn announce(report: Report) {
    let mut announced = String::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(waited) = longest() else { continue };
        if waited.kind == Kind::Server && waited.time >= SILENT && waited.what != announced {
            report.say(format!("still {} after {} s", waited.what, waited.time.as_secs()));
            announced = waited.what;
        }
    }
}
