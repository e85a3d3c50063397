//! What every reader of XML needs, and must not get wrong.

use quick_xml::events::BytesRef;

/// A predefined entity or a character reference. None for any other entity: nothing else can be declared, so nothing else
/// can expand.
pub fn character(reference: &BytesRef<'_>) -> Option<char> {
    if let Some(known) = reference.resolve_char_ref().ok()? {
        return Some(known);
    }
    match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => None,
    }
}
