//! The table of operations: one row for each thing that can be asked.

use std::sync::Arc;

use axum::http::Method;
use axum::routing::MethodRouter;
use lamplighter_store::Scope;

use crate::home::Home;

/// One thing that can be asked: the router, the description and the guard are made from it.
pub(crate) struct Operation {
    /// How it is asked.
    pub(crate) method: Method,
    /// Where, with `{names}`.
    pub(crate) path: &'static str,
    /// Its name in the description: what generated clients call it.
    pub(crate) id: &'static str,
    /// The group it is shown in.
    pub(crate) tag: &'static str,
    /// What it does, in one line.
    pub(crate) summary: &'static str,
    /// What else there is to know; may be empty.
    pub(crate) description: &'static str,
    /// Who may ask.
    pub(crate) access: Access,
    /// Query parameters and headers.
    pub(crate) params: &'static [Param],
    /// What it takes.
    pub(crate) body: Option<Taken>,
    /// What it answers when all is well.
    pub(crate) answers: &'static [Given],
    /// The statuses of its own problems; those every operation has are added.
    pub(crate) problems: &'static [u16],
    /// The code behind it.
    pub(crate) route: MethodRouter<Arc<Home>>,
}

/// A query parameter or header.
pub(crate) struct Param {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it is found.
    pub(crate) place: &'static str,
    /// What it means.
    pub(crate) says: &'static str,
    /// An example.
    pub(crate) example: &'static str,
}

/// A body that is taken.
pub(crate) struct Taken {
    /// Its media type.
    pub(crate) media: &'static str,
    /// Its schema's name.
    pub(crate) schema: &'static str,
    /// Whether it may be left out.
    pub(crate) optional: bool,
    /// An example, as JSON text.
    pub(crate) example: &'static str,
}

/// A good answer.
pub(crate) struct Given {
    /// Its status.
    pub(crate) status: u16,
    /// What it means.
    pub(crate) says: &'static str,
    /// Its media type; empty for no body.
    pub(crate) media: &'static str,
    /// Its schema's name; empty for none.
    pub(crate) schema: &'static str,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody: it tells nothing of any service.
    Anyone,
    /// Whoever may see the whole env.
    SeeAll,
    /// Whoever may see the whole env, and owners for what is theirs.
    SeeOwn,
    /// Admins, and owners for what is theirs.
    ActOnOwn,
    /// Admins.
    Admin,
}

impl Access {
    /// The scopes that are let in; empty if no token is needed.
    pub(crate) fn scopes(self) -> &'static [Scope] {
        match self {
            Access::Anyone => &[],
            Access::SeeAll => &[Scope::Admin, Scope::Read],
            Access::SeeOwn => &[Scope::Admin, Scope::Read, Scope::Owner],
            Access::ActOnOwn => &[Scope::Admin, Scope::Owner],
            Access::Admin => &[Scope::Admin],
        }
    }
}

/// A scope as it is written.
pub(crate) fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Admin => "admin",
        Scope::Owner => "owner",
        Scope::Worker => "worker",
        Scope::Read => "read",
    }
}

pub(crate) const JSON: &str = "application/json";

pub(crate) const IDEMPOTENCY_KEY: Param = Param {
    name: "Idempotency-Key",
    place: "header",
    says: "Makes a repetition harmless: the same key and body get the first answer again for 24 hours. The same key with \
           another body is 422; while the first is still running, 409.",
    example: "\"6f1c2d8e-restart-1\"",
};
pub(crate) const IF_MATCH: Param = Param {
    name: "If-Match",
    place: "header",
    says: "Only if the version is this `ETag`, or `*`: only if it is there. Otherwise 412.",
    example: "\"3\"",
};
pub(crate) const LIMIT: Param = Param {
    name: "limit",
    place: "query",
    says: "Most items of the page, 1 to 500; 100 if absent.",
    example: "100",
};
pub(crate) const AFTER: Param = Param {
    name: "after",
    place: "query",
    says: "The `next` of the page before. It is opaque: send it back as it came.",
    example: "",
};

/// Every operation there is.
pub(crate) fn all() -> Vec<Operation> {
    let mut table = crate::services::operations();
    table.extend(crate::act::operations());
    table.extend(crate::why::operations());
    table.extend(crate::sweeps::operations());
    table.extend(crate::rollouts::operations());
    table.extend(crate::hooks::operations());
    table.extend(crate::events::operations());
    table.extend(crate::settings::operations());
    table.extend(crate::health::operations());
    table.extend(crate::cost::operations());
    table.extend(crate::audit::operations());
    table.extend(crate::tokens::operations());
    table.extend(crate::metrics::operations());
    table.extend(crate::docs::operations());
    table
}
