//! Hooks: where a push comes in from outside, and what became of each call.

mod deliveries;
mod payload;
mod proof;
mod receive;
mod secrets;
mod vault;

use axum::http::Method;
use axum::routing::{get, post};

pub use secrets::HookKey;
pub(crate) use secrets::Secrets;
pub(crate) use vault::Vault;

use crate::operation::{AFTER, Access, Given, IDEMPOTENCY_KEY, JSON, LIMIT, Operation, Taken};

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    vec![receiving(), listing(), redelivering()]
}

fn receiving() -> Operation {
    Operation {
        method: Method::POST,
        path: "/hooks/{env}/{hook}",
        id: "receive_hook",
        tag: "hooks",
        summary: "Take a push in",
        description: "For senders, not for people. A hook of kind `github` understands GitHub's `push` and `ping`, proved by \
                      `X-Hub-Signature-256`; one of kind `standard` the body below, at the top or under `data`, proved as \
                      Standard Webhooks has it. A call that came before is answered and not acted on again. Whatever is \
                      wrong with a call's proof, the answer is the same 401.",
        access: Access::Anyone,
        params: &[],
        body: Some(Taken {
            media: JSON,
            schema: "StandardPush",
            optional: false,
            example: r#"{"app":"rachel8","ref":"refs/heads/main","commit":"0123456789abcdef0123456789abcdef01234567"}"#,
        }),
        answers: &[Given {
            status: 202,
            says: "It was taken in; what it asks for is done later.",
            media: JSON,
            schema: "HookAnswer",
        }],
        problems: &[401, 413, 429],
        route: post(receive::receive),
    }
}

fn listing() -> Operation {
    Operation {
        method: Method::GET,
        path: "/v1/envs/{env}/hooks/{hook}/deliveries",
        id: "list_deliveries",
        tag: "hooks",
        summary: "What came in by a hook, newest first",
        description: "Calls that proved themselves, with what became of each; kept for a week. Calls that did not are in the \
                      log alone. At most 100 at once.",
        access: Access::SeeAll,
        params: &[LIMIT, AFTER],
        body: None,
        answers: &[Given { status: 200, says: "A page of deliveries.", media: JSON, schema: "DeliveryPage" }],
        problems: &[400, 404],
        route: get(deliveries::list),
    }
}

fn redelivering() -> Operation {
    Operation {
        method: Method::POST,
        path: "/v1/envs/{env}/hooks/{hook}/deliveries/{id}/redeliver",
        id: "redeliver",
        tag: "hooks",
        summary: "Act on a delivery once more",
        description: "What it asked for is asked for again, as the newest push of its app.",
        access: Access::Admin,
        params: &[IDEMPOTENCY_KEY],
        body: None,
        answers: &[Given {
            status: 202,
            says: "It is acted on in a moment.",
            media: JSON,
            schema: "Delivery",
        }],
        problems: &[400, 404, 409, 413, 415, 422],
        route: post(deliveries::redeliver),
    }
}
