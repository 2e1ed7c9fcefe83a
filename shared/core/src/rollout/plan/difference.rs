//! What moved between two plans.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use crate::name::ServiceId;
use crate::rollout::Options;

/// Most lines that tell what moved; one more says how many are left out.
pub const MAX_LINES: usize = 10;

/// How a plan has a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Updated { spec_version: u64 },
    LeftAlone { because: &'a str },
}

/// What differs between two plans for one app, in the operator's words: at most [`MAX_LINES`] lines, and one that counts
/// the others. Empty if and only if both would do the same, which is when their hashes are equal.
#[must_use]
pub fn difference(before: &Plan, now: &Plan) -> Vec<String> {
    if before.hash == now.hash {
        return Vec::new();
    }
    let mut lines = Vec::new();
    lines.extend(target(before, now));
    lines.extend(options(&before.options, &now.options));
    let of_services = services(before, now);
    let is_explained = !of_services.is_empty() || before.target != now.target;
    lines.extend(of_services);
    if before.commands != now.commands && !is_explained {
        lines.push("the commands are not the same".to_owned());
    }
    if lines.is_empty() {
        lines.push(
            "the plan is made in another way than before, by another version of this program".to_owned(),
        );
    }
    let left_out = lines.len().saturating_sub(MAX_LINES);
    if left_out > 0 {
        lines.truncate(MAX_LINES);
        lines.push(format!("and {left_out} more"));
    }
    lines
}

fn target(before: &Plan, now: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    if before.app != now.app {
        lines.push(format!("the app is `{}`, and was `{}`", now.app, before.app));
    }
    let (was, is) = (before.target.short(), now.target.short());
    match (&before.branch, &now.branch) {
        (Some(old), Some(new)) if old == new => {
            if before.target != now.target {
                lines.push(format!("the branch `{new}` moved from `{was}` to `{is}`"));
            }
            return lines;
        }
        (None, None) => {}
        (Some(old), Some(new)) => lines.push(format!("the branch is `{new}`, and was `{old}`")),
        (None, Some(new)) => lines.push(format!("the branch `{new}` is asked for, and a version was before")),
        (Some(old), None) => lines.push(format!("a version is asked for, and the branch `{old}` was before")),
    }
    if before.target != now.target {
        lines.push(format!("the target is `{is}`, and was `{was}`"));
    }
    lines
}

fn options(before: &Options, now: &Options) -> Option<String> {
    let Options { stages, at_once, soak, strict_canary, max_failures, on_halt, canaries } = now;
    let differ = [
        ("stages", *stages != before.stages),
        ("at_once", *at_once != before.at_once),
        ("soak", *soak != before.soak),
        ("strict_canary", *strict_canary != before.strict_canary),
        ("max_failures", *max_failures != before.max_failures),
        ("on_halt", *on_halt != before.on_halt),
        ("canaries", *canaries != before.canaries),
    ];
    let names: Vec<String> =
        differ.iter().filter(|(_, differs)| *differs).map(|(name, _)| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("not the same options: {}", names.join(", ")))
}

fn services(before: &Plan, now: &Plan) -> Vec<String> {
    let (before, app, now) = (parts(before), &now.app, parts(now));
    let ids: BTreeSet<&ServiceId> = before.keys().chain(now.keys()).copied().collect();
    let line = |id: &ServiceId| match (before.get(id).copied(), now.get(id).copied()) {
        (Some(Part::Updated { spec_version: was }), Some(Part::Updated { spec_version: is })) => {
            (was != is).then(|| format!("the spec of `{id}` was changed"))
        }
        (Some(Part::Updated { .. }), Some(Part::LeftAlone { because })) => {
            Some(format!("`{id}` would be left alone now: {because}"))
        }
        (Some(Part::LeftAlone { because }), Some(Part::Updated { .. })) => {
            Some(format!("`{id}` can be updated now, and could not before: {because}"))
        }
        (Some(Part::LeftAlone { .. }), Some(Part::LeftAlone { .. })) | (None, None) => None,
        (None, Some(Part::Updated { .. })) => Some(format!("`{id}` is new in `{app}`")),
        (None, Some(Part::LeftAlone { because })) => {
            Some(format!("`{id}` is new in `{app}`, and would be left alone: {because}"))
        }
        (Some(_), None) => Some(format!("`{id}` is no service of `{app}` any more, or is not asked for")),
    };
    ids.into_iter().filter_map(line).collect()
}

fn parts(plan: &Plan) -> BTreeMap<&ServiceId, Part<'_>> {
    let updated = plan
        .stages
        .iter()
        .flat_map(|stage| &stage.services)
        .map(|planned| (&planned.id, Part::Updated { spec_version: planned.spec_version }));
    let left_alone = plan.skipped.iter().map(|skip| (&skip.id, Part::LeftAlone { because: &skip.because }));
    updated.chain(left_alone).collect()
}
