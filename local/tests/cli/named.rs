//! Every command that a message or a letter names exists exactly so.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use lamplighter::cli::Cli;

/// The crates whose words reach people.
const SOURCES: [&str; 6] = ["core", "store", "remote", "notify", "app", "http"];

#[test]
fn every_command_that_is_named_exists() {
    let mut found = Vec::new();
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        let text: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .fold(String::new(), |text, line| text + line + "\n");
        found.extend(named(&text).into_iter().map(|command| (file.display().to_string(), command)));
    }
    let commands: Vec<&str> = found.iter().map(|(_, command)| command.as_str()).collect();
    for expected in [
        "why ID",
        "rollout show shop-1",
        "rollout retry shop-1",
        "hold ID --reason \"…\"",
        "restart ID",
        "health",
        "services",
        "sweep --go-on",
        "doctor",
    ] {
        assert!(commands.contains(&expected), "`{expected}` is not found any more: {commands:?}");
    }
    for (file, command) in &found {
        assert!(exists(command), "{file} names `lamplighter {command}`, which does not exist");
    }
    assert!(!exists("wyh ID") && !exists("hold ID --because x"), "what does not exist is told apart");
}

/// `{cli} why {service}` of the letters, and `` `lamplighter sweep --go-on` `` of the messages, with a service or a rollout
/// for each gap.
fn named(text: &str) -> Vec<String> {
    let letters = text.split("{cli} ").skip(1).filter_map(|rest| rest.split("\")").next()?.split('`').next());
    let messages = text.split("`lamplighter ").skip(1).filter_map(|rest| rest.split('`').next());
    let plain = |words: &str| filled(&words.replace("{service}", "ID")).replace('\\', "");
    letters.chain(messages).map(plain).filter(|words| !words.starts_with("--env")).collect()
}

/// The words with a rollout for each gap that is left.
fn filled(words: &str) -> String {
    let mut parts = words.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |filled, part| filled + "shop-1" + part.split_once('}').map_or(part, |(_, rest)| rest))
}

/// True if the words are a command, or name a group of them, as `token` does.
fn exists(command: &str) -> bool {
    let words =
        std::iter::once("lamplighter").chain(command.split_whitespace().map(|word| word.trim_matches('"')));
    match Cli::try_parse_from(words) {
        Ok(_) => true,
        Err(error) => matches!(
            error.kind(),
            clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                | clap::error::ErrorKind::MissingRequiredArgument
        ),
    }
}

fn sources() -> Vec<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let mut folders: Vec<PathBuf> = SOURCES.iter().map(|name| shared.join(name).join("src")).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}
