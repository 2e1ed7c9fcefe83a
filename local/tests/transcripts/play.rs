//! Plays a script: `$` is what an operator types, `%` what else happens, `#` what a reader is told; the rest is what is seen.

use std::path::PathBuf;
use std::time::Duration;

use lamplighter_core::moment::parse_duration;

use super::normal::normal;
use super::stage::Stage;

/// Plays the script of this name and compares what is seen.
pub(crate) async fn transcript(name: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/transcripts/{name}.txt"));
    let script = std::fs::read_to_string(&file).unwrap();
    let stage = Stage::set().await;
    let seen = play(&stage, &script);
    stage.strike().await;
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::write(&file, &seen).unwrap();
    }
    assert!(seen == script || std::env::var_os("UPDATE").is_some(), "{}", difference(&script, &seen));
}

fn play(stage: &Stage, script: &str) -> String {
    let mut seen = String::new();
    for line in script.lines() {
        if let Some(typed) = line.strip_prefix("$ ") {
            let output = stage.run(typed);
            seen.push_str(&format!("{line}\n"));
            seen.push_str(&normal(&String::from_utf8_lossy(&output.stdout)));
            seen.push_str(&normal(&String::from_utf8_lossy(&output.stderr)));
            match output.status.code() {
                Some(0) => {}
                code => seen.push_str(&format!("[exit {}]\n", code.unwrap_or(-1))),
            }
            seen.push('\n');
        } else if let Some(happens) = line.strip_prefix("% ") {
            seen.push_str(&format!("{line}\n{}\n", happen(stage, happens)));
        } else if line.starts_with('#') {
            let apart = seen.is_empty()
                || seen.ends_with("\n\n")
                || seen.lines().last().is_some_and(|last| last.starts_with('#'));
            seen.push_str(&format!("{}{line}\n", if apart { "" } else { "\n" }));
        }
    }
    seen
}

/// Lets something happen that nobody types; answers what is to be read of it.
fn happen(stage: &Stage, what: &str) -> String {
    let words: Vec<&str> = what.split(' ').collect();
    match words.as_slice() {
        [count, "letter" | "letters"] => {
            let count: usize = count.parse().unwrap();
            stage.until(what, |stage| stage.letters().len() >= count);
            stage.letters().iter().map(|subject| format!("{subject}\n")).collect()
        }
        ["each", "restart", "takes", time] => {
            let time: Duration = parse_duration(time).unwrap();
            for resident in stage.fleet.residents() {
                stage.fleet.hosts()[resident.host].systemd().set_restart_time(&resident.unit, time);
            }
            String::new()
        }
        ["somebody", "makes", "room", "on", "the", "full", "disk"] => {
            std::fs::remove_file(stage.full_disk()).unwrap();
            String::new()
        }
        ["until", "stage", number, "of", id, "is", status] => {
            let index = number.parse::<usize>().unwrap() - 1;
            stage.until(what, |stage| shown(stage, id)["stages"][index]["status"] == *status);
            String::new()
        }
        ["until", count, "of", id, "are", "under", "way"] => {
            let count: usize = count.parse().unwrap();
            stage.until(what, |stage| {
                shown(stage, id)["under_way"].as_array().is_some_and(|ids| ids.len() == count)
            });
            String::new()
        }
        ["until", "every", "service", "is", "healthy"] => {
            stage.until_all_are_healthy();
            String::new()
        }
        ["until", "nothing", "of", id, "is", "under", "way"] => {
            stage.until(what, |stage| shown(stage, id)["under_way"].as_array().is_some_and(Vec::is_empty));
            String::new()
        }
        _ => panic!("nobody knows how `{what}` happens"),
    }
}

fn shown(stage: &Stage, id: &str) -> serde_json::Value {
    stage.asked(&["rollout", "show", id])
}

/// The first lines that differ, and how to take the new ones.
fn difference(expected: &str, seen: &str) -> String {
    let mut told = String::from("the transcript is not what is seen (`UPDATE=1` writes it down anew):\n");
    let (expected, seen): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), seen.lines().collect());
    let first = expected.iter().zip(&seen).take_while(|(expected, seen)| expected == seen).count();
    for line in expected.iter().skip(first.saturating_sub(3)).take(20) {
        told.push_str(&format!("- {line}\n"));
    }
    for line in seen.iter().skip(first.saturating_sub(3)).take(20) {
        told.push_str(&format!("+ {line}\n"));
    }
    told
}
