//! `rollout watch`: follows a rollout to its end, whatever happens to the server meanwhile.
//!
//! On a terminal it is a picture that is drawn anew; elsewhere a line for each change; with `--json` a value for each.

mod change;
mod picture;
mod screen;

use std::io::{ErrorKind, IsTerminal as _};
use std::time::Duration;

use lamplighter_core::RolloutId;
use lamplighter_core::moment::spoken;
use tokio::time::Instant;

use super::seen::{self, Rollout};
use super::show;
use crate::client::Client;
use crate::command::when;
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};
use change::{Change, changes};
use screen::Screen;

/// How often it is asked: a step of an update takes a second or more.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for an answer before somebody who watches is told.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// Services of which one answer tells; a rollout of more is asked as much more seldom as it takes more answers.
const SERVICES_PER_ANSWER: usize = 500;

/// Follows it. The exit status is how it ended.
pub(super) async fn run(client: &Client, form: Form, id: &RolloutId) -> Outcome {
    let mut out = Out::new(form);
    let mut last: Option<Rollout> = None;
    loop {
        let asked = Instant::now();
        let answer = match tokio::time::timeout(LOOK_LIMIT, seen::read(client, id)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::new(
                Exit::Unreachable,
                format!("the server has not answered for {}", spoken(LOOK_LIMIT)),
            )),
        };
        match answer {
            Ok((_, rollout)) => {
                out.back();
                out.show(&rollout, &changes(last.as_ref(), &rollout))?;
                if let Some(exit) = rollout.exit() {
                    out.end(&rollout)?;
                    return Ok(exit);
                }
                last = Some(rollout);
            }
            // Once it has been seen, a server that is away is waited for: the rollout is not lost with it.
            Err(failure) if last.is_some() && failure.exit == Exit::Unreachable => out.away(&failure),
            Err(failure) => {
                out.clear();
                return Err(failure);
            }
        }
        let answers = last.as_ref().map_or(0, |rollout| rollout.services.len()) / SERVICES_PER_ANSWER + 1;
        let pause = ASK_EVERY * u32::try_from(answers).unwrap_or(u32::MAX);
        tokio::time::sleep_until(asked + pause).await;
    }
}

/// Where it is shown.
enum Out {
    Picture(Box<Screen>),
    Lines { form: Form, away: bool },
}

impl Out {
    fn new(form: Form) -> Out {
        if form == Form::Plain && std::io::stderr().is_terminal() {
            Out::Picture(Box::new(Screen::new()))
        } else {
            Out::Lines { form, away: false }
        }
    }

    fn show(&mut self, rollout: &Rollout, changes: &[Change]) -> Result<(), Failure> {
        match self {
            Out::Picture(screen) => {
                screen.draw(rollout, changes, when::now());
                Ok(())
            }
            Out::Lines { form, .. } => {
                let now = when::now();
                let text: String = match form {
                    Form::Json => changes.iter().map(|change| format!("{}\n", change.json(now))).collect(),
                    Form::Plain => {
                        changes.iter().map(|change| format!("{}\n", change.line(now, say::ink))).collect()
                    }
                };
                say::data_while_read(&text).map_err(|error| {
                    if error.kind() == ErrorKind::BrokenPipe {
                        Failure::new(Exit::Failed, "nobody reads any more; how it ends is not known")
                    } else {
                        error.into()
                    }
                })
            }
        }
    }

    /// The server does not answer.
    fn away(&mut self, failure: &Failure) {
        match self {
            Out::Picture(screen) => screen.away(&failure.what, when::now()),
            Out::Lines { away, .. } => {
                if !*away {
                    say::note(&format!("{}; the rollout waits for it, and so does this", failure.what));
                }
                *away = true;
            }
        }
    }

    /// It answers.
    fn back(&mut self) {
        match self {
            Out::Picture(screen) => screen.back(),
            Out::Lines { away, .. } => {
                if *away {
                    say::note("the server is back");
                }
                *away = false;
            }
        }
    }

    fn clear(&mut self) {
        match self {
            Out::Picture(screen) => screen.clear(),
            Out::Lines { .. } => {}
        }
    }

    /// The last word: what `rollout show` says of it.
    fn end(&mut self, rollout: &Rollout) -> Result<(), Failure> {
        match self {
            Out::Picture(screen) => {
                screen.clear();
                Ok(say::data(&show::explained(rollout, when::now()))?)
            }
            Out::Lines { .. } => Ok(()),
        }
    }
}
