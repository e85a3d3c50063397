//! The two languages of the console: what the reader chose, else what the browser asks for.

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// 简体中文.
    Zh,
}

impl Language {
    /// The short word in cookies and addresses.
    pub fn word(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The language tag of a page.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-CN",
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::En => Self::Zh,
            Self::Zh => Self::En,
        }
    }

    /// The language of a short word.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "en" => Some(Self::En),
            "zh" => Some(Self::Zh),
            _ => None,
        }
    }

    /// The language that `Accept-Language` prefers of these two; English if it names neither.
    pub fn of_browser(accepted: &str) -> Self {
        let mut best = (Self::En, 0.0);
        for part in accepted.split(',') {
            let mut parts = part.trim().split(';');
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|it| it.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            let language = Self::of_word(tag.split('-').next().unwrap_or_default());
            if let Some(language) = language.filter(|_| quality > best.1) {
                best = (language, quality);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_is_asked() {
        let cases = [
            ("", Language::En),
            ("de-DE,de;q=0.9", Language::En),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Zh),
            ("en-US,en;q=0.9,zh-CN;q=0.8", Language::En),
            ("fr, en;q=0.3, zh-TW;q=0.7", Language::Zh),
            ("zh;q=0", Language::En),
        ];
        for (accepted, language) in cases {
            assert_eq!(Language::of_browser(accepted), language, "{accepted}");
        }
    }
}
