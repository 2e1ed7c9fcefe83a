//! What the documents say is so: links lead somewhere, named files exist, commands and examples are understood.
#![expect(clippy::expect_used, reason = "a test that cannot be set up must stop")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use lamplighter::cli::Cli;

/// Public key of nobody, to stand where the documents write `AAAA…`.
const SOME_HOST_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// Every document, with its path from the root.
fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in ["", "docs"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).expect("a document");
                found.push((path, text));
            }
        }
    }
    assert!(found.len() >= 8, "only {} documents were found", found.len());
    found
}

/// Where a document links to in this repository.
fn links(text: &str) -> Vec<&str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|link| !link.is_empty() && !link.contains("://"))
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    for (document, text) in documents() {
        for link in links(&text) {
            let target = document.parent().expect("a folder").join(link);
            assert!(target.exists(), "{} links to `{link}`, which is not there", document.display());
        }
    }
}

/// Words in backticks that name a file or folder of the sources.
fn named_paths(text: &str) -> Vec<&str> {
    let starts = ["shared/", "local/", "tests/", "infra/", "docs/", "functions/"];
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|word| starts.iter().any(|start| word.starts_with(start)) && !word.contains(' ')).collect()
}

#[test]
fn every_file_that_is_named_exists() {
    let mut named = 0;
    for (document, text) in documents() {
        // Blocks of code have backticks of their own.
        let prose: String = text.split("```").step_by(2).collect();
        for path in named_paths(&prose) {
            named += 1;
            assert!(root().join(path).exists(), "{} names `{path}`, which is not there", document.display());
        }
    }
    assert!(named > 10, "only {named} files are named");
}

/// The blocks of code of one language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let start = format!("```{language}\n");
    text.split(&start).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// The words of a command line, as far as documents use quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// The commands that a document tells people to run: lines of shell blocks, and `lamplighter …` in prose.
fn commands(text: &str) -> Vec<String> {
    let mut found: Vec<String> = blocks(text, "sh")
        .iter()
        .flat_map(|block| block.lines())
        .filter_map(|line| line.split(" #").next())
        .map(|line| line.replace("cargo run --release -p lamplighter --", "lamplighter"))
        .map(|line| without_capture(&line).to_owned())
        .filter(|line| line.starts_with("lamplighter "))
        .collect();
    let prose: String = text.split("```").step_by(2).collect();
    let quoted = prose.split('`').skip(1).step_by(2).map(|word| word.replace('\n', " "));
    found.extend(quoted.filter(|word| word.starts_with("lamplighter ") && !word.contains('…')));
    found
}

/// Of `name=$(command)`, the command; of `env NAME=value command`, too.
fn without_capture(line: &str) -> &str {
    if let Some((_, rest)) = line.split_once("=$(lamplighter ").filter(|(name, _)| !name.contains(' ')) {
        let start = line.len() - rest.len() - "lamplighter ".len();
        return line[start..].trim_end().trim_end_matches(')');
    }
    match line.strip_prefix("env ").and_then(|rest| rest.find("lamplighter ")) {
        Some(start) => &line["env ".len() + start..],
        None => line,
    }
}

#[test]
fn every_command_is_understood() {
    let mut understood = 0;
    for (document, text) in documents() {
        for command in commands(&text) {
            let asked = command.split(" > ").next().unwrap_or_default();
            // A name alone, as in "`lamplighter hold`", is help for the eye: it asks for the rest.
            let asked = if words(asked).len() == 2 { format!("{asked} --help") } else { asked.to_owned() };
            match Cli::try_parse_from(words(&asked)) {
                Ok(_) => {}
                Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {}
                Err(error) => panic!("{}: `{command}`: {error}", document.display()),
            }
            understood += 1;
        }
    }
    assert!(understood > 15, "only {understood} commands were found");
}

#[test]
fn the_readme_s_files_are_read_as_they_stand() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let examples = blocks(&readme, "toml");
    let [fleet, config] = examples.as_slice() else { panic!("{} examples", examples.len()) };
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    };
    write("keys/prod_ed25519", "stands for a key");
    write("smtp-password", "stands for a password");
    write("fleet.toml", &fleet.replace("ssh-ed25519 AAAA…", SOME_HOST_KEY));
    write("lamplighter.toml", config);
    let read = lamplighter::config::read(&folder.path().join("lamplighter.toml"));
    let config = read.unwrap_or_else(|refused| panic!("{refused}"));
    let [Ok(env)] = config.envs.as_slice() else { panic!("{:?}", config.envs) };
    assert_eq!(env.fleet.as_ref().map(Vec::len), Some(1));
    assert_eq!(env.settings.as_ref().map(|settings| settings.admins.len()), Some(1));
    assert!(config.post.is_some(), "the example configures mail");
}

#[test]
fn the_lines_that_a_host_needs_are_the_same_everywhere() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).expect(name);
    let readme = read("README.md");
    for file in ["infra/sudoers.d-lamplighter", "infra/authorized_keys"] {
        for line in read(file).lines().filter(|line| !line.starts_with('#')) {
            assert!(readme.contains(line), "`{line}` of {file} is not in README.md");
        }
    }
}

#[test]
fn the_times_that_are_replaced_in_events_stand_in_them() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).expect(name);
    let (aws, readme) = (read("docs/AWS.md"), read("README.md"));
    for (time, events) in [
        ("2026-01-02T00:00:00Z", &["minute"][..]),
        ("1767312000", &["recover", "advance", "notify", "queue"][..]),
    ] {
        assert!(aws.contains(&format!("s/{time}/$(date ")), "docs/AWS.md replaces `{time}`");
        for event in events {
            assert!(read(&format!("tests/events/{event}.json")).contains(time), "{event} holds `{time}`");
        }
    }
    // The same two commands stand in both, for who reads only one of them.
    let watch =
        blocks(&aws, "sh").into_iter().find(|block| block.contains("cargo lambda watch")).expect("a block");
    let lines = watch.lines().skip_while(|line| !line.starts_with("cargo"));
    for line in lines {
        assert!(readme.contains(line), "`{line}` of docs/AWS.md is not in README.md");
    }
    assert!(root().join("infra/functions.env").exists() && watch.contains("--env-file infra/functions.env"));
}

#[test]
fn a_document_that_is_wrong_is_noticed() {
    assert_eq!(links("see [a](docs/A.md#b) and [b](https://example.com)"), ["docs/A.md"]);
    assert_eq!(named_paths("in `shared/none.rs`, by `cargo`"), ["shared/none.rs"]);
    assert_eq!(commands("```sh\nlamplighter sing --loud   # no\n```"), ["lamplighter sing --loud  "]);
    assert!(Cli::try_parse_from(words("lamplighter sing --loud")).is_err());
    assert_eq!(commands("```sh\nhash=$(lamplighter sing)   # no\n```"), ["lamplighter sing"]);
    assert_eq!(commands("```sh\nenv REGION=x lamplighter sing\n```"), ["lamplighter sing"]);
    assert_eq!(words("lamplighter hold ID --reason \"moving disks\" --for 2h").len(), 7);
}
