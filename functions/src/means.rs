//! What a function can do besides using its table, reaching hosts and ringing. A program names what it needs, and only
//! that is linked into it: a machine is brought the whole archive, and reads it, before the first call.

use std::sync::Arc;

use aws_types::SdkConfig;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lamplighter_app::Courier;
use lamplighter_notify::{BadPost, Letter, Post, SendError};

use crate::Failure;
use crate::config::{Config, Mail};
use crate::onward::{self, Onward};

/// The sender of letters that become files on a developer's machine.
const FOLDER_SENDER: &str = "lamplighter@localhost";

type Letters = fn(&Config, &SdkConfig) -> Result<Arc<dyn Courier>, Failure>;
type PassOn = fn(&Config, &SdkConfig) -> Onward;

/// What a function is given beyond what all have.
#[derive(Clone, Copy)]
pub struct Means {
    pub(crate) letters: Letters,
    pub(crate) pass_on: PassOn,
}

impl Means {
    /// Nothing.
    #[must_use]
    pub const fn none() -> Means {
        Means { letters: elsewhere, pass_on: onward::nowhere }
    }

    /// It sends letters.
    #[must_use]
    pub const fn letters() -> Means {
        Means { letters: courier, ..Means::none() }
    }

    /// It passes rings on to other functions.
    #[must_use]
    pub const fn functions() -> Means {
        Means { pass_on: onward::to_functions, ..Means::none() }
    }
}

fn courier(config: &Config, account: &SdkConfig) -> Result<Arc<dyn Courier>, Failure> {
    let bad =
        |error: BadPost| Failure::BadConfiguration { key: "LAMPLIGHTER_MAIL", problem: error.to_string() };
    Ok(match &config.mail {
        None => Arc::new(Elsewhere),
        Some(Mail::Ses(from)) => Arc::new(Post::ses(account, from).map_err(bad)?),
        Some(Mail::Folder(folder)) => {
            let from = FOLDER_SENDER.parse().map_err(|error| Failure::Fault(format!("{error}")))?;
            Arc::new(Post::folder(folder.clone(), &from).map_err(bad)?)
        }
    })
}

fn elsewhere(_: &Config, _: &SdkConfig) -> Result<Arc<dyn Courier>, Failure> {
    Ok(Arc::new(Elsewhere))
}

/// The courier of every function but `notify`: it has no right to send letters, and is never asked to.
struct Elsewhere;

impl Courier for Elsewhere {
    fn send<'a>(&'a self, _: &'a Letter) -> BoxFuture<'a, Result<(), SendError>> {
        async { Err(SendError::Later("letters are sent by the function `notify`".to_owned())) }.boxed()
    }
}
