//! A fleet that is too large to be put in one by one: one service is put in and swept for real, and what was exported of
//! it is put in so many times, shard by shard.

use std::time::Duration;

use lamplighter_app::sweep;
use lamplighter_store::ShardNo;
use serde_json::{Value, json};

use super::crash::Crash;
use super::fleet::Nature;
use super::{World, id};

/// The service that is put in. No other name has a part like it.
const PATTERN: &str = "pattern-pattern";

/// One service of a crowd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name; what comes before the first hyphen is its owner's.
    pub id: String,
    /// What it is like.
    pub nature: Nature,
}

impl Member {
    /// A service that comes up when it is restarted.
    #[must_use]
    pub fn good(id: impl Into<String>) -> Member {
        Member { id: id.into(), nature: Nature::Good }
    }
}

/// What the table remembers of a crowd when it is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing: nobody has looked yet.
    Nothing,
    /// That each was up when it was looked at last.
    Healthy,
}

/// `shards` times `services`, each owned by one of a thousand: `o17-3-42` is of shard 3.
#[must_use]
pub fn crowd(shards: usize, services: usize) -> Vec<Vec<Member>> {
    let member = |shard: usize, number: usize| {
        let owner = (shard * services + number) % 1_000;
        Member::good(format!("o{owner}-{shard}-{number}"))
    };
    (0..shards).map(|shard| (0..services).map(|number| member(shard, number)).collect()).collect()
}

impl World {
    /// Adds services to the table and to the fleet, in the shards given.
    ///
    /// # Panics
    /// If the table has anything in it, or does not take them.
    pub async fn settle_shards(&self, shards: &[Vec<Member>], known: Known) {
        let pattern = Box::pin(pattern(known)).await;
        let store = self.open(&Crash::never()).await;
        for (number, members) in shards.iter().enumerate() {
            let number = u16::try_from(number).ok().and_then(ShardNo::new);
            let lines = pattern.times(number.expect("there are not so many shards"), members);
            self.bytes.fill(lines.iter().map(String::as_str)).expect("the table takes a shard");
            for member in members {
                self.fleet.add(&id(&member.id), member.nature);
            }
        }
        let mut settings = store.settings().await.expect("settings").1;
        settings.admins = vec!["ops@example.com".parse().expect("a mailbox")];
        store.put_settings(0, &settings).await.expect("settings are taken");
    }
}

/// What one service leaves in a table: its shard's item first, then its own.
struct Pattern {
    shard: Value,
    items: Vec<String>,
}

/// Puts one service into a world of its own, and sweeps it if it is to be known.
async fn pattern(known: Known) -> Pattern {
    let world = World::new(0);
    world.settle(&[(PATTERN, Nature::Good)]).await;
    let env = world.engine(&Crash::never()).await;
    if known == Known::Healthy {
        let tick = world.clock.now().tick(Duration::from_secs(60));
        Box::pin(sweep(&env, tick)).await.expect("it is swept");
    }
    let mut exported = Vec::new();
    Box::pin(env.store().export(&mut exported)).await.expect("it is exported");
    let text = String::from_utf8(exported).expect("an export is text");
    let of = |partition: &str| {
        let begins = format!(r#""pk":{{"S":"{partition}"#);
        text.lines().filter(move |line| line.contains(&begins)).map(str::to_owned)
    };
    let shard = of("SHARDS\"").next().and_then(|line| serde_json::from_str(&line).ok());
    let items: Vec<String> = of("SHARD#").chain(of("SERVICE#")).collect();
    assert_eq!(items.len(), 3, "a service is a spec, a watch and a place");
    let is_healthy = items.iter().any(|item| item.contains(r#""status":{"S":"healthy"}"#));
    assert_eq!(is_healthy, known == Known::Healthy, "it was seen healthy, or not at all");
    Pattern { shard: shard.expect("its shard has an item"), items }
}

impl Pattern {
    /// The items of a shard with these members.
    fn times(&self, shard: ShardNo, members: &[Member]) -> Vec<String> {
        let each = self.shard["fleet_version"]["N"].as_str().and_then(|version| version.parse().ok());
        let version = members.len() * each.unwrap_or(0_usize);
        let item = json!({
            "pk": {"S": "SHARDS"}, "sk": {"S": shard.to_string()},
            "fleet_version": {"N": version.to_string()}, "services": {"N": members.len().to_string()},
        });
        let mut lines = vec![item.to_string()];
        let number = format!(r#""shard":{{"N":"{}"}}"#, shard.number());
        for member in members {
            let owner = member.id.split_once('-').map_or(member.id.as_str(), |(owner, _)| owner);
            lines.extend(self.items.iter().map(|item| {
                item.replace(PATTERN, &member.id)
                    .replace("owner-of-pattern", &format!("owner-of-{owner}"))
                    .replace("SHARD#000", &format!("SHARD#{shard}"))
                    .replace(r#""shard":{"N":"0"}"#, &number)
            }));
        }
        lines
    }
}
