//! What a command on a host said, and how it ended.

use lamplighter_core::sight::{Fault, UnreachableKind, one_line};

/// Most output kept of one command, both streams together, in bytes. What says more is cut off and gives no verdict.
pub(crate) const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// What a command said and how it ended. Hostile bytes, capped.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) ending: Ending,
}

/// How a command ended. Only a status is a verdict.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The channel was closed without a word about the end.
    #[default]
    Unsaid,
    /// It exited.
    Status(u32),
    /// A signal killed it.
    Signal(String),
    /// It ended twice: whoever says so is not to be believed.
    Contradicted,
    /// It said more than is kept.
    TooMuch,
    /// The host would not run it.
    Refused,
}

impl Output {
    /// Keeps `bytes` as far as there is room; false if there is none left.
    pub(crate) fn keep(&mut self, stream: Stream, bytes: &[u8]) -> bool {
        let room = MAX_OUTPUT_BYTES - self.stdout.len() - self.stderr.len();
        let kept = &bytes[..bytes.len().min(room)];
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(kept),
            Stream::Stderr => self.stderr.extend_from_slice(kept),
        }
        kept.len() == bytes.len()
    }

    /// Notes an end. A second one contradicts the first, whatever it says.
    pub(crate) fn end(&mut self, ending: Ending) {
        self.ending = if self.ending == Ending::Unsaid { ending } else { Ending::Contradicted };
    }

    /// The exit status, or why nothing can be concluded.
    pub(crate) fn status(&self) -> Result<u32, Fault<UnreachableKind>> {
        let detail = match &self.ending {
            Ending::Status(status) => return Ok(*status),
            Ending::Unsaid => "the command ended without an exit status",
            Ending::Signal(name) => &format!("the command was killed by signal {name}"),
            Ending::Contradicted => "the host reported two ends of one command",
            Ending::TooMuch => "the command wrote more than 64 KiB",
            Ending::Refused => "the host refused to run the command",
        };
        Err(Fault::new(UnreachableKind::NoVerdict, detail))
    }

    /// Standard output as text.
    pub(crate) fn stdout(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// The first line of complaint, wherever it was written, in printable characters.
    pub(crate) fn complaint(&self) -> String {
        let stderr = String::from_utf8_lossy(&self.stderr);
        let stdout = self.stdout();
        let first = stderr.lines().chain(stdout.lines()).find(|line| !line.trim().is_empty());
        one_line(first.unwrap_or_default(), lamplighter_core::sight::MAX_DETAIL_CHARS)
    }
}

/// Which stream a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// A command that gave no output to judge: whether it may have run decides what may be done next.
#[derive(Debug)]
pub(crate) enum Unheard {
    /// Nothing was sent.
    NotSent(Fault<UnreachableKind>),
    /// It was sent, and may be running still.
    Sent {
        /// What ended the listening.
        fault: Fault<UnreachableKind>,
        /// What had been heard until then.
        heard: Output,
    },
}

impl Unheard {
    /// The fault alone, for a look: it asked for nothing that could be done twice.
    pub(crate) fn into_fault(self) -> Fault<UnreachableKind> {
        match self {
            Unheard::NotSent(fault) | Unheard::Sent { fault, .. } => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ends_are_no_verdict_even_if_both_say_success() {
        let mut output = Output::default();
        output.end(Ending::Status(0));
        assert_eq!(output.status(), Ok(0));
        output.end(Ending::Status(0));
        assert_eq!(output.status().unwrap_err().kind, UnreachableKind::NoVerdict);
    }

    #[test]
    fn an_end_unsaid_a_signal_and_a_refusal_are_no_verdict() {
        for ending in [Ending::Unsaid, Ending::Signal("KILL".to_owned()), Ending::TooMuch, Ending::Refused] {
            let output = Output { ending, ..Output::default() };
            assert_eq!(output.status().unwrap_err().kind, UnreachableKind::NoVerdict);
        }
    }

    #[test]
    fn output_is_capped_over_both_streams() {
        let mut output = Output::default();
        assert!(output.keep(Stream::Stdout, &[b'x'; 40 * 1024]));
        assert!(!output.keep(Stream::Stderr, &[b'y'; 40 * 1024]));
        assert_eq!(output.stdout.len() + output.stderr.len(), MAX_OUTPUT_BYTES);
    }
}
