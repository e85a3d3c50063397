//! A system changes the form of its records in the middle of the day: nothing is lost, nothing is deleted or cleared
//! anywhere, and once the mapping is mended everything is as if the form had never changed.

mod world;

use std::ops::ControlFlow;

use huiliu_core::drift::{self, Kind, Parked, Part, Policies, Policy, State as Then};
use huiliu_core::link::LinkKey;
use huiliu_core::pipeline::pull;
use huiliu_core::replay;
use huiliu_core::review::Steward;
use huiliu_core::store::{Store, drifts, inbox, links, streams};
use huiliu_tests::kit::{customers, on_both_stores};
use serde_json::{Value, json};

use world::{A, B, Day, Form, PEOPLE, World, person, same, waiting_policies};

fn rename(body: &mut Value) {
    let Some(phone) = body.as_object_mut().and_then(|it| it.remove("phone")) else { return };
    body["mobile_phone"] = phone;
}

#[test]
fn a_renamed_field_is_suggested_and_nothing_is_lost() {
    let day = Day { form: rename, mended: A.replace("\"/phone\"", "\"/mobile_phone\""), newcomer: person(31) };
    let control = day.control();
    on_both_stores(|store| {
        let mut world = World::new(&store, Policies::default());
        day.play(&world, day.form);
        let finding = world.only();
        assert_eq!((finding.kind, finding.place.as_str(), finding.state), (Kind::Vanished, "/phone", Then::Open));
        assert_eq!(finding.detail.suggestion.as_deref(), Some("/mobile_phone"));
        assert_eq!(finding.detail.alike, Some((PEOPLE, PEOPLE)));
        assert_eq!(world.waiting(), 31, "each record once, however often it came");
        assert_eq!(world.in_b(1).unwrap()["called"], "客户一", "what is not about the field goes on");
        assert!(world.in_b(31).is_none(), "nobody knows who has no phone number any more: the record waits");
        world.nothing_was_cleared();

        world.mended(&day.mended, B);
        assert_eq!(world.only().state, Then::Mended);
        assert_eq!(world.waiting(), 0);
        assert_eq!(world.end(), control);
        world.nothing_was_cleared();
    });
}

#[test]
fn a_renamed_field_under_every_policy_that_waits() {
    let day = Day { form: rename, mended: A.replace("\"/phone\"", "\"/mobile_phone\""), newcomer: person(31) };
    let control = day.control();
    for policies in waiting_policies() {
        on_both_stores(|store| {
            let mut world = World::new(&store, policies.clone());
            day.play(&world, day.form);
            world.nothing_was_cleared();
            world.mended(&day.mended, B);
            assert_eq!((world.only().state, world.waiting()), (Then::Mended, 0));
            assert_eq!(world.end(), control, "{policies:?}");
            world.nothing_was_cleared();
        });
    }
}

#[test]
fn a_dropped_field_clears_nothing() {
    let newcomer = |mut body: Value| {
        body.as_object_mut().unwrap().remove("title");
        body
    };
    let form: Form = |body| {
        body.as_object_mut().unwrap().remove("title");
    };
    let day = Day { form, mended: A.replace("title = \"/title\"\n", ""), newcomer: newcomer(person(31)) };
    let control = day.control();
    for accepts in [true, false] {
        on_both_stores(|store| {
            let mut world = World::new(&store, Policies::default());
            day.play(&world, day.form);
            let finding = world.only();
            assert_eq!((finding.kind, finding.place.as_str()), (Kind::Vanished, "/title"));
            assert_eq!(finding.detail.suggestion, None);
            assert_eq!(world.in_b(31).unwrap()["called"], "客户31", "a title says nothing about who somebody is");
            if accepts {
                let steward = Steward { name: "wang", why: "they have no titles any more" };
                drift::accept(&world.engine, finding.number, steward).unwrap();
                world.settle();
            } else {
                world.mended(&day.mended, B);
            }
            assert_eq!(world.waiting(), 0);
            assert_eq!(world.end(), control);
            assert_eq!(world.in_b(7).unwrap()["role"], "title 7");
            world.nothing_was_cleared();
            // What was taken once is not found again.
            world.a.reshape(|body| body["note"] = json!("new"));
            world.settle();
            assert_ne!(world.only().state, Then::Open);
        });
    }
}

#[test]
fn a_retyped_field_keeps_its_value_until_it_can_be_read() {
    let form: Form = |body| {
        if body["title"].is_string() {
            body["title"] = json!({"text": body["title"].clone()});
        }
    };
    let day = Day { form, mended: A.replace("\"/title\"", "\"/title/text\""), newcomer: person(31) };
    let control = day.control();
    for policies in waiting_policies() {
        on_both_stores(|store| {
            let mut world = World::new(&store, policies.clone());
            day.play(&world, day.form);
            let finding = world.only();
            assert_eq!((finding.kind, finding.place.as_str(), finding.state), (Kind::Retyped, "/title", Then::Open));
            assert!(finding.sentence().contains("was string and is object now"), "{}", finding.sentence());
            assert_eq!(world.in_b(7).unwrap()["role"], "title 7");
            world.nothing_was_cleared();
            world.mended(&day.mended, B);
            assert_eq!((world.only().state, world.waiting()), (Then::Mended, 0));
            assert_eq!(world.end(), control, "{policies:?}");
            world.nothing_was_cleared();
        });
    }
}

#[test]
fn a_scalar_that_reads_well_is_taken_and_noted() {
    on_both_stores(|store| {
        let world = World::new(&store, Policies::default());
        world.a.reshape(|body| body["level"] = json!("2"));
        world.settle();
        let finding = world.only();
        assert_eq!((finding.kind, finding.policy, finding.state), (Kind::Retyped, Policy::Evolve, Then::Noted));
        assert_eq!((world.waiting(), world.in_b(3).unwrap()["stage"].clone()), (0, json!("customer")));
        world.a.reshape(|body| body["level"] = json!(1));
        world.settle();
        assert_eq!((world.found().len(), world.in_b(3).unwrap()["stage"].clone()), (1, json!("lead")));
    });
}

#[test]
fn a_new_word_waits_for_the_mappings_table() {
    let form: Form = |body| {
        let id: usize = body["email"].as_str().unwrap()[1..].split('@').next().unwrap().parse().unwrap();
        if id <= 5 || id > 30 {
            body["level"] = json!(3);
        }
    };
    let mended = A.replace("customer = 2", "customer = [2, 3]");
    // In the control the word is one that the table knows.
    let known: Form = |body| {
        let id: usize = body["email"].as_str().unwrap()[1..].split('@').next().unwrap().parse().unwrap();
        if id <= 5 || id > 30 {
            body["level"] = json!(2);
        }
    };
    let day = Day { form, mended, newcomer: person(31) };
    let control = Day { form: known, mended: A.to_owned(), newcomer: person(31) };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite:{}", folder.path().join("control.db").display())).unwrap();
    let quiet = World::new(&store, Policies::default());
    control.play(&quiet, control.form);
    for policies in waiting_policies() {
        on_both_stores(|store| {
            let mut world = World::new(&store, policies.clone());
            day.play(&world, day.form);
            let finding = world.only();
            assert_eq!((finding.kind, finding.place.as_str()), (Kind::UnknownValue, "/level"));
            assert_eq!((world.waiting(), world.in_b(3).unwrap()["stage"].clone()), (6, json!("lead")));
            world.nothing_was_cleared();
            // Another change of the mapping does not mend it.
            world.mended(&A.replace("customer = 2", "customer = 4"), B);
            assert_eq!((world.only().state, world.waiting()), (Then::Open, 6));
            world.mended(&day.mended, B);
            assert_eq!((world.only().state, world.waiting()), (Then::Mended, 0));
            assert_eq!(world.end(), quiet.end(), "{policies:?}");
            world.nothing_was_cleared();
        });
    }
}

#[test]
fn writes_that_lack_a_new_required_field_are_planned_anew() {
    let wider = format!("{B}remark = \"/memo\"\n");
    let day = Day { form: |_| {}, mended: A.to_owned(), newcomer: person(31) };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite:{}", folder.path().join("control.db").display())).unwrap();
    let mut quiet = World::new(&store, Policies::default());
    quiet.mended(A, &wider);
    day.play(&quiet, day.form);
    on_both_stores(|store| {
        let mut world = World::new(&store, Policies::default());
        world.b.require("memo");
        day.play(&world, day.form);
        let finding = world.only();
        assert_eq!((finding.kind, finding.place.as_str(), finding.connection.as_str()), (Kind::Refused, "/memo", "b"));
        assert!(world.in_b(31).is_none());
        let letters = || world.engine.store.read(|tx| inbox::dead_letters(tx, 100)).unwrap().len();
        assert_eq!((world.waiting(), letters()), (2, 2), "one that is made, one that is changed");
        world.mended(A, &wider);
        let letters = world.engine.store.read(|tx| inbox::dead_letters(tx, 100)).unwrap().len();
        assert_eq!((world.only().state, world.waiting(), letters), (Then::Mended, 0, 0));
        assert_eq!(world.in_b(31).unwrap()["memo"], "note 31");
        assert_eq!(world.in_b(1), quiet.in_b(1));
        assert_eq!(customers(&world.engine).len(), customers(&quiet.engine).len());
        world.nothing_was_cleared();
    });
}

#[test]
fn of_waiting_rows_the_newest_wins() {
    on_both_stores(|store| {
        let mut world = World::new(&store, same(Policy::ParkRow));
        world.a.reshape(rename);
        world.settle();
        for title in ["first", "second", "third"] {
            world.a.edit("5", &json!({"title": title}));
            world.settle();
        }
        assert_eq!((world.waiting(), world.in_b(5).unwrap()["role"].clone()), (30, json!("title 5")));
        world.mended(&A.replace("\"/phone\"", "\"/mobile_phone\""), B);
        assert_eq!((world.waiting(), world.in_b(5).unwrap()["role"].clone()), (0, json!("third")));
        world.nothing_was_cleared();
    });
}

#[test]
fn rows_that_wait_are_not_missing_in_a_complete_scan() {
    on_both_stores(|store| {
        let mut world = World::with(&store, same(Policy::ParkRow), true);
        world.a.reshape(rename);
        for _ in 0..3 {
            world.settle();
        }
        assert_eq!(world.only().kind, Kind::Vanished);
        // A record that is really gone goes, and comes to nobody when the others run again.
        world.a.remove("9");
        world.settle();
        world.mended(&A.replace("\"/phone\"", "\"/mobile_phone\""), B);
        let shown = customers(&world.engine);
        assert_eq!((world.waiting(), shown.len()), (0, PEOPLE));
        let known = world.engine.store.read(streams::all).unwrap();
        assert_eq!(known[&("a".to_owned(), "customers".to_owned())].brake, None);
        world.nothing_was_cleared();
    });
}

#[test]
fn a_stream_stops_until_somebody_decides() {
    on_both_stores(|store| {
        let world = World::new(&store, same(Policy::Stop));
        world.a.reshape(rename);
        world.settle();
        let finding = world.only();
        assert_eq!((finding.policy, world.waiting()), (Policy::Stop, 30));
        world.a.edit("1", &json!({"title": "later"}));
        let connection = &world.engine.connections["a"];
        let pulled = world.runtime.block_on(pull::stream(&world.engine, connection, &"customers".into(), 1)).unwrap();
        assert!(pulled.records == 0 && pulled.error.is_some_and(|told| told.contains("huiliu drift show 1")));
        let states = world.engine.store.read(streams::all).unwrap();
        let state = &states[&("a".to_owned(), "customers".to_owned())];
        assert!(state.stopped && state.drift == Some(finding.number));
        let steward = Steward { name: "wang", why: "no phones any more" };
        let done = drift::accept(&world.engine, finding.number, steward).unwrap();
        assert_eq!((done.findings, done.rows), (1, 30));
        world.settle();
        assert_eq!((world.waiting(), world.in_b(1).unwrap()["role"].clone()), (0, json!("later")));
        world.nothing_was_cleared();
    });
}

#[test]
fn what_shows_again_was_no_new_form() {
    on_both_stores(|store| {
        let world = World::new(&store, Policies::default());
        let bare = |id: usize| json!({"note": format!("second note {id}")});
        // One record alone, and then ten in a row, each in a batch of its own.
        world.a.reshape(|body| {
            if body["email"] == "p30@example.com" {
                body.as_object_mut().unwrap().remove("phone");
            }
        });
        world.settle();
        assert_eq!(world.found(), []);
        for id in 1..=10 {
            let mail = format!("p{id}@example.com");
            world.a.reshape(|body| {
                if body["email"] == mail.as_str() {
                    body.as_object_mut().unwrap().remove("phone");
                }
            });
        }
        world.settle();
        assert_eq!(world.found().len(), 0, "with others between that show it, it did not vanish");
        world.trickle(1..=10, bare);
        assert_eq!(world.only().state, Then::Open);
        assert!(world.waiting() >= 10);
        world.trickle(11..=20, bare);
        assert_eq!((world.only().state, world.waiting()), (Then::Back, 0));
        world.nothing_was_cleared();
    });
}

#[test]
fn a_replay_meanwhile_takes_nothing_away() {
    on_both_stores(|store| {
        let world = World::new(&store, Policies::default());
        world.a.reshape(rename);
        world.settle();
        assert_eq!(world.only().state, Then::Open);
        let end = world.end();
        let scope = replay::Scope::default();
        for _ in 0..2 {
            let done = replay::apply(&world.engine, &scope, "wang", 0, &mut |_| ControlFlow::Continue(())).unwrap();
            assert_eq!((done.report.changes, done.report.parted), (0, 0), "{:?}", done.report);
        }
        world.settle();
        assert_eq!(world.end(), end);
        let key: LinkKey = "a/customers/1".parse().unwrap();
        let link = world.engine.store.read(|tx| links::by_keys(tx, [&key])).unwrap().remove(0);
        assert!(link.state.identities.iter().any(|it| it.kind.as_str() == "phone"), "{:?}", link.state.identities);
    });
}

#[test]
fn an_older_version_that_comes_later_does_not_wait_in_place_of_a_newer_one() {
    on_both_stores(|store| {
        let one = |position: i64, recency: Option<i64>| Parked {
            drift: 1,
            key: "a/customers/1".parse().unwrap(),
            position,
            part: Part::Row,
            recency,
        };
        let waits = |steps: &[(i64, Option<i64>)]| {
            for (position, recency) in steps {
                store.write(|tx| drifts::park(tx, &[one(*position, *recency)])).unwrap();
            }
            let waiting = store.read(|tx| drifts::waiting(tx, 1, "", 10)).unwrap();
            assert_eq!(waiting.len(), 1);
            store.write(|tx| drifts::unpark(tx, 1, &[waiting[0].key.clone()])).unwrap();
            waiting[0].position
        };
        assert_eq!(waits(&[(10, Some(5)), (11, Some(4))]), 10);
        assert_eq!(waits(&[(10, Some(5)), (11, Some(4)), (12, Some(6))]), 12);
        assert_eq!(waits(&[(10, None), (11, None)]), 11, "without versions the order of arrival counts");
    });
}
