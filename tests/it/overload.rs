//! More calls at one time than the hub has places for: it says so at once, and loses nothing of what it acknowledged.

use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use huiliu_core::clock::Clock;
use huiliu_core::pipeline::intake::{Appended, GROUP_MAX, Intake, IntakeError, WAITING_MAX};
use huiliu_core::store::inbox::{self, InboxItem, ItemKind};
use huiliu_core::store::{Store, Tx};
use huiliu_tests::kit::on_both_stores;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle as Task;

/// Calls beyond those that wait for the writer and those that it has in hand.
const TOO_MANY: usize = 100;

/// Calls at one time.
const SENT: usize = WAITING_MAX + GROUP_MAX + TOO_MANY;

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn call(number: usize) -> InboxItem {
    InboxItem {
        connection: "shop".to_owned(),
        kind: ItemKind::Webhook,
        body: number.to_string().into_bytes(),
        ..InboxItem::default()
    }
}

/// Keeps everybody from appending, as a slow disk would, until the answer is told or dropped.
fn slow(store: &Store) -> (Sender<()>, JoinHandle<()>) {
    let ((go, gone), (begun, begins), store) = (channel::<()>(), channel(), store.clone());
    let thread = std::thread::spawn(move || {
        let held = store.write(|tx| {
            inbox::append::<InboxItem>(tx, &[])?;
            // Postgres was only told of the lock so far; what is read comes after it.
            tx.max("position", "inbox")?;
            begun.send(()).expect("somebody waits");
            let _ = gone.recv();
            Ok(())
        });
        held.expect("the store works");
    });
    begins.recv().expect("it begins");
    (go, thread)
}

fn kept(tx: &mut Tx<'_>) -> huiliu_core::store::db::Result<Vec<usize>> {
    let all = inbox::after(tx, 0, 10_000)?;
    Ok(all.iter().filter_map(|item| std::str::from_utf8(&item.body).ok()?.parse().ok()).collect())
}

/// A call on its way: its number, and what it heard.
type Call = Task<(usize, Result<Appended, IntakeError>)>;

/// A way in, and what runs its calls.
fn intake(store: &Store) -> (Runtime, Intake) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let intake = Intake::start(store.clone(), Clock::System, || {});
    (runtime.expect("a runtime"), intake.expect("it starts"))
}

fn send(runtime: &Runtime, intake: &Intake, number: usize, item: InboxItem, key: String) -> Call {
    let intake = intake.clone();
    runtime.spawn(async move { (number, intake.append(item, key).await) })
}

#[test]
fn what_does_not_fit_is_refused_at_once_and_what_was_acknowledged_is_kept() {
    on_both_stores(|store| {
        let ((go, thread), (runtime, intake)) = (slow(&store), intake(&store));
        let send = |number| send(&runtime, &intake, number, call(number), format!("e{number}"));
        let calls: Vec<Call> = (0..SENT).map(send).collect();
        let begun = Instant::now();
        while calls.iter().filter(|call| call.is_finished()).count() < TOO_MANY {
            assert!(begun.elapsed() < PATIENCE, "everybody waits, and nobody is refused");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(go);
        let (mut acknowledged, mut refused) = (BTreeSet::new(), Vec::new());
        for call in calls {
            match runtime.block_on(call).expect("it ends") {
                (number, Ok(Appended::Fresh)) => drop(acknowledged.insert(number)),
                (number, Err(IntakeError::Full)) => refused.push(number),
                (number, other) => panic!("{number}: {other:?}"),
            }
        }
        thread.join().expect("it ends");
        assert!(refused.len() >= TOO_MANY, "{}", refused.len());
        let now = store.read(kept).expect("the inbox");
        assert_eq!((now.len(), now.into_iter().collect::<BTreeSet<_>>()), (acknowledged.len(), acknowledged));
        // Whoever was asked to come again does.
        let again: Vec<Call> = refused.into_iter().map(send).collect();
        for call in again {
            let (number, told) = runtime.block_on(call).expect("it ends");
            assert_eq!(told, Ok(Appended::Fresh), "{number}");
        }
        let all = store.read(kept).expect("the inbox");
        assert_eq!((all.len(), all.into_iter().collect::<BTreeSet<_>>().len()), (SENT, SENT), "each of them once");
    });
}

/// Two events, one key of two connections, in one group, several times each: all are answered, and each is kept once.
#[test]
fn repeats_in_one_group_are_kept_once() {
    on_both_stores(|store| {
        let ((go, thread), (runtime, intake)) = (slow(&store), intake(&store));
        let send = |number: usize| {
            let connection = if number.is_multiple_of(3) { "other" } else { "shop" }.to_owned();
            send(&runtime, &intake, number, InboxItem { connection, ..call(number) }, "e1".to_owned())
        };
        let calls: Vec<Call> = (0..12).map(send).collect();
        drop(go);
        let told = calls.into_iter().map(|call| runtime.block_on(call).expect("it ends").1.expect("it is kept"));
        let fresh = told.filter(|it| *it == Appended::Fresh).count();
        thread.join().expect("it ends");
        assert_eq!((fresh, store.read(kept).expect("the inbox").len()), (2, 2));
    });
}
