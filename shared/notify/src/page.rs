//! What a letter says, before it is text or HTML: one content, so that the two can never disagree.

/// The body of a letter.
pub(crate) struct Page {
    /// The colour of the news.
    pub(crate) tone: Tone,
    /// Where it happened: the env, shown small above the headline.
    pub(crate) place: String,
    /// The news in a few words.
    pub(crate) headline: String,
    /// Everything else, in reading order.
    pub(crate) blocks: Vec<Block>,
    /// Small print at the end: who sent this, and its id.
    pub(crate) footer: String,
}

/// The colour of the news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Something is broken.
    Bad,
    /// A person is needed.
    Warning,
    /// It is well again.
    Good,
}

/// One part of a letter.
pub(crate) enum Block {
    /// Short labelled facts, as a table of two columns.
    Facts(Vec<(&'static str, String)>),
    /// Prose under a heading.
    Prose { heading: String, text: String },
    /// Things that say their own number, oldest first, under a heading.
    Steps { heading: &'static str, items: Vec<String> },
    /// What a service wrote, line by line. Hostile text.
    Quote { heading: &'static str, lines: Vec<String> },
    /// What to type, and where to click.
    Actions { heading: &'static str, commands: Vec<String>, links: Vec<String> },
    /// Services and what happened to each, under a heading.
    Table { heading: String, rows: Vec<[String; 3]> },
}
