//! How a plan that is not what it was is noticed, and what moved is named.

use super::*;

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
