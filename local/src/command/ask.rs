//! Asks a person before something is changed. A machine has to say `--yes`.

use std::io::{IsTerminal as _, Write as _};

use crate::exit::{Exit, Failure};
use crate::say::Form;

/// True if the person says yes to `question`. `hint` is for whoever runs this without a person to ask.
///
/// # Errors
/// If nobody is there, or the terminal fails.
pub(super) fn a_person(form: Form, question: &str, hint: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() || form == Form::Json {
        return Err(Failure::new(Exit::Usage, "nobody is there to ask").hint(hint));
    }
    let mut err = std::io::stderr().lock();
    write!(err, "{question} [y/N] ").and_then(|()| err.flush())?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
