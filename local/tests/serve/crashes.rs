//! Lives that end in the middle of something.

use std::collections::BTreeSet;
use std::time::Duration;

use lamplighter::demo::systemd::Nature;

use super::program::{Letter, Program};
use super::street::Street;

/// Lives that are cut short in one test.
const KILLS: u64 = 10;
/// A recovery here is over in about this long: sweep, restart, settle, verdict, letter.
const A_RECOVERY: Duration = Duration::from_millis(1_600);

/// One service that comes up when restarted, and one whose breaker is open.
async fn street() -> (Street, Program) {
    let street = Street::new(&[("web", Nature::Sound), ("hopeless", Nature::RefusesToStart)]).await;
    street.restarts_take("web", Duration::from_millis(400));
    street.host.systemd().crash("hopeless");
    let server = street.home.serve();
    street.home.wait_for_status(&server, "web", "healthy");
    street.home.wait_for_status(&server, "hopeless", "circuit_open");
    (street, server)
}

fn of<'a>(letters: &'a [Letter], service: &str, word: &str) -> Vec<&'a Letter> {
    letters.iter().filter(|one| one.subject.contains(service) && one.subject.contains(word)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_at_any_moment_of_a_recovery_restarts_once_and_loses_no_letter() {
    let (street, mut server) = street().await;
    let breaker = street.home.service(&server, "hopeless")["breaker"].clone();
    let tried = street.host.systemd().restarts("hopeless");
    let mut moments = Vec::new();
    for life in 1..=KILLS {
        street.host.systemd().crash("web");
        street.home.ask(&server, &["sweep"]);
        // At random within one share of a recovery, so that ten lives meet all of it.
        let share = A_RECOVERY / u32::try_from(KILLS).unwrap();
        let moment = share * u32::try_from(life - 1).unwrap() + share.mul_f64(rand::random::<f64>());
        moments.push(moment);
        // The moment itself is what is tried: there is no signal for "anywhere in between".
        tokio::time::sleep(moment).await;
        server.kill();
        server = street.home.serve();
        let recovered = street.home.wait_for_letters(&server, "recovered", usize::try_from(life).unwrap());
        street.home.wait_for_status(&server, "web", "healthy");
        assert_eq!(street.host.systemd().restarts("web"), life, "after kills at {moments:?}: {recovered:#?}");
    }
    let letters = street.home.letters();
    for word in ["DOWN", "recovered"] {
        let ids: BTreeSet<&str> = of(&letters, "web", word).iter().map(|letter| letter.id.as_str()).collect();
        assert_eq!(ids.len(), 10, "{word}, after kills at {moments:?}: {ids:#?}");
    }
    assert_eq!(of(&letters, "hopeless", "NOT restarted").len(), 1, "{letters:#?}");
    assert_eq!(street.home.service(&server, "hopeless")["breaker"], breaker);
    assert_eq!(street.host.systemd().restarts("hopeless"), tried);
    assert_eq!(street.host.counts().max_nesting, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_told_to_stop_finishes_what_is_under_way_and_leaves_no_lease() {
    let (street, server) = street().await;
    street.host.systemd().crash("web");
    street.home.ask(&server, &["sweep"]);
    server.said.wait_for("web down");
    let (ended, took, said) = server.terminate();
    assert_eq!(ended.code(), Some(0), "{}", said.all().join("\n"));
    assert!(took < Duration::from_secs(30), "took {took:?}");
    assert!(said.all().last().is_some_and(|line| line.contains("stopped")), "{}", said.all().join("\n"));
    assert!(!said.all().join("\n").contains("stopped with work under way"), "{}", said.all().join("\n"));

    let next = street.home.serve();
    let first_sweep = next.said.wait_for("sweep ");
    assert!(!first_sweep.contains("skipped: the previous"), "{first_sweep}");
    street.home.wait_for_letters(&next, "recovered", 1);
    street.home.wait_for_status(&next, "web", "healthy");
    assert_eq!(street.host.systemd().restarts("web"), 1);
}
