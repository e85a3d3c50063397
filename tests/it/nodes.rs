//! What keeps several processes on one store apart: leases with tokens, locks, bells, and what an older program may open.
//! Real processes under load are in `hub/tests/nodes`.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use huiliu_core::node::{MEANING, Node, unit_of};
use huiliu_core::store::db::{Bell, Param, Tx};
use huiliu_core::store::{Store, StoreError, inbox, leases, overview, proposals};
use huiliu_tests::postgres;

fn open(url: &str) -> Store {
    Store::open(url).expect("the store opens")
}

fn node(store: &Store) -> Node {
    Node::new(store, "here:1", "process,exchange", vec![MEANING.to_owned(), unit_of("shop")])
}

/// As if the node of this store had said nothing for long.
fn is_silent(by: &Store, node: &Store) {
    let sql = "UPDATE node SET ends_us = 0 WHERE name = ?1";
    assert_eq!(by.write(|tx| tx.execute(sql, &[Param::Text(node.node())])).expect("it is known"), 1);
}

fn mark(tx: &mut Tx<'_>, position: i64) -> Result<(), StoreError> {
    inbox::set_progress(tx, "mark", position)
}

fn marked(store: &Store) -> i64 {
    store.read(|tx| inbox::progress(tx, "mark")).expect("read")
}

#[test]
fn who_was_overtaken_writes_nothing_any_more() {
    let url = postgres::database();
    let (one, two) = (open(&url), open(&url));
    let (first, second) = (node(&one), node(&two));
    let taken = first.beat(true).expect("a beat").taken;
    assert_eq!(taken.len(), 2, "nobody else is there");
    let meaning = taken.into_iter().find(|fence| fence.unit == MEANING).expect("it is taken");
    let mine = one.fenced(meaning.clone());
    mine.write(|tx| mark(tx, 1)).expect("it is ours");
    leases::stand(&mine).expect("nobody else is at it");
    assert_eq!(second.beat(true).expect("a beat").taken.len(), 0, "it is somebody's who lives");

    is_silent(&two, &one);
    let now = second.beat(true).expect("a beat").taken;
    let token = now.iter().find(|fence| fence.unit == MEANING).expect("it is taken over").token;
    assert!(token > meaning.token);
    // Its sessions were ended by whoever took over; over a new one it hears why.
    mine.write(|tx| mark(tx, 2)).expect_err("it is not ours any more");
    let told = mine.write(|tx| mark(tx, 2)).expect_err("nor is it later");
    assert!(matches!(&told, StoreError::TakenOver(unit) if unit == MEANING), "{told}");
    assert!(meaning.is_lost() && leases::stand(&mine).is_err(), "nothing leaves either");
    assert_eq!(marked(&two), 1);
    // It says that it lives again, hears what it lost, and takes nothing that is in good hands.
    let shares = first.beat(true).expect("a beat");
    assert_eq!((shares.taken.len(), shares.given.len()), (0, 2));
    for unit in shares.given {
        first.release(&unit).expect("what is lost is not given back twice");
    }
    assert_eq!(two.read(leases::leases).expect("leases").iter().filter(|it| it.holder.is_some()).count(), 2);

    second.leave().expect("a clean end");
    let again = first.beat(true).expect("a beat").taken;
    assert_eq!(again.len(), 2, "what is given back is free at once");
    assert!(again.iter().all(|fence| fence.token > 1));
}

/// A process that stands still in the middle of a transaction holds locks: whoever takes over ends its session.
#[test]
fn who_stands_still_in_the_middle_is_cut_off() {
    let url = postgres::database();
    let (one, two) = (open(&url), open(&url));
    let (first, second) = (node(&one), node(&two));
    let taken = first.beat(true).expect("a beat").taken;
    let mine = one.fenced(taken[0].clone());
    let ((stands, stood), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel());
    std::thread::scope(|all| {
        let writing = mine.clone();
        let writer = all.spawn(move || {
            writing.write(|tx| {
                tx.lock(7)?;
                mark(tx, 1)?;
                stands.send(()).expect("somebody waits");
                goes_on.recv_timeout(Duration::from_secs(60)).expect("it goes on");
                mark(tx, 2)
            })
        });
        stood.recv().expect("it stands still");
        is_silent(&two, &one);
        let begun = Instant::now();
        let now = second.beat(true).expect("a beat").taken;
        assert_eq!(now.len(), 2, "nothing waits for the one who stands still");
        two.fenced(now[0].clone()).write(|tx| tx.lock(7)).expect("its locks are free");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        go_on.send(()).expect("it wakes");
        writer.join().expect("no panic").expect_err("its session was ended");
    });
    assert_eq!(marked(&two), 0, "nothing of it is there");
    mine.write(|tx| mark(tx, 3)).expect_err("nor by another session");
    one.write(|tx| mark(tx, 4)).expect("whoever holds nothing writes as ever");
}

#[test]
fn work_is_spread_over_those_who_live() {
    let url = postgres::database();
    let stores = [open(&url), open(&url)];
    let units = [MEANING.to_owned(), unit_of("a"), unit_of("b"), unit_of("c")];
    let nodes = stores.each_ref().map(|store| Node::new(store, "here:1", "process,exchange", units.to_vec()));
    assert_eq!(nodes[0].beat(true).expect("a beat").taken.len(), 4);
    for _ in 0..4 {
        for node in &nodes {
            for unit in node.beat(true).expect("a beat").given {
                node.release(&unit).expect("it is given back");
            }
        }
    }
    let shown = stores[0].read(leases::nodes).expect("nodes");
    let counts: Vec<usize> = shown.iter().map(|it| it.holds.len()).collect();
    assert_eq!(counts, [2, 2], "{shown:?}");
    assert!(shown[0].holds.contains(&MEANING.to_owned()), "whoever computes meaning goes on: {shown:?}");
    assert!(shown.iter().all(|it| it.is_alive && it.silent_us < 60_000_000 && it.place == "here:1"));
}

#[test]
fn one_thinks_alone_from_its_look_to_its_write() {
    let url = postgres::database();
    let (one, two) = (open(&url), open(&url));
    let add = |store: &Store| {
        store.alone(9, |alone| {
            let now = marked(store);
            std::thread::sleep(Duration::from_millis(5));
            alone.commit(|tx| mark(tx, now + 1))
        })
    };
    std::thread::scope(|all| {
        for store in [&one, &two, &one] {
            all.spawn(move || (0..20).for_each(|_| add(store).expect("it is written")));
        }
    });
    assert_eq!(marked(&two), 60, "none wrote by what another had changed");
    one.alone(9, |_| Err::<(), _>(StoreError::Refused)).expect_err("what comes to nothing frees the lock");
    add(&two).expect("it is free");
}

#[test]
fn bells_are_heard_by_others_once_they_count() {
    let url = postgres::database();
    let (one, two) = (open(&url), open(&url));
    let (heard, hears) = mpsc::channel();
    let itself = two.clone();
    let (end, ended) = mpsc::channel::<()>();
    std::thread::scope(|all| {
        let two = two.clone();
        all.spawn(move || {
            let tell = move |bell| heard.send(bell).expect("somebody hears");
            two.listen(&tell, &|| ended.try_recv().is_ok()).expect("it listens");
        });
        let next = || hears.recv_timeout(Duration::from_secs(30)).expect("a bell");
        assert_eq!(next(), Bell::All, "what was rung before");
        one.write(|tx| {
            tx.ring(Bell::Shares);
            Err::<(), _>(StoreError::Refused)
        })
        .expect_err("it comes to nothing");
        itself
            .write(|tx| {
                tx.ring(Bell::Think);
                Ok(())
            })
            .expect("our own is not heard");
        let begun = Instant::now();
        one.write(|tx| {
            tx.ring(Bell::Tend("shop".to_owned()));
            tx.ring(Bell::Tend("shop".to_owned()));
            Ok(())
        })
        .expect("it is written");
        assert_eq!(next(), Bell::Tend("shop".to_owned()));
        assert!(begun.elapsed() < Duration::from_secs(2), "nobody polls: {:?}", begun.elapsed());
        end.send(()).expect("it ends");
    });
    assert!(hears.try_recv().is_err(), "nothing else was rung");
}

#[test]
fn connections_to_the_server_are_bounded() {
    let url = postgres::database();
    let (bounded, watcher) = (open(&format!("{url}&connections=4")), open(&url));
    let count = || {
        let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = ?1";
        let name = format!("huiliu {}", bounded.node());
        watcher.read(|tx| tx.query_opt(sql, &[Param::Text(&name)], |row| row.int(0))).expect("read").unwrap_or(0)
    };
    let most = std::thread::scope(|all| {
        let waits: Vec<_> = (0..12)
            .map(|_| {
                all.spawn(|| {
                    for _ in 0..5 {
                        let work = |_: &mut Tx<'_>| {
                            std::thread::sleep(Duration::from_millis(10));
                            Ok(())
                        };
                        bounded.write(work).expect("its turn comes");
                    }
                })
            })
            .collect();
        let mut most = 0;
        while waits.iter().any(|it| !it.is_finished()) {
            most = most.max(count());
        }
        most
    });
    assert!((1..=4).contains(&most), "{most}");
}

#[test]
fn what_is_sent_behind_another_statement_fails_with_the_transaction() {
    let store = open(&postgres::database());
    let wrong = |tx: &mut Tx<'_>| {
        mark(tx, 7)?;
        tx.execute_later("INSERT INTO progress (name, position) VALUES ('mark', 8)", &[])
    };
    // At the commit, or at the next statement that is waited for.
    let told = store.write(wrong).expect_err("there is a mark already").to_string();
    assert!(told.contains("duplicate key"), "{told}");
    let read_on = |tx: &mut Tx<'_>| wrong(tx).and_then(|()| inbox::progress(tx, "mark"));
    let told = store.write(read_on).expect_err("there is a mark already").to_string();
    assert!(told.contains("duplicate key"), "the first mistake is what is told: {told}");
    assert_eq!(marked(&store), 0, "nothing of it was written");
    store.write(|tx| mark(tx, 9)).expect("the connection goes on");
    assert_eq!(marked(&store), 9);
}

#[test]
fn who_read_or_gave_up_leaves_no_transaction_open() {
    let url = postgres::database();
    let (one, two) = (open(&url), open(&url));
    assert_eq!(marked(&one), 0);
    one.write(|tx| mark(tx, 1).and(Err::<(), _>(StoreError::Refused))).expect_err("it was given up");
    let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL
               AND pid <> pg_backend_pid()";
    let begun = Instant::now();
    // The server is told at once, and nobody waits for its answer.
    while two.read(|tx| tx.query_opt(sql, &[], |row| row.int(0))).expect("it reads") != Some(0) {
        assert!(begun.elapsed() < Duration::from_secs(5), "a transaction stays open");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(marked(&two), 0);
}

#[test]
fn nodes_that_start_side_by_side_note_the_same_files_once() {
    let url = postgres::database();
    let stores: Vec<Store> = (0..4).map(|_| open(&url)).collect();
    for round in 1..=20 {
        let files = format!("files {round}");
        let note =
            |store: &Store| store.write(|tx| proposals::come_into_force(tx, &files, "{}", round)).expect("noted");
        let numbers: Vec<i64> = std::thread::scope(|threads| {
            let nodes: Vec<_> = stores.iter().map(|store| threads.spawn(|| note(store))).collect();
            nodes.into_iter().map(|node| node.join().expect("it ends")).collect()
        });
        assert_eq!(numbers, [round; 4]);
    }
}

#[test]
fn an_older_program_goes_on_with_what_was_only_added_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = format!("sqlite:{}", folder.path().join("store.db").display());
    for url in [file, postgres::database()] {
        let store = open(&url);
        let known = store.read(|tx| tx.max("number", "migration")).expect("read");
        let newer = |number: i64, oldest: i64| {
            let sql = "INSERT INTO migration (number, oldest) VALUES (?1, ?2)";
            store.write(|tx| tx.execute(sql, &[Param::Int(number), Param::Int(oldest)])).expect("a newer version");
        };
        newer(known + 1, known - 1);
        newer(known + 2, known);
        open(&url).read(overview::ready).expect("this version goes on, and is ready");
        newer(known + 3, known + 2);
        let told = Store::open(&url).err().expect("what it used is gone").to_string();
        assert!(told.contains("run the newer version that wrote it"), "{told}");
        store.read(overview::ready).expect_err("a process that runs on hears it too");
    }
}

#[test]
fn one_file_is_served_by_one_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    let (one, two) = (open(&url), open(&url));
    let kept = one.serve_alone().expect("nobody else serves it");
    let told = two.serve_alone().expect_err("somebody does").to_string();
    assert!(told.starts_with("another process serves") && told.contains("Postgres"), "{told}");
    drop(kept);
    two.serve_alone().expect("it is free");
}
