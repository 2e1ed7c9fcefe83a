//! The fleet: what a person says of each service, and how it is.

use std::sync::Arc;

use axum::http::header::{IF_MATCH as IF_MATCH_HEADER, IF_NONE_MATCH};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::{delete, get, patch, put};
use lamplighter_core::ServiceId;
use lamplighter_core::decision::AuditEntry;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::watch::Status;
use lamplighter_store::{Expected, Placed, Put, Removed, ShardNo};
use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::body::{Body, merge, understand};
use crate::fleet::Shards;
use crate::operation::{AFTER, Access, Given, IF_MATCH, JSON, LIMIT, Operation, Param, Taken};
use crate::problem::{Kind, Problem};
use crate::query::{Asked, Id, encoded, quoted};
use crate::view::ServiceView;
use crate::visit::Visit;

/// Services read for one page of a filtered list; then the page ends early, with a cursor to go on from.
const SCANNED_MAX: usize = 10_000;
/// Services the store gives at once.
const STORE_PAGE: usize = 200;
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
        description: "The body is the whole spec; what it leaves out has its default. Unknown fields are refused.",
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

/// What a list is narrowed to.
struct Filter {
    status: Option<Status>,
    app: Option<String>,
    owner: Option<String>,
    text: Option<String>,
}

impl Filter {
    fn take(asked: &mut Asked) -> Result<Filter, Problem> {
        let status = asked.take("status").map(|text| {
            let known = Status::ALL.into_iter().find(|status| status.as_str() == text);
            known.ok_or_else(|| {
                let all: Vec<&str> = Status::ALL.into_iter().map(Status::as_str).collect();
                Problem::bad(
                    format!("`{}` is not a status", quoted(&text)),
                    format!("there are: {}", all.join(", ")),
                )
            })
        });
        Ok(Filter {
            status: status.transpose()?,
            app: asked.take("app"),
            owner: asked.take("owner"),
            text: asked.take("q").map(|text| text.to_lowercase()),
        })
    }

    fn wants(&self, placed: &Placed) -> bool {
        let (spec, watch) = (&placed.spec, &placed.watch);
        let has = |text: &str| {
            [spec.id.as_str(), &spec.address.to_string(), &watch.because]
                .iter()
                .any(|place| place.to_lowercase().contains(text))
        };
        self.status.is_none_or(|status| status == watch.status)
            && self.app.as_ref().is_none_or(|app| spec.app.as_ref().is_some_and(|own| own.as_str() == app))
            && self
                .owner
                .as_ref()
                .is_none_or(|owner| spec.owner.as_ref().is_some_and(|own| own.as_str() == owner))
            && self.text.as_deref().is_none_or(has)
    }

    /// The filter as a query string, for the link to the next page.
    fn written(&self) -> String {
        let parts = [
            ("status", self.status.map(|status| status.as_str().to_owned())),
            ("app", self.app.clone()),
            ("owner", self.owner.clone()),
            ("q", self.text.clone()),
        ];
        parts.into_iter().fold(String::new(), |query, (name, value)| match value {
            Some(value) => format!("{query}&{name}={}", encoded(&value)),
            None => query,
        })
    }
}

async fn list(visit: Visit, mut asked: Asked) -> Reply {
    let (limit, after) = (asked.limit()?, asked.take("after"));
    let filter = Filter::take(&mut asked)?;
    asked.nothing_else("`limit`, `after`, `status`, `app`, `owner`, `q`")?;
    if let Some(cursor) = &after {
        must_be_cursor(cursor)?;
    }
    let store = visit.store();
    let shards = Shards::read(&store).await?;
    let (mut found, mut cursor, mut scanned) = (Vec::new(), after, 0);
    loop {
        let page = store.list_services(cursor.as_deref(), STORE_PAGE).await?;
        scanned += page.items.len();
        let mut items = page.items.into_iter();
        for placed in items.by_ref() {
            if !(visit.may_see(&placed.spec) && filter.wants(&placed)) {
                continue;
            }
            cursor = Some(cursor_at(&placed));
            found.push(ServiceView::of(visit.env.name(), &placed, shards.of(placed.shard)));
            if found.len() == limit {
                break;
            }
        }
        let is_cut = items.next().is_some();
        if !is_cut {
            cursor = page.next;
        }
        if found.len() == limit || cursor.is_none() || scanned >= SCANNED_MAX {
            break;
        }
    }
    let link = cursor.as_ref().map(|cursor| {
        format!("{}?limit={limit}&after={}{}", visit.url("services"), encoded(cursor), filter.written())
    });
    Ok(Answer::ok(&json!({"items": found, "next": cursor}))?.next(link))
}

/// The cursor after this service, as the store writes it.
fn cursor_at(placed: &Placed) -> String {
    format!("{}#{}", placed.shard, placed.spec.id)
}

fn must_be_cursor(cursor: &str) -> Result<(), Problem> {
    let is_one = cursor.split_once('#').is_some_and(|(shard, id)| {
        shard.parse().ok().and_then(ShardNo::new).is_some() && id.parse::<ServiceId>().is_ok()
    });
    if is_one {
        return Ok(());
    }
    Err(Problem::bad(
        "`after` is not a cursor of this list",
        "send the `next` of the page before, percent-encoded",
    ))
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
    let expected = expectation(&visit, &id, &headers).await?;
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

/// The versions that `If-Match` names.
enum Named {
    Anything,
    Versions(Arc<[u64]>),
}

impl Named {
    fn contains(&self, version: u64) -> bool {
        match self {
            Named::Anything => true,
            Named::Versions(versions) => versions.contains(&version),
        }
    }
}

/// Reads `If-Match`. A tag that is none of ours names no version, so it never matches.
fn matches(headers: &HeaderMap) -> Result<Option<Named>, Problem> {
    let Some(value) = headers.get(IF_MATCH_HEADER) else { return Ok(None) };
    let text = value
        .to_str()
        .map_err(|_| Problem::bad("`If-Match` cannot be read", "send the `ETag` as it came"))?;
    if text.trim() == "*" {
        return Ok(Some(Named::Anything));
    }
    Ok(Some(Named::Versions(versions(text))))
}

pub(crate) fn versions(text: &str) -> Arc<[u64]> {
    text.split(',').filter_map(|tag| tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok()).collect()
}

/// What a `PUT` expects to find.
async fn expectation(visit: &Visit, id: &ServiceId, headers: &HeaderMap) -> Result<Expected, Problem> {
    let only_new = headers.get(IF_NONE_MATCH).map(|value| value.as_bytes().trim_ascii() == b"*");
    match (matches(headers)?, only_new) {
        (None, None) => Ok(Expected::Any),
        (None, Some(true)) => Ok(Expected::Absent),
        (_, Some(false)) => {
            Err(Problem::bad("`If-None-Match` takes only `*` here", "send `*`, or use `If-Match`"))
        }
        (Some(_), Some(true)) => {
            Err(Problem::bad("`If-Match` and `If-None-Match: *` contradict each other", "send one of them"))
        }
        (Some(named), None) => {
            let there = visit.store().load_service(id).await?;
            let version = there.map(|placed| placed.spec_version).filter(|version| named.contains(*version));
            version.map(Expected::Version).ok_or_else(|| Problem::stale("the spec"))
        }
    }
}
