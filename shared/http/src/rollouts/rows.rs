//! The rows of the table of operations that concern rollouts.

use axum::http::Method;
use axum::routing::{MethodRouter, get, post};

use super::{ask, read, steer};
use crate::home::Home;
use crate::operation::{
    AFTER, Access, Given, IDEMPOTENCY_KEY, IF_MATCH, JSON, LIMIT, Operation, Param, Taken,
};

const ROLLOUTS: &str = "/v1/envs/{env}/rollouts";
const ROLLOUT: &str = "/v1/envs/{env}/rollouts/{id}";

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    let steered = |path, id, summary, description, route| Operation {
        id,
        summary,
        description,
        ..steering(path, route)
    };
    vec![
        planning(),
        starting(),
        listing(),
        reading(),
        steered(
            "/v1/envs/{env}/rollouts/{id}/pause",
            "pause_rollout",
            "Hold a rollout where it is",
            "Services half-way are finished, no other is begun until it is resumed.",
            post(steer::pause),
        ),
        steered(
            "/v1/envs/{env}/rollouts/{id}/resume",
            "resume_rollout",
            "Let a paused rollout go on",
            "It goes on where it was held.",
            post(steer::resume),
        ),
        aborting(),
        retrying(),
    ]
}

fn planning() -> Operation {
    Operation {
        method: Method::POST,
        path: "/v1/envs/{env}/rollouts/plan",
        id: "plan_rollout",
        tag: "rollouts",
        summary: "Say what a rollout would do",
        description: "Who is updated, in which stage, by which commands, who is left alone and why, and what it takes at \
                      worst. A branch is resolved on a service's own host. Nothing is changed. The plan is kept for a day \
                      under its `hash`; a start that names it is refused if reality has moved.",
        access: Access::Admin,
        params: &[],
        body: Some(Taken {
            media: JSON,
            schema: "PlanOrder",
            optional: false,
            example: r#"{"app":"rachel8","branch":"main","options":{"stages":[10,50,100],"strict_canary":true}}"#,
        }),
        answers: &[Given { status: 200, says: "The plan.", media: JSON, schema: "Plan" }],
        problems: &[400, 404, 409, 413, 415],
        route: post(ask::plan),
    }
}

fn starting() -> Operation {
    Operation {
        method: Method::POST,
        path: ROLLOUTS,
        id: "start_rollout",
        tag: "rollouts",
        summary: "Start a rollout",
        description: "The plan is made anew. With a `plan_hash` it must be that plan: 409 lists what has moved. What the \
                      request leaves open is then as in that plan. One rollout of an app at a time: 409 names the one under \
                      way. A version that halted a rollout needs `force`, with a reason.",
        access: Access::Admin,
        params: &[IDEMPOTENCY_KEY],
        body: Some(Taken {
            media: JSON,
            schema: "RolloutOrder",
            optional: false,
            example: r#"{"app":"rachel8","target":"0123456789abcdef0123456789abcdef01234567"}"#,
        }),
        answers: &[Given {
            status: 202,
            says: "It has begun; `Location` leads to it.",
            media: JSON,
            schema: "Rollout",
        }],
        problems: &[400, 404, 409, 413, 415, 422],
        route: post(ask::start),
    }
}

fn listing() -> Operation {
    Operation {
        method: Method::GET,
        path: ROLLOUTS,
        id: "list_rollouts",
        tag: "rollouts",
        summary: "List rollouts, newest first",
        description: "Without their services. An owner's token lists rollouts that have services of that owner. With a filter \
                      a page may be shorter than `limit`, even empty, and still have a `next`.",
        access: Access::SeeOwn,
        params: &[
            LIMIT,
            AFTER,
            Param { name: "app", place: "query", says: "Only rollouts of this app.", example: "rachel8" },
        ],
        body: None,
        answers: &[Given { status: 200, says: "A page of rollouts.", media: JSON, schema: "RolloutPage" }],
        problems: &[400],
        route: get(read::list),
    }
}

fn reading() -> Operation {
    Operation {
        method: Method::GET,
        path: ROLLOUT,
        id: "get_rollout",
        tag: "rollouts",
        summary: "Show a rollout",
        description: "Where it stands, what it waits for, and what became of each service: at most 500 of them, with `next` \
                      where there are more. The `ETag` is the rollout's version: what `If-Match` of a steering request refers \
                      to. The steps of services under way change without it. An owner sees no service of anybody else's, and \
                      the counts of their own.",
        access: Access::SeeOwn,
        params: &[AFTER],
        body: None,
        answers: &[Given { status: 200, says: "The rollout.", media: JSON, schema: "Rollout" }],
        problems: &[400, 404],
        route: get(read::show),
    }
}

fn steering(path: &'static str, route: MethodRouter<std::sync::Arc<Home>>) -> Operation {
    Operation {
        method: Method::POST,
        path,
        id: "",
        tag: "rollouts",
        summary: "",
        description: "",
        access: Access::Admin,
        params: &[IF_MATCH],
        body: None,
        answers: &[Given { status: 200, says: "The rollout as it is now.", media: JSON, schema: "Rollout" }],
        problems: &[400, 404, 409, 412, 413, 415],
        route,
    }
}

fn aborting() -> Operation {
    Operation {
        id: "abort_rollout",
        summary: "Stop a rollout",
        description: "No service is begun any more, and none half-way is changed further forward: it goes back. With \
                      `roll_back` everything the rollout updated goes back, too.",
        body: Some(Taken {
            media: JSON,
            schema: "AbortOrder",
            optional: true,
            example: r#"{"roll_back":false}"#,
        }),
        ..steering("/v1/envs/{env}/rollouts/{id}/abort", post(steer::abort))
    }
}

fn retrying() -> Operation {
    Operation {
        id: "retry_rollout",
        summary: "Start again for what failed or was not reached",
        description: "A new rollout of the same target by the same options, for the services that failed, were rolled back, \
                      were left alone or were never begun in this one, once it has ended.",
        params: &[IDEMPOTENCY_KEY],
        body: Some(Taken {
            media: JSON,
            schema: "RetryOrder",
            optional: true,
            example: r#"{"force":"the disk was full, it is not the version"}"#,
        }),
        answers: &[Given {
            status: 202,
            says: "It has begun; `Location` leads to it.",
            media: JSON,
            schema: "Rollout",
        }],
        problems: &[400, 404, 409, 413, 415, 422],
        ..steering("/v1/envs/{env}/rollouts/{id}/retry", post(ask::retry))
    }
}
