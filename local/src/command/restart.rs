//! `restart`: asks for a restart, up or not, and waits for what comes of it.

use std::time::{Duration, Instant};

use lamplighter_core::ServiceId;
use lamplighter_core::moment::spoken;
use lamplighter_core::sight::one_line;
use lamplighter_core::watch::Status;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::one_service::headline;
use super::why::Why;
use crate::cli::RestartArgs;
use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};

/// How often it is asked what came of it.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Longest wait: the restart's own limit of a minute, its settling, a look, and as much again for those before it.
const WAIT_LIMIT: Duration = Duration::from_secs(150);

/// Asks, and waits unless told not to. Ends with 1 if the service is not up after it.
pub(super) async fn run(client: &Client, form: Form, args: &RestartArgs) -> Outcome {
    let id = &args.id;
    let asked = client.post(&format!("services/{id}/restart"), &json!({})).await?;
    if args.no_wait {
        print(form, id, &asked)?;
        return Ok(Exit::Ok);
    }
    let (status, answer) = outcome(client, id).await?;
    print(form, id, &answer)?;
    match status {
        Status::Healthy => Ok(Exit::Ok),
        Status::Unknown
        | Status::Unhealthy
        | Status::Restarting
        | Status::Down
        | Status::CircuitOpen
        | Status::Updating
        | Status::Held => Ok(Exit::Failed),
    }
}

/// What the service is when the restart that was asked for is judged. Each reason on the way is told as it comes.
async fn outcome(client: &Client, id: &ServiceId) -> Result<(Status, Value), Failure> {
    let until = Instant::now() + WAIT_LIMIT;
    let (mut ours, mut told) = (None, String::new());
    loop {
        let answer: Value = client.get(&format!("services/{id}/why"), &[]).await?.body;
        let Ok(why) = Why::deserialize(&answer) else {
            return Err(Failure::new(Exit::Failed, "the server's answer is not understood")
                .hint(format!("the restart was asked for; `lamplighter why {id}` says what came of it")));
        };
        let open = why.attempt.map(|attempt| attempt.action_no);
        // A failed restart opens the next one, with a number of its own.
        ours = ours.or(open);
        if open.is_none() || open != ours {
            return Ok((why.status, answer));
        }
        if why.because != told {
            say::note(&format!("{id}: {}", one_line(&why.because, 200)));
            told = why.because;
        }
        if Instant::now() >= until {
            let what = format!("the restart of `{id}` is still under way after {}", spoken(WAIT_LIMIT));
            return Err(Failure::new(Exit::Failed, what)
                .hint(format!("`lamplighter why {id}` says what it waits for")));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn print(form: Form, id: &ServiceId, answer: &Value) -> std::io::Result<()> {
    match form {
        Form::Json => say::json(answer),
        Form::Plain => say::data(&headline(id, answer)),
    }
}
