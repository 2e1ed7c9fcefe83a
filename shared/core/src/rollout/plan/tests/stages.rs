//! Who is in which stage, and in which order.

use super::*;

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
