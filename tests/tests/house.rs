//! The house rules: which crate may know which, where shell text is written, and what no source may hold.
//!
//! Each rule is a function from text or edges to sentences, tried on the tree as it is and on a breach made for it.
#![expect(clippy::expect_used, reason = "a test that cannot be set up must stop")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which of our crates each of them may depend on. Dependencies point one way; what only decides depends on nothing.
const MAY_KNOW: [(&str, &[&str]); 9] = [
    ("lamplighter-core", &[]),
    ("lamplighter-store", &["core"]),
    ("lamplighter-remote", &["core"]),
    ("lamplighter-notify", &["core"]),
    ("lamplighter-app", &["core", "store", "remote", "notify"]),
    ("lamplighter-http", &["core", "store", "app"]),
    ("lamplighter-functions", &["core", "store", "remote", "notify", "app", "http"]),
    ("lamplighter", &["core", "store", "remote", "notify", "app", "http"]),
    ("lamplighter-tests", &["core", "store", "remote", "notify", "app", "http", "lamplighter", "functions"]),
];

/// What tests alone may know beyond that: the store's own tests ask for its own features; the router's tests drive the
/// real parts below it; the functions' programs are called as the bench calls them.
const TESTS_MAY_KNOW: [(&str, &[&str]); 3] = [
    ("lamplighter-store", &["store"]),
    ("lamplighter-http", &["remote", "notify"]),
    ("lamplighter-functions", &["tests"]),
];

/// Crates from elsewhere that have one home, and why. A name that ends in `*` stands for all that begin so. The package
/// `lamplighter-tests` may use any of them: it plays the other side.
const HOMES: [(&str, &[&str], &str); 8] = [
    (
        "russh*",
        &["lamplighter-remote", "lamplighter"],
        "SSH is spoken by remote; the demo's hosts are servers in local",
    ),
    ("axum*", &["lamplighter-http", "lamplighter"], "HTTP is served by http, and local listens for it"),
    ("lambda_*", &["lamplighter-functions"], "only functions run on AWS Lambda"),
    ("aws-sdk-dynamodb", &["lamplighter-store"], "there is one table and one implementation"),
    ("dynoxide-rs", &["lamplighter-store"], "the embedded engine stands behind the store's API"),
    ("rusqlite", &["lamplighter-store"], "the embedded engine's file is the store's"),
    ("aws-sdk-ses*", &["lamplighter-notify"], "only notify tells people"),
    ("lettre", &["lamplighter-notify"], "only notify tells people"),
];

/// All that the crate of decisions may use from elsewhere: none of it does I/O.
const CORE_MAY_USE: [&str; 6] = ["jiff", "serde", "thiserror", "serde_json", "sha2", "proptest"];

/// The crates that both homes share must not force the one-box home's features on the other.
const SHARED_BY_BOTH_HOMES: [&str; 3] = ["lamplighter-app", "lamplighter-http", "lamplighter-functions"];
/// The features that only the one-box home or a test turns on.
const NOT_FOR_BOTH_HOMES: [&str; 3] = ["embedded", "one-box", "mutations"];

/// Crates that must not be in the tree at all: one TLS stack with one crypto provider, and none with known leaks.
const REFUSED: [&str; 5] = ["ring", "openssl", "openssl-sys", "native-tls", "rsa"];

/// One declared dependency.
#[derive(Debug, Clone)]
struct Edge {
    from: String,
    to: String,
    is_dev: bool,
    is_optional: bool,
    features: Vec<String>,
    path: Option<String>,
    source: Option<String>,
}

/// What cargo prints when asked about this workspace.
fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(program).args(arguments).current_dir(root()).output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints text")
}

/// `cargo metadata` without the crates from elsewhere: needs no network.
fn metadata() -> Value {
    let text = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    serde_json::from_str(&text).expect("cargo prints JSON")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn edges(metadata: &Value) -> Vec<Edge> {
    let mut edges = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let features = dependency["features"].as_array().expect("features");
            edges.push(Edge {
                from: text_of(&package["name"]),
                to: text_of(&dependency["name"]),
                is_dev: dependency["kind"] == "dev",
                is_optional: dependency["optional"] == true,
                features: features.iter().map(text_of).collect(),
                path: dependency["path"].as_str().map(str::to_owned),
                source: dependency["source"].as_str().map(str::to_owned),
            });
        }
    }
    edges
}

fn listed<'a>(table: &'a [(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

/// What is wrong with one dependency; nothing, in a house in order.
fn breach(edge: &Edge, root: &Path) -> Option<String> {
    let arrow = format!("`{}` → `{}`", edge.from, edge.to);
    let Some(may_know) = listed(&MAY_KNOW, &edge.from) else {
        return Some(format!("`{}` has no place in the house: give it a row in `MAY_KNOW`", edge.from));
    };
    if let Some(path) = &edge.path {
        if !Path::new(path).starts_with(root) {
            return Some(format!("{arrow}: `{path}` lies outside of the workspace"));
        }
        let short = edge.to.strip_prefix("lamplighter-").unwrap_or(&edge.to);
        let in_tests =
            if edge.is_dev { listed(&TESTS_MAY_KNOW, &edge.from).unwrap_or_default() } else { &[] };
        if !may_know.contains(&short) && !in_tests.contains(&short) {
            return Some(format!("{arrow}: `{}` may know only {may_know:?}", edge.from));
        }
        let forced = edge.features.iter().find(|feature| NOT_FOR_BOTH_HOMES.contains(&feature.as_str()));
        return match forced {
            Some(feature) if !edge.is_dev && SHARED_BY_BOTH_HOMES.contains(&edge.from.as_str()) => {
                Some(format!("{arrow}: turns on `{feature}`, which is not for both homes"))
            }
            Some(_) | None => None,
        };
    }
    if !edge.source.as_deref().is_some_and(|source| source.starts_with("registry+")) {
        return Some(format!("{arrow}: comes from {:?}, not from the registry", edge.source));
    }
    if edge.from == "lamplighter-core" && !CORE_MAY_USE.contains(&edge.to.as_str()) {
        return Some(format!("{arrow}: core decides and does nothing else; it may use {CORE_MAY_USE:?}"));
    }
    if edge.to == "dynoxide-rs" && !edge.is_optional && !edge.is_dev {
        return Some(format!("{arrow}: must be optional, behind the feature `embedded`"));
    }
    let home = HOMES.iter().find(|(name, _, _)| match name.strip_suffix('*') {
        Some(start) => edge.to.starts_with(start),
        None => edge.to == *name,
    });
    let (_, homes, why) = home?;
    let is_at_home = homes.contains(&edge.from.as_str()) || edge.from == "lamplighter-tests";
    (!is_at_home).then(|| format!("{arrow}: only {homes:?} may, because {why}"))
}

fn edge(from: &str, to: &str) -> Edge {
    let is_ours = to.starts_with("lamplighter");
    Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        is_dev: false,
        is_optional: false,
        features: Vec::new(),
        path: is_ours.then(|| root().join("shared").display().to_string()),
        source: (!is_ours).then(|| "registry+somewhere".to_owned()),
    }
}

/// Fails with every sentence at once.
fn assert_none(breaches: &[String]) {
    let mut all = String::new();
    for breach in breaches {
        let _ = write!(all, "\n  {breach}");
    }
    assert!(breaches.is_empty(), "{} house rules are broken:{all}", breaches.len());
}

#[test]
fn dependencies_point_one_way_and_every_crate_is_at_home() {
    let edges = edges(&metadata());
    assert!(edges.len() > 50, "only {} dependencies were found", edges.len());
    let root = root();
    assert_none(&edges.iter().filter_map(|edge| breach(edge, &root)).collect::<Vec<_>>());
}

#[test]
fn each_rule_about_dependencies_refuses_its_breach() {
    let root = root();
    let refused = |edge: &Edge| breach(edge, &root).is_some();
    for (from, to) in [
        ("lamplighter-core", "lamplighter-store"),
        ("lamplighter-store", "lamplighter-remote"),
        ("lamplighter-remote", "lamplighter-notify"),
        ("lamplighter-notify", "lamplighter-app"),
        ("lamplighter-app", "lamplighter-http"),
        ("lamplighter-http", "lamplighter-remote"),
        ("lamplighter-core", "tokio"),
        ("lamplighter-app", "russh"),
        ("lamplighter-app", "axum"),
        ("lamplighter", "lambda_http"),
        ("lamplighter-http", "aws-sdk-dynamodb"),
        ("lamplighter-app", "lettre"),
        ("lamplighter-store", "dynoxide-rs"),
        ("lamplighter-stranger", "serde"),
    ] {
        assert!(refused(&edge(from, to)), "`{from}` → `{to}` was let in");
    }
    let forcing =
        Edge { features: vec!["embedded".to_owned()], ..edge("lamplighter-http", "lamplighter-store") };
    assert!(refused(&forcing), "a shared crate may not turn the embedded engine on");
    assert!(!refused(&Edge { is_dev: true, ..forcing }), "its tests may");
    assert!(refused(&Edge { source: Some("git+somewhere".to_owned()), ..edge("lamplighter-app", "serde") }));
    assert!(refused(&Edge {
        path: Some("/elsewhere".to_owned()),
        ..edge("lamplighter-app", "lamplighter-core")
    }));
    assert!(!refused(&edge("lamplighter-app", "lamplighter-core")), "what the table allows is allowed");
}

#[test]
fn no_default_feature_turns_the_embedded_engine_on() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("packages") {
        let defaults = package["features"]["default"].as_array().map_or(0, Vec::len);
        assert_eq!(defaults, 0, "{} has default features: both homes would get them", package["name"]);
    }
}

#[test]
fn one_tls_stack_with_one_crypto_provider_is_in_the_tree_and_all_of_it_is_from_the_registry() {
    // The lock file names more than is ever built: what is optional and never asked for.
    let tree =
        cargo(&["tree", "--workspace", "--offline", "--all-features", "--prefix", "none", "--format", "{p}"]);
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(
        names.contains("aws-lc-rs") && names.contains("rustls"),
        "the tree is not what it was: {}",
        names.len()
    );
    for name in REFUSED {
        assert!(!names.contains(name), "`{name}` is in the tree: `cargo tree -i {name}` says why");
    }
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let strangers =
        lock.lines().filter(|line| line.starts_with("source = ") && !line.contains("\"registry+"));
    assert_eq!(strangers.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn every_member_keeps_the_workspace_s_lints() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("packages") {
        let manifest = std::fs::read_to_string(text_of(&package["manifest_path"])).expect("a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} sets lints of its own", package["name"]);
    }
}

/// Every Rust source of ours, with its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["shared", "local", "functions", "tests"].iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("below the root").display().to_string();
                found.push((name, std::fs::read_to_string(&path).expect("a source")));
            }
        }
    }
    found
}

/// What no source may hold. Written in two parts, so that this file does not hold it either.
const NOT_IN_ANY_SOURCE: [(&str, &str, &str); 7] = [
    ("#[", "ignore", "a test that is not run shows nothing"),
    (
        "#[",
        "allow(",
        "use `#[expect(lint, reason = \"…\")]`, which says why and notices when it is not needed",
    ),
    ("#![", "allow(", "use `#![expect(lint, reason = \"…\")]`; tests may allow with a reason"),
    ("todo", "!(", "unfinished work belongs into no commit"),
    ("unimplemented", "!(", "unfinished work belongs into no commit"),
    ("dbg", "!(", "the logs are for people"),
    ("std::process::", "exit(", "nothing below `main` ends the process: destructors would not run"),
];

/// Whether a line holds shell text: `sh -c` in code. Comments may speak of it.
fn writes_shell(line: &str) -> bool {
    line.contains("sh -c") && !line.trim_start().starts_with("//")
}

/// What is wrong in one source.
fn found_in(name: &str, text: &str) -> Vec<String> {
    let is_of_tests = name.starts_with("tests/") || name.contains("/tests/") || name.ends_with("/tests.rs");
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", at + 1);
        let is_reasoned = is_of_tests && line.contains("allow(") && line.contains("reason = ");
        for (start, end, why) in NOT_IN_ANY_SOURCE {
            if line.contains(&format!("{start}{end}")) && !is_reasoned {
                found.push(format!("{place}: `{start}{end}`: {why}"));
            }
        }
        let is_its_place =
            name == "shared/remote/src/shell.rs" || name.starts_with("shared/remote/src/shell/");
        if writes_shell(line) && !is_of_tests && !is_its_place {
            found.push(format!("{place}: shell text is written only in `shared/remote/src/shell`"));
        }
    }
    found
}

#[test]
fn shell_text_is_written_in_one_file_and_no_source_holds_what_hides_trouble() {
    let sources = sources();
    assert!(sources.len() > 100, "only {} sources were found", sources.len());
    assert_none(&sources.iter().flat_map(|(name, text)| found_in(name, text)).collect::<Vec<_>>());
    assert!(
        sources
            .iter()
            .any(|(name, text)| name.ends_with("remote/src/shell.rs") && text.lines().any(writes_shell)),
        "the file that writes shell text has moved: name it here"
    );
}

#[test]
fn each_rule_about_sources_refuses_its_breach() {
    for (start, end, _) in NOT_IN_ANY_SOURCE {
        assert_eq!(
            found_in("shared/app/src/sweep.rs", &format!("    {start}{end}")).len(),
            1,
            "{start}{end}"
        );
    }
    assert_eq!(found_in("shared/app/src/sweep.rs", "let text = \"sh -c reboot\";").len(), 1);
    assert_eq!(found_in("shared/app/src/sweep.rs", "// run by `sh -c` over there").len(), 0);
}
