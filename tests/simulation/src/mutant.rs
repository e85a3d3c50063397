//! Bugs planted on purpose, to see that the verdict finds them. They sit in the simulated connectors or between two
//! steps of the hub: nothing of them is compiled into the program.

/// A planted bug.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutant {
    /// None.
    #[default]
    None,
    /// The echo check has nothing to compare with: after each push the hub forgets what the record holds, so what it
    /// wrote comes back as the target's own words.
    Deaf,
    /// A pull stores its cursor before its page.
    HastyCursor,
    /// A create that is tried again neither looks nor repeats its key.
    BlindCreate,
    /// What a system tells bears the time at which it was read as its version, so an older state that comes late is
    /// taken for news. (Without any version the hub reads the record again: that would be no bug.)
    Restamped,
}

impl Mutant {
    /// All planted bugs.
    pub const ALL: [Self; 4] = [Self::Deaf, Self::HastyCursor, Self::BlindCreate, Self::Restamped];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Deaf => "deaf",
            Self::HastyCursor => "hasty-cursor",
            Self::BlindCreate => "blind-create",
            Self::Restamped => "restamped",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter().chain([Self::None]);
        all.find(|it| it.word() == word).ok_or_else(|| format!("no planted bug is called {word:?}"))
    }
}
