//! The list of services: narrowed, in pages.

use lamplighter_core::ServiceId;
use lamplighter_core::watch::Status;
use lamplighter_store::{Placed, ShardNo};
use serde_json::json;

use crate::answer::{Answer, Reply};
use crate::fleet::Shards;
use crate::problem::Problem;
use crate::query::{Asked, encoded, quoted};
use crate::view::ServiceView;
use crate::visit::Visit;

/// Services read for one page of a filtered list; then the page ends early, with a cursor to go on from.
const SCANNED_MAX: usize = 10_000;
/// Services the store gives at once.
const STORE_PAGE: usize = 200;

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

/// A page of the services that are wanted and may be seen.
pub(crate) async fn list(visit: Visit, mut asked: Asked) -> Reply {
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
            cursor = Some(placed.cursor());
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
