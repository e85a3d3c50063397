//! Ids of customers that stay, findings that stick, and what keeps customers apart.

use huiliu_mappings::matching::linkage::{CustomerId, Event, Finding, Resident, Settings};

use crate::order::put;
use crate::world::{Cells, World, bounded, model};

fn resident() -> Resident {
    Resident::new(model(), Settings::shipped())
}

fn person(given: &str, family: &str, born: &str, phone: &str) -> Cells {
    let email = format!("{given}.{family}@example.com").to_lowercase();
    ["crm", given, family, born, &email, phone, "12 Harbour Street", "", "", ""].map(str::to_owned).to_vec()
}

fn lei() -> Cells {
    person("Leifang", "Oyama", "1971-03-09", "13911112222")
}

#[test]
fn an_id_stays_where_it_is_until_its_own_records_change() {
    let mut resident = resident();
    let mut world = World::new(5, 60);
    let people = world.people(60);
    people.iter().enumerate().for_each(|(at, cells)| put(&mut resident, &format!("p{at}"), cells));
    let before: Vec<_> = (0..60).map(|at| resident.customer(&format!("p{at}"))).collect();
    put(&mut resident, "lei", &lei());
    put(&mut resident, "lei too", &lei());
    assert_eq!(resident.customer("lei"), resident.customer("lei too"));
    resident.remove("lei");
    let after: Vec<_> = (0..60).map(|at| resident.customer(&format!("p{at}"))).collect();
    assert_eq!(before, after);
}

#[test]
fn the_oldest_id_survives_a_merge_and_the_larger_part_keeps_it() {
    let mut resident = resident();
    let mut apart = lei();
    apart[1] = "Quentin".to_owned();
    apart[2] = "Bergstrom".to_owned();
    apart[3] = "1950-11-30".to_owned();
    apart[4] = "q@else.example".to_owned();
    apart[5] = "13800000001".to_owned();
    apart[6] = "1 Mill Street".to_owned();
    put(&mut resident, "a", &lei());
    put(&mut resident, "b", &apart);
    let (one, two) = (resident.customer("a").unwrap(), resident.customer("b").unwrap());
    assert!(one < two);
    // What b says now makes it a.
    let events = resident.put("b", &lei().iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(events, [Event::Merged(two, one)]);
    assert_eq!(resident.current(two), Some(one), "the old id leads to the one that is left");
    assert_eq!(resident.records(two), ["a", "b"]);
    put(&mut resident, "c", &lei());
    // A steward parts a from b: the part of two keeps the id.
    let events = resident.find("a", "b", Finding::Different).unwrap();
    assert_eq!(events.len(), 1);
    let new = match events[0] {
        Event::Parted(from, new) if from == one => new,
        other => panic!("{other:?}"),
    };
    let of: Vec<CustomerId> = ["a", "b", "c"].iter().filter_map(|id| resident.customer(id)).collect();
    assert_eq!(of.iter().filter(|id| **id == one).count(), 2, "{of:?}");
    assert_eq!(of.iter().filter(|id| **id == new).count(), 1, "{of:?}");
    assert_ne!(of[0], of[1]);
    // Going and coming back changes nothing of it.
    resident.remove("a");
    put(&mut resident, "a", &lei());
    assert_ne!(resident.customer("a"), resident.customer("b"));
    for id in ["a", "b", "c"] {
        resident.remove(id);
    }
    assert!(resident.is_empty() && resident.current(one).is_none() && resident.customer("a").is_none());
}

#[test]
fn a_repeat_changes_nothing() {
    let mut resident = resident();
    put(&mut resident, "a", &lei());
    assert!(resident.put("a", &lei().iter().map(String::as_str).collect::<Vec<_>>()).is_empty());
}

#[test]
fn what_a_steward_tied_stays_tied_and_a_contradiction_is_refused() {
    let mut resident = resident();
    put(&mut resident, "a", &lei());
    put(&mut resident, "b", &person("Quentin", "Bergstrom", "1950-11-30", "13800000001"));
    assert_ne!(resident.customer("a"), resident.customer("b"));
    resident.find("a", "b", Finding::Same).unwrap();
    assert_eq!(resident.customer("a"), resident.customer("b"));
    resident.find("b", "absent", Finding::Same).unwrap();
    assert!(resident.find("a", "absent", Finding::Different).unwrap_err().contains("says otherwise"));
    resident.forget("a", "b");
    assert_ne!(resident.customer("a"), resident.customer("b"));
}

#[test]
fn two_numbers_that_prove_who_one_is_are_never_one_customer() {
    let with = |column: usize, numbers: [&str; 2]| {
        let mut resident = resident();
        for (id, number) in ["a", "b"].into_iter().zip(numbers) {
            let mut cells = lei();
            number.clone_into(&mut cells[column]);
            put(&mut resident, id, &cells);
        }
        resident.customer("a") == resident.customer("b")
    };
    assert!(!with(8, ["11010519491231002X", "440524188001010014"]), "two cards with right check characters");
    assert!(with(8, ["11010519491231002X", "110105194912310021"]), "one that was mistyped");
    assert!(with(8, ["11010519491231002X", "11010519491231002x"]));
    assert!(with(8, ["11010519491231002X", ""]));
    assert!(!with(9, ["M00001", "M00002"]), "a number of which one customer has one");
}

/// A telephone number of many is none: those who have nothing else in common part, and are together again when it is that of
/// few.
#[test]
fn a_telephone_of_too_many_stops_being_evidence() {
    let mut resident = Resident::new(bounded(400, 4, 300), Settings::shipped());
    let mut bare = person("Xenia", "Oyama", "", "13911112222");
    for at in [2, 4, 6] {
        bare[at].clear();
    }
    put(&mut resident, "a", &bare);
    bare[1] = "X".to_owned();
    put(&mut resident, "b", &bare);
    assert_eq!(resident.customer("a"), resident.customer("b"), "an initial and a telephone");
    let mut world = World::new(11, 50);
    for at in 0..3 {
        let mut cells = world.person();
        cells[5] = "13911112222".to_owned();
        put(&mut resident, &format!("hub{at}"), &cells);
    }
    assert_ne!(resident.customer("a"), resident.customer("b"), "five have it");
    resident.remove("hub1");
    assert_eq!(resident.customer("a"), resident.customer("b"), "four have it");
}
