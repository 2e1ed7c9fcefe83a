//! Live events as a stream: what happened after a cursor, from the table, then what happens.
//!
//! The table is the source; what this process commits is only the bell to read it at once. So a stream tells of what other
//! processes did as well, a listener that falls behind loses nothing, and every event carries the cursor to go on from.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use lamplighter_app::LiveRow;
use lamplighter_core::decision::LiveEvent;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::events::{Sight, shown};
use crate::problem::{Kind, Problem};
use crate::visit::Visit;

/// A comment is sent this often, so that nothing on the way takes the stream for dead. The table is read and the token
/// looked at again as often.
const PING: Duration = Duration::from_secs(20);
/// A stream ends after this long; clients come back by cursor.
const LIFETIME: Duration = Duration::from_secs(2 * 3_600);
/// Rows read at once.
const ROWS: usize = 200;
/// How soon the table is read again for an event that was announced and is not there yet: its row waits for one that
/// was begun before it.
const SOON: Duration = Duration::from_millis(100);
/// An event that was announced this long ago and did not come with the table is sent without a cursor.
const OWED_AT_MOST: Duration = Duration::from_secs(5);
/// Events remembered as sent, to tell what the bell announces from what the table already gave.
const RECENT: usize = 1_024;
/// When to come again if there are too many streams.
const RETRY_SECS: u64 = 30;

/// Begins a stream after `after`, or from now on.
pub(crate) fn stream(visit: Visit, after: Option<String>) -> Result<Response, Problem> {
    if !visit.home.streams_pass {
        let hint = "ask for JSON, and again with `after` and the `next` of each page";
        return Err(Problem::new(Kind::NotAcceptable, "there are no streams in this home", hint));
    }
    let permit = Arc::clone(&visit.home.streams).try_acquire_owned().map_err(|_| {
        let hint = "poll with `after`, or come again later";
        Problem::new(Kind::Unavailable, "there are too many streams", hint).retry_after(RETRY_SECS)
    })?;
    // Heard from before the table is first read, so that nothing falls in between.
    let bell = visit.env.listen();
    let after = after.unwrap_or_else(|| format!("{:013}", visit.now().as_millis()));
    let feed = Feed {
        visit,
        after,
        bell,
        waiting: VecDeque::new(),
        recent: VecDeque::new(),
        owed: VecDeque::new(),
        looked_at_token: Instant::now(),
        sight: Sight::default(),
        ends: Instant::now() + LIFETIME,
        _permit: permit,
    };
    let events = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<Event, Infallible>(event), feed))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(PING).text("ping")).into_response())
}

struct Feed {
    visit: Visit,
    after: String,
    bell: Receiver<LiveRow>,
    waiting: VecDeque<Event>,
    recent: VecDeque<LiveEvent>,
    /// Announced, and not yet in what the table gave.
    owed: VecDeque<(LiveEvent, Instant)>,
    looked_at_token: Instant,
    sight: Sight,
    ends: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    /// The next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if Instant::now() >= self.ends {
                return None;
            }
            match self.read().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(problem) => {
                    tracing::debug!(?problem, "a stream ends: the table cannot be read");
                    return None;
                }
            }
            if self.looked_at_token.elapsed() >= PING {
                self.look_at_the_token_again().await?;
            }
            self.settle_what_is_owed().await?;
            if !self.waiting.is_empty() {
                continue;
            }
            let patience = if self.owed.is_empty() { PING } else { SOON };
            match tokio::time::timeout(patience, self.bell.recv()).await {
                Ok(Ok(row)) => self.announced(row),
                // It fell behind; the table has what it missed.
                Ok(Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => {}
            }
        }
    }

    /// Reads what the table has after the cursor. Says how many rows there were.
    async fn read(&mut self) -> Result<usize, Problem> {
        let store = self.visit.store();
        let page = store.events_after(Some(&self.after), ROWS, self.visit.now()).await?;
        for row in &page.items {
            for (index, event) in row.events.iter().enumerate() {
                self.remember(event);
                if !self.sight.allows(&self.visit, &event.service).await? {
                    continue;
                }
                // Only the last event of a row moves the cursor, so that a stream that breaks off within one repeats it.
                let is_last = index + 1 == row.events.len();
                self.waiting.push_back(self.written(is_last.then_some(row.cursor.as_str()), event));
            }
        }
        if let Some(next) = page.next {
            self.after = next;
        }
        Ok(page.items.len())
    }

    /// What this process committed just now: it comes with the table.
    fn announced(&mut self, row: LiveRow) {
        if self.owed.len() < RECENT && !self.recent.contains(&row.event) {
            self.owed.push_back((row.event, Instant::now()));
        }
    }

    /// Strikes out what the table has given since. What was filed before the cursor this stream began at never comes
    /// that way, and is sent without one.
    async fn settle_what_is_owed(&mut self) -> Option<()> {
        let recent = &self.recent;
        self.owed.retain(|(event, _)| !recent.contains(event));
        while self.owed.front().is_some_and(|(_, since)| since.elapsed() >= OWED_AT_MOST) {
            let (event, _) = self.owed.pop_front()?;
            self.remember(&event);
            if self.sight.allows(&self.visit, &event.service).await.ok()? {
                self.waiting.push_back(self.written(None, &event));
            }
        }
        Some(())
    }

    fn remember(&mut self, event: &LiveEvent) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(event.clone());
    }

    fn written(&self, id: Option<&str>, event: &LiveEvent) -> Event {
        let data = shown(self.visit.env.name(), id, event).to_string();
        let written = Event::default().event("service_status").data(data);
        match id {
            Some(id) => written.id(id),
            None => written,
        }
    }

    /// A token that was revoked hears no more.
    async fn look_at_the_token_again(&mut self) -> Option<()> {
        self.sight.forget();
        self.looked_at_token = Instant::now();
        let token = self.visit.store().find_token(&self.visit.token_hash).await.ok()??;
        token.revoked_at.is_none().then_some(())
    }
}
