//! Stories in which the four verbs have everything to do that they ever do.

use std::time::Duration;

use lamplighter_app::rollouts::{self, Asked};
use lamplighter_core::hook::{Hook, HookName};
use lamplighter_core::rollout::End;
use lamplighter_core::update::Wanted;
use lamplighter_tests::sim::crash::{Crash, Manner};
use lamplighter_tests::sim::fleet::Nature;
use lamplighter_tests::sim::functions::{Pace, Touched};
use lamplighter_tests::sim::journey::{Deed, Journey, NEW, NEWEST, app, version};
use lamplighter_tests::sim::journeys::{
    HALT, HALT_AND_BACK, NO_WAY_BACK, OBSTACLES, ONE_GOES_BACK, PUSHED, REMOVED, SOAK_CATCHES, SUCCESS,
    SUCCESS_OF_TEN, VANISHES,
};
use lamplighter_tests::sim::story::{
    ALL_DIE, BLINK, CUT_OFF, DIGEST, Event, FLAPPING, HEAL, HOPELESS, Story, TWO,
};
use lamplighter_tests::sim::{World, on_virtual_time};
use serde_json::json;

/// As the minute's ticks and their rings come.
const BY_THE_MINUTE: Pace = Pace { sweeps: Duration::from_secs(60), rings: Duration::from_secs(2) };
/// For stories of hours.
const PATIENTLY: Pace = Pace { sweeps: Duration::from_secs(60), rings: Duration::from_secs(30) };
/// So that a sweep comes between any two steps.
const CLOSELY: Pace = Pace { sweeps: Duration::from_secs(5), rings: Duration::from_secs(1) };

/// Stories of the fleet, in which what is restarted is healed, fails, opens its breaker, or is not touched at all.
pub(crate) fn play_stories(touched: &Touched) {
    for story in [&HEAL, &TWO, &HOPELESS, &FLAPPING, &BLINK, &CUT_OFF, &ALL_DIE, &DIGEST] {
        tell(story, BY_THE_MINUTE, touched, |_| {});
    }
    tell(&LATE_LETTERS, BY_THE_MINUTE, touched, |_| {});
    tell(&REFUSED_LETTERS, PATIENTLY, touched, |world| world.post.refuse_all());
}

fn tell(story: &Story, pace: Pace, touched: &Touched, first: impl FnOnce(&World)) {
    on_virtual_time(|| async {
        let world = World::new(1);
        first(&world);
        story.play_in(&world, async |world| world.functions(pace, touched).await).await;
    });
}

/// The post office is closed while there is news.
const LATE_LETTERS: Story = Story {
    name: "late letters",
    services: &[("a", Nature::Good)],
    events: &[(65, Event::ClosePost(200)), (70, Event::PutOut("a"))],
    ends: 600,
    up: &["a"],
    open: &[],
};

/// Nobody takes the letters, until they are given up.
const REFUSED_LETTERS: Story = Story {
    name: "refused letters",
    services: &[("a", Nature::Good)],
    events: &[(70, Event::PutOut("a"))],
    ends: 5_400,
    up: &["a"],
    open: &[],
};

/// Rollouts that go through, go back, halt, lose a host, lose a service; pushes that wait, are refused, or were missed; and
/// a start that died.
pub(crate) fn play_journeys(touched: &Touched) {
    for journey in [
        &SUCCESS,
        &ONE_GOES_BACK,
        &HALT_AND_BACK,
        &SOAK_CATCHES,
        &VANISHES,
        &NO_WAY_BACK,
        &OBSTACLES,
        &PUSHED,
        &REMOVED,
        &HARMFUL_PUSH,
        &UNHEARD_PUSH,
    ] {
        travel(journey, touched, async |_| {});
    }
    travel(&MISSED_PUSH, touched, configure_hook);
    travel(&DEAD_START, touched, die_starting);
}

fn travel(journey: &Journey, touched: &Touched, besides: impl AsyncFnOnce(&World)) {
    on_virtual_time(|| async {
        let world = World::new(1);
        let engines = async |world| {
            tokio::join!(Box::pin(besides(world)), Box::pin(world.functions(CLOSELY, touched)));
        };
        journey.play_in(&world, &[], engines).await;
    });
}

/// What halted a rollout is pushed again, and refused.
const HARMFUL_PUSH: Journey = Journey {
    name: "push of what did harm",
    deeds: &[(12_000, Deed::Start(NEW)), (110_000, Deed::Push(NEW, "again"))],
    ends: 300,
    ..HALT
};

/// A push that no host can confirm waits, and says why.
const UNHEARD_PUSH: Journey = Journey {
    name: "push while hosts are away",
    deeds: &[
        (9_000, Deed::CutOff("a", 30)),
        (9_000, Deed::CutOff("b", 30)),
        (9_000, Deed::CutOff("c", 30)),
        (12_000, Deed::Push(NEW, "first")),
    ],
    end: &[End::Completed],
    ..SUCCESS
};

/// Of two pushes only the first is told of.
const MISSED_PUSH: Journey = Journey {
    name: "missed push",
    deeds: &[(12_000, Deed::Push(NEW, "first"))],
    ends: 600,
    end: &[End::Completed, End::Completed],
    ..SUCCESS
};

async fn configure_hook(world: &World) {
    let store = world.open(&Crash::never()).await;
    let (read, mut settings) = store.settings().await.expect("settings");
    let hook = json!({"kind": "github", "secret": "file:s", "app": "web", "repository": "acme/web"});
    let hook: Hook = serde_json::from_value(hook).expect("a hook");
    settings.hooks.insert("deploy".parse::<HookName>().expect("a name"), hook);
    store.put_settings(read, &settings).await.expect("settings are taken");
    world.fleet.push("main", &version(NEWEST));
}

/// A person's start of all ten dies when its rows are written; the push that comes later has fewer.
const DEAD_START: Journey = Journey {
    name: "start that died",
    deeds: &[(6_000, Deed::Remove("i")), (7_000, Deed::Remove("j")), (12_000, Deed::Push(NEW, "first"))],
    ..SUCCESS_OF_TEN
};

async fn die_starting(world: &World) {
    // A service that no sweep has seen is not rolled out to.
    tokio::time::sleep(Duration::from_secs(3)).await;
    // The stub and the rows are its first two writes.
    let crash = Crash::at(2, Manner::Before);
    let env = Box::pin(world.engine(&crash)).await;
    let asked = Asked {
        app: app(),
        wanted: Some(Wanted::Version(version(NEW))),
        options: None,
        plan_hash: None,
        force: None,
    };
    tokio::select! {
        () = crash.death() => {}
        started = rollouts::start(&env, &asked, "ada") => panic!("it was to die, and not to say {started:?}"),
    }
}
