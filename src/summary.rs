//! Measurements in words and tables, for the terminal.

mod storm;

use crate::steps::Step;
use crate::ui::table::{self, Table};
use meshy_experiment::event::Mesh;
use meshy_load::Bucket;
use meshy_metrics::Outcomes;
use meshy_predict::edge::Policy;

pub(crate) use storm::{HEAD as STORM_HEAD, cells as storm_cells, of_storms};

/// A measured step: what the user saw, what it cost, where the requests went.
pub(crate) fn of_step(step: &Step) -> String {
    let traffic = &step.traffic;
    let mut text = format!(
        "{} in {:.1} s ({:.2}/s, planned {}/s){}\n",
        counted(traffic.requests_count, "request", "requests"),
        traffic.length_seconds,
        traffic.requests_per_second,
        traffic.wanted_requests_per_second,
        if traffic.interrupted { ", interrupted" } else { "" }
    );
    let latency = &traffic.latency;
    text.push_str(&format!(
        "  success  {}\n  latency  p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, max {:.1} ms\n",
        traffic.success_ratio.map_or(table::UNKNOWN.to_owned(), |ratio| {
            format!("{} %", table::points(ratio, traffic.requests_count))
        }),
        latency.p50_ms,
        latency.p95_ms,
        latency.p99_ms,
        latency.max_ms
    ));
    for (outcome, count) in &traffic.outcomes_count {
        text.push_str(&format!("  {count:>7}  {outcome}\n"));
    }
    text.push_str(&histogram(&traffic.histogram));
    traffic.incomplete.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    if let Some(mesh) = &step.mesh {
        text.push('\n');
        text.push_str(&of_mesh(mesh));
    }
    if !step.marks.is_empty() {
        text.push_str("the policy or the fault changed during the load, so nothing was predicted\n");
    }
    text
}

/// The requests by latency: a line per bucket, its bar relative to the largest one.
fn histogram(buckets: &[Bucket]) -> String {
    const BAR: u64 = 40;
    let most = buckets.iter().map(|bucket| bucket.requests_count).max().unwrap_or(0).max(1);
    let line = |bucket: &Bucket| {
        let bar = "#".repeat((bucket.requests_count * BAR).div_ceil(most) as usize);
        format!("  {:>7}  up to {} ms  {bar}", bucket.requests_count, bucket.up_to_ms).trim_end().to_owned()
            + "\n"
    };
    buckets.iter().map(line).collect()
}

/// The share of good attempts as a cell.
pub(crate) fn actual(mesh: &Mesh) -> String {
    table::share(mesh.clients.actual_success(), mesh.clients.attempts_count)
}

/// Steps under each other, both views and what was predicted.
pub(crate) fn of_steps(steps: &[Step]) -> String {
    let mut rows = Table::new(1, &["STEP", "SUCCESS", "ACTUAL", "ATTEMPTS/REQ", "P50", "P99", "PREDICTED"]);
    for step in steps {
        let traffic = &step.traffic;
        let mesh = step.mesh.as_ref();
        let counted = mesh.and_then(|mesh| mesh.outcomes.added_attempts_per_request).map(|added| added + 1.0);
        let attempts = step.attempts_per_request.or(counted);
        let measured = mesh.and_then(|mesh| mesh.prediction.as_ref());
        let measured = measured.map(|p| (p.success_ratio.low, p.success_ratio.high));
        let predicted = step.predicted_success_ratio.map(|p| (p.low, p.high)).or(measured);
        rows.row([
            step.name.clone(),
            table::share(traffic.success_ratio, traffic.requests_count),
            mesh.map_or(table::UNKNOWN.to_owned(), actual),
            attempts.map_or(table::UNKNOWN.to_owned(), |attempts| format!("{attempts:.2}")),
            table::millis(Some(traffic.latency.p50_ms)),
            table::millis(Some(traffic.latency.p99_ms)),
            predicted.map_or(table::UNKNOWN.to_owned(), |(low, high)| {
                format!("{:.0}-{:.0}%", low * 100.0, high * 100.0)
            }),
        ]);
    }
    format!(
        "{}\nSUCCESS: of requests, at the clients. ACTUAL: of attempts, at the service.\n\
         PREDICTED: the interval that holds 99.7 % of such runs.",
        rows.render()
    )
}

/// What the mesh counted.
pub(crate) fn of_mesh(mesh: &Mesh) -> String {
    if mesh.clients.requests_count == 0 {
        let text = format!(
            "no proxy counted a request to {}: its clients are not meshed, so nothing can retry for them; `meshy inject` \
             meshes them, `meshy stat -A` shows the meshed workloads",
            mesh.service.name
        );
        return wrapped(&text, WIDTH).join("\n") + "\n";
    }
    let mut text = of_outcomes(&mesh.outcomes);
    text.push('\n');
    if let Some(prediction) = &mesh.prediction {
        let success = &prediction.success_ratio;
        let measured = mesh.clients.effective_success();
        let percent = measured.map_or("nothing".to_owned(), |measured| format!("{:.1} %", measured * 100.0));
        let place = match measured.map(|measured| success.holds(measured)) {
            Some(true) => ": inside the predicted interval",
            Some(false) => ": OUTSIDE the predicted interval",
            None => "",
        };
        text.push_str(&format!(
            "predicted {:.1} % ({:.1} to {:.1} %), measured {percent}{place}\n",
            success.mean * 100.0,
            success.low * 100.0,
            success.high * 100.0,
        ));
    }
    if let Some(why) = &mesh.unpredicted {
        text.push_str(&format!("nothing was predicted: {why}\n"));
    }
    for gap in &mesh.gaps {
        text.push_str(&format!("not counted: {gap}\n"));
    }
    text
}

/// The outcomes as a table with what they cost, whole.
pub(crate) fn of_outcomes(outcomes: &Outcomes) -> String {
    outcomes_table(outcomes, |_| true)
}

/// The same without the outcomes that happened to no request.
pub(crate) fn of_counted_outcomes(outcomes: &Outcomes) -> String {
    outcomes_table(outcomes, |count| count != Some(0))
}

fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

fn capitalized(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Fits the narrowest terminal that is common.
pub(crate) const WIDTH: usize = 79;

/// Text in lines of at most so many characters.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("never empty");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

fn outcomes_table(outcomes: &Outcomes, shown: impl Fn(Option<u64>) -> bool) -> String {
    let mut rows = Table::new(1, &["OUTCOME", "REQUESTS", "SHARE"]);
    for (outcome, count) in outcomes.rows().into_iter().filter(|(_, count)| shown(*count)) {
        let share = count.filter(|_| outcomes.requests_count > 0);
        let share = share.map(|count| count as f64 / outcomes.requests_count as f64);
        rows.row([
            outcome,
            count.map_or(table::UNKNOWN.to_owned(), |c| c.to_string()),
            table::share(share, outcomes.requests_count),
        ]);
    }
    let per_request =
        outcomes.added_attempts_per_request.map_or("-".to_owned(), |added| format!("{:.2}", added + 1.0));
    let added =
        outcomes.added_attempts_per_request.map_or("-".to_owned(), |added| format!("{:.0} %", added * 100.0));
    // Below zero it is chance: a retry does not make an answer come sooner.
    let latency = match outcomes.added_latency_ms {
        None => table::UNKNOWN.to_owned(),
        Some(..0.05) => "no".to_owned(),
        Some(ms) => format!("{ms:.1} ms"),
    };
    let mut text = format!(
        "{}\n\n{}, {}: {per_request} a request, {added} added load, {latency} added latency",
        rows.render(),
        counted(outcomes.requests_count, "request", "requests"),
        counted(outcomes.attempts_count, "attempt", "attempts")
    );
    for remark in &outcomes.remarks {
        text.push('\n');
        text.push_str(&wrapped(&format!("note: {remark}"), WIDTH).join("\n"));
    }
    text
}

/// The result of a step in sentences: what clients saw, what the service returned where retries were made, and what was predicted.
pub(crate) fn result(step: &Step) -> Vec<String> {
    let mesh = step.mesh.as_ref();
    let retried = mesh.is_some_and(|mesh| mesh.clients.retries() > 0);
    let mut sentences = explain(step);
    sentences.truncate(if retried { 2 } else { 1 });
    let counted = mesh.and_then(|mesh| mesh.prediction.as_ref());
    let counted = counted.map(|one| (one.success_ratio.low, one.success_ratio.high));
    let predicted = step.predicted_success_ratio.map(|one| (one.low, one.high)).or(counted);
    if let Some((low, high)) = predicted {
        let attempts = step.predicted_attempts_per_request.filter(|one| one.high > 1.0);
        let attempts =
            attempts.map(|one| format!(", with {:.2} to {:.2} attempts per request", one.low, one.high));
        let share = match (table::points(low, 100), table::points(high, 100)) {
            (low, high) if low == high => low,
            (low, high) => format!("{low} to {high}"),
        };
        sentences.push(format!("Predicted: {share} % succeed{}.", attempts.unwrap_or_default()));
    }
    sentences
}

/// A step in sentences: what was requested, what the policy allowed, and the result.
pub(crate) fn explain(step: &Step) -> Vec<String> {
    let traffic = &step.traffic;
    let Some(success) = traffic.success_ratio else {
        return vec![format!("{}: no request ended.", step.name)];
    };
    let mut sentences = vec![format!(
        "{}: {} % of {} requests succeeded for the client, at {:.1}/s.",
        step.name,
        table::points(success, traffic.requests_count),
        traffic.requests_count,
        traffic.requests_per_second
    )];
    sentences.extend(step.storm.as_ref().map(|storm| capitalized(&storm::sentences(step, storm))));
    let Some(mesh) = step.mesh.as_ref().filter(|mesh| mesh.clients.requests_count > 0) else {
        sentences.push("What the mesh did is not known: no proxy counted these requests.".to_owned());
        return sentences;
    };
    if let Some(actual) = mesh.clients.actual_success() {
        sentences.push(format!(
            "At the service {} % of {} attempts succeeded{}.",
            table::points(actual, mesh.clients.attempts_count),
            mesh.clients.attempts_count,
            if mesh.clients.retries() > 0 {
                "; retries do not fix the service, they repeat the request"
            } else {
                ""
            }
        ));
    }
    let seconds = traffic.length_seconds.max(1e-9);
    let clients = &mesh.clients;
    let retries = clients.retries() as f64 / seconds;
    match mesh.policy {
        _ if !step.marks.is_empty() => {
            let marks = step.marks.iter().map(|mark| format!("{} after {:.0} s", mark.text, mark.at_seconds));
            let marks = marks.collect::<Vec<_>>().join("; ");
            sentences.push(format!("Changed during the load: {marks}. The numbers cover the whole load."));
        }
        Policy::None => {
            sentences.push("No policy allows a retry, so each failure reached the client.".to_owned());
        }
        Policy::Budget { .. } => {
            let wanted = clients.retryable_count as f64 / seconds;
            sentences.push(format!(
                "{wanted:.1} retries/s were needed and {retries:.1} made by the budget ({}){}",
                &mesh.policy.words().trim_start_matches("a budget of "),
                match clients.no_budget_count {
                    0 => ": enough for each failure.".to_owned(),
                    refused => format!(", so {refused} requests failed, retry budget exhausted."),
                }
            ));
        }
        Policy::Limit { limit } => sentences.push(format!(
            "{retries:.1} retries/s were made; {} requests failed, retry limit reached ({limit} retries). A limit has \
             no budget: when every attempt fails, the service receives {} attempts per request.",
            clients.limit_count,
            limit + 1
        )),
    }
    if let Some(added) = mesh.outcomes.added_attempts_per_request.filter(|added| *added > 0.005) {
        sentences.push(format!("The cost: {:.0} % more load on the service.", added * 100.0));
    }
    if let Some(latency) = mesh.outcomes.added_latency_ms.filter(|ms| *ms > 0.0) {
        sentences.push(format!("A retried request took {latency:.1} ms longer (the medians' difference)."));
    }
    if let Some(prediction) = &mesh.prediction {
        let expected = &prediction.success_ratio;
        sentences.push(match expected.holds(success) {
            true if (expected.mean - success).abs() < 0.005 => {
                format!("As predicted: {:.0} %.", expected.mean * 100.0)
            }
            true => format!("{:.0} % were predicted; the measured share is inside the predicted interval.", expected.mean * 100.0),
            false => format!(
                "{:.0} to {:.0} % were predicted; the measured share is outside, so something else than the policy and random failures had an effect.",
                expected.low * 100.0,
                expected.high * 100.0
            ),
        });
    }
    sentences
}
