//! Invented values of the same form: letters for letters, digits for digits, 汉字 for 汉字; addresses of e-mail, telephone
//! numbers and numbers with a check stay valid. The same value becomes the same invention within one recording, in
//! whatever form it is written, so that records still refer to each other and one person stays one.

pub mod numbers;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};

use huiliu_mappings::lens::path::Path;
use huiliu_mappings::normalize::phone;
use serde_json::{Map, Value};

/// Replaces values; each has its own, random key.
#[derive(Default)]
pub struct Invent {
    key: RandomState,
    /// What stands for a run of letters or digits.
    known: BTreeMap<String, String>,
    used: BTreeSet<String>,
    identifiers_only: bool,
}

/// What stands for 汉字: common ones, none of them rare enough to name somebody.
const HAN: &[char] = &['安', '白', '成', '东', '方', '高', '海', '江', '林', '明', '南', '青', '山', '天', '文', '新'];

/// A number that is shorter counts or chooses something; it names nobody.
const SHORT_DIGITS: usize = 5;

/// The first digits say what kind of number it is: a carrier, a country, a century of seconds.
const KEPT_DIGITS: usize = 3;

/// Tries to find an invention that is valid and not taken yet; a run so short that all are taken shares one.
const TRIES: usize = 200;

impl Invent {
    /// Replaces only what identifies somebody by itself: addresses of e-mail and long numbers. Names stay.
    pub fn identifiers() -> Self {
        Self { identifiers_only: true, ..Self::default() }
    }

    /// Replaces every personal value in a record; what stands at the `kept` pointers is the system's own language.
    pub fn replace(&mut self, value: &mut Value, kept: &[String]) {
        let own: Vec<(Path, Value)> = kept
            .iter()
            .filter_map(|pointer| {
                let path = Path::parse(pointer).ok()?;
                let value = path.get(value)?.clone();
                Some((path, value))
            })
            .collect();
        self.under("", value);
        for (path, own) in own {
            path.put(value, own);
        }
    }

    fn under(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::Array(list) => list.iter_mut().for_each(|value| self.under(key, value)),
            Value::Object(map) => {
                let entries = std::mem::take(map).into_iter().map(|(key, mut value)| {
                    self.under(&key, &mut value);
                    // A map by address or number has people for keys.
                    (if is_email(&key) || is_long_number(&key) { self.text("", &key) } else { key }, value)
                });
                *map = entries.collect::<Map<String, Value>>();
            }
            Value::String(text) => {
                if let Some(mut inside) = json_inside(text) {
                    self.under(key, &mut inside);
                    *text = inside.to_string();
                } else if !is_choice(key, text) {
                    *text = self.text(key, text);
                }
            }
            Value::Number(number) => {
                if let Ok(invented) = serde_json::from_str(&self.number(&number.to_string())) {
                    *number = invented;
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn text(&mut self, key: &str, text: &str) -> String {
        if is_birthday(key) && text.parse::<jiff::civil::Date>().is_ok() {
            let (year, month, day) =
                (1950 + self.pick(text, 0, 50), 1 + self.pick(text, 1, 12), 1 + self.pick(text, 2, 28));
            return format!("{year}-{month:02}-{day:02}");
        }
        if is_vocabulary(text) {
            return text.to_owned();
        }
        if numbers::is_credit_code(text) {
            return self.proven(text, |invent, salt| {
                numbers::credit_code(text, |at, below| invent.pick(text, salt * 100 + at, below))
            });
        }
        if numbers::is_resident(text) {
            return self
                .proven(text, |invent, salt| numbers::resident(|at, below| invent.pick(text, salt * 100 + at, below)));
        }
        if is_email(text) {
            let local = text.split_once('@').map_or(text, |(local, _)| local);
            return format!("{}@example.com", self.letters(local));
        }
        if is_phone_like(text) {
            return self.number(text);
        }
        if self.identifiers_only {
            return text.to_owned();
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            // A global id keeps its words; an address on the web may hold a name anywhere.
            return match scheme {
                "http" | "https" => {
                    format!("{scheme}://example.com/{}", self.letters(rest.rsplit('/').next().unwrap_or("")))
                }
                _ => format!("{scheme}://{}", self.runs(rest, |c| c.is_ascii_digit())),
            };
        }
        self.letters(text)
    }

    /// Other digits, however they are grouped: `+86 139 1234 5678` and `13912345678` become one number.
    fn number(&mut self, text: &str) -> String {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if digits.len() < SHORT_DIGITS || is_amount(text) {
            return text.to_owned();
        }
        let national =
            digits.strip_prefix("0086").or_else(|| digits.strip_prefix("86")).filter(|rest| rest.len() == 11);
        let national = national.unwrap_or(&digits).to_owned();
        let invented = self.run(&national);
        let all = format!("{}{invented}", &digits[..digits.len() - national.len()]);
        let mut digits = all.chars();
        text.chars().map(|c| if c.is_ascii_digit() { digits.next().unwrap_or(c) } else { c }).collect()
    }

    /// Other letters and digits; each run of them is a word of its own, so that a name inside a remark stays the name.
    fn letters(&mut self, text: &str) -> String {
        self.runs(text, char::is_alphanumeric)
    }

    fn runs(&mut self, text: &str, belongs: impl Fn(char) -> bool) -> String {
        let kind = |c: char| if c.is_ascii_digit() { 1 } else { 2 };
        let (mut out, mut run) = (String::new(), String::new());
        for c in text.chars() {
            let joins = belongs(c)
                && run.chars().last().is_none_or(|last| kind(last) == kind(c) && last.is_ascii() == c.is_ascii());
            if !joins && !run.is_empty() {
                out.push_str(&self.run(&run));
                run.clear();
            }
            if belongs(c) { run.push(c) } else { out.push(c) }
        }
        if !run.is_empty() {
            out.push_str(&self.run(&run));
        }
        out
    }

    /// What stands for one run; capitals where it has capitals.
    fn run(&mut self, run: &str) -> String {
        let plain = run.to_lowercase();
        if !self.known.contains_key(&plain) {
            let mut fresh = self.fresh(&plain, 0);
            for salt in 1..TRIES {
                if fresh != plain && !self.used.contains(&fresh) && is_as_valid(&plain, &fresh) {
                    break;
                }
                fresh = self.fresh(&plain, salt);
            }
            self.used.insert(fresh.clone());
            self.known.insert(plain.clone(), fresh);
        }
        let fresh = self.known.get(&plain).cloned().unwrap_or_default();
        let cased = |(made, was): (char, char)| if was.is_ascii_uppercase() { made.to_ascii_uppercase() } else { made };
        fresh.chars().zip(run.chars()).map(cased).collect()
    }

    fn fresh(&self, plain: &str, salt: usize) -> String {
        let is_number = plain.bytes().all(|b| b.is_ascii_digit());
        let kept = if is_number && plain.len() >= SHORT_DIGITS { KEPT_DIGITS } else { 0 };
        let replace = |(at, c): (usize, char)| {
            let at_salt = salt * 1000 + at;
            match c {
                _ if at < kept => c,
                'a'..='z' => self.letter(plain, at_salt, b'a', 26),
                '0'..='9' => self.letter(plain, at_salt, b'0', 10),
                _ => HAN[self.pick(plain, at_salt, HAN.len())],
            }
        };
        let fresh: String = plain.chars().enumerate().map(replace).collect();
        if numbers::is_luhn(plain) { numbers::with_luhn(&fresh) } else { fresh }
    }

    /// An invention that is made at once and need not keep its letters.
    fn proven(&mut self, text: &str, make: impl Fn(&Self, usize) -> String) -> String {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let made = (0..TRIES).map(|salt| make(self, salt)).find(|made| made != text && !self.used.contains(made));
        let made = made.unwrap_or_default();
        self.used.insert(made.clone());
        self.known.insert(text.to_owned(), made.clone());
        made
    }

    fn letter(&self, text: &str, at: usize, first: u8, count: usize) -> char {
        char::from(first + u8::try_from(self.pick(text, at, count)).unwrap_or(0))
    }

    fn pick(&self, text: &str, at: usize, below: usize) -> usize {
        usize::try_from(self.key.hash_one((text, at)) >> 1).unwrap_or(at) % below
    }
}

/// Where the one is a telephone number, so is the other, and of the same type.
fn is_as_valid(was: &str, made: &str) -> bool {
    if was.len() < SHORT_DIGITS || !was.bytes().all(|b| b.is_ascii_digit()) {
        return true;
    }
    let kind =
        |digits: &str, sign: &str| phone::canonical(&format!("{sign}{digits}"), "CN").ok().map(|it| it["type"].clone());
    ["", "+"].iter().all(|sign| kind(was, sign).is_none_or(|was| kind(made, sign) == Some(was)))
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, host)| !local.is_empty() && host.contains('.') && !text.contains(' '))
}

fn is_phone_like(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || "+-() .".contains(c))
}

fn is_long_number(text: &str) -> bool {
    text.len() >= 7 && is_phone_like(text)
}

/// A text that holds a JSON object or list.
fn json_inside(text: &str) -> Option<Value> {
    let looks = text.starts_with(['{', '[']);
    looks.then(|| serde_json::from_str::<Value>(text).ok()).flatten()
}

/// Keys under which a system writes words of its own.
const CHOICES: &[&str] = &["currency", "country", "state", "status", "type", "kind", "stage", "gender"];

/// One word under a key that offers a choice: `"currencyCode": "CNY"`.
fn is_choice(key: &str, text: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let word = text.chars().all(|c| c.is_ascii_alphabetic() || c == '_' || c == '-');
    word && CHOICES.iter().any(|choice| key.contains(choice))
}

/// A day of birth says who somebody is; other days do not.
fn is_birthday(key: &str) -> bool {
    let key = key.to_lowercase();
    ["birth", "dob", "bday", "生日", "出生"].iter().any(|word| key.contains(word))
}

/// What names nobody under any key: instants, days, amounts, booleans, nothing.
fn is_vocabulary(text: &str) -> bool {
    let stamp = text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok();
    text.is_empty() || stamp || is_amount(text) || matches!(text, "true" | "false")
}

/// 128.00; a telephone number with dots has more of them, a place on the map more digits behind.
fn is_amount(text: &str) -> bool {
    text.split_once('.').is_some_and(|(whole, part)| {
        let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        digits(whole.trim_start_matches('-')) && digits(part) && part.len() <= 4
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn invented(mut value: Value) -> Value {
        Invent::default().replace(&mut value, &[]);
        value
    }

    #[test]
    fn people_are_replaced_and_forms_kept() {
        let real = json!({ "id": "gid://shopify/Customer/9007199254740995", "name": "王小明", "mail": "Wang.Xiao@corp.cn",
            "phone": "+8613912345678", "mobile": 13_912_345_678_u64, "note": "Lives at 5 Rose St", "ref": "王小明",
            "photo": "https://cdn.corp.cn/wang.png", "family_name": "WANG", "birthday": "1988-03-05", "at": 31.230_416 });
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
        assert!(text("phone").starts_with("+86139") && text("id").starts_with("gid://shopify/Customer/900"));
        assert!(!text("photo").contains("corp") && !text("photo").contains("wang"));
        assert!(text("birthday").parse::<jiff::civil::Date>().is_ok());
    }

    #[test]
    fn one_person_stays_one_in_every_form() {
        let told = invented(
            json!({ "a": "+86 139 1234 5678", "b": "13912345678", "c": 13_912_345_678_u64, "d": "0086-139-1234-5678",
            "e": "Han.Mei@corp.cn", "f": "han.mei@corp.cn", "g": "韩梅梅", "h": "韩梅梅-星河", "i": "HAN", "j": "Han" }),
        );
        let digits = |field: &str| -> String {
            let all: String = told[field].to_string().chars().filter(char::is_ascii_digit).collect();
            all[all.len() - 11..].to_owned()
        };
        assert!(["a", "c", "d"].iter().all(|field| digits(field) == digits("b")), "{told}");
        assert!(phone::canonical(&digits("b"), "CN").unwrap()["type"] == "mobile");
        let text = |field: &str| told[field].as_str().unwrap().to_owned();
        assert_eq!(text("e").to_lowercase(), text("f"));
        assert!(text("h").starts_with(&format!("{}-", text("g"))));
        assert_eq!(text("i"), text("j").to_uppercase());
        assert!(text("f").starts_with(&text("i").to_lowercase()), "a name in an address is the same name");
    }

    #[test]
    fn numbers_with_a_check_still_pass_it() {
        let real = json!({ "tax": "91350100M000100Y43", "resident": "11010519491231002X", "card": "4111111111111111",
            "abroad": "+14155552671", "landline": "010-62512345", "inside": "{\"mail\":\"a.b@corp.cn\"}", "by": { "a.b@corp.cn": 1 } });
        for _ in 0..20 {
            let told = invented(real.clone());
            let text = |field: &str| told[field].as_str().unwrap().to_owned();
            assert!(numbers::is_credit_code(&text("tax")) && text("tax") != "91350100M000100Y43", "{told}");
            assert!(numbers::is_resident(&text("resident")) && numbers::is_luhn(&text("card")), "{told}");
            for field in ["abroad", "landline"] {
                assert!(phone::canonical(&text(field), "CN").is_ok(), "{field}: {told}");
            }
            assert!(!told.to_string().contains("a.b@") && !told.to_string().contains("corp"), "{told}");
            assert!(serde_json::from_str::<Value>(&text("inside")).is_ok());
        }
    }

    #[test]
    fn different_records_keep_different_ids() {
        let mut invent = Invent::default();
        let ids: BTreeSet<String> = (0..200)
            .map(|number| {
                let mut record = json!({ "id": 700_000 + number });
                invent.replace(&mut record, &[]);
                record["id"].to_string()
            })
            .collect();
        assert_eq!(ids.len(), 200);
    }

    #[test]
    fn the_systems_own_words_stay() {
        let words = json!({ "state": "NOT_SUBSCRIBED", "currency": "CNY", "at": "2026-01-02T03:04:05Z", "day": "2026-01-02",
            "flag": "true", "amount": "128.00", "count": 3, "price": 19.99, "none": null, "empty": "" });
        assert_eq!(invented(words.clone()), words);
        let mut level = json!({ "level": "gold", "name": "gold" });
        Invent::default().replace(&mut level, &["/level".to_owned()]);
        assert!(level["level"] == "gold" && level["name"] != "gold");
    }

    #[test]
    fn identifiers_alone_can_be_replaced() {
        let mut told = json!({ "name": "韩梅梅", "mail": "han@corp.cn", "phone": "13912345678" });
        Invent::identifiers().replace(&mut told, &[]);
        assert!(told["name"] == "韩梅梅" && told["mail"] != "han@corp.cn" && told["phone"] != "13912345678");
    }
}
