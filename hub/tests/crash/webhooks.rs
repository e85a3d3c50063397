//! Webhooks while the hub dies again and again: at each point that one passes on its way, 5 % of the events are lost, a
//! fifth is sent twice, some come in another order, and in the end 500 of them in one second. Then the CRM holds for each
//! customer what WeCom does; nobody is there twice, and nothing was written twice.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use huiliu_core::crash::Point;
use huiliu_twins::dice::Dice;
use huiliu_twins::hooks::Fault;
use huiliu_twins::wecom::Customer;
use serde_json::{Value, json};

use crate::program::Fate;
use crate::world::{RUNTIME, Store, World};

/// Customers whom both systems know when it begins. The CRM takes four calls a second, and a death leaves a batch of
/// writes in doubt, which are then looked into one by one.
const KNOWN: usize = 20;

/// Events of a round: one round follows the other until the hub has died everywhere.
const ROUND: usize = 6;

/// Every so many rounds somebody new comes to WeCom, who is to be made in the CRM.
const NEW_EVERY: usize = 12;

/// Events of the last second.
const BURST: usize = 500;

const MEMBER: &str = "zhang";

/// What a webhook passes on its way, from the start of the program to the last write.
const ON_THE_WAY: [Point; 21] = [
    Point::TokenNoted,
    Point::TokenIssued,
    Point::TokenSealed,
    Point::PageWritten,
    Point::PageCommitted,
    Point::IntakeWritten,
    Point::IntakeCommitted,
    Point::IntakeAnswered,
    Point::FetchWritten,
    Point::FetchCommitted,
    Point::ProcessHalfWritten,
    Point::ProcessWritten,
    Point::ProcessCommitted,
    Point::PlanWritten,
    Point::PlanCommitted,
    Point::AttemptWritten,
    Point::AttemptCommitted,
    Point::RecoverWritten,
    Point::PushAnswered,
    Point::ReceiptWritten,
    Point::ReceiptCommitted,
];

fn mobile(number: usize) -> String {
    format!("138001{number:05}")
}

fn name(number: usize) -> (String, String) {
    const FAMILY: [&str; 5] = ["李", "王", "张", "刘", "陈"];
    const GIVEN: [&str; 8] = ["雷", "梅", "芳", "敏", "杰", "静", "强", "磊"];
    let (first, second) = (GIVEN[number / 5 % 8], GIVEN[number / 40 % 8]);
    (FAMILY[number % 5].to_owned(), format!("{first}{second}"))
}

/// By mobile: the company that each customer has in WeCom, or in the CRM.
fn companies(world: &World, system: &str) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().trim_start_matches("+86").to_owned();
    if system == "wecom" {
        let all = world.wecom.snapshot();
        let noted = all.as_object().expect("contacts").values().map(|it| &it["follow_info"]);
        return noted.map(|it| (text(&it["remark_mobiles"][0]), text(&it["remark_corp_name"]))).collect();
    }
    let all = world.crm.snapshot("contacts");
    all.as_object().expect("contacts").values().map(|it| (text(&it["mobilephone"]), text(&it["company"]))).collect()
}

fn contacts(world: &World) -> usize {
    world.crm.snapshot("contacts").as_object().expect("contacts").len()
}

/// A customer of WeCom. Answers the id there.
fn comes(world: &World, number: usize) -> String {
    let (family, given) = name(number);
    world.wecom.preload_noted(MEMBER, Customer::named(&format!("{family}{given}")), &[&mobile(number)])
}

/// Both systems know each other's customers.
fn gathered(store: Store) -> (World, Vec<String>) {
    let mut world = World::open(store, Fate::default());
    // The shop has no part in it, and a scan of everybody each second would leave no room for anything else.
    let folder = &world.program.folder;
    let config = folder.read("huiliu.toml").replace("creates = ['customers']\n", "");
    folder.write("huiliu.toml", &config.replace("contacts = '1s'", "contacts = '2s'"));
    for number in 0..KNOWN {
        let (family, given) = name(number);
        let phone = format!("+86{}", mobile(number));
        let contact = json!({ "lastname": family, "firstname": given, "mobilephone": phone });
        world.crm.put("contacts", &contact).expect("a contact");
    }
    world.until("the CRM is read", |world| world.goldens().lines().count() == KNOWN);
    let ids = (0..KNOWN).map(|number| comes(&world, number)).collect();
    let known = |world: &World| world.goldens().lines().filter(|it| it.contains("external_userid")).count();
    world.until("WeCom is read", |world| known(world) == KNOWN);
    assert_eq!((world.goldens().lines().count(), contacts(&world)), (KNOWN, KNOWN));
    (world, ids)
}

/// A person who reads the letters looks in the CRM: whom it has not, he has made.
fn answer_letters(world: &World) {
    let told = world.program.folder.run(&["dead-letters", "--json"]).out();
    let letters: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    if letters.is_empty() {
        return;
    }
    let is_question = |it: &&Value| it["reason"].as_str().is_some_and(|it| it.contains("nobody knows whether"));
    assert!(letters.iter().filter(is_question).count() == letters.len(), "{letters:?}");
    let (wanted, there) = (companies(world, "wecom"), companies(world, "crm"));
    let missing = wanted.keys().filter(|mobile| !there.contains_key(*mobile)).count();
    assert!(letters.len() <= missing, "a person is asked about a record that is there: {letters:?}");
    for letter in &letters {
        world.program.folder.run(&["dead-letters", "retry", &letter["number"].to_string()]).out();
    }
}

/// Every event is as much in WeCom, whatever becomes of its call.
fn round(world: &mut World, number: usize, ids: &mut Vec<String>, dice: &mut Dice) {
    if number.is_multiple_of(NEW_EVERY) {
        ids.push(comes(world, ids.len()));
    }
    for event in 0..ROUND {
        world.wecom.hooks.set_fault(match dice.below(100) {
            0..5 => Fault::Drop,
            5..25 => Fault::Repeat,
            25..40 => Fault::Hold,
            _ => Fault::None,
        });
        // Whoever is new is told of, too.
        let chosen = if event == 0 { ids.len() - 1 } else { dice.below(ids.len()) };
        RUNTIME.block_on(world.wecom.edit_company(MEMBER, &ids[chosen], &format!("甲{number}-{event}")));
        world.program.tend();
    }
    RUNTIME.block_on(world.wecom.hooks.release());
    world.rest(Duration::from_millis(200));
}

/// So many events in one second; the hub is killed amid them.
fn burst(world: &mut World, ids: &[String]) {
    world.wecom.hooks.set_fault(Fault::Hold);
    for event in 0..BURST {
        RUNTIME.block_on(world.wecom.edit_company(MEMBER, &ids[event % ids.len()], &format!("乙{event}")));
    }
    let wecom = world.wecom.clone();
    let storm = RUNTIME.spawn(async move { wecom.hooks.storm(Dice::new(9), 5, 20).await });
    std::thread::sleep(Duration::from_millis(150));
    world.program.doom(VecDeque::new());
    while !storm.is_finished() {
        world.rest(Duration::from_millis(20));
    }
}

fn storm(store: Store) {
    let (mut world, mut ids) = gathered(store);
    let (mut dice, mut number) = (Dice::new(7), 0);
    // Somebody must ask for another one.
    world.wecom.end_token();
    world.program.doom(ON_THE_WAY.iter().map(|point| format!("{}:1", point.name())).collect());
    while !world.program.is_through() {
        round(&mut world, number, &mut ids, &mut dice);
        answer_letters(&world);
        number += 1;
        assert!(number < 250, "{store:?}: it is still to die, and does not\n{}", world.program.log());
    }
    burst(&mut world, &ids);
    world.until("the CRM holds what WeCom does", |world| {
        let agrees = companies(world, "wecom") == companies(world, "crm");
        if !agrees {
            answer_letters(world);
        }
        agrees
    });
    world.until("nothing waits", World::is_idle);
    assert_eq!(contacts(&world), ids.len(), "nobody was made twice");
    assert_eq!(world.goldens().lines().count(), ids.len(), "nobody is lost, and no two are one");
    assert_eq!(world.crm.idle_writes(), 0, "{store:?}: nothing was written twice\n{}", world.program.log());
    let writes = world.writes();
    world.rest(Duration::from_secs(2));
    assert_eq!(world.writes(), writes, "somebody wrote without a reason");
}

#[test]
fn webhooks_survive_a_death_at_every_point_on_their_way() {
    std::thread::scope(|both| {
        let storms = Store::BOTH.map(|store| both.spawn(move || storm(store)));
        for storm in storms {
            storm.join().expect("it ends well");
        }
    });
}
