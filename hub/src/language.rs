//! The two languages that people are spoken to in. Logs are English; what is said to a person is said in hers.
//!
//! Where the language is known, both texts stand side by side ([`crate::say`]). What comes from deeper down, where nobody
//! knows who listens, is English, and [`Language::told`] looks its form up in `messages.zh.txt`; a tidy test finds every
//! text of the program that is missing there.

mod catalog;

use std::ffi::OsString;

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// 简体中文.
    Zh,
}

impl Language {
    /// The language of the environment: `HUILIU_LANG`, then what POSIX says (`LC_ALL`, `LC_MESSAGES`, `LANG`).
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let told = ["HUILIU_LANG", "LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| {
            let value = variable(name)?.to_string_lossy().to_ascii_lowercase();
            (!value.is_empty()).then_some(value)
        });
        if told.is_some_and(|told| told.starts_with("zh")) { Self::Zh } else { Self::En }
    }

    /// An English message of the program in this language. What the catalog does not know (the words of a system, of
    /// the machine) stays as it is.
    pub fn told(self, message: &str) -> String {
        match self {
            Self::En => message.to_owned(),
            Self::Zh => catalog::chinese(message),
        }
    }

    /// The text in this language.
    pub fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }
}

/// A sentence in the reader's language: `say!(language, "{rows} rows", "{rows} 行")`. Both texts stand side by side, and
/// both are checked against the same names when the program is built.
#[macro_export]
macro_rules! say {
    ($language:expr, $en:literal, $zh:literal $(, $name:ident = $value:expr)* $(,)?) => {
        match $language {
            $crate::language::Language::En => format!($en $(, $name = $value)*),
            $crate::language::Language::Zh => format!($zh $(, $name = $value)*),
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Language {
        Language::of(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_most_particular_variable_decides() {
        assert_eq!(with(&[]), Language::En);
        assert_eq!(with(&[("LANG", "zh_CN.UTF-8")]), Language::Zh);
        assert_eq!(with(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C.UTF-8")]), Language::En);
        assert_eq!(with(&[("LANG", "en_US.UTF-8"), ("HUILIU_LANG", "zh")]), Language::Zh);
        assert_eq!(with(&[("LC_ALL", ""), ("LANG", "zh")]), Language::Zh, "an empty variable says nothing");
    }

    #[test]
    fn a_sentence_is_said_in_both() {
        let rows = 3;
        assert_eq!(say!(Language::En, "{rows} rows of {name}", "{name} 的 {rows} 行", name = "a"), "3 rows of a");
        assert_eq!(say!(Language::Zh, "{rows} rows of {name}", "{name} 的 {rows} 行", name = "a"), "a 的 3 行");
    }
}
