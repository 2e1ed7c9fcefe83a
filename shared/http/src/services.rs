//! The fleet: what a person says of each service, and how it is.

use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::{delete, get, patch, put};
use lamplighter_app::people::may_become;
use lamplighter_core::ServiceId;
use lamplighter_core::decision::AuditEntry;
use lamplighter_core::spec::{ServiceSpec, Transport};
use lamplighter_store::{Expected, Placed, Put, Removed};
use serde_json::Value;

use crate::answer::{Answer, Reply};
use crate::body::{Body, merge, understand};
use crate::fleet::Shards;
use crate::list::list;
use crate::operation::{AFTER, Access, Given, IF_MATCH, JSON, LIMIT, Operation, Param, Taken};
use crate::precondition::{Named, expectation, matches};
use crate::problem::{Kind, Problem};
use crate::query::{Asked, Id};
use crate::view::ServiceView;
use crate::visit::Visit;

/// How often a merge patch is tried again when somebody else was faster.
const PATCH_TRIES: u32 = 5;

const SERVICES: &str = "/v1/envs/{env}/services";
const SERVICE: &str = "/v1/envs/{env}/services/{id}";
const SPEC_EXAMPLE: &str = r#"{"id":"vps-001","address":"203.0.113.7","user":"rachel","key":"file:keys/prod_ed25519","host_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB","check":{"systemd":"rachel8"},"restart":{"systemd":"rachel8"},"owner":"ada@example.com"}"#;

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    vec![listing(), reading(), putting(), patching(), removing()]
}

fn listing() -> Operation {
    Operation {
        method: Method::GET,
        path: SERVICES,
        id: "list_services",
        tag: "services",
        summary: "List services",
        description: "An owner's token lists that owner's services. With a filter a page may be shorter than `limit`, \
                      even empty, and still have a `next`.",
        access: Access::SeeOwn,
        params: &[
            LIMIT,
            AFTER,
            Param {
                name: "status",
                place: "query",
                says: "Only services of this status.",
                example: "circuit_open",
            },
            Param { name: "app", place: "query", says: "Only services of this app.", example: "rachel8" },
            Param {
                name: "owner",
                place: "query",
                says: "Only services of this owner.",
                example: "ada@example.com",
            },
            Param {
                name: "q",
                place: "query",
                says: "Only services with this text in their id, address or reason, whatever the case.",
                example: "vps-0",
            },
        ],
        body: None,
        answers: &[Given { status: 200, says: "A page of services.", media: JSON, schema: "ServicePage" }],
        problems: &[400],
        route: get(list),
    }
}

fn reading() -> Operation {
    Operation {
        method: Method::GET,
        path: SERVICE,
        id: "get_service",
        tag: "services",
        summary: "Show one service",
        description: "The `ETag` is the version of the spec: what `If-Match` of a write refers to.",
        access: Access::SeeOwn,
        params: &[],
        body: None,
        answers: &[Given {
            status: 200,
            says: "The service, with its spec.",
            media: JSON,
            schema: "Service",
        }],
        problems: &[400, 404],
        route: get(show),
    }
}

fn putting() -> Operation {
    Operation {
        method: Method::PUT,
        path: SERVICE,
        id: "put_service",
        tag: "services",
        summary: "Create or replace a service",
        description: "The body is the whole spec; what it leaves out has its default. Unknown fields are refused. \
                      A service with `transport: \"local\"` is created in the fleet file; here it can only be changed.",
        access: Access::Admin,
        params: &[
            IF_MATCH,
            Param {
                name: "If-None-Match",
                place: "header",
                says: "`*`: only if the service is new. Otherwise 412.",
                example: "*",
            },
        ],
        body: Some(Taken { media: JSON, schema: "ServiceSpec", optional: false, example: SPEC_EXAMPLE }),
        answers: &[
            Given {
                status: 200,
                says: "It was replaced, or was already so.",
                media: JSON,
                schema: "Service",
            },
            Given { status: 201, says: "It is new.", media: JSON, schema: "Service" },
        ],
        problems: &[400, 409, 412, 413, 415],
        route: put(replace),
    }
}

fn patching() -> Operation {
    Operation {
        method: Method::PATCH,
        path: SERVICE,
        id: "patch_service",
        tag: "services",
        summary: "Change parts of a service's spec",
        description: "A JSON merge patch (RFC 7396): `null` removes, objects are merged. To change the kind of a check, set \
                      the old kind to `null`: `{\"check\":{\"systemd\":null,\"tcp\":6379}}`.",
        access: Access::Admin,
        params: &[IF_MATCH],
        body: Some(Taken {
            media: "application/merge-patch+json",
            schema: "ServicePatch",
            optional: false,
            example: r#"{"owner":"ada@example.com","lifecycle":"suspended"}"#,
        }),
        answers: &[Given { status: 200, says: "The service as it is now.", media: JSON, schema: "Service" }],
        problems: &[400, 404, 409, 412, 413, 415],
        route: patch(change),
    }
}

fn removing() -> Operation {
    Operation {
        method: Method::DELETE,
        path: SERVICE,
        id: "delete_service",
        tag: "services",
        summary: "Remove a service",
        description: "It is not looked at any more. Nothing is done on its host. Its history stays in the events.",
        access: Access::Admin,
        params: &[IF_MATCH],
        body: None,
        answers: &[Given { status: 204, says: "It is gone.", media: "", schema: "" }],
        problems: &[400, 404, 412],
        route: delete(remove),
    }
}

async fn show(visit: Visit, Id(id): Id, asked: Asked) -> Reply {
    asked.nothing_else("none")?;
    let placed = visit.service(&id).await?;
    shown(&visit, &placed, StatusCode::OK).await
}

/// The whole view of a service, with its `ETag`.
pub(crate) async fn shown(visit: &Visit, placed: &Placed, status: StatusCode) -> Reply {
    let shards = Shards::read(&visit.store()).await?;
    let view = ServiceView::whole(visit.env.name(), placed, shards.of(placed.shard));
    Ok(Answer::with_status(status, &view)?.version(placed.spec_version))
}

async fn replace(visit: Visit, Id(id): Id, headers: HeaderMap, body: Body) -> Reply {
    let spec: ServiceSpec = body.read()?;
    must_fit(&id, &spec)?;
    let mut expected = expectation(&visit, &id, &headers).await?;
    let there = visit.store().load_service(&id).await?;
    if let Some(placed) = &there {
        may_become(placed, &spec, visit.now())?;
    }
    if spec.transport == Transport::Local && !visit.home.local_allowed {
        may_be_local(&visit, &spec, there.as_ref().map(|placed| &placed.spec))?;
        if let (Expected::Any, Some(placed)) = (expected, there) {
            // It must still be the local service that was seen.
            expected = Expected::Version(placed.spec_version);
        }
    }
    let put = visit.store().put_service(&spec, expected, visit.now()).await?;
    written(&visit, &id, put).await
}

async fn change(visit: Visit, Id(id): Id, headers: HeaderMap, body: Body) -> Reply {
    let patch: Value = body.read()?;
    if !patch.is_object() {
        return Err(Problem::bad("a merge patch of a spec is a JSON object", "send only what is to change"));
    }
    let named = matches(&headers)?;
    for _ in 0..PATCH_TRIES {
        let placed = visit.service(&id).await?;
        if named.as_ref().is_some_and(|named| !named.contains(placed.spec_version)) {
            return Err(Problem::stale("the spec"));
        }
        let spec = patched(&placed.spec, patch.clone())?;
        must_fit(&id, &spec)?;
        may_be_local(&visit, &spec, Some(&placed.spec))?;
        may_become(&placed, &spec, visit.now())?;
        let expected = Expected::Version(placed.spec_version);
        match visit.store().put_service(&spec, expected, visit.now()).await? {
            // Somebody else was faster: the patch is applied to what they wrote.
            Put::Stale => {}
            put @ (Put::Created { .. } | Put::Replaced { .. } | Put::Unchanged { .. }) => {
                return written(&visit, &id, put).await;
            }
        }
    }
    Err(Problem::conflict(format!("the spec of `{id}` keeps changing"), "try again in a moment")
        .retry_after(1))
}

fn patched(spec: &ServiceSpec, patch: Value) -> Result<ServiceSpec, Problem> {
    let mut whole = serde_json::to_value(spec).map_err(|error| {
        Problem::new(Kind::Internal, "the spec cannot be read", "").because(error.to_string())
    })?;
    merge(&mut whole, patch);
    understand(whole)
}

async fn remove(visit: Visit, Id(id): Id, headers: HeaderMap) -> Reply {
    let expected = match matches(&headers)? {
        None | Some(Named::Anything) => Expected::Any,
        Some(Named::Versions(versions)) => {
            let version = visit.service(&id).await?.spec_version;
            if !versions.contains(&version) {
                return Err(Problem::stale("the spec"));
            }
            Expected::Version(version)
        }
    };
    match visit.store().delete_service(&id, expected, visit.now()).await? {
        Removed::Done => {
            note(&visit, &id, "service removed", "its spec was removed").await;
            Ok(Answer::nothing())
        }
        Removed::Absent => Err(Problem::no_such_service(&id)),
        Removed::Stale => Err(Problem::stale("the spec")),
    }
}

/// Answers a write, and puts it on the audit trail.
async fn written(visit: &Visit, id: &ServiceId, put: Put) -> Reply {
    let status = match put {
        Put::Created { version } => {
            note(visit, id, "service created", &format!("spec version {version}")).await;
            StatusCode::CREATED
        }
        Put::Replaced { version } => {
            note(visit, id, "spec replaced", &format!("spec version {version}")).await;
            StatusCode::OK
        }
        Put::Unchanged { .. } => StatusCode::OK,
        Put::Stale => return Err(Problem::stale("the spec")),
    };
    let placed = visit.service(id).await?;
    let answer = shown(visit, &placed, status).await?;
    Ok(if status == StatusCode::CREATED { answer.at(visit.url(&format!("services/{id}"))) } else { answer })
}

async fn note(visit: &Visit, id: &ServiceId, action: &str, because: &str) {
    let entry = AuditEntry {
        at: visit.now(),
        by: visit.by().to_owned(),
        action: action.to_owned(),
        service: Some(id.clone()),
        action_no: None,
        because: because.to_owned(),
    };
    if let Err(error) = visit.store().record(vec![entry]).await {
        // The spec itself is written; to answer with a failure would say that it is not.
        tracing::error!(env = %visit.env.name(), service = %id, %error, "`{action}` by {} is missing from the audit trail", visit.by());
    }
}

/// A process of this machine is made a service only by whoever may write the fleet file; such a service can be changed.
fn may_be_local(visit: &Visit, spec: &ServiceSpec, before: Option<&ServiceSpec>) -> Result<(), Problem> {
    let is_local = spec.transport == Transport::Local;
    let was_local = before.is_some_and(|before| before.transport == Transport::Local);
    if !is_local || was_local || visit.home.local_allowed {
        return Ok(());
    }
    let detail = format!(
        "`{}` cannot be given `transport: \"local\"` here: its commands would run on Lamplighter's own machine",
        spec.id
    );
    Err(Problem::new(
        Kind::Forbidden,
        detail,
        "put it into the fleet file on that machine and start Lamplighter anew",
    ))
}

fn must_fit(id: &ServiceId, spec: &ServiceSpec) -> Result<(), Problem> {
    if spec.id != *id {
        let detail = format!("the body's `id` is `{}`, the path says `{id}`", spec.id);
        return Err(Problem::bad(
            detail,
            "a service keeps its id; to rename it, remove it and create another",
        ));
    }
    spec.check().map_err(|bad| Problem::bad(bad.to_string(), "correct this field and send the spec again"))
}
