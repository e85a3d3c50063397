//! Numbers of telephones as Chinese people write them: with or without 86, in full width, with an extension.

use crate::normalize::phone::is_cn_mobile;
use crate::normalize::text::half_width;

/// The digits of a number that is surely Chinese by its 86, its extension or its full width: eleven of a mobile, area code and
/// number of a landline. `None` for any other, which may be of anywhere.
pub fn national(raw: &str) -> Option<String> {
    let text = half_width(raw);
    let (number, had_extension) = without_extension(&text);
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let lead = number.trim_start_matches(|c: char| c == '(' || c.is_whitespace());
    // A number of eleven digits behind 86 is a mobile, whatever stands between.
    let bare = digits.strip_prefix("0086").or_else(|| {
        digits.strip_prefix("86").filter(|rest| {
            lead.starts_with("+86") || lead.starts_with("86-") || lead.starts_with("86 ") || is_cn_mobile(rest)
        })
    });
    match bare {
        Some(rest) if is_cn_mobile(rest) || rest.starts_with('0') || is_hotline(rest) => Some(rest.to_owned()),
        // Abroad the 0 of the area code is left out.
        Some(rest) if (9..=11).contains(&rest.len()) => Some(format!("0{rest}")),
        Some(_) => None,
        None if had_extension || text != raw => Some(digits),
        None => None,
    }
}

fn is_hotline(digits: &str) -> bool {
    digits.len() == 10 && (digits.starts_with("400") || digits.starts_with("800"))
}

/// The number before 转801, 分机801, or the third group of 0571-88157808-801.
pub(crate) fn without_extension(text: &str) -> (&str, bool) {
    if let Some((number, _)) = ["转", "轉", "分机", "分機"].iter().find_map(|mark| text.split_once(mark)) {
        return (number, true);
    }
    let count = |group: &str| group.bytes().filter(u8::is_ascii_digit).count();
    let groups: Vec<&str> = text.split('-').collect();
    match groups.as_slice() {
        [area, number, extension]
            if area.trim().starts_with('0')
                && (3..=4).contains(&count(area))
                && (7..=8).contains(&count(number))
                && (1..=6).contains(&count(extension)) =>
        {
            (&text[..area.len() + 1 + number.len()], true)
        }
        _ => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chinese_number_is_one_in_all_its_forms() {
        for mobile in
            ["+86 13800138000", "0086-13800138000", "86 138-0013-8000", "（+86）13800138000", "１３８００１３８０００"]
        {
            assert_eq!(national(mobile).as_deref(), Some("13800138000"), "{mobile}");
        }
        for line in [
            "0571-88157808-801",
            "057188157808转801",
            "+86 571 88157808",
            "(0571)88157808 分机 801",
            "０５７１-８８１５７８０８",
        ] {
            assert_eq!(national(line).as_deref(), Some("057188157808"), "{line}");
        }
        assert_eq!(national("+86 400 820 8820").as_deref(), Some("4008208820"));
    }

    #[test]
    fn what_may_be_of_anywhere_is_left_alone() {
        for raw in
            ["13800138000", "0571-88157808", "020-7946-0018", "(312) 555-0123", "862 555 0123", "+44 20 7946 0018"]
        {
            assert_eq!(national(raw), None, "{raw}");
        }
    }
}
