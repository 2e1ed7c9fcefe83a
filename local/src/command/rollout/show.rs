//! `rollout show`: how it stands or ended, stage by stage, what became of each service, and what a person should do next.

use lamplighter_core::RolloutId;
use lamplighter_core::moment::{Moment, spoken};
use lamplighter_core::rollout::RowStatus;
use lamplighter_core::sight::one_line;

use super::seen::{self, MAX_SENTENCE_CHARS, Rollout, Service};
use crate::client::Client;
use crate::command::when;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form, Ink};

/// Most services told one by one; `--json` has them all.
const MAX_TOLD: usize = 200;

/// Shows it. Ends with 0 however it went: the question was answered.
pub(super) async fn run(client: &Client, form: Form, id: &RolloutId) -> Outcome {
    let (told, rollout) = seen::read(client, id).await?;
    match form {
        Form::Json => say::json(&told)?,
        Form::Plain => say::data(&explained(&rollout, when::now()))?,
    }
    Ok(Exit::Ok)
}

/// All there is to know, for somebody who was not there.
pub(super) fn explained(rollout: &Rollout, now: Moment) -> String {
    let mut text = format!("{} {}: {}\n", rollout.id, seen::coloured(&rollout.status), rollout.reason());
    let facts = facts(rollout, now);
    text.push_str(&say::table(&facts));
    text.push('\n');
    text.push_str(&say::table(&stages(rollout)));
    text.push_str(&services(rollout, now));
    let next = advice(rollout);
    if !next.is_empty() {
        text.push('\n');
        let row = |(index, step): (usize, String)| {
            vec![if index == 0 { say::ink(Ink::Dim, "next") } else { String::new() }, step]
        };
        text.push_str(&say::table(&next.into_iter().enumerate().map(row).collect::<Vec<_>>()));
    }
    text
}

fn facts(rollout: &Rollout, now: Moment) -> Vec<Vec<String>> {
    let mut facts = vec![
        ("app", rollout.app.to_string()),
        (
            "target",
            match &rollout.branch {
                Some(branch) => format!("{}, the head of {}", rollout.target, one_line(branch, 80)),
                None => rollout.target.to_string(),
            },
        ),
        ("started", format!("{}, by {}", when::since(now, rollout.created_at), one_line(&rollout.by, 40))),
    ];
    if let Some(ended) = rollout.ended_at {
        let took = spoken(std::time::Duration::from_secs(ended.since(rollout.created_at).as_secs()));
        facts.push(("ended", format!("{}, after {took}", when::since(now, ended))));
    }
    if let Some(first) = &rollout.retries {
        facts.push(("retries", first.to_string()));
    }
    if let Some(reason) = &rollout.forced {
        facts.push(("forced", one_line(reason, MAX_SENTENCE_CHARS)));
    }
    if let Some(paused) = &rollout.paused {
        facts.push(("paused", format!("by {}, {}", one_line(&paused.by, 40), when::since(now, paused.at))));
    }
    if !rollout.has_ended() {
        facts.push(("waiting", one_line(&rollout.waits_for, MAX_SENTENCE_CHARS)));
    }
    facts.into_iter().map(|(key, fact)| vec![say::ink(Ink::Dim, key), fact]).collect()
}

fn stages(rollout: &Rollout) -> Vec<Vec<String>> {
    let row = |(index, stage): (usize, &seen::Stage)| {
        let count = seen::services(usize::try_from(stage.size).unwrap_or(usize::MAX));
        vec![
            format!("stage {}", index + 1),
            format!("{:>3} %", stage.percent),
            count,
            seen::coloured(&stage.status),
            stage.tally(),
        ]
    };
    rollout.stages.iter().enumerate().map(row).collect()
}

/// What a person looks at first, then the others.
fn urgency(status: RowStatus) -> u8 {
    match status {
        RowStatus::Failed => 0,
        RowStatus::RolledBack => 1,
        RowStatus::Updating => 2,
        RowStatus::Skipped => 3,
        RowStatus::Success => 4,
        RowStatus::Pending => 5,
    }
}

fn services(rollout: &Rollout, now: Moment) -> String {
    let mut all: Vec<&Service> = rollout.services.iter().collect();
    // Within one status they stay in the order in which they were begun.
    all.sort_by_key(|service| urgency(service.status));
    let waiting = all.iter().filter(|service| service.status == RowStatus::Pending).count();
    let told: Vec<&Service> =
        all.into_iter().filter(|service| service.status != RowStatus::Pending).collect();
    let mut text = String::new();
    if !told.is_empty() {
        text.push('\n');
        text.push_str(&say::table(
            &told.iter().take(MAX_TOLD).map(|service| row(service, now)).collect::<Vec<_>>(),
        ));
    }
    if told.len() > MAX_TOLD {
        text.push_str(&format!("… and {} more, with `--json`\n", told.len() - MAX_TOLD));
    }
    if waiting > 0 {
        let word = if rollout.has_ended() { "never begun" } else { "not begun yet" };
        text.push_str(&format!("{} {word}\n", seen::services(waiting)));
    }
    text
}

fn row(service: &Service, now: Moment) -> Vec<String> {
    let status = say::ink(seen::ink_of_row(service.status), &seen::words(service.status.as_str()));
    let stage = match service.stage {
        0 => "no stage".to_owned(),
        stage => format!("stage {stage}"),
    };
    vec![service.id.to_string(), stage, status, story(service, now)]
}

/// What became of one service, in one sentence.
pub(super) fn story(service: &Service, now: Moment) -> String {
    let because = one_line(&service.because, MAX_SENTENCE_CHARS);
    let versions = match (&service.previous, &service.current) {
        (Some(previous), Some(current)) if previous != current => {
            format!("{} → {}", previous.short(), current.short())
        }
        (_, Some(current)) => format!("runs {}", current.short()),
        (Some(previous), None) => format!("ran {}", previous.short()),
        (None, None) => String::new(),
    };
    let doing = match service.status {
        RowStatus::Updating => {
            let until = service.until.map(|until| now.until(until).as_secs()).filter(|left| *left > 0);
            let left =
                until.map(|left| format!(", at most {} more", spoken(std::time::Duration::from_secs(left))));
            format!("{}{}", service.doing(), left.unwrap_or_default())
        }
        RowStatus::Pending
        | RowStatus::Success
        | RowStatus::RolledBack
        | RowStatus::Failed
        | RowStatus::Skipped => String::new(),
    };
    // What the status and the versions say is not said again.
    let again = service.current.as_ref().map(|current| format!("rolled back to {}: ", current.short()));
    let because = match service.status {
        RowStatus::Success if !versions.is_empty() => "",
        RowStatus::RolledBack => again.and_then(|again| because.strip_prefix(&again)).unwrap_or(&because),
        RowStatus::Success
        | RowStatus::Pending
        | RowStatus::Updating
        | RowStatus::Failed
        | RowStatus::Skipped => &because,
    };
    let parts = [doing.as_str(), because, versions.as_str()].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("; ")
}

/// What a person should do next, the most pressing first.
fn advice(rollout: &Rollout) -> Vec<String> {
    let id = &rollout.id;
    let with = |status| rollout.services.iter().filter(move |service| service.status == status);
    let mut next: Vec<String> = with(RowStatus::Failed)
        .take(3)
        .map(|service| {
            format!("look at `{0}` yourself: nobody knows what it runs (`lamplighter why {0}`)", service.id)
        })
        .collect();
    match rollout.status.as_str() {
        "completed" => {}
        "halted" => {
            next.push(format!(
                "mend the version and start the mended one; {} is refused without `--force REASON`",
                rollout.target.short()
            ));
            let kept = with(RowStatus::Success).find_map(|service| service.previous.as_ref());
            if let Some(previous) = kept {
                let count = seen::services(with(RowStatus::Success).count());
                next.push(format!(
                    "{count} still on {}: `lamplighter rollout start {} --commit {previous}` brings them back",
                    rollout.target.short(),
                    rollout.app
                ));
            }
        }
        "completed_with_failures" | "aborted" => {
            next.push(format!("`lamplighter rollout retry {id}` takes up those that are left"));
        }
        "paused" => next.push(format!(
            "`lamplighter rollout resume {id}` goes on, `lamplighter rollout abort {id}` ends it"
        )),
        _ => next.push(format!("`lamplighter rollout watch {id}` follows it")),
    }
    next
}

#[cfg(test)]
mod tests;
