//! What an operator types and what they see: scripts with their output beside them, played against a real server and a
//! fleet of demo hosts. `UPDATE=1` writes down what is seen now.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod normal;
mod play;
#[path = "../serve/program.rs"]
#[expect(dead_code, reason = "the tests of the server use more of it")]
mod program;
mod stage;

macro_rules! transcripts {
    ($($name:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            play::transcript(stringify!($name)).await;
        }
    )+};
}

transcripts! {
    a_good_release_from_plan_to_end
    a_release_that_one_host_cannot_take
    a_release_that_starts_nowhere
    a_rollout_that_people_steer
    what_is_refused_and_why
}
