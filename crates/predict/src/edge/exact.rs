//! Requests fail or succeed independently of each other, so binomial chance is all there is.

use super::{EdgeLoad, EdgePrediction};
use crate::closed_form;
use crate::interval::Interval;

/// Returns the prediction for at most `limit` retries of each request.
pub(super) fn prediction(load: EdgeLoad, limit: u32) -> EdgePrediction {
    let requests = load.requests();
    let p = load.fail_ratio;
    let success = closed_form::limit_success(p, limit);
    let (mean, deviation) = closed_form::limit_attempts(p, limit);
    let attempts = Interval::normal(mean, deviation / (requests as f64).sqrt()).at_least(1.0);
    EdgePrediction {
        scenario: load,
        requests_count: requests,
        success_ratio: Interval::binomial(requests, success),
        attempts_per_request: attempts,
        added_attempts_per_request: attempts.less(1.0),
        // The last attempt's failure requests one more, which the limit refuses.
        retries_wanted_per_second: load.requests_per_second * mean * p,
        retries_made_per_second: load.requests_per_second * (mean - 1.0),
        closed_form_success_ratio: success,
        simulations_count: 0,
        remark: None,
    }
}
