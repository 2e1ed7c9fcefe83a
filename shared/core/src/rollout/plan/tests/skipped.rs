//! Who is left alone, and why.

use super::*;

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
