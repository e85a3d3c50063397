//! Where a full scan stands. `WeCom` has no "modified since", so every pull reads everything, page by page.

use huiliu_core::connector::{ConnectorError, Cursor, Result};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// The parts of our cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scan {
    /// Digest of the member list that the scan goes through; empty before the first page.
    pub members: String,
    /// Members before this place in the list are done.
    pub at: usize,
    /// `WeCom`'s own cursor within the present group of members.
    pub cursor: String,
}

impl Scan {
    /// Reads a stored cursor; none is the start.
    pub fn read(from: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = from else { return Ok(Self::default()) };
        serde_json::from_str(cursor.as_str()).map_err(|_| ConnectorError::CursorExpired {
            detail: "the stored WeCom cursor is not one of ours; the scan starts from the beginning".to_owned(),
        })
    }

    /// This place, or the beginning when the member list is no longer the one the scan went through. A scan over two
    /// different lists could skip somebody and still call itself complete.
    pub fn over(self, members: &[String]) -> Self {
        let digest = digest(members);
        if self.members == digest && self.at < members.len().max(1) {
            self
        } else {
            Self { members: digest, at: 0, cursor: String::new() }
        }
    }

    /// As text for the store.
    pub fn write(&self) -> Cursor {
        Cursor::from(serde_json::json!({"members": self.members, "at": self.at, "cursor": self.cursor}).to_string())
    }
}

fn digest(members: &[String]) -> String {
    let hash = members.iter().fold(Sha1::new(), |hash, member| hash.chain_update(member).chain_update([0]));
    crate::crypto::hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_goes_on_only_over_the_same_members() {
        let members = ["a".to_owned(), "b".to_owned()];
        let begun = Scan::default().over(&members);
        let later = Scan { at: 1, cursor: "c".to_owned(), ..begun.clone() };
        assert_eq!(Scan::read(Some(&later.write())).unwrap(), later);
        assert_eq!(later.clone().over(&members), later);
        assert_eq!(later.over(&members[..1]).at, 0);
        assert_eq!(Scan::read(None).unwrap().over(&members), begun);
        assert_eq!(Scan::read(Some(&Cursor::from("7"))).unwrap_err().kind(), "cursor_expired");
    }
}
