//! Numbers with a check character: the credit code of organisations (GB 32100-2015) and the organisation code inside it
//! (GB 11714-1997), the number of a resident's card (GB 11643-1999) and its older form of fifteen digits.
//!
//! All take a number as [`clean`] leaves it.

/// Half-width, upper case, without blanks and hyphens.
pub fn clean(raw: &str) -> String {
    let half = crate::normalize::text::half_width(raw);
    half.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

const CREDIT_CODE: &[u8] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
const CREDIT_WEIGHTS: [usize; 17] = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];

/// Whether these 18 characters are a 统一社会信用代码 whose check character is right.
pub fn is_credit_code(code: &str) -> bool {
    let places: Option<Vec<usize>> = code.bytes().map(|b| CREDIT_CODE.iter().position(|known| *known == b)).collect();
    places.is_some_and(|places| {
        let sum: usize = places.iter().zip(CREDIT_WEIGHTS).map(|(place, weight)| place * weight).sum();
        places.len() == 18 && places[17] == (31 - sum % 31) % 31
    })
}

const ORGANIZATION_WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];

/// Whether these nine characters are an 组织机构代码 whose check character is right.
pub fn is_organization_code(code: &str) -> bool {
    let [body @ .., check] = code.as_bytes() else { return false };
    if body.len() != 8 {
        return false;
    }
    let Some(sum) = body.iter().zip(ORGANIZATION_WEIGHTS).try_fold(0, |sum, (byte, weight)| {
        Some(sum + char::from(*byte).to_digit(36).filter(|_| !byte.is_ascii_lowercase())? * weight)
    }) else {
        return false;
    };
    let right = match 11 - sum % 11 {
        10 => 'X',
        11 => '0',
        digit => char::from_digit(digit, 10).unwrap_or_default(),
    };
    char::from(*check) == right
}

/// The organisation code in a number of an organisation: of a credit code its digits 9 to 17, of an old tax number of
/// fifteen characters what follows its six digits of a region, of an organisation code all. What has a wrong check character
/// names nobody.
pub fn organization(code: &str) -> Option<&str> {
    let inner = match code.len() {
        18 if is_credit_code(code) => code.get(8..17)?,
        15 if code.as_bytes()[..6].iter().all(u8::is_ascii_digit) => code.get(6..)?,
        9 => code,
        _ => return None,
    };
    is_organization_code(inner).then_some(inner)
}

const RESIDENT_WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

fn resident_check(body: &str) -> Option<char> {
    let digits: Option<Vec<u32>> = body.chars().map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits?.iter().zip(RESIDENT_WEIGHTS).map(|(digit, weight)| digit * weight).sum();
    "10X98765432".chars().nth((sum % 11) as usize)
}

/// Whether year, month and day can be a date of birth. Regions begin with the number of a province.
fn is_plausible(region: &str, date: &str) -> bool {
    let number = |from: usize, to: usize| date.get(from..to).and_then(|part| part.parse::<u32>().ok());
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(4, 6), number(6, 8)) else { return false };
    (b'1'..=b'8').contains(&region.as_bytes()[0])
        && (1850..=2099).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
}

/// The number of a resident's card in its form of eighteen characters; an older one of fifteen digits becomes it: its year
/// gets its century, and the check character is computed. `None` for a wrong one.
pub fn resident(code: &str) -> Option<String> {
    let whole = match code.len() {
        18 if code.is_ascii() => code.to_owned(),
        15 if code.bytes().all(|b| b.is_ascii_digit()) => {
            let body = format!("{}19{}", &code[..6], &code[6..]);
            let check = resident_check(&body)?;
            format!("{body}{check}")
        }
        _ => return None,
    };
    let (body, check) = whole.split_at(17);
    let fine = resident_check(body)?.to_string() == check && is_plausible(&body[..6], &body[6..14]);
    fine.then_some(whole)
}

/// Whether this is a credit code or the number of a resident's card, and its check character is right.
pub fn is_known(code: &str) -> bool {
    is_credit_code(code) || resident(code).is_some()
}

/// Whether this looks like one of the two numbers of eighteen characters, and its check character is wrong.
pub fn is_mistaken(code: &str) -> bool {
    code.len() == 18
        && code.bytes().take(17).filter(u8::is_ascii_digit).count() >= 8
        && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        && !is_known(code)
}

/// How two different numbers are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Two numbers of one organisation, or one number in two forms.
    Same,
    /// Both are right, so no slip of the pen makes one of the other.
    Different,
}

/// How two different numbers are related, where their check characters tell.
pub fn relation(a: &str, b: &str) -> Option<Relation> {
    if a.len() == b.len() && a.len() != 18 {
        return None;
    }
    if let (Some(one), Some(other)) = (organization(a), organization(b)) {
        return Some(if one == other { Relation::Same } else { Relation::Different });
    }
    let (one, other) = (resident(a)?, resident(b)?);
    Some(if one == other { Relation::Same } else { Relation::Different })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The check character of GB 32100-2015, computed another way: the one that makes the weighted sum a multiple of 31.
    pub(crate) fn credit(body: &str) -> String {
        let place = |c: char| "0123456789ABCDEFGHJKLMNPQRTUWXY".chars().position(|it| it == c).unwrap();
        let (mut weight, mut sum) = (1, 0);
        for c in body.chars() {
            sum += place(c) * weight;
            weight = weight * 3 % 31;
        }
        let check = (0..31).find(|check| (sum + check) % 31 == 0).unwrap();
        format!("{body}{}", "0123456789ABCDEFGHJKLMNPQRTUWXY".chars().nth(check).unwrap())
    }

    #[test]
    fn an_organization_is_one_under_its_old_and_new_numbers() {
        // GB 11714 gives D2143569-X as its example.
        assert!(is_organization_code("D2143569X"));
        assert!(!is_organization_code("D21435690"));
        let code = credit("91110108D2143569X");
        assert!(is_credit_code(&code), "{code}");
        assert_eq!(organization(&code), Some("D2143569X"));
        assert_eq!(relation(&code, "110108D2143569X"), Some(Relation::Same));
        assert_eq!(relation("D2143569X", &code), Some(Relation::Same));
        assert_eq!(relation(&code, &credit("92110108D2143569X")), Some(Relation::Same));
        assert_eq!(relation(&code, "11010812345678X"), None);
        assert!(is_mistaken(&format!("{}0", &code[..17])) || code.ends_with('0'));
        assert_eq!(clean("91110108-d214 3569x0"), "91110108D2143569X0");
    }

    #[test]
    fn a_resident_has_one_number_in_two_forms() {
        // The example of GB 11643-1999.
        assert_eq!(resident("11010519491231002X").as_deref(), Some("11010519491231002X"));
        assert_eq!(resident("440524188001010014").as_deref(), Some("440524188001010014"));
        assert_eq!(resident("110105491231002").as_deref(), Some("11010519491231002X"));
        assert_eq!(relation("110105491231002", "11010519491231002X"), Some(Relation::Same));
        for wrong in ["110105194912310021", "11010519491331002X", "01010519491231002X", "11010519491231002"] {
            assert_eq!(resident(wrong), None, "{wrong}");
        }
        assert!(is_mistaken("110105194912310021") && !is_mistaken("11010519491231002X"));
        assert!(!is_mistaken("ABCDEFGHIJKLMNOPQR"));
    }
}
