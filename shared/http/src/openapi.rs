//! The OpenAPI 3.1 description, made from the table of operations and the schemas in `docs/schemas.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::operation::{self, Access, Given, Operation, Param, Taken, scope_name};
use crate::problem::Kind;

const SCHEMAS: &str = include_str!("docs/schemas.json");
const ABOUT: &str = "Looks after a fleet of small servers: sweeps it, restarts what is down behind a circuit breaker, and tells \
                     people when something changed. Times are RFC 3339 in UTC. Every error is `application/problem+json` \
                     with a `hint`. Lists answer `{items, next}`; send `next` back as `after`.";

/// The groups of operations, in the order they are shown.
const TAGS: [(&str, &str); 12] = [
    ("services", "The fleet: what a person says of each service, and how it is."),
    ("actions", "What a person asks of one service."),
    ("sweeps", "Passes over the whole fleet."),
    (
        "rollouts",
        "A commit's journey over the services of an app, stage by stage, and back where it does harm.",
    ),
    ("hooks", "Where pushes come in, and what became of them."),
    ("events", "What happened."),
    ("settings", "What a person says of the whole env."),
    ("health", "How the env is, and what it costs."),
    ("audit", "Who did what."),
    ("tokens", "Who may ask."),
    ("probes", "For monitoring; no token needed."),
    ("docs", "This description."),
];

/// The description.
pub(crate) fn description() -> Value {
    let schemas: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for row in operation::all() {
        let method = row.method.as_str().to_ascii_lowercase();
        paths.entry(row.path).or_default().insert(method, operation(&row));
    }
    let tags: Vec<Value> =
        TAGS.iter().map(|(name, says)| json!({"name": name, "description": says})).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lamplighter",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of the env: `lamp_…`. Never in the query."},
            },
        },
    })
}

fn operation(row: &Operation) -> Value {
    let mut said = json!({
        "operationId": row.id,
        "tags": [row.tag],
        "summary": row.summary,
        "description": row.description,
        "parameters": parameters(row),
        "responses": responses(row),
        "security": match row.access {
            Access::Anyone => json!([]),
            Access::SeeAll | Access::SeeOwn | Access::ActOnOwn | Access::Admin => json!([{"token": []}]),
        },
        "x-scopes": row.access.scopes().iter().map(|scope| scope_name(*scope)).collect::<Vec<_>>(),
    });
    if let Some(taken) = &row.body {
        said["requestBody"] = request_body(taken);
    }
    said
}

fn parameters(row: &Operation) -> Vec<Value> {
    let in_path =
        row.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(|name| {
            let (says, example) = match (name, row.tag) {
                ("env", _) => ("The environment.", "prod"),
                ("hook", _) => ("The hook.", "deploy"),
                ("id", "rollouts") => ("The rollout.", "rachel8-17"),
                ("id", "hooks") => {
                    ("The delivery, as its sender calls it.", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
                }
                ("id", _) => ("The service.", "vps-001"),
                _ => ("The token's name.", "ada"),
            };
            json!({
                "name": name, "in": "path", "required": true, "description": says, "example": example,
                "schema": {"type": "string"},
            })
        });
    in_path.chain(row.params.iter().map(parameter)).collect()
}

fn parameter(param: &Param) -> Value {
    let schema = match param.name {
        "limit" => json!({"type": "integer", "minimum": 1, "maximum": crate::query::LIMIT_MAX}),
        "status" => json!({"$ref": "#/components/schemas/Status"}),
        _ => json!({"type": "string"}),
    };
    let mut said = json!({
        "name": param.name, "in": param.place, "required": false, "description": param.says, "schema": schema,
    });
    if !param.example.is_empty() {
        said["example"] = json!(param.example);
    }
    said
}

fn request_body(taken: &Taken) -> Value {
    let example: Value = serde_json::from_str(taken.example).unwrap_or_default();
    let mut content = Map::new();
    content.insert(taken.media.to_owned(), json!({"schema": reference(taken.schema), "example": example}));
    json!({"required": !taken.optional, "content": content})
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn responses(row: &Operation) -> Value {
    let mut said: BTreeMap<String, Value> = BTreeMap::new();
    for given in row.answers {
        let entry =
            said.entry(given.status.to_string()).or_insert_with(|| json!({"description": given.says}));
        add_content(entry, given);
    }
    let everywhere: &[u16] = match row.access {
        Access::Anyone => &[400, 431, 503, 504],
        Access::SeeAll | Access::SeeOwn | Access::ActOnOwn | Access::Admin => {
            &[400, 401, 403, 429, 431, 500, 503, 504]
        }
    };
    for status in row.problems.iter().chain(everywhere) {
        let title = Kind::ALL.into_iter().map(Kind::facts).find(|(known, _, _)| known.as_u16() == *status);
        let title = title.map_or("A problem", |(_, _, title)| title);
        let problem = json!({
            "description": title,
            "content": {"application/problem+json": {"schema": reference("Problem")}},
        });
        said.entry(status.to_string()).or_insert(problem);
    }
    json!(said)
}

fn add_content(entry: &mut Value, given: &Given) {
    if given.media.is_empty() {
        return;
    }
    let schema = if given.schema.is_empty() { json!({"type": "string"}) } else { reference(given.schema) };
    entry["content"][given.media] = json!({"schema": schema});
}
