//! The verdict: does every system hold what its people and their colleagues elsewhere did, once, and nothing else?
//!
//! It looks at the systems alone, never at the hub's own tables.

use super::systems::Row;

/// What is wrong at the end of the day; nothing, if every list is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records and values that should be there and are not.
    pub lost: Vec<String>,
    /// Records that are there twice, or that nobody made.
    pub duplicated: Vec<String>,
    /// Values that are not what they should be.
    pub different: Vec<String>,
    /// Scenes whose consequence did not come in time.
    pub missed: usize,
    /// Writes that arrived after everything was quiet.
    pub late_writes: u64,
    /// Records and values that were compared.
    pub compared: usize,
}

impl Verdict {
    /// Compares what is there with what should be there.
    pub fn of(expected: &[Row], found: &[Row]) -> Self {
        let mut verdict = Self::default();
        let mut left: Vec<&Row> = found.iter().collect();
        for row in expected {
            let name = format!("{} in {}", row.who, row.system);
            let Some(at) = left.iter().position(|it| it.system == row.system && it.who == row.who) else {
                verdict.lost.push(name);
                continue;
            };
            verdict.compare(row, left.remove(at), &name);
        }
        verdict.duplicated.extend(left.iter().map(|row| format!("{} in {}", row.who, row.system)));
        verdict
    }

    fn compare(&mut self, expected: &Row, found: &Row, name: &str) {
        self.compared += expected.fields.len().max(found.fields.len());
        for (field, wanted) in &expected.fields {
            match found.fields.get(field) {
                None => self.lost.push(format!("{field} of {name}: {wanted}")),
                Some(there) if there != wanted => {
                    self.different.push(format!("{field} of {name}: {there}, should be {wanted}"));
                }
                Some(_) => {}
            }
        }
        let unasked = found.fields.iter().filter(|(field, _)| !expected.fields.contains_key(*field));
        self.different.extend(unasked.map(|(field, there)| format!("{field} of {name}: {there}, should be empty")));
    }

    /// Whether every system agrees, nothing was lost or doubled, and nothing was written in the silence.
    pub fn is_good(&self) -> bool {
        self.lost.is_empty()
            && self.duplicated.is_empty()
            && self.different.is_empty()
            && self.missed == 0
            && self.late_writes == 0
            && self.compared > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(who: &str, fields: &[(&str, &str)]) -> Row {
        let fields = fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Row { system: "shop".to_owned(), who: who.to_owned(), fields }
    }

    #[test]
    fn every_kind_of_damage_is_told_apart() {
        let expected = [row("A", &[("note", "x"), ("tags", "1")]), row("B", &[("note", "y")]), row("C", &[])];
        assert!(Verdict::of(&expected, &expected).is_good());
        let found =
            [row("A", &[("note", "z"), ("phone", "7")]), row("B", &[("note", "y")]), row("B", &[("note", "y")])];
        let verdict = Verdict::of(&expected, &found);
        assert_eq!(verdict.lost, ["tags of A in shop: 1", "C in shop"]);
        assert_eq!(verdict.duplicated, ["B in shop"]);
        assert_eq!(verdict.different, ["note of A in shop: z, should be x", "phone of A in shop: 7, should be empty"]);
        assert!(!verdict.is_good());
        assert!(!Verdict { late_writes: 1, compared: 1, ..Verdict::default() }.is_good());
        assert!(!Verdict::of(&[], &[]).is_good(), "nothing compared proves nothing");
    }
}
