//! Which app lives on how many hosts, and what is played with it.

use super::fleet::Host;
use super::quarter::{App, Check, Quarter};
use super::{kills, mishaps, releases, steering};

/// Scenes that are played one after the other with one app.
pub(crate) struct Play {
    pub(crate) hosts: usize,
    pub(crate) app: for<'f> fn(&'f [Host]) -> App<'f>,
    pub(crate) acts: &'static [Act],
}

/// A name that is a fact, and how it is shown. What one leaves behind is where the next one begins.
pub(crate) type Act = (&'static str, fn(&Quarter<'_>));

/// An install that takes so long that a fault can meet it.
const LONG_INSTALL: &str = ": > /tmp/at-work; sleep 6; ./install.sh";
/// The same, and it needs some room.
const LARGE_INSTALL: &str = ": > /tmp/at-work; sleep 6; head -c 400000 /dev/zero > room && ./install.sh; status=$?; rm room; exit $status";

/// Those over in two or three minutes. Their hosts add up to what there is.
pub(crate) const SHORT: [Play; 12] = [
    Play {
        hosts: 3,
        app: |hosts| App::new("shop", hosts),
        acts: &[
            ("a_good_release_reaches_every_service_stage_by_stage", releases::a_good_release),
            ("a_release_that_fails_at_start_is_rolled_back_and_quarantined", releases::fails_at_start),
            ("a_branch_is_resolved_once_and_its_plan_is_what_starts", releases::a_branch),
        ],
    },
    Play {
        hosts: 2,
        app: |hosts| App { check: Check::Http, ..App::new("slow", hosts) },
        acts: &[("a_release_that_starts_slowly_passes", releases::a_slow_start)],
    },
    Play {
        hosts: 2,
        app: |hosts| App::new("late", hosts),
        acts: &[
            ("a_release_that_crashes_after_a_while_is_caught_in_its_soak", releases::crashes_after_a_while),
            ("a_release_that_cannot_be_installed_is_rolled_back", releases::cannot_be_installed),
            ("the_fix_reaches_every_service", releases::the_fix),
        ],
    },
    Play {
        hosts: 1,
        app: |hosts| App::new("dirty", hosts),
        acts: &[("a_dirty_checkout_is_left_as_it_is_and_named", releases::a_dirty_tree)],
    },
    Play {
        hosts: 3,
        app: |hosts| App { install: LONG_INSTALL, ..App::new("abort", hosts) },
        acts: &[("an_aborted_rollout_changes_nothing_more", steering::paused_then_aborted)],
    },
    Play {
        hosts: 2,
        app: |hosts| App { branch: "live", ..App::new("pushed", hosts) },
        acts: &[
            ("of_two_starts_at_once_one_wins", steering::two_at_once),
            ("a_signed_push_starts_a_rollout_and_the_newest_waits", steering::a_push),
        ],
    },
    Play {
        hosts: 1,
        app: |hosts| App { install: LONG_INSTALL, ..App::new("cut", hosts) },
        acts: &[("a_network_cut_in_the_middle_is_waited_out", mishaps::a_cut_network)],
    },
    Play {
        hosts: 1,
        app: |hosts| App { install: LONG_INSTALL, ..App::new("power", hosts) },
        acts: &[("a_power_cut_in_the_middle_repeats_the_step", mishaps::a_power_cut)],
    },
    Play {
        hosts: 1,
        app: |hosts| App { install: LONG_INSTALL, ..App::new("door", hosts) },
        acts: &[("an_sshd_that_stops_in_the_middle_repeats_the_step", mishaps::no_sshd)],
    },
    Play {
        hosts: 1,
        app: |hosts| App {
            install: "[ \"$LAMPLIGHTER_WAY\" = back ] || { sleep 600 & : > /tmp/at-work; sleep 600; }; ./install.sh",
            ..App::new("hang", hosts)
        },
        acts: &[("an_install_that_hangs_is_killed_with_its_children", mishaps::an_install_that_hangs)],
    },
    Play {
        hosts: 1,
        app: |hosts| App { install: LARGE_INSTALL, ..App::new("full", hosts) },
        acts: &[
            ("a_full_disk_is_found_before_anything_is_changed", mishaps::a_full_disk_before),
            ("a_disk_that_fills_half_way_deceives_nobody", mishaps::a_full_disk_half_way),
        ],
    },
    Play {
        hosts: 2,
        app: |hosts| App { branch: "far", ..App::new("remote", hosts) },
        acts: &[("without_a_remote_nothing_is_changed", mishaps::no_remote)],
    },
];

/// One that waits for the end of every patience.
pub(crate) const LONG: [Play; 1] = [Play {
    hosts: 1,
    app: |hosts| App { install: LONG_INSTALL, ..App::new("lost", hosts) },
    acts: &[("a_host_that_vanishes_is_given_up_and_taken_back_when_it_answers", mishaps::a_vanished_host)],
}];

/// The app on twenty hosts. Its services have names of their own, since hosts remember what others did.
pub(crate) fn town(hosts: &[Host]) -> App<'_> {
    App { prefix: "town-", branch: "town", install: kills::INSTALL, ..App::new("town", hosts) }
}
