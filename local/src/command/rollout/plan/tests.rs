use super::*;
use crate::command::rollout::sample::TARGET;

fn plan(services: usize) -> Plan {
    let ids = |range: std::ops::Range<usize>| range.map(|n| format!("vps-{n:03}")).collect::<Vec<_>>();
    let told = json!({
        "hash": "0123456789abcdef0123456789abcdef", "app": "shop", "target": TARGET, "branch": "main",
        "options": { "strict_canary": true, "max_failures": 3 },
        "stages": [
            { "percent": 10, "services": ids(0..1) },
            { "percent": 100, "services": ids(1..services) },
        ],
        "skipped": [{ "id": "vps-900", "because": "held by ada: moving \u{1b}[31mhouse" }],
        "commands": [{
            "services": services,
            "forward": ["git fetch origin main", "git checkout --detach 1a2b3c4", "bun install", "systemctl restart shop"],
            "back": ["git checkout --force --detach (what ran before)", "bun install", "systemctl restart shop"],
        }],
        "worst_case_seconds": 4_320, "write_units": 320, "micro_dollars": 200,
    });
    serde_json::from_value(told).unwrap()
}

#[test]
fn a_plan_says_who_when_how_and_what_it_takes_at_worst() {
    insta::assert_snapshot!(plan(12).told(), @r#"
    shop: 1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d (main as it is now)
    to 12 services in 2 stages

    stage 1   10 %  1 service    vps-000
    stage 2  100 %  11 services  vps-001 vps-002 vps-003 vps-004 vps-005 vps-006
                                 vps-007 vps-008 vps-009 vps-010 vps-011

    left alone (1):
      vps-900  held by ada: moving [31mhouse

    on 12 services:
        git fetch origin main
        git checkout --detach 1a2b3c4
        bun install
        systemctl restart shop
      and back, if it fails:
        git checkout --force --detach (what ran before)
        bun install
        systemctl restart shop

    at once  5 services
    soak     at least 30 s after each stage
    halts    when more than 30 % of a stage fail, or anything in stage 1, or more than 3 in all
    then     those that were updated keep the new version
    takes    at most 72 min
    costs    about 320 write units, $0.0002
    hash     0123456789abcdef0123456789abcdef
    "#);
}

#[test]
fn a_large_stage_is_folded_and_ends_with_how_many_more() {
    let text = plan(1_000).told();
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert!(text.contains("… and 939 more"), "{text}");
}

#[test]
fn only_what_was_typed_is_asked_for() {
    let mut args =
        PlanArgs { app: "shop".parse().unwrap(), commit: None, branch: None, options: OptionArgs::default() };
    assert_eq!(Value::Object(asked(&args)), json!({ "app": "shop" }));
    args.branch = Some("main".to_owned());
    args.options = OptionArgs {
        canaries: vec!["vps-003".parse().unwrap()],
        stages: vec![50, 100],
        at_once: Some(2),
        soak: Some(Duration::from_secs(90)),
        strict_canary: true,
        max_failures: Some(0),
        on_halt: Some(OnHalt::RollBackAll),
    };
    let options = json!({
        "canaries": ["vps-003"], "stages": [50, 100], "at_once": 2, "soak": "90s", "strict_canary": true,
        "max_failures": 0, "on_halt": "roll_back_all",
    });
    assert_eq!(Value::Object(asked(&args)), json!({ "app": "shop", "branch": "main", "options": options }));
    let core: lamplighter_core::rollout::Options = serde_json::from_value(options).unwrap();
    assert_eq!(core.soak, Duration::from_secs(90), "the engine reads what the command line writes");
}
