//! Statuses of HTTP and of gRPC.

use http::StatusCode;

/// Returns the gRPC status that an HTTP status becomes: that of gRPC's mapping, and for the statuses of faults the one that
/// a gRPC server sends in the same place (500 `INTERNAL`, 504 `DEADLINE_EXCEEDED`, 413 and 429 `RESOURCE_EXHAUSTED`).
#[must_use]
pub(crate) fn status_of(status: StatusCode) -> u8 {
    match status.as_u16() {
        200..=299 => 0,
        400 => 3,
        401 => 16,
        403 => 7,
        404 | 405 | 501 => 12,
        409 => 10,
        413 | 429 => 8,
        499 => 1,
        500 => 13,
        502 | 503 => 14,
        504 => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use meshy_load::grpc::http_status;

    use super::*;

    #[test]
    fn a_failure_stays_a_failure_in_both_directions() {
        for status in 100..600 {
            let Ok(status) = StatusCode::from_u16(status) else { continue };
            assert_eq!(status_of(status) == 0, status.is_success(), "{status}");
        }
        for code in 0..20 {
            assert_eq!(http_status(code).is_success(), code == 0, "{code}");
        }
        for status in [500, 503, 504, 429, 403] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(http_status(u16::from(status_of(status))), status);
        }
    }
}
