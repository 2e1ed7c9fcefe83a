//! An error and what caused it, as people and logs are told of it.

/// An error with all its causes, in one line. A cause that the words before have told already is not repeated: many errors
/// hold the words of theirs. Those of several lines are told as a list.
#[must_use]
pub fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let said = deeper.to_string();
        if !words.contains(&said) {
            words = format!("{words}: {said}");
        }
        cause = deeper.source();
    }
    joined(&words)
}

fn joined(words: &str) -> String {
    let mut lines = words.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut line = lines.next().unwrap_or_default().to_owned();
    for more in lines {
        line.push_str(if line.ends_with(':') { " " } else { "; " });
        line.push_str(more);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Link {
        words: &'static str,
        source: Option<Box<Link>>,
    }

    fn chain(words: &[&'static str]) -> Link {
        let (first, rest) = words.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| Box::new(chain(rest)));
        Link { words: first, source }
    }

    #[test]
    fn each_cause_is_told_once() {
        for (causes, line) in [
            (&["the table is gone"][..], "the table is gone"),
            (&["it failed", "no answer", "timed out"], "it failed: no answer: timed out"),
            (&["it failed: no answer", "no answer", "timed out"], "it failed: no answer: timed out"),
            (&["it failed", "asked:\n  here: no\n  there: no\n"], "it failed: asked: here: no; there: no"),
            (&[""], ""),
        ] {
            assert_eq!(in_one_line(&chain(causes)), line);
        }
    }
}
