//! One day over real systems: a Tryton, a django-oscar shop, a Radicale, a Dovecot, and the twins of WeCom, HubSpot and
//! Kingdee, with the real program between them. The same people are in each under different spellings; they are edited in two
//! systems within a second; servers and the hub itself are killed in mid-push. What each system must hold in the end was
//! written by hand (`people.rs`), and is read by programs that other people wrote, never by asking the hub.
//!
//! `cargo test -p huiliu-hub --test scenario -- --nocapture` prints how long a change took to reach the others.

#[path = "../cli/kit.rs"]
#[allow(dead_code)] // The tests of the command line use the rest.
mod kit;
mod people;
mod times;
mod world;

use std::time::{Duration, Instant};

use huiliu_tests::front::Fate;
use huiliu_twins::kingdee;
use people::Moment;
use serde_json::{Value, json};
use world::World;

/// Rounds of the shortest schedule in which nothing may move.
const QUIET: Duration = Duration::from_secs(8);

#[test]
fn one_customer_in_many_systems_stays_one_and_all_agree() {
    let mut world = World::open();
    people::arrive(&mut world);
    let before = (world.shown(), world.writes());
    assert_eq!(before.0, people::AT_FIRST);

    world.serve();
    world.wait_until_read();
    assert_eq!((world.shown(), world.writes()), before, "who only observes writes nothing");
    world.go_live();
    world.agree_on(people::LIVE);
    one_customer_each(&world);

    edited_twice_within_a_second(&world);
    let expected = people::changed(people::LIVE, people::EDITED);
    world.agree_on(&expected);
    loser_is_kept(&world);

    erp_dies_in_mid_push(&world);
    book_dies_in_mid_push(&world);
    hub_dies_in_mid_push(&mut world);
    let expected = people::changed(&expected, people::SURVIVED);
    world.agree_on(&expected);

    // A card that a person removes is gone, and stays gone; the others keep what they have.
    world.book.remove("people/zhou.san@example.com.vcf");
    let expected = people::changed(&expected, people::REMOVED);
    world.agree_on(&expected);
    rests(&world);

    let table = times::measure(&world);
    world.agree_on(&people::changed(&expected, people::MEASURED));
    rests(&world);
    println!("{table}");
}

/// The hub's own view: each person is one customer, and what has no place elsewhere is on the timeline.
fn one_customer_each(world: &World) {
    for (known, timeline) in people::TIMELINES {
        let all = world.customers(known);
        assert_eq!(all.len(), 1, "{known}: {all:?}");
        let links = all[0]["links"].as_array().expect("links").iter();
        let open = links.filter(|it| it["open"] == true).map(|it| it["record"].as_str().unwrap_or_default());
        let mut systems: Vec<&str> = open.filter_map(|record| record.split('/').next()).collect();
        systems.sort_unstable();
        systems.dedup();
        assert_eq!(systems, ["book", "crm", "erp", "shop", "wecom"], "{known}");
        let entries = all[0]["timeline"].as_array().expect("a timeline").iter();
        let word = |it: &Value| match it["entity"].as_str() {
            Some("interaction") => it["fields"]["subject"].as_str().unwrap_or_default().to_owned(),
            _ => format!("order of {}", it["fields"]["total"]["amount"].as_str().unwrap_or_default()),
        };
        let mut told: Vec<String> = entries.map(word).collect();
        told.sort_unstable();
        assert_eq!(told, *timeline, "{known}");
    }
    // Two people of one name are two customers.
    let (one, other) = (world.customers("lei.li@example.com"), world.customers("li.lei.1990@example.org"));
    assert_eq!((one.len(), other.len()), (1, 1));
    assert_ne!(one[0]["id"], other[0]["id"]);
}

/// Different fields of one person, each the only one that tells of it; the same field of another.
fn edited_twice_within_a_second(world: &World) {
    let second = Duration::from_secs(1);
    // The edit of a slow program is done when it returns: the second one follows at once.
    world.book.edit("people/nana.vcf", &json!({ "title": "采购总监" }));
    let begun = Instant::now();
    world.edit_contact("nana.ouyang@example.com", &json!({ "company": "汇流茶业" }));
    assert!(begun.elapsed() < second);

    world.edit_mobile("mei.han@example.com", "+86 139 0013 9003");
    let begun = Instant::now();
    world.edit_account("mei.han@example.com", &json!({ "first_name": "眉眉" }));
    assert!(begun.elapsed() < second);

    // Kingdee carries out the Save, and cuts the line before it answers; Submit and Audit are still due.
    world.books.fault(kingdee::Call::Save, kingdee::Fault::CutAfter);
    world.edit_company(&json!({ "phone": "0571-87650000" }));

    world.book.edit("people/lilei.vcf", &json!({ "org": ["乙公司"] }));
    let begun = Instant::now();
    world.edit_contact("lei.li@example.com", &json!({ "company": "甲公司" }));
    assert!(begun.elapsed() < second);
}

/// The rule preferred HubSpot's company; what the card said is still there.
fn loser_is_kept(world: &World) {
    let customer = &world.customers("lei.li@example.com")[0];
    let values = customer["values"].as_array().expect("values");
    let company = values.iter().find(|it| it["field"] == "company").expect("a company");
    assert_eq!((&company["value"], &company["provenance"]["rule"]), (&json!("甲公司"), &json!("prefer:crm")));
    let lost = company["provenance"]["lost"].as_array().unwrap_or_else(|| panic!("losers: {customer}"));
    let card = |it: &&Value| it["value"] == "乙公司" && it["link"].as_str().is_some_and(|it| it.starts_with("book/"));
    assert!(lost.iter().any(|it| card(&it)), "{company}");
}

/// A create is on its way to Tryton when that dies: before it arrived, while it is carried out, and after it was.
fn erp_dies_in_mid_push(world: &World) {
    for (email, name, moment) in people::TO_ERP {
        match *moment {
            Moment::Before => world.erp_front.meet_with(email, Fate::Delay(Duration::from_millis(500))),
            Moment::During => world.erp_front.meet_with(email, Fate::Delay(Duration::from_millis(5))),
            Moment::After => world.erp_front.meet_with(email, Fate::LoseAnswer),
        }
        world.put_card(name, email);
        kit::until("the create is on its way", || (world.erp_front.waiting() == 0).then_some(()));
        match *moment {
            Moment::Before => {}
            Moment::During => std::thread::sleep(Duration::from_millis(25)),
            Moment::After => kit::until("it is carried out", || world.erp_holds(Some(email), None).then_some(())),
        }
        world.erp.kill();
        world.erp.restart();
    }
}

/// A card is on its way to Radicale when that dies, before it is written and after.
fn book_dies_in_mid_push(world: &World) {
    for (email, name, moment) in people::TO_BOOK {
        let fate = if *moment == Moment::Before { Fate::Delay(Duration::from_millis(500)) } else { Fate::LoseAnswer };
        world.book_front.meet_with(email, fate);
        world.erp.make_party(name, &[("email", email)]);
        kit::until("the card is on its way", || (world.book_front.waiting() == 0).then_some(()));
        if *moment == Moment::After {
            kit::until("it is written", || world.book_holds(email).then_some(()));
        }
        world.book.kill();
        world.book.restart();
    }
}

/// The hub itself is killed while it waits for an answer that it will never hear.
fn hub_dies_in_mid_push(world: &mut World) {
    let (email, name) = people::TO_HUB;
    world.erp_front.meet_with(email, Fate::Delay(Duration::from_millis(300)));
    world.put_card(name, email);
    kit::until("the create is on its way", || (world.erp_front.waiting() == 0).then_some(()));
    world.kill_hub();
    kit::until("it is carried out", || world.erp_holds(Some(email), None).then_some(()));
    world.serve();
}

/// Schedules go on, and nothing is written anywhere; nothing waits, and nobody is needed.
fn rests(world: &World) {
    let still = || (world.writes(), world.shown());
    let (before, calls) = (still(), world.erp_front.calls());
    std::thread::sleep(QUIET);
    assert_eq!(still(), before, "somebody wrote without a reason");
    let rounds = usize::try_from(QUIET.as_secs()).unwrap_or_default() / 2;
    assert!(world.erp_front.calls() >= calls + rounds, "the schedule stood still");
    // Pulls go on: something may be in the inbox for a moment.
    let status = kit::until("nothing waits", || world.idle());
    assert_eq!((&status["dead_letters"], &status["reviews_waiting"]), (&json!([]), &json!(0)), "{status}");
    let open = |it: &&Value| ["pending", "sending", "dead"].contains(&it["state"].as_str().unwrap_or_default());
    let deliveries = status["deliveries"].as_array().expect("deliveries");
    assert_eq!(deliveries.iter().filter(open).collect::<Vec<_>>(), Vec::<&Value>::new());
}
