//! What the server has: every service by name, and those that may change with their spec and its version.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use lamplighter_core::ServiceId;
use lamplighter_core::spec::ServiceSpec;
use serde::Deserialize;

use super::READS_AT_ONCE;
use super::diff::{Known, Removal};
use crate::client::Client;
use crate::exit::Failure;
use crate::progress;

/// A service in the server's list: its spec is only told one by one, with its version.
#[derive(Debug, Deserialize)]
struct Listed {
    id: ServiceId,
}

#[derive(Debug, Deserialize)]
struct Shown {
    spec: ServiceSpec,
}

/// Asks for the list, and then for each service that is wanted or may be removed.
pub(super) async fn read(
    client: &Client,
    wanted: &[ServiceSpec],
    removal: Removal,
) -> Result<Vec<Known>, Failure> {
    let listed: Vec<Listed> = client.list("services", &[]).await?;
    let wanted: BTreeSet<&ServiceId> = wanted.iter().map(|spec| &spec.id).collect();
    let bar = progress::bar(listed.len(), "compared");
    let known = listed.into_iter().map(|Listed { id }| {
        let (bar, stays) = (&bar, removal == Removal::Keep && !wanted.contains(&id));
        async move {
            let known = if stays { Known { id, spec: None, etag: None } } else { one(client, id).await? };
            bar.inc(1);
            Ok::<_, Failure>(known)
        }
    });
    let known: Vec<Known> = stream::iter(known).buffered(READS_AT_ONCE).try_collect().await?;
    bar.finish_and_clear();
    Ok(known)
}

async fn one(client: &Client, id: ServiceId) -> Result<Known, Failure> {
    let answer = client.get::<Shown>(&super::path_of(&id), &[]).await?;
    Ok(Known { id, spec: Some(answer.body.spec), etag: answer.etag })
}
