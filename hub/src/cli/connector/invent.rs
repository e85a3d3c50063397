//! Invented values of the same form: letters for letters, digits for digits, 汉字 for 汉字. The same value becomes the
//! same invention within one recording, so that records still refer to each other.

use std::hash::{BuildHasher as _, RandomState};

use serde_json::Value;

/// Replaces values; each has its own, random key.
#[derive(Default)]
pub struct Invent {
    key: RandomState,
}

/// What stands for 汉字: common ones, none of them rare enough to name somebody.
const HAN: &[char] = &['安', '白', '成', '东', '方', '高', '海', '江', '林', '明', '南', '青', '山', '天', '文', '新'];

/// A number that is shorter counts or chooses something; it names nobody.
const SHORT_DIGITS: usize = 5;

/// The first digits say what kind of number it is: a carrier, a country, a century of seconds.
const KEPT_DIGITS: usize = 3;

impl Invent {
    /// Replaces every personal value in a record.
    pub fn replace(&self, value: &mut Value) {
        self.under("", value);
    }

    fn under(&self, key: &str, value: &mut Value) {
        match value {
            Value::Array(list) => list.iter_mut().for_each(|value| self.under(key, value)),
            Value::Object(map) => map.iter_mut().for_each(|(key, value)| self.under(key, value)),
            Value::String(text) if !is_choice(key, text) => *text = self.text(text),
            Value::Number(number) => {
                let text = number.to_string();
                if let Ok(invented) = serde_json::from_str(&self.digits(&text)) {
                    *number = invented;
                }
            }
            Value::String(_) | Value::Null | Value::Bool(_) => {}
        }
    }

    fn text(&self, text: &str) -> String {
        if is_vocabulary(text) {
            return text.to_owned();
        }
        if let Some((local, _)) = text.split_once('@').filter(|(_, host)| host.contains('.') && !host.contains(' ')) {
            return format!("{}@example.com", self.letters(local));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            // A global id keeps its words; an address on the web may hold a name anywhere.
            return match scheme {
                "http" | "https" => {
                    format!("{scheme}://example.com/{}", self.letters(rest.rsplit('/').next().unwrap_or("")))
                }
                _ => format!("{scheme}://{}", self.digits(rest)),
            };
        }
        if text.chars().all(|c| c.is_ascii_digit() || "+-() ".contains(c)) {
            self.digits(text)
        } else {
            self.letters(text)
        }
    }

    /// Other digits in runs that are long enough to name somebody.
    fn digits(&self, text: &str) -> String {
        let count = text.chars().filter(char::is_ascii_digit).count();
        let mut seen = 0;
        let replace = |(at, c): (usize, char)| {
            if !c.is_ascii_digit() {
                return c;
            }
            seen += 1;
            if count < SHORT_DIGITS || seen <= KEPT_DIGITS || text.contains('.') {
                c
            } else {
                self.pick(text, at, b'0', 10)
            }
        };
        text.chars().enumerate().map(replace).collect()
    }

    fn letters(&self, text: &str) -> String {
        let replace = |(at, c): (usize, char)| match c {
            'a'..='z' => self.pick(text, at, b'a', 26),
            'A'..='Z' => self.pick(text, at, b'A', 26),
            '0'..='9' => self.pick(text, at, b'0', 10),
            _ if c.is_alphabetic() => HAN[self.hash(text, at) % HAN.len()],
            _ => c,
        };
        text.chars().enumerate().map(replace).collect()
    }

    fn pick(&self, text: &str, at: usize, first: u8, count: u8) -> char {
        let step = u8::try_from(self.hash(text, at) % usize::from(count)).unwrap_or(0);
        char::from(first + step)
    }

    fn hash(&self, text: &str, at: usize) -> usize {
        usize::try_from(self.key.hash_one((text, at)) >> 1).unwrap_or(at)
    }
}

/// Keys under which a system writes words of its own.
const CHOICES: &[&str] = &["currency", "country", "state", "status", "type", "kind", "stage", "gender"];

/// One word under a key that offers a choice: `"currencyCode": "CNY"`.
fn is_choice(key: &str, text: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let word = text.chars().all(|c| c.is_ascii_alphabetic() || c == '_' || c == '-');
    word && CHOICES.iter().any(|choice| key.contains(choice))
}

/// What names nobody under any key: instants, days, amounts, booleans, nothing.
fn is_vocabulary(text: &str) -> bool {
    let stamp = text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok();
    // 128.00; a telephone number with dots has more of them, or more digits behind.
    let amount = text.split_once('.').is_some_and(|(whole, part)| {
        let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        digits(whole.trim_start_matches('-')) && digits(part) && part.len() <= 4
    });
    text.is_empty() || stamp || amount || matches!(text, "true" | "false")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn invented(mut value: Value) -> Value {
        Invent::default().replace(&mut value);
        value
    }

    #[test]
    fn people_are_replaced_and_forms_kept() {
        let real = json!({ "id": "gid://shopify/Customer/9007199254740995", "name": "王小明", "mail": "Wang.Xiao@corp.cn",
            "phone": "+8613912345678", "mobile": 13_912_345_678_u64, "note": "Lives at 5 Rose St", "ref": "王小明",
            "photo": "https://cdn.corp.cn/wang.png", "family_name": "WANG" });
        let told = invented(real.clone());
        for (field, value) in real.as_object().unwrap() {
            assert_ne!(told[field], *value, "{field}");
            let length = |value: &Value| value.to_string().chars().count();
            assert!(
                field == "mail" || field == "photo" || length(value) == length(&told[field]),
                "{field}: {}",
                told[field]
            );
        }
        assert_eq!(told["name"], told["ref"], "the same value becomes the same invention");
        let text = |field: &str| told[field].as_str().unwrap().to_owned();
        assert!(text("mail").ends_with("@example.com") && text("mail").as_bytes()[4] == b'.');
        assert!(text("phone").starts_with("+861") && text("id").starts_with("gid://shopify/Customer/900"));
        assert!(!text("photo").contains("corp") && !text("photo").contains("wang"));
    }

    #[test]
    fn the_systems_own_words_stay() {
        let words = json!({ "state": "NOT_SUBSCRIBED", "currency": "CNY", "at": "2026-01-02T03:04:05Z", "day": "2026-01-02",
            "flag": "true", "amount": "128.00", "count": 3, "price": 19.99, "none": null, "empty": "" });
        assert_eq!(invented(words.clone()), words);
    }
}
