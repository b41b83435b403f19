//! The statuses of gRPC, by their code (grpc/grpc, `doc/statuscodes.md`).

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Returns the name of a gRPC status as Linkerd's metrics write it, such as `UNAVAILABLE`; `None` for a code that gRPC does not
/// define.
#[must_use]
pub fn grpc_status_name(code: u16) -> Option<&'static str> {
    NAMES.get(usize::from(code)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_defined_status_has_its_name() {
        let of = [0, 5, 8, 14, 16, 17, u16::MAX].map(grpc_status_name);
        let known = ["OK", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNAUTHENTICATED"].map(Some);
        assert_eq!((&of[..5], &of[5..]), (&known[..], &[None, None][..]));
    }
}
