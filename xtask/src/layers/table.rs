//! The rules: what each layer may import, and which words have no place in it.

/// What a layer may import besides itself and [`FOR_ALL`]; the first row whose prefix fits the module counts. A stage
/// knows those before it, never one after it: what it says is handed over, not fetched.
pub const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("colony::model", &[]),
    ("runtime::config::model", &[]),
    // Below the flow: templates, users' kinds, and what one pass knows.
    ("expression", &[]),
    ("kinds", &["expression", "snapshot"]),
    ("snapshot", &[]),
    ("watch", &["snapshot", "kinds", "colony", "memory", "runtime"]),
    ("desired", &["snapshot", "kinds", "expression"]),
    ("diff", &["snapshot", "kinds", "desired"]),
    ("act::outcome", &["diff"]),
    // Steps hold parts of what is desired, hence `act` writes them without looking at who asked for them.
    ("act", &["kinds", "desired", "diff", "colony", "memory", "runtime"]),
    // The one writer of status fails like `act` does.
    ("status::publish", &["act", "status", "memory", "runtime"]),
    ("status", &["snapshot", "kinds", "desired", "diff", "act::outcome"]),
    (
        "controllers",
        &["watch", "snapshot", "kinds", "desired", "diff", "act", "status", "colony", "memory", "runtime"],
    ),
    ("colony", &[]),
    ("fake", &["colony"]),
    // A system of its own beside the operator: it knows colonies and no cluster.
    ("reconciler", &["colony"]),
    // What was seen and written last, kept from one pass to the next.
    ("memory", &["snapshot", "colony", "runtime"]),
    // What every replica serves: it reads, converts as `kinds` says, and keeps its certificates in a Secret.
    ("webhook", &["watch", "snapshot", "kinds", "act", "colony", "memory", "runtime"]),
    // In the pods of executors: it knows a colony, and no cluster.
    ("gate", &["colony", "runtime"]),
    ("runtime", &[]),
    (
        "cli",
        &[
            "watch",
            "snapshot",
            "kinds",
            "expression",
            "desired",
            "diff",
            "act",
            "status",
            "controllers",
            "webhook",
            "gate",
            "colony",
            "memory",
            "runtime",
            "reconciler",
        ],
    ),
];

/// Folders with modules, and what the crate in each is called in the table. That no crate imports the operator is for the
/// compiler; what decides in them is held to the same words.
pub const ROOTS: &[(&str, &[&str])] = &[
    ("src", &[]),
    ("crates/client/src", &["colony"]),
    ("crates/expression/src", &["expression"]),
    ("crates/fake/src", &["fake"]),
    ("crates/reconciler/src", &["reconciler"]),
];

/// What every layer may import: the words of both worlds, and what the administrator has set.
pub const FOR_ALL: &[&str] = &["api", "colony::model", "runtime::config::model"];

/// Modules that decide. They get no client, no clock, no chance and no environment; the first prefix that fits counts.
pub const PURE: &[(&str, bool)] = &[
    ("status::publish", false),
    ("api", true),
    ("expression", true),
    ("kinds", true),
    ("snapshot", true),
    ("desired", true),
    ("diff", true),
    ("status", true),
    ("act::outcome", true),
    ("gate::message", true),
    ("gate::state", true),
    ("colony::model", true),
    ("fake::front", false),
    ("fake::memory", false),
    ("fake::network", false),
    ("fake::cluster::front", false),
    ("fake::cluster::watch", false),
    ("fake", true),
    ("runtime::config::model", true),
    ("reconciler::environment", true),
    ("reconciler::fleet", true),
    ("reconciler::name", true),
    ("reconciler::plan", true),
    ("reconciler::request", true),
    ("reconciler::snapshot", true),
    ("reconciler::status", true),
];

/// Words that a pure module may not contain, as paths. A span of time is a value, a clock is not: hence
/// `std::time::Duration` is not in this list.
pub const FORBIDDEN: &[&str] = &[
    "async",
    "await",
    "tokio",
    "reqwest",
    "sqlx",
    "rand",
    "kube::Client",
    "kube::client",
    "kube::Api",
    "kube::api::Api",
    "std::env",
    "std::time::SystemTime",
    "std::time::Instant",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
];

/// Methods and fields that tell what a server's answer means, and the modules that may ask for it. What it means for a write
/// is decided in `act::failure` alone; the others read.
pub const JUDGED_IN: &[(&str, &[&str])] = &[
    ("status_code", &["act::failure", "runtime::kubernetes"]),
    // Also the exit code of a process.
    ("code", &["runtime::kubernetes", "cli::request::job"]),
    ("is_not_found", &["act::failure", "watch", "controllers::colony", "webhook::results", "cli"]),
    ("is_conflict", &["act::failure"]),
    ("is_already_exists", &["act::failure"]),
    ("is_forbidden", &["act::failure", "watch", "cli"]),
];

/// Modules whose own words these are.
pub const JUDGES: &[&str] = &["colony", "fake", "expression", "reconciler"];
