//! The types of the fields of ServiceProfiles and HTTPRoutes.

use super::shape::{Field, Shape};
use Shape::{Any, Flag, List, Number, Strict, Text, Whole};

/// The `spec` of a ServiceProfile, whose validator rejects unknown fields.
pub(super) static PROFILE: Shape = Strict(&[
    Field("routes", &List(&PROFILE_ROUTE), false),
    Field(
        "retryBudget",
        &Strict(&[
            Field("retryRatio", &Number, true),
            Field("minRetriesPerSecond", &Whole(4_294_967_295), true),
            Field("ttl", &Text, true),
        ]),
        false,
    ),
    Field(
        "dstOverrides",
        &List(&Strict(&[Field("authority", &Text, true), Field("weight", &Any, true)])),
        false,
    ),
    Field("opaquePorts", &Any, false),
]);

static PROFILE_ROUTE: Shape = Strict(&[
    Field("name", &Text, true),
    Field("condition", &REQUEST, true),
    Field("responseClasses", &List(&CLASS), false),
    Field("isRetryable", &Flag, false),
    Field("timeout", &Text, false),
]);

static REQUEST: Shape = Strict(&[
    Field("method", &Text, false),
    Field("pathRegex", &Text, false),
    Field("all", &List(&REQUEST), false),
    Field("any", &List(&REQUEST), false),
    Field("not", &REQUEST, false),
]);

static CLASS: Shape = Strict(&[Field("condition", &RESPONSE, true), Field("isFailure", &Flag, false)]);

static RESPONSE: Shape = Strict(&[
    Field(
        "status",
        &Strict(&[Field("min", &Whole(4_294_967_295), false), Field("max", &Whole(4_294_967_295), false)]),
        false,
    ),
    Field("all", &List(&RESPONSE), false),
    Field("any", &List(&RESPONSE), false),
    Field("not", &RESPONSE, false),
]);

/// The `spec` of an HTTPRoute. Its unknown fields have a separate rule.
pub(super) static ROUTE: Shape = Shape::Map(&[
    Field("parentRefs", &List(&PARENT), false),
    Field("hostnames", &List(&Text), false),
    Field("rules", &List(&RULE), false),
]);

static PARENT: Shape = Shape::Map(&[
    Field("group", &Text, false),
    Field("kind", &Text, false),
    Field("name", &Text, true),
    Field("namespace", &Text, false),
    Field("port", &Whole(65_535), false),
]);

static RULE: Shape = Shape::Map(&[
    Field("matches", &List(&MATCH), false),
    Field("filters", &List(&Any), false),
    Field("backendRefs", &List(&BACKEND), false),
    Field(
        "timeouts",
        &Shape::Map(&[Field("request", &Text, false), Field("backendRequest", &Text, false)]),
        false,
    ),
]);

static MATCH: Shape = Shape::Map(&[
    Field("path", &VALUE, false),
    Field("headers", &List(&VALUE), false),
    Field("queryParams", &List(&VALUE), false),
    Field("method", &Text, false),
]);

static VALUE: Shape =
    Shape::Map(&[Field("type", &Text, false), Field("name", &Text, false), Field("value", &Text, false)]);

static BACKEND: Shape = Shape::Map(&[
    Field("group", &Text, false),
    Field("kind", &Text, false),
    Field("name", &Text, true),
    Field("namespace", &Text, false),
    Field("port", &Whole(65_535), false),
    Field("weight", &Whole(1_000_000), false),
    Field("filters", &List(&Any), false),
]);
