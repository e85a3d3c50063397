//! Numbers that carry their own proof: an invented one must pass the same check.

use huiliu_mappings::normalize::text;

/// Whether the digits pass Luhn's check and are as many as a card or a device has.
pub fn is_luhn(digits: &str) -> bool {
    (13..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && luhn(digits) == 0
}

fn luhn(digits: &str) -> u32 {
    let doubled = |(at, b): (usize, u8)| {
        let digit = u32::from(b - b'0');
        match at % 2 {
            0 => digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        }
    };
    digits.bytes().rev().enumerate().map(doubled).sum::<u32>() % 10
}

/// The digits with a last one that makes them pass Luhn's check.
pub fn with_luhn(digits: &str) -> String {
    let body = &digits[..digits.len() - 1];
    let check = (10 - luhn(&format!("{body}0"))) % 10;
    format!("{body}{check}")
}

/// Whether it is a 统一社会信用代码 whose check character is right.
pub fn is_credit_code(code: &str) -> bool {
    code.len() == 18 && code.bytes().all(|b| b.is_ascii_alphanumeric()) && text::tax_id(code).is_ok()
}

/// The alphabet of GB 32100: no I, O, S, V, Z.
const CREDIT: &[u8] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// A code of the same registration office and district, with an invented organization; `pick` chooses below a number.
pub fn credit_code(like: &str, pick: impl Fn(usize, usize) -> usize) -> String {
    const WEIGHTS: [usize; 8] = [3, 7, 9, 10, 5, 8, 4, 2];
    let like = like.to_ascii_uppercase();
    let organization: Vec<u8> = (0..8).map(|at| CREDIT[pick(at, CREDIT.len())]).collect();
    // GB 11714: an organization's own check digit; letters count from 10.
    let value = |b: u8| usize::from(if b.is_ascii_digit() { b - b'0' } else { b - b'A' + 10 });
    let sum: usize = organization.iter().zip(WEIGHTS).map(|(b, weight)| value(*b) * weight).sum();
    let own = match 11 - sum % 11 {
        10 => 'X',
        11 => '0',
        digit => char::from(b'0' + u8::try_from(digit).unwrap_or(0)),
    };
    let body = format!("{}{}{own}", &like[..8], String::from_utf8_lossy(&organization));
    let passing = CREDIT.iter().map(|check| format!("{body}{}", char::from(*check)));
    passing.into_iter().find(|code| text::tax_id(code).is_ok()).unwrap_or(body)
}

/// Whether it is a number of a resident's card (GB 11643): 17 digits and a check character.
pub fn is_resident(id: &str) -> bool {
    id.len() == 18
        && id.is_ascii()
        && id[..17].bytes().all(|b| b.is_ascii_digit())
        && id.to_ascii_uppercase().ends_with(resident_check(&id[..17]))
}

fn resident_check(digits: &str) -> char {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = digits.bytes().zip(WEIGHTS).map(|(b, weight)| u32::from(b - b'0') * weight).sum();
    char::from(b"10X98765432"[(sum % 11) as usize])
}

/// An invented resident: another district, day of birth and number.
pub fn resident(pick: impl Fn(usize, usize) -> usize) -> String {
    let (year, month, day) = (1950 + pick(0, 50), 1 + pick(1, 12), 1 + pick(2, 28));
    let body = format!("110101{year}{month:02}{day:02}{:03}", pick(3, 1000));
    let check = resident_check(&body);
    format!("{body}{check}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers_pass_and_their_neighbours_do_not() {
        assert!(is_luhn("4111111111111111") && !is_luhn("4111111111111112"));
        assert_eq!(with_luhn("4111111111111110"), "4111111111111111");
        assert!(!is_credit_code("0086-139-1234-5678"), "a telephone number of as many characters");
        assert!(is_credit_code("91350100M000100Y43") && !is_credit_code("91350100M000100Y44"));
        assert!(!is_resident("汇流测试贸易"), "as many bytes");
        assert!(is_resident("11010519491231002X") && !is_resident("110105194912310021"));
        let pick = |at: usize, below: usize| (at * 7 + 3) % below;
        assert!(is_credit_code(&credit_code("91350100M000100Y43", pick)));
        assert!(is_resident(&resident(pick)));
    }
}
