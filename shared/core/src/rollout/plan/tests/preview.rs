//! What a plan tells: commands, the worst case, and no secret.

use super::*;

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
