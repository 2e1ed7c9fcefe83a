//! An error and what caused it, as people and logs are told of it.

/// An error with all its causes, in one line. A cause that the words before have told already is not repeated: many errors
/// hold the words of theirs.
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
    words
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
        ] {
            assert_eq!(in_one_line(&chain(causes)), line);
        }
    }
}
