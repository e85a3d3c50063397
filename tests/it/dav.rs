//! A real Radicale beside a CRM: cards both ways, meetings on the timeline, and what goes wrong on the way.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::connector::{Delivery, Operation, RecordKey, Version};
use huiliu_core::explain;
use huiliu_core::link::LinkKey;
use huiliu_core::pipeline::{process, pull};
use huiliu_core::store::{Store, goldens, inbox, links, streams};
use huiliu_tests::front::{Fate, Front};
use huiliu_tests::kit::{self, DAY_ONE_US};
use huiliu_tests::memory::Memory;
use huiliu_tests::radicale::{PASSWORD, Radicale, USERNAME};
use serde_json::{Value, json};

use crate::flow::{Hub, on_both_stores, shipped};

fn book(url: &str, clock: &Clock) -> Connection {
    let settings = [("url", url.to_owned()), ("username", USERNAME.to_owned())];
    let mut book = shipped("book", "carddav", &settings, &[("password", PASSWORD)], clock);
    book.creates.insert("contacts".to_owned());
    book
}

fn crm(clock: &Clock) -> (Arc<Memory>, Connection) {
    let crm = Arc::new(Memory::new(false));
    let mut connection = kit::connection("crm", clock, Some(crm.clone()));
    connection.creates.insert("customers".to_owned());
    (crm, connection)
}

fn sqlite() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("SQLite opens");
    (folder, store)
}

async fn server() -> Radicale {
    blocking(Radicale::start).await
}

/// Python programs and file systems are waited for outside the runtime.
async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.expect("no panic")
}

fn card(uid: &str, name: &str, email: &str, more: &str) -> (String, String) {
    let text = format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:{name};;;;\r\nEMAIL;TYPE=WORK:{email}\r\n{more}END:VCARD\r\n"
    );
    (format!("people/{uid}.vcf"), text)
}

async fn quiet(hub: &Hub) {
    assert_eq!(hub.settle(true).await, Vec::<String>::new());
    assert_eq!(hub.read(|tx| inbox::dead_letters(tx, 5)).await, []);
}

async fn open(hub: &Hub, key: &str) -> Option<bool> {
    let key: LinkKey = key.parse().expect("a key");
    hub.read(move |tx| Ok(links::by_keys(tx, [&key])?.first().map(|link| link.open))).await
}

/// What a card says, by `vobject`: name, title, first e-mail, number of properties, the picture's bytes.
const VOBJECT: &str = r"
import vobject
card = vobject.readOne(call('GET', '/hub/' + ask['path']).text)
of = lambda name: getattr(card, name).value if hasattr(card, name) else None
photo = of('photo')
print(json.dumps({'fn': of('fn'), 'title': of('title'), 'email': [e.value for e in card.contents.get('email', [])],
  'unknown': [[l.value, l.params] for l in card.contents.get('x-shop', [])], 'photo': photo.hex() if photo else None,
  'labels': [[l.group, l.value] for l in card.contents.get('x-ablabel', [])]}))
";

async fn seen(radicale: &Arc<Radicale>, path: &str) -> Value {
    let (radicale, path) = (radicale.clone(), path.to_owned());
    blocking(move || radicale.person(VOBJECT, json!({ "path": path }))).await
}

async fn edited(radicale: &Arc<Radicale>, path: &str, values: Value) {
    let (radicale, path) = (radicale.clone(), path.to_owned());
    blocking(move || radicale.edit(&path, &values)).await;
}

#[test]
fn cards_go_both_ways_and_echoes_die() {
    on_both_stores(async |store| {
        let radicale = Arc::new(server().await);
        let photo = "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////".repeat(20);
        let more = format!(
            "item1.EMAIL:private@example.org\r\nitem1.X-ABLABEL:Shop\r\nX-SHOP;X-LEVEL=3:what\\, ever\r\nPHOTO;ENCODING=b;TYPE=JPEG:{photo}\r\n"
        );
        let rad = radicale.clone();
        blocking(move || rad.put(&[card("lin", "林晓月", "lin@example.org", &more)])).await;
        let (crm, other) = crm(&Clock::System);
        let hub = Hub::live(store, Clock::System, [book(&radicale.url(), &Clock::System), other]).await;
        quiet(&hub).await;
        assert_eq!(crm.get("made1")["name"], "林晓月");
        let before = seen(&radicale, "people/lin.vcf").await;

        // A change elsewhere is written; everything that nobody named is as it was.
        crm.edit("made1", &json!({ "title": "采购经理" }));
        quiet(&hub).await;
        let mut expected = before.clone();
        expected["title"] = json!("采购经理");
        assert_eq!(seen(&radicale, "people/lin.vcf").await, expected);
        assert_eq!(expected["unknown"], json!([["what, ever", { "X-LEVEL": ["3"] }]]));
        assert!(expected["photo"].as_str().is_some_and(|hex| hex.len() > 1000), "{}", expected["photo"]);

        // A person's change, made with another program, travels; so does one made elsewhere to another field.
        edited(&radicale, "people/lin.vcf", json!({ "title": "店长" })).await;
        crm.edit("made1", &json!({ "tags": ["vip"] }));
        quiet(&hub).await;
        assert_eq!(crm.get("made1")["title"], "店长");
        let rad = radicale.clone();
        let text = blocking(move || rad.text("people/lin.vcf")).await.expect("it is there");
        assert!(text.contains("CATEGORIES:vip"), "{text}");

        // A customer made elsewhere becomes a card.
        crm.edit("c2", &json!({ "name": "韩梅梅", "email": "han@example.org", "phone": "13900139000" }));
        quiet(&hub).await;
        assert_eq!(radicale.count("people"), 2);
        let writes = crm.writes();
        let files = snapshot(&radicale).await;
        for _ in 0..3 {
            quiet(&hub).await;
        }
        assert_eq!((crm.writes(), snapshot(&radicale).await), (writes, files), "nothing is written after quiescence");

        // A deleted card closes its link; the others keep what they have.
        let rad = radicale.clone();
        blocking(move || rad.remove("people/lin.vcf")).await;
        quiet(&hub).await;
        assert_eq!(open(&hub, "book/contacts//hub/people/lin.vcf").await, Some(false));
        assert_eq!(crm.get("made1")["title"], "店长");
    });
}

/// Every card with its entity tag, as another client sees them.
async fn snapshot(radicale: &Arc<Radicale>) -> Value {
    let script = "import re\nreply = call('PROPFIND', '/hub/people/', headers={'Depth': '1'}, \
                  data='<propfind xmlns=\"DAV:\"><prop><getetag/></prop></propfind>')\n\
                  print(json.dumps(sorted(re.findall(r'<getetag>(.*?)</getetag>', reply.text))))";
    let radicale = radicale.clone();
    blocking(move || radicale.person(script, json!({}))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_write_is_refused_and_both_edits_live() {
    let radicale = Arc::new(server().await);
    let rad = radicale.clone();
    blocking(move || rad.put(&[card("lin", "林晓月", "lin@example.org", "TITLE:A\r\n")])).await;
    let (crm, other) = crm(&Clock::System);
    let (_folder, store) = sqlite();
    let hub = Hub::live(store, Clock::System, [book(&radicale.url(), &Clock::System), other]).await;
    quiet(&hub).await;
    // Between our reading and our writing a person changes the note.
    crm.edit("made1", &json!({ "title": "B" }));
    let known = hub.engine.connections["crm"].clone();
    pull::stream(&hub.engine, &known, &"customers".into(), 1).await.expect("the store works");
    edited(&radicale, "people/lin.vcf", json!({ "note": "约周五回访" })).await;
    let connection = &hub.engine.connections["book"];
    let connector = connection.connector.clone().expect("a connector");
    let stale = Delivery {
        number: 1,
        operation: Operation::Update,
        stream: "contacts".into(),
        id: Some("/hub/people/lin.vcf".into()),
        body: json!({ "title": "B" }),
        base: json!({ "title": "A" }),
        base_version: Some(Version::tag("\"older\"")),
        idempotency_key: "00112233445566778899aabbccddeeff".to_owned(),
        attempt: 1,
    };
    let refused = connector.push(&connection.cx, &stale).await.expect_err("the tag is older");
    assert_eq!(refused.kind(), "conflict", "{refused}");
    // The pipeline's own delivery, planned before it heard of the note, meets the same and is planned again.
    quiet(&hub).await;
    let key = RecordKey { connection: "book".into(), stream: "contacts".into(), id: "/hub/people/lin.vcf".into() };
    let body = connector.fetch(&connection.cx, &key).await.expect("fetched").expect("it is there").body;
    assert_eq!((&body["title"], &body["note"]), (&json!("B"), &json!("约周五回访")));
}

/// The links of the address book: how many are open, how many closed.
async fn links_of(hub: &Hub) -> (usize, usize) {
    hub.read(|tx| {
        let all = goldens::after(tx, "customer", 0, 1000)?;
        let links = links::by_goldens(tx, all.iter().map(|it| it.id))?;
        let mine: Vec<_> = links.iter().filter(|link| link.key.connection.as_str() == "book").collect();
        let open = mine.iter().filter(|link| link.open).count();
        Ok((open, mine.len() - open))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_token_reads_everything_anew_and_finds_what_vanished() {
    let radicale = Arc::new(server().await);
    let people: Vec<_> =
        (0..130).map(|n| card(&format!("p{n:03}"), &format!("Person {n}"), &format!("p{n}@example.org"), "")).collect();
    let rad = radicale.clone();
    blocking(move || rad.put(&people)).await;
    let (_folder, store) = sqlite();
    let hub = Hub::live(store, Clock::System, [book(&radicale.url(), &Clock::System)]).await;
    quiet(&hub).await;
    assert_eq!(links_of(&hub).await, (130, 0));
    // While nobody looks: one goes, one changes, one comes, and the server forgets what it told.
    let rad = radicale.clone();
    blocking(move || {
        rad.remove("people/p007.vcf");
        rad.put(&[
            card("p008", "Person 8", "p8@example.org", "TITLE:Chief\r\n"),
            card("new", "Somebody New", "new@example.org", ""),
        ]);
        rad.forget_tokens("people");
    })
    .await;
    let told = hub.settle(true).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("no longer knows the stored sync token"), "{told:?}");
    assert_eq!(links_of(&hub).await, (130, 1), "129 that were there, one new; one is gone");
    assert_eq!(open(&hub, "book/contacts//hub/people/p007.vcf").await, Some(false));
    let engine = hub.engine.clone();
    let found = blocking(move || {
        let ids = explain::find(&engine, "p8@example.org").expect("read");
        explain::customer(&engine, ids[0]).expect("read").expect("it is there")
    })
    .await;
    assert!(format!("{:?}", found.values).contains("Chief"));

    // A collection that is gone reads everything anew too, and closes nothing: that is too much at once.
    let rad = radicale.clone();
    blocking(move || rad.person("call('DELETE', '/hub/people/')\nprint('null')", json!({}))).await;
    let rad = radicale.clone();
    blocking(move || rad.make("people", "People", "urn:ietf:params:xml:ns:carddav", "addressbook")).await;
    hub.settle(true).await;
    assert_eq!(links_of(&hub).await, (130, 1));
    let brake = hub.read(|tx| Ok(streams::all(tx)?[&("book".to_owned(), "contacts".to_owned())].brake)).await;
    assert_eq!(brake.map(|brake| brake.missing), Some(130));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_of_polling_without_changes_moves_nothing() {
    let radicale = Arc::new(server().await);
    let rad = radicale.clone();
    blocking(move || {
        rad.put(&[card("lin", "林晓月", "lin@example.org", ""), card("han", "韩梅梅", "han@example.org", "")]);
    })
    .await;
    let clock = Clock::manual(DAY_ONE_US);
    let (crm, other) = crm(&clock);
    let (_folder, store) = sqlite();
    let hub = Hub::live(store, clock.clone(), [book(&radicale.url(), &clock), other]).await;
    quiet(&hub).await;
    let (writes, cards) = (crm.writes(), snapshot(&radicale).await);
    let changes = hub.read(|tx| goldens::changed_after(tx, 0, 1000)).await;
    for _ in 0..12 {
        clock.advance_us(300_000_000);
        let connection = hub.engine.connections["book"].clone();
        let pulled = pull::stream(&hub.engine, &connection, &"contacts".into(), 1).await.expect("the store works");
        assert_eq!((pulled.records, pulled.error), (0, None));
        quiet(&hub).await;
    }
    assert_eq!((crm.writes(), snapshot(&radicale).await), (writes, cards));
    assert_eq!(hub.read(|tx| goldens::changed_after(tx, 0, 1000)).await, changes);
}

/// A book and a CRM with a customer whose card was made; the answer was lost.
struct Unheard {
    radicale: Arc<Radicale>,
    clock: Clock,
    crm: Arc<Memory>,
    hub: Hub,
    _front: Front,
    _folder: tempfile::TempDir,
}

impl Unheard {
    async fn of(customer: &Value) -> Self {
        let radicale = Arc::new(server().await);
        let front = Front::of(&radicale.url()).await;
        let clock = Clock::manual(DAY_ONE_US);
        let (crm, other) = crm(&clock);
        let (folder, store) = sqlite();
        let hub = Hub::live(store, clock.clone(), [book(&front.instead_of(&radicale.url()), &clock), other]).await;
        quiet(&hub).await;
        crm.edit("c1", customer);
        hub.pull().await;
        front.meet(Fate::LoseAnswer);
        let engine = hub.engine.clone();
        blocking(move || while process::batch(&engine).expect("process").items > 0 {}).await;
        hub.think().await;
        assert_eq!((radicale.count("people"), links_of(&hub).await), (1, (0, 0)), "it was stored, and nobody knows");
        Self { radicale, clock, crm, hub, _front: front, _folder: folder }
    }

    /// After so many minutes there is one card, of one customer.
    async fn ends_as_one(&self, minutes: usize) {
        for _ in 0..minutes {
            self.clock.advance_us(60_000_000);
            self.hub.pull().await;
            self.hub.think().await;
        }
        quiet(&self.hub).await;
        assert_eq!((self.radicale.count("people"), links_of(&self.hub).await), (1, (1, 0)));
        assert_eq!(self.crm.ids(), ["c1"], "which is the same customer");
    }
}

/// The server is gone before anybody can ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_in_mid_push_holds_one_card() {
    let day = Unheard::of(&json!({ "name": "韩梅梅", "email": "han@example.org" })).await;
    let rad = day.radicale.clone();
    blocking(move || rad.kill()).await;
    day.clock.advance_us(5_000_000);
    day.hub.think().await;
    let rad = day.radicale.clone();
    blocking(move || rad.restart()).await;
    day.ends_as_one(20).await;
}

/// It has no e-mail and no number, and its own UID besides: only its address tells whose it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_shows_before_its_answer_is_known_by_its_address() {
    Unheard::of(&json!({ "name": "汇流示例" })).await.ends_as_one(5).await;
}

#[test]
fn a_meeting_is_on_the_timeline_of_whom_it_was_with() {
    on_both_stores(async |store| {
        let radicale = Arc::new(server().await);
        let (crm, other) = crm(&Clock::System);
        crm.edit("c1", &json!({ "name": "林晓月", "email": "lin@example.org" }));
        let settings = [
            ("url", radicale.url()),
            ("username", USERNAME.to_owned()),
            ("addresses", "hub@example.test".to_owned()),
            ("time_zone", "Asia/Shanghai".to_owned()),
        ];
        let calendar = shipped("calendar", "caldav", &settings, &[("password", PASSWORD)], &Clock::System);
        let hub = Hub::live(store, Clock::System, [calendar, other]).await;
        // Made by another program, with an alarm and a rule of its own.
        let rad = radicale.clone();
        blocking(move || rad.person(MEETING, json!({}))).await;
        quiet(&hub).await;
        let timeline = async || {
            let engine = hub.engine.clone();
            let told = blocking(move || {
                let found = explain::find(&engine, "lin@example.org").expect("read");
                explain::customer(&engine, found[0]).expect("read").expect("it is there").timeline
            });
            told.await
        };
        let entries = timeline().await;
        assert_eq!(entries.len(), 1, "{entries:?}");
        let of = |name: &str| entries[0].fields.get(name).cloned().unwrap_or_default();
        assert_eq!((of("kind"), of("subject")), (json!("meeting"), json!("季度回访")));
        assert_eq!((of("occurred_at"), of("duration_seconds")), (json!("2026-02-02T02:00:00Z"), json!("5400")));
        let customers = hub.read(|tx| goldens::after(tx, "customer", 0, 10)).await;
        assert_eq!(customers.len(), 1, "a guest is not made a customer");

        // A text that somebody mends is written, under the tag that was read; the rest stays as the other program made it.
        let connection = &hub.engine.connections["calendar"];
        let connector = connection.connector.clone().expect("a connector");
        let id = "/hub/meetings/visit.ics";
        let key = RecordKey { connection: "calendar".into(), stream: "events".into(), id: id.into() };
        let known = connector.fetch(&connection.cx, &key).await.expect("fetched").expect("it is there");
        let mut delivery = Delivery {
            number: 1,
            operation: Operation::Update,
            stream: "events".into(),
            id: Some(id.into()),
            body: json!({ "summary": "季度回访（上海）" }),
            base: json!({ "summary": "季度回访" }),
            base_version: Some(Version::tag("\"older\"")),
            idempotency_key: "00112233445566778899aabbccddeeff".to_owned(),
            attempt: 1,
        };
        let refused = connector.push(&connection.cx, &delivery).await.expect_err("the tag is older");
        assert_eq!(refused.kind(), "conflict");
        delivery.base_version = known.version;
        connector.push(&connection.cx, &delivery).await.expect("written");
        let rad = radicale.clone();
        let text = blocking(move || rad.text("meetings/visit.ics")).await.expect("it is there");
        assert!(text.contains("RRULE:FREQ=MONTHLY;COUNT=4") && text.contains("BEGIN:VALARM"), "{text}");
        quiet(&hub).await;
        assert_eq!(timeline().await[0].fields.get("subject"), Some(&json!("季度回访（上海）")));

        let rad = radicale.clone();
        blocking(move || rad.remove("meetings/visit.ics")).await;
        quiet(&hub).await;
        assert_eq!(open(&hub, "calendar/events//hub/meetings/visit.ics").await, Some(false));
        assert_eq!(crm.writes(), 0, "a meeting is no reason to write to a customer");
    });
}

/// A meeting made with the `caldav` and `icalendar` libraries, and a task beside it.
const MEETING: &str = r#"
import caldav, datetime, zoneinfo
from icalendar import Alarm, Calendar, Event, vCalAddress, vText
zone = zoneinfo.ZoneInfo("Asia/Shanghai")
event = Event()
event.add("uid", "visit@calendar.example")
event.add("summary", "季度回访")
event.add("dtstamp", datetime.datetime(2026, 1, 20, tzinfo=datetime.timezone.utc))
event.add("dtstart", datetime.datetime(2026, 2, 2, 10, 0, tzinfo=zone))
event.add("dtend", datetime.datetime(2026, 2, 2, 11, 30, tzinfo=zone))
event.add("rrule", {"freq": "monthly", "count": 4})
event.add("organizer", vCalAddress("mailto:hub@example.test"))
for address in ("LIN@example.org", "stranger@example.org"):
    guest = vCalAddress("mailto:" + address)
    guest.params["PARTSTAT"] = vText("ACCEPTED")
    event.add("attendee", guest)
alarm = Alarm()
alarm.add("action", "DISPLAY")
alarm.add("description", "ring")
alarm.add("trigger", datetime.timedelta(minutes=-15))
event.add_component(alarm)
book = Calendar()
book.add("prodid", "-//T//T//EN")
book.add("version", "2.0")
book.add_component(event)
call("PUT", "/hub/meetings/visit.ics", data=book.to_ical(), headers={"Content-Type": "text/calendar"})
client = caldav.DAVClient(url=base, username=ask["username"], password=ask["password"])
client.principal().calendars()[0].save_todo(summary="buy paper")
print("null")
"#;
