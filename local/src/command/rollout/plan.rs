//! `rollout plan`: who would be updated, in which stage, by which commands, and what it takes at worst.

use std::time::Duration;

use lamplighter_core::moment::{duration_text, spoken};
use lamplighter_core::sight::one_line;
use lamplighter_core::{AppName, ServiceId, Version};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::seen::{MAX_SENTENCE_CHARS, services};
use crate::cli::{OnHalt, OptionArgs, PlanArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form, Ink};

/// Column after which a list of names goes on in the next line.
const FOLD_AT: usize = 78;
/// Most services named of one stage; `--json` has them all.
const MAX_NAMED: usize = 60;
/// Most skipped services told one by one.
const MAX_SKIPPED: usize = 40;

/// Most sets of commands shown: services of one app rarely differ in more than one way.
const MAX_SETS: usize = 4;

/// The server's plan, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) hash: String,
    app: AppName,
    target: Version,
    #[serde(default)]
    branch: Option<String>,
    options: lamplighter_core::rollout::Options,
    stages: Vec<Stage>,
    #[serde(default)]
    skipped: Vec<Skip>,
    #[serde(default)]
    commands: Vec<Commands>,
    worst_case_seconds: u64,
    write_units: u64,
    micro_dollars: u64,
}

#[derive(Debug, Deserialize)]
struct Stage {
    percent: u32,
    services: Vec<ServiceId>,
}

#[derive(Debug, Deserialize)]
struct Skip {
    id: ServiceId,
    because: String,
}

#[derive(Debug, Deserialize)]
struct Commands {
    services: u32,
    forward: Vec<String>,
    back: Vec<String>,
}

/// Shows the plan.
pub(super) async fn run(client: &Client, form: Form, args: &PlanArgs) -> Outcome {
    let (told, plan) = make(client, args).await?;
    match form {
        Form::Json => say::json(&told)?,
        Form::Plain => {
            say::data(&plan.told())?;
            say::note(&format!(
                "nothing was changed; `lamplighter rollout start {} …` with `--plan {}` starts exactly this",
                args.app, plan.hash
            ));
        }
    }
    Ok(Exit::Ok)
}

/// Asks the server for the plan: as it was told, and as it is understood.
pub(super) async fn make(client: &Client, args: &PlanArgs) -> Result<(Value, Plan), Failure> {
    let told = client.post("rollouts/plan", &Value::Object(asked(args))).await?;
    let plan = Plan::deserialize(&told).map_err(|error| {
        Failure::new(Exit::Failed, format!("the server's plan is not understood: {error}"))
            .hint("are the server and this command of the same version? `--json` shows the plan as it came")
    })?;
    Ok((told, plan))
}

/// What is asked for, as the API takes it.
pub(super) fn asked(args: &PlanArgs) -> Map<String, Value> {
    let PlanArgs { app, commit, branch, options } = args;
    let mut asked = Map::new();
    asked.insert("app".to_owned(), json!(app));
    asked.extend(commit.as_ref().map(|commit| ("target".to_owned(), json!(commit))));
    asked.extend(branch.as_ref().map(|branch| ("branch".to_owned(), json!(branch))));
    let options = options_asked(options);
    if !options.is_empty() {
        asked.insert("options".to_owned(), Value::Object(options));
    }
    asked
}

/// Only what was typed: the server knows the defaults.
fn options_asked(options: &OptionArgs) -> Map<String, Value> {
    let OptionArgs { canaries, stages, at_once, soak, strict_canary, max_failures, on_halt } = options;
    let mut asked = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        asked.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("canaries", (!canaries.is_empty()).then(|| json!(canaries)));
    put("stages", (!stages.is_empty()).then(|| json!(stages)));
    put("at_once", at_once.map(|count| json!(count)));
    put("soak", soak.map(|soak| json!(duration_text::written(soak))));
    put("strict_canary", strict_canary.then(|| json!(true)));
    put("max_failures", max_failures.map(|count| json!(count)));
    put(
        "on_halt",
        on_halt.map(|what| match what {
            OnHalt::Keep => json!("keep"),
            OnHalt::RollBackAll => json!("roll_back_all"),
        }),
    );
    asked
}

impl Plan {
    /// The plan as people read it.
    pub(super) fn told(&self) -> String {
        let count = self.stages.iter().map(|stage| stage.services.len()).sum();
        let target = match &self.branch {
            Some(branch) => format!("{} ({} as it is now)", self.target, one_line(branch, 80)),
            None => self.target.to_string(),
        };
        let stages = match self.stages.len() {
            1 => "1 stage".to_owned(),
            many => format!("{many} stages"),
        };
        let mut text = format!("{}: {target}\nto {} in {stages}\n\n", self.app, services(count));
        let rows: Vec<Vec<String>> = self.stages.iter().enumerate().flat_map(stage_rows).collect();
        text.push_str(&say::table(&rows));
        text.push_str(&self.skips());
        text.push_str(&self.commands());
        text.push('\n');
        text.push_str(&say::table(&self.facts()));
        text
    }

    fn skips(&self) -> String {
        if self.skipped.is_empty() {
            return String::new();
        }
        let row = |skip: &Skip| vec![format!("  {}", skip.id), one_line(&skip.because, MAX_SENTENCE_CHARS)];
        let mut text = format!("\nleft alone ({}):\n", self.skipped.len());
        text.push_str(&say::table(&self.skipped.iter().take(MAX_SKIPPED).map(row).collect::<Vec<_>>()));
        if self.skipped.len() > MAX_SKIPPED {
            text.push_str(&format!("  … and {} more\n", self.skipped.len() - MAX_SKIPPED));
        }
        text
    }

    fn commands(&self) -> String {
        let mut text = String::new();
        for set in self.commands.iter().take(MAX_SETS) {
            let on = services(usize::try_from(set.services).unwrap_or(usize::MAX));
            text.push_str(&format!("\non {on}:\n"));
            for (heading, commands) in [("", &set.forward), ("and back, if it fails:", &set.back)] {
                if !heading.is_empty() {
                    text.push_str(&format!("  {}\n", say::ink(Ink::Dim, heading)));
                }
                for command in commands {
                    text.push_str(&format!("    {}\n", one_line(command, MAX_SENTENCE_CHARS)));
                }
            }
        }
        let more = self.commands.len().saturating_sub(MAX_SETS);
        if more > 0 {
            text.push_str(&format!("\n… and {more} more sets of commands, with `--json`\n"));
        }
        text
    }

    fn facts(&self) -> Vec<Vec<String>> {
        let options = &self.options;
        let mut halts =
            format!("when more than {} % of a stage fail", lamplighter_core::rollout::HALT_PERCENT);
        if options.strict_canary {
            halts.push_str(", or anything in stage 1");
        }
        if let Some(most) = options.max_failures {
            halts.push_str(&format!(", or more than {most} in all"));
        }
        let then = match options.on_halt {
            lamplighter_core::rollout::OnHalt::Keep => "those that were updated keep the new version",
            lamplighter_core::rollout::OnHalt::RollBackAll => "everything it updated goes back",
        };
        let fact = |key: &str, fact: String| vec![say::ink(Ink::Dim, key), fact];
        vec![
            fact("at once", services(usize::try_from(options.at_once).unwrap_or(usize::MAX))),
            fact("soak", format!("at least {} after each stage", spoken(options.soak))),
            fact("halts", halts),
            fact("then", then.to_owned()),
            fact("takes", format!("at most {}", spoken(Duration::from_secs(self.worst_case_seconds)))),
            fact("costs", format!("about {} write units, {}", self.write_units, dollars(self.micro_dollars))),
            fact("hash", one_line(&self.hash, 80)),
        ]
    }
}

/// A stage's services, folded so that no line runs off the screen.
fn stage_rows((index, stage): (usize, &Stage)) -> Vec<Vec<String>> {
    let mut lines = vec![String::new()];
    for id in stage.services.iter().take(MAX_NAMED) {
        let line = lines.last_mut().map(|line| line.chars().count()).unwrap_or_default();
        if line > 0 && line + 1 + id.as_str().len() > FOLD_AT - 30 {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(id.as_str());
        }
    }
    if stage.services.len() > MAX_NAMED {
        lines.push(format!("… and {} more", stage.services.len() - MAX_NAMED));
    }
    let head =
        [format!("stage {}", index + 1), format!("{:>3} %", stage.percent), services(stage.services.len())];
    let blank = [String::new(), String::new(), String::new()];
    let row = |(at, line): (usize, String)| {
        let mut row = if at == 0 { head.to_vec() } else { blank.to_vec() };
        row.push(line);
        row
    };
    lines.into_iter().enumerate().map(row).collect()
}

/// `$0.0003`, or less than that.
fn dollars(micro: u64) -> String {
    match micro {
        0 => "$0".to_owned(),
        1..=99 => "less than $0.0001".to_owned(),
        _ => format!("${}.{:04}", micro / 1_000_000, micro % 1_000_000 / 100),
    }
}

#[cfg(test)]
mod tests;
