//! Facts about plans.

use serde_json::{Value, json};

use super::*;
use crate::breaker::Breaker;
use crate::hold::Hold;
use crate::rollout::{STAGES, Updating};
use crate::spec::Lifecycle;
use crate::update::{UpdateStep, Way};
use crate::version::RolloutId;
use crate::watch::{AskedBy, Attempt, Status};

const COMMIT: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";
const OTHER: &str = "5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80";

fn now() -> Moment {
    Moment::from_millis(1_767_321_000_000)
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn app() -> AppName {
    "rachel8".parse().unwrap()
}

/// A service, with what a test needs of it and nothing borrowed.
#[derive(Debug, Clone)]
struct Lamp {
    spec: ServiceSpec,
    spec_version: u64,
    watch: Watch,
}

fn spec(id: &str, more: Value) -> ServiceSpec {
    let mut spec = json!({
        "id": id, "app": "rachel8", "address": format!("{id}.example.com"), "user": "rachel",
        "key": "file:keys/prod_ed25519", "known_hosts": "known_hosts",
        "check": { "systemd": "rachel8" }, "restart": { "systemd": "rachel8" },
        "update": { "dir": "/home/rachel/rachel", "branch": "main", "install": "bun install" },
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let spec: ServiceSpec = serde_json::from_value(spec).unwrap();
    spec.check().unwrap();
    spec
}

fn lamp(id: &str) -> Lamp {
    lamp_with(id, json!({}))
}

fn lamp_with(id: &str, more: Value) -> Lamp {
    let mut watch = Watch::new(id.parse().unwrap(), now());
    watch.status = Status::Healthy;
    Lamp { spec: spec(id, more), spec_version: 1, watch }
}

fn lamps(count: usize) -> Vec<Lamp> {
    (1..=count).map(|number| lamp(&format!("vps-{number:03}"))).collect()
}

fn candidates(lamps: &[Lamp]) -> Vec<Candidate<'_>> {
    lamps
        .iter()
        .map(|lamp| Candidate { spec: &lamp.spec, spec_version: lamp.spec_version, watch: &lamp.watch })
        .collect()
}

fn planned(lamps: &[Lamp], options: &Options) -> Result<Plan, NoPlan> {
    make(&app(), &version(COMMIT), Some("main"), options, None, &candidates(lamps), now())
}

fn plan(lamps: &[Lamp]) -> Plan {
    planned(lamps, &Options::default()).unwrap()
}

fn sizes(plan: &Plan) -> Vec<usize> {
    plan.stages.iter().map(|stage| stage.services.len()).collect()
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.stages.iter().flat_map(|stage| &stage.services).map(|planned| planned.id.as_str()).collect()
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Stage sizes by counting on the fingers: a stage goes on until its share is reached, and one that has nothing to do is
/// none.
fn counted_sizes(services: usize, shares: &[u32]) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut updated = 0_usize;
    for share in shares {
        let mut size = 0;
        while u64::try_from(updated).unwrap() * 100 < u64::from(*share) * u64::try_from(services).unwrap() {
            updated += 1;
            size += 1;
        }
        if size > 0 {
            sizes.push(size);
        }
    }
    sizes
}

#[test]
fn stages_are_cut_where_the_shares_are_reached() {
    let fleet = lamps(1_000);
    let all = candidates(&fleet);
    for services in 1..=all.len() {
        for shares in [&STAGES[..], &[100], &[1, 2, 3, 99, 100], &[33, 66, 100]] {
            let sizes: Vec<usize> =
                stages(shares, &all[..services]).iter().map(|stage| stage.services.len()).collect();
            assert_eq!(sizes, counted_sizes(services, shares), "{services} services, {shares:?}");
            assert_eq!(sizes.iter().sum::<usize>(), services);
        }
    }
    for (services, expected) in [
        (1, vec![1]),
        (2, vec![1, 1]),
        (3, vec![1, 1, 1]),
        (10, vec![1, 4, 5]),
        (33, vec![4, 13, 16]),
        (100, vec![10, 40, 50]),
        (1_000, vec![100, 400, 500]),
    ] {
        assert_eq!(sizes(&plan(&fleet[..services])), expected, "{services} services");
    }
}

#[test]
fn a_plan_is_the_same_bytes_in_whatever_order_services_come() {
    let mut fleet = lamps(57);
    for (index, lamp) in fleet.iter_mut().enumerate() {
        match index % 9 {
            0 => lamp.watch.status = Status::Unhealthy,
            4 => lamp.spec.app = Some("another".parse().unwrap()),
            5 => lamp.spec = spec(lamp.spec.id.as_str(), json!({ "restart": { "command": "./again" } })),
            _ => {}
        }
    }
    let bytes = |fleet: &[Lamp]| serde_json::to_vec(&plan(fleet)).unwrap();
    let first = bytes(&fleet);
    let mut dice = Dice(0x1a2b_3c4d);
    for _ in 0..50 {
        dice.shuffle(&mut fleet);
        assert_eq!(bytes(&fleet), first);
    }
    let read: Plan = serde_json::from_slice(&first).unwrap();
    assert_eq!(serde_json::to_vec(&read).unwrap(), first, "what is stored is what was made");
}

#[test]
fn every_service_of_the_app_is_in_one_stage_or_skipped() {
    let mut dice = Dice(7);
    for _ in 0..200 {
        let mut fleet = lamps(1 + dice.below(40));
        for lamp in &mut fleet {
            match dice.below(8) {
                0 => lamp.watch.status = Status::Down,
                1 => lamp.spec.app = None,
                2 => lamp.spec.update = None,
                _ => {}
            }
        }
        let Ok(plan) = planned(&fleet, &Options::default()) else { continue };
        let mut named: Vec<&str> = ids(&plan);
        named.extend(plan.skipped.iter().map(|skip| skip.id.as_str()));
        named.sort_unstable();
        let of_app: Vec<&str> =
            fleet.iter().filter(|lamp| lamp.spec.app.is_some()).map(|lamp| lamp.spec.id.as_str()).collect();
        assert_eq!(named, of_app);
        assert!(plan.stages.iter().all(|stage| !stage.services.is_empty()));
    }
}

#[test]
fn the_order_is_another_one_for_each_target() {
    let fleet = lamps(20);
    let all = candidates(&fleet);
    let brought = |target: &str| {
        let plan = make(&app(), &version(target), None, &Options::default(), None, &all, now()).unwrap();
        ids(&plan).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let (one, other) = (brought(COMMIT), brought(OTHER));
    assert_ne!(one, other);
    assert_ne!(one, ids_in_order(20), "not simply by name");
    assert_eq!(one, brought(COMMIT));
}

fn ids_in_order(count: usize) -> Vec<String> {
    lamps(count).iter().map(|lamp| lamp.spec.id.to_string()).collect()
}

#[test]
fn canaries_go_first_in_the_order_they_were_named() {
    let mut fleet = lamps(20);
    let id = |text: &str| -> ServiceId { text.parse().unwrap() };
    let with = |canaries: &[&str]| Options {
        canaries: canaries.iter().map(|canary| id(canary)).collect(),
        ..Options::default()
    };
    let plan = planned(&fleet, &with(&["vps-017", "vps-003", "vps-011"])).unwrap();
    assert_eq!(ids(&plan)[..3], ["vps-017", "vps-003", "vps-011"]);
    assert_eq!(sizes(&plan), [2, 8, 10], "the stages stay as large as they are");

    let refusal =
        |fleet: &[Lamp], canaries: &[&str]| planned(fleet, &with(canaries)).unwrap_err().to_string();
    assert_eq!(
        refusal(&fleet, &["vps-003", "vps-003"]),
        "the canary `vps-003` cannot be updated: it is named twice"
    );
    assert_eq!(
        refusal(&fleet, &["vps-099"]),
        "the canary `vps-099` cannot be updated: it is not among the services of `rachel8` that are asked for"
    );
    fleet[2].watch.status = Status::Down;
    assert_eq!(
        refusal(&fleet, &["vps-003"]),
        "the canary `vps-003` cannot be updated: it is `down` since 2026-01-02T02:30:00Z"
    );
}

/// Everything that can stand against one service, and how it is said.
#[test]
fn a_service_is_left_alone_for_a_reason() {
    let rollout: RolloutId = "rachel8-16".parse().unwrap();
    let hold =
        |until| Some(Hold { by: "ada".to_owned(), reason: "moving disks".to_owned(), since: now(), until });
    let later = now() + std::time::Duration::from_millis(60_830);
    let updating = |stray| {
        Some(Box::new(Updating {
            rollout: rollout.clone(),
            row: 0,
            target: version(OTHER),
            previous: version(COMMIT),
            way: Way::Forward,
            step: UpdateStep::CheckOut,
            action_no: 1,
            process: None,
            again: 0,
            until: later,
            back_because: None,
            stray,
        }))
    };
    let open = Breaker::Open { consecutive_failures: 3, opened_at: now(), until: later };
    let attempt = Attempt { action_no: 1, not_before: now(), process: None, asked_by: AskedBy::Recovery };
    type Change<'a> = Box<dyn Fn(&mut Lamp) + 'a>;
    let cases: Vec<(Change<'_>, &str)> = vec![
        (
            Box::new(|lamp| lamp.spec.update = None),
            "its spec has no `update`; say in the fleet file how it is updated",
        ),
        (Box::new(|lamp| lamp.spec.lifecycle = Lifecycle::Provisioning), "it is still `provisioning`"),
        (Box::new(|lamp| lamp.spec.lifecycle = Lifecycle::Suspended), "it is `suspended`"),
        (Box::new(|lamp| lamp.spec.lifecycle = Lifecycle::Retired), "it is `retired`"),
        (
            Box::new(|lamp| lamp.watch.hold = hold(Some(later))),
            "`ada` holds it until 2026-01-02T02:31:00Z: moving disks",
        ),
        (Box::new(|lamp| lamp.watch.hold = hold(None)), "`ada` holds it: moving disks"),
        (
            Box::new(|lamp| (lamp.watch.hold, lamp.watch.status) = (hold(Some(now())), Status::Held)),
            "it was held until just now; wait for a sweep to look at it",
        ),
        (Box::new(|lamp| lamp.watch.update = updating(false)), "`rachel8-16` is updating it"),
        (
            Box::new(|lamp| lamp.watch.update = updating(true)),
            "`rachel8-16` left it half-way; it is brought back once its host answers",
        ),
        (
            Box::new(|lamp| lamp.watch.needs_human = Some("the way back failed".to_owned())),
            "a person must mend it, then `lamplighter breaker reset vps-001`: the way back failed",
        ),
        (Box::new(|lamp| lamp.watch.versions.current = Some(version(COMMIT))), "it runs `1a2b3c4` already"),
        (Box::new(|lamp| lamp.watch.attempt = Some(attempt.clone())), "a restart of it is under way"),
        (
            Box::new(|lamp| lamp.watch.breaker = open.clone()),
            "its breaker is open since 2026-01-02T02:30:00Z",
        ),
        (
            Box::new(|lamp| lamp.watch.status = Status::Unknown),
            "nobody knows how it is; wait for a sweep, or ask for one with `lamplighter sweep`",
        ),
        (
            Box::new(|lamp| lamp.watch.status = Status::Unhealthy),
            "it is `unhealthy` since 2026-01-02T02:30:00Z",
        ),
        (Box::new(|lamp| lamp.watch.status = Status::Down), "it is `down` since 2026-01-02T02:30:00Z"),
    ];
    for (change, because) in cases {
        let mut fleet = lamps(2);
        change(&mut fleet[0]);
        let plan = plan(&fleet);
        assert_eq!(plan.skipped.iter().map(|skip| skip.because.as_str()).collect::<Vec<_>>(), [because]);
        assert_eq!(ids(&plan), ["vps-002"]);
    }
    assert_eq!(plan(&lamps(2)).skipped, []);
}

#[test]
fn what_failed_both_ways_is_not_taken_for_what_it_ran_before() {
    let mut fleet = lamps(1);
    fleet[0].watch.versions.current = Some(version(COMMIT));
    assert!(planned(&fleet, &Options::default()).is_err(), "it runs the target already");
    fleet[0].watch.versions.status = Some(crate::rollout::RowStatus::Failed);
    assert_eq!(ids(&plan(&fleet)), ["vps-001"], "a rollout of the old version may mend it");
}

#[test]
fn a_target_of_another_kind_is_not_for_this_service() {
    let digest = version(&format!("sha256:{}", "a".repeat(64)));
    let fleet = [
        lamp("git"),
        lamp_with(
            "docker",
            json!({ "update": { "docker": "ghcr.io/acme/web", "dir": "/srv/web", "service": "web" },
                    "restart": { "docker": "web" }, "check": { "docker": "web" } }),
        ),
        lamp_with(
            "own",
            json!({ "update": { "version": "cat VERSION", "steps": [{ "run": "./to", "back": "./fro" }] } }),
        ),
    ];
    let skipped = |target: &Version| {
        let plan = make(&app(), target, None, &Options::default(), None, &candidates(&fleet), now()).unwrap();
        let [skip] = plan.skipped.as_slice() else { panic!("{:?}", plan.skipped) };
        format!("{}: {}", skip.id, skip.because)
    };
    assert_eq!(
        skipped(&version(COMMIT)),
        "docker: it is a container; give an image's digest `sha256:…`, not a commit"
    );
    assert_eq!(skipped(&digest), "git: it is a git checkout; give a commit, not an image's digest");
}

#[test]
fn two_services_never_share_what_is_updated() {
    let mut fleet = lamps(3);
    fleet[1].spec.address = fleet[0].spec.address.clone();
    let plan = plan(&fleet);
    assert_eq!(plan.skipped.len(), 1);
    assert_eq!(
        plan.skipped[0].because,
        "`/home/rachel/rachel` on its host is updated with `vps-001`; give it a directory of its own, or let the `restart` of `vps-001` restart both"
    );
    fleet[1].spec = spec(
        "vps-002",
        json!({ "address": "vps-001.example.com", "update": { "dir": "/home/rachel/rachel/" } }),
    );
    assert_eq!(self::plan(&fleet).skipped.len(), 1, "the same directory by another spelling");
    fleet[0].watch.status = Status::Down;
    assert_eq!(ids(&self::plan(&fleet)), ["vps-003"], "not even while the other one cannot be updated");
    fleet[0].spec.lifecycle = Lifecycle::Retired;
    assert_eq!(self::plan(&fleet).skipped.len(), 1, "a retired service owns nothing");
}

#[test]
fn where_nothing_can_be_updated_there_is_no_plan() {
    let refusal = |fleet: &[Lamp]| planned(fleet, &Options::default()).unwrap_err().to_string();
    let mut fleet = lamps(3);
    for lamp in &mut fleet {
        lamp.watch.status = Status::Down;
    }
    fleet[0].spec.update = None;
    assert_eq!(
        refusal(&fleet),
        "no service of `rachel8` can be updated now: 2 of 3, such as `vps-002`: it is `down` since 2026-01-02T02:30:00Z"
    );
    assert_eq!(
        refusal(&fleet[..1]),
        "no service of `rachel8` can be updated now: `vps-001`: its spec has no `update`; say in the fleet file how it is updated"
    );
    fleet[0].spec.app = Some("another".parse().unwrap());
    assert_eq!(
        refusal(&fleet[..1]),
        "no service of this env belongs to the app `rachel8`; `lamplighter services` shows the apps"
    );
    let options = Options { stages: vec![50, 10, 100], ..Options::default() };
    let refusal = planned(&lamps(3), &options).unwrap_err().to_string();
    assert!(refusal.starts_with("stages: "), "{refusal}");
}

#[test]
fn a_plan_for_some_services_names_no_other() {
    let fleet = lamps(10);
    let only: Vec<ServiceId> = ["vps-007", "vps-002", "gone"].map(|id| id.parse().unwrap()).into();
    let all = candidates(&fleet);
    let plan = make(&app(), &version(COMMIT), None, &Options::default(), Some(&only), &all, now()).unwrap();
    let mut named = ids(&plan);
    named.sort_unstable();
    assert_eq!(named, ["vps-002", "vps-007"]);
    assert_eq!(
        plan.skipped,
        [Skip { id: "gone".parse().unwrap(), because: "it is no service of `rachel8` any more".to_owned() }]
    );
}

#[test]
fn commands_are_told_once_for_services_that_are_updated_alike() {
    let mut fleet = lamps(5);
    fleet[4] = lamp_with(
        "vps-005",
        json!({ "restart": { "command": "./serve --again" }, "update": {
            "dir": "/srv/app", "before": "./drain", "after": "./fill", "rollback": "./unmigrate" } }),
    );
    let commands = plan(&fleet).commands;
    let usual = commands.iter().find(|set| set.services == 4).unwrap();
    let own = commands.iter().find(|set| set.services == 1).unwrap();
    assert_eq!(commands.len(), 2);
    assert_eq!(
        usual.forward,
        [
            "cd /home/rachel/rachel",
            "git fetch origin main",
            "git checkout --detach 1a2b3c4",
            "bun install",
            "systemctl restart rachel8"
        ]
    );
    assert_eq!(
        usual.back,
        [
            "cd /home/rachel/rachel",
            "git checkout --force --detach PREVIOUS",
            "bun install",
            "systemctl restart rachel8"
        ]
    );
    assert_eq!(
        own.forward,
        [
            "cd /srv/app",
            "./drain",
            "git fetch origin main",
            "git checkout --detach 1a2b3c4",
            "./serve --again",
            "./fill"
        ]
    );
    assert_eq!(
        own.back,
        ["cd /srv/app", "./unmigrate", "git checkout --force --detach PREVIOUS", "./serve --again"]
    );
}

#[test]
fn containers_and_own_steps_are_told_too() {
    let docker = lamp_with(
        "web",
        json!({ "update": { "docker": "ghcr.io/acme/web", "dir": "/srv/web", "service": "web" },
                "restart": "never", "check": { "docker": "web" } }),
    );
    let digest = version(&format!("sha256:{}", "a".repeat(64)));
    let of = |lamp: &Lamp, target: &Version| {
        let fleet = [lamp.clone()];
        let plan = make(&app(), target, None, &Options::default(), None, &candidates(&fleet), now());
        plan.unwrap().commands.remove(0)
    };
    let told = of(&docker, &digest);
    assert_eq!(
        told.forward,
        [
            "cd /srv/web".to_owned(),
            format!("docker pull ghcr.io/acme/web@{digest}"),
            format!(
                "LAMPLIGHTER_IMAGE=ghcr.io/acme/web@{digest} docker compose up -d --no-deps --force-recreate web"
            ),
        ]
    );
    let own = lamp_with(
        "own",
        json!({ "restart": { "docker": "own" }, "update": { "version": "cat VERSION", "steps": [
            { "run": "./fetch $LAMPLIGHTER_TARGET", "back": "true" }, { "run": "./switch", "back": "./switch back" } ] } }),
    );
    let told = of(&own, &version(COMMIT));
    assert_eq!(told.forward, ["./fetch $LAMPLIGHTER_TARGET", "./switch", "docker restart own"]);
    assert_eq!(told.back, ["./switch back", "true", "docker restart own"]);
}

#[test]
fn a_plan_tells_no_secret() {
    let lamp = lamp_with(
        "vps-001",
        json!({ "update": { "dir": "/srv/app", "branch": "main",
            "install": "NPM_TOKEN=hunter2 DEBUG=1 npm ci --auth-token hunter2 --verbose https://ada:hunter2@example.com/x@1",
            "before": "curl -H 'Authorization: Bearer hunter2' https://example.com/drain?x=1 PASSWORD= --api-key=hunter2" } }),
    );
    let plan = plan(&[lamp]);
    let told = serde_json::to_string(&plan).unwrap();
    assert!(!told.contains("hunter2"), "{told}");
    assert!(!told.contains("prod_ed25519"), "{told}");
    let forward = plan.commands[0].forward.join("\n");
    assert!(
        forward.contains("NPM_TOKEN=… DEBUG=1 npm ci --auth-token … --verbose https://…@example.com/x@1"),
        "{forward}"
    );
    assert!(
        forward
            .contains("curl -H 'Authorization: Bearer … https://example.com/drain?x=1 PASSWORD= --api-key=…"),
        "{forward}"
    );
}

#[test]
fn a_thousand_directories_do_not_make_a_thousand_lists() {
    let fleet: Vec<Lamp> = (0..100)
        .map(|number| {
            lamp_with(&format!("vps-{number:03}"), json!({ "update": { "dir": format!("/home/u{number}") } }))
        })
        .collect();
    let commands = plan(&fleet).commands;
    assert_eq!(commands.len(), 21);
    assert_eq!(commands.iter().map(|set| set.services).sum::<u32>(), 100);
    assert_eq!(
        commands.last().unwrap().forward,
        ["commands of their own, by their specs; the first 20 sets are told above"]
    );
}

#[test]
fn the_worst_case_is_every_limit_in_a_row() {
    // Asked: 60 + 30. Forward: 60 to connect, check out 60, install 120, restart 30, settle 5, starting 30, asked again 30.
    // Back: the same.
    let one = 60 + 30 + 2 * (60 + 60 + 120 + 30 + 5 + 30 + 30);
    let worst = |fleet: &[Lamp], options: &Options| planned(fleet, options).unwrap().worst_case_seconds;
    assert_eq!(worst(&lamps(1), &Options::default()), one + 600);
    assert_eq!(worst(&lamps(10), &Options::default()), 3 * one + 3 * 600, "1, 4 and 5, five at once");
    let by_one = Options { at_once: 1, ..Options::default() };
    assert_eq!(worst(&lamps(10), &by_one), 10 * one + 3 * 600);
    let mut fleet = lamps(10);
    for lamp in &mut fleet {
        lamp.spec.policy.settle = std::time::Duration::from_secs(50);
    }
    assert_eq!(worst(&fleet, &Options::default()), 3 * (one + 90) + 3 * 600);
    let around = json!({ "update": { "dir": "/srv/app", "after": "./fill" } });
    let after = 120 + 5 + 30 + 30;
    assert_eq!(
        worst(&[lamp_with("vps-001", around)], &Options::default()),
        one - 2 * 120 + after + 600,
        "what is run once it is up is verified, too; nothing is installed"
    );
}

#[test]
fn a_service_costs_no_more_than_it_may() {
    let units = |count| plan(&lamps(count)).write_units;
    assert_eq!(units(101) - units(100), 38, "row, begin, two further steps, verdict");
    let plan = plan(&lamps(1_000));
    assert_eq!(plan.micro_dollars, (plan.write_units * 5).div_ceil(8), "0.625 dollars a million");
    assert!(
        plan.micro_dollars < 50_000,
        "a thousand services for less than five cents: {}",
        plan.micro_dollars
    );
}

#[test]
fn nothing_differs_exactly_where_the_hashes_are_equal() {
    let mut dice = Dice(99);
    let mut equal = 0;
    for _ in 0..500 {
        let mut fleet = lamps(2 + dice.below(4));
        let options = Options::default();
        let before = planned(&fleet, &options).unwrap();
        let lamp = dice.below(fleet.len());
        let mut after = options.clone();
        match dice.below(10) {
            0 => fleet[lamp].watch.status = Status::Down,
            1 => fleet[lamp].spec_version += 1,
            2 => drop(fleet.remove(lamp)),
            3 => fleet.push(lamp_with("newcomer", json!({}))),
            4 => fleet[lamp].spec.update = None,
            5 => after.at_once = 4,
            6 => after.canaries = vec![fleet[lamp].spec.id.clone()],
            7 => fleet[lamp].watch.because = "something else".to_owned(),
            8 => fleet[lamp].watch.since = now() + std::time::Duration::from_secs(5),
            _ => {}
        }
        let now = planned(&fleet, &after).unwrap();
        assert_eq!(difference(&before, &now).is_empty(), before.hash == now.hash);
        equal += usize::from(before.hash == now.hash);
    }
    assert!((50..250).contains(&equal), "both were seen: {equal}");
}

#[test]
fn why_a_service_is_left_alone_is_no_part_of_the_hash() {
    let mut fleet = lamps(3);
    fleet[0].watch.status = Status::Unhealthy;
    let before = plan(&fleet);
    fleet[0].watch.status = Status::Down;
    let after = plan(&fleet);
    assert_ne!(before.skipped, after.skipped);
    assert_eq!(before.hash, after.hash, "what will be done is the same");
    assert_eq!(before.hash.len(), 32);
}

#[test]
fn what_moved_is_named() {
    let fleet = lamps(6);
    let before = plan(&fleet);
    let mut moved = fleet.clone();
    moved[0].watch.status = Status::Unhealthy;
    moved[1].spec_version = 2;
    moved.remove(2);
    moved.push(lamp("vps-007"));
    assert_eq!(
        difference(&before, &plan(&moved)),
        [
            "`vps-001` would be left alone now: it is `unhealthy` since 2026-01-02T02:30:00Z",
            "the spec of `vps-002` was changed",
            "`vps-003` is no service of `rachel8` any more, or is not asked for",
            "`vps-007` is new in `rachel8`",
        ]
    );
    assert_eq!(
        difference(&plan(&moved), &before)[0],
        "`vps-001` can be updated now, and could not before: it is `unhealthy` since 2026-01-02T02:30:00Z"
    );
    let brought = |target: &str, branch: Option<&str>| {
        let all = candidates(&fleet);
        make(&app(), &version(target), branch, &Options::default(), None, &all, now()).unwrap()
    };
    assert_eq!(
        difference(&before, &brought(OTHER, Some("main"))),
        ["the branch `main` moved from `1a2b3c4` to `5d6e7f8`"],
        "that it makes another order is no news"
    );
    assert_eq!(
        difference(&before, &brought(OTHER, None)),
        [
            "a version is asked for, and the branch `main` was before",
            "the target is `5d6e7f8`, and was `1a2b3c4`"
        ]
    );
    let options = Options { at_once: 2, strict_canary: true, ..Options::default() };
    assert_eq!(
        difference(&before, &planned(&fleet, &options).unwrap()),
        ["not the same options: `at_once`, `strict_canary`"]
    );
    let renamed = Plan { hash: "0".repeat(32), ..before.clone() };
    assert_eq!(difference(&before, &renamed).len(), 1, "a hash that differs is never left unexplained");
}

#[test]
fn ten_lines_tell_enough() {
    let mut fleet = lamps(30);
    let before = plan(&fleet);
    for lamp in &mut fleet[..25] {
        lamp.spec_version = 2;
    }
    let lines = difference(&before, &plan(&fleet));
    assert_eq!(lines.len(), MAX_LINES + 1);
    assert_eq!(lines.last().unwrap(), "and 15 more");
}

/// A plan as it was once made, its order and hash computed by another program: one that makes another plan of the same
/// fleet refuses every start that names the first.
#[test]
fn a_plan_stays_what_it_was() {
    let plan = plan(&lamps(3));
    assert_eq!(ids(&plan), ["vps-001", "vps-003", "vps-002"]);
    assert_eq!(plan.hash, "73720ebb41334b811fab3a972661e23f");
}
