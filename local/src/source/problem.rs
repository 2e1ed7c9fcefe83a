//! What is wrong with a file, where, and what to do about it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Most problems shown of one file; the rest are counted. More would scroll the first ones away.
pub const MAX_PROBLEMS: usize = 20;

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, counted from 1; 0 if the whole file is meant.
    pub line: usize,
    /// Column in characters, counted from 1; 0 if the whole file is meant.
    pub column: usize,
    /// The environment it stands in, if it stands in one.
    pub env: Option<String>,
    /// Whose it is, ready to be printed: "service `vps-001` of `prod`"; empty for the file itself.
    pub whose: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A file that is refused as a whole, and every reason why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The first [`MAX_PROBLEMS`] problems, in the order of the file.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

impl std::error::Error for Refused {}

impl Refused {
    /// A file that cannot be read at all.
    pub(crate) fn whole_file(file: &Path, what: String, hint: Option<String>) -> Self {
        let problem = Problem { line: 0, column: 0, env: None, whose: String::new(), what, hint };
        Self { file: file.to_owned(), problems: vec![problem], more: 0 }
    }

    /// How many problems there are in all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.problems.len() + self.more
    }
}

impl fmt::Display for Refused {
    /// A paragraph a problem: `error: FILE:LINE:COLUMN: whose: what`, then `hint: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "error: {file}")?;
            if problem.line > 0 {
                write!(f, ":{}:{}", problem.line, problem.column)?;
            }
            if !problem.whose.is_empty() {
                write!(f, ": {}", problem.whose)?;
            }
            write!(f, ": {}", problem.what)?;
            if let Some(hint) = &problem.hint {
                write!(f, "\nhint: {hint}")?;
            }
        }
        if self.more > 0 {
            write!(f, "\n… and {} more problems", self.more)?;
        }
        Ok(())
    }
}

/// Whose a problem is: which env, and which part of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Whose {
    /// The environment, if any.
    pub(crate) env: Option<String>,
    /// The printed form.
    pub(crate) words: String,
}

impl Whose {
    /// The file itself.
    pub(crate) fn file() -> Self {
        Self::default()
    }

    /// A part of the file that belongs to no environment.
    pub(crate) fn part(words: &str) -> Self {
        Self { env: None, words: words.to_owned() }
    }

    /// An environment.
    pub(crate) fn env(env: &str) -> Self {
        Self { env: Some(env.to_owned()), words: format!("env `{env}`") }
    }

    /// The defaults of an environment.
    pub(crate) fn defaults(env: &str) -> Self {
        Self { env: Some(env.to_owned()), words: format!("defaults of `{env}`") }
    }

    /// A hook of an environment, `env` being that.
    pub(crate) fn hook(env: &Whose, name: &str) -> Self {
        Self { env: env.env.clone(), words: format!("hook `{name}` of {}", env.words) }
    }

    /// A service: by its id, or by its place where it has none that can be read.
    pub(crate) fn service(env: &str, id: Option<&str>, index: usize) -> Self {
        let words = match id {
            Some(id) => format!("service `{id}` of `{env}`"),
            None => format!("service no. {} of `{env}`", index + 1),
        };
        Self { env: Some(env.to_owned()), words }
    }
}

/// Gathers problems while a file is read.
#[derive(Debug)]
pub(crate) struct Complaints<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    problems: Vec<Problem>,
}

impl<'t> Complaints<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, line_starts, problems: Vec::new() }
    }

    /// The line of a place in the text, counted from 1.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// Adds a problem that stands at `span`.
    pub(crate) fn add(
        &mut self,
        span: &Range<usize>,
        whose: &Whose,
        what: impl Into<String>,
        hint: Option<String>,
    ) {
        let line = self.line_of(span.start);
        let line_start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(line_start..span.start).map_or(1, |before| before.chars().count() + 1);
        let (env, whose) = (whose.env.clone(), whose.words.clone());
        self.problems.push(Problem { line, column, env, whose, what: what.into(), hint });
    }

    /// How many problems there are so far.
    pub(crate) fn count(&self) -> usize {
        self.problems.len()
    }

    /// The problems that are left, in the order of the file, each once; `None` if there are none.
    pub(crate) fn into_refused(self, file: &Path) -> Option<Refused> {
        refuse(file, self.problems)
    }

    /// The problems of the file itself and, apart, those of each env.
    pub(crate) fn by_env(self, file: &Path) -> (Option<Refused>, Vec<(String, Refused)>) {
        let (of_envs, of_file): (Vec<Problem>, Vec<Problem>) =
            self.problems.into_iter().partition(|problem| problem.env.is_some());
        let mut envs: std::collections::BTreeMap<String, Vec<Problem>> = std::collections::BTreeMap::new();
        for problem in of_envs {
            envs.entry(problem.env.clone().unwrap_or_default()).or_default().push(problem);
        }
        let envs =
            envs.into_iter().filter_map(|(env, problems)| Some((env, refuse(file, problems)?))).collect();
        (refuse(file, of_file), envs)
    }
}

fn refuse(file: &Path, mut problems: Vec<Problem>) -> Option<Refused> {
    problems.sort();
    problems.dedup();
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    problems.truncate(MAX_PROBLEMS);
    if problems.is_empty() { None } else { Some(Refused { file: file.to_owned(), problems, more }) }
}
