//! What a unit that is down goes through, and who hears of it.

use lamplighter::demo::systemd::{Nature, State};

use super::street::Street;

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_shows_a_token_and_a_second_one_none() {
    let street = Street::new(&[("web", Nature::Sound)]).await;
    let first = street.home.serve();
    assert!(first.token.is_some());
    street.home.wait_for_status(&first, "web", "healthy");
    assert!(first.terminate().0.success());
    let second = street.home.serve();
    assert_eq!(second.token, None);
    street.home.wait_for_status(&second, "web", "healthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_unit_is_restarted_and_its_two_letters_are_one_thread() {
    let street = Street::new(&[("web", Nature::Sound)]).await;
    let server = street.home.serve();
    street.home.wait_for_status(&server, "web", "healthy");
    assert_eq!(street.home.letters(), [], "unknown to healthy is silent");
    street.host.systemd().log("web", "the last words of web");
    street.host.systemd().stop("web");
    let recovered = street.home.wait_for_letters(&server, "recovered", 1);
    let web = street.home.wait_for_status(&server, "web", "healthy");
    assert_eq!(street.host.systemd().state("web"), Some(State::Active));
    assert_eq!(street.host.systemd().restarts("web"), 1);
    assert_eq!(web["totals"]["recoveries"], 1, "{web}");
    assert!(web["last_notified_down_at"].is_string() && web["last_notified_up_at"].is_string(), "{web}");
    let letters = street.home.letters();
    let subjects: Vec<&str> = letters.iter().map(|letter| letter.subject.as_str()).collect();
    assert_eq!(letters.len(), 2, "{subjects:?}");
    let down = letters.iter().find(|letter| letter.subject.contains("DOWN")).unwrap();
    assert!(letters.iter().all(|letter| letter.to.contains("ada@example.com")));
    assert_eq!(recovered[0].answers.as_deref(), Some(down.id.as_str()));
    assert!(down.text.contains("the last words of web"), "{}", down.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hopeless_unit_opens_its_breaker_and_the_admins_hear_it_once() {
    let street = Street::new(&[("web", Nature::Sound), ("hopeless", Nature::Sound)]).await;
    let server = street.home.serve();
    street.home.wait_for_status(&server, "hopeless", "healthy");
    street.host.systemd().set_nature("hopeless", Nature::RefusesToStart);
    street.host.systemd().crash("hopeless");
    let open = street.home.wait_for_status(&server, "hopeless", "circuit_open");
    assert_eq!(open["breaker"]["state"], "open", "{open}");
    assert_eq!(street.host.systemd().restarts("hopeless"), 3);
    let told = street.home.wait_for_letters(&server, "NOT restarted", 1);
    assert!(told[0].to.contains("ops@example.com"), "{told:?}");
    // Three more looks change nothing, and nobody is told again.
    for _ in 0..3 {
        street.home.ask(&server, &["check", "hopeless"]);
    }
    assert_eq!(street.host.systemd().restarts("hopeless"), 3);
    let letters = street.home.letters();
    assert_eq!(letters.len(), 2, "{letters:#?}");
    assert_eq!(street.home.service(&server, "web")["status"], "healthy");
    // Mended by hand, it is seen, and the breaker closes without a restart.
    street.host.systemd().set_nature("hopeless", Nature::Sound);
    street.host.systemd().add("hopeless", Nature::Sound);
    let closed = street.home.wait_for_status(&server, "hopeless", "healthy");
    assert_eq!(closed["breaker"]["state"], "closed", "{closed}");
    assert_eq!(street.host.counts().max_nesting, 1);
}
