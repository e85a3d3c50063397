//! What happens around the hub: systems call, disks fill, people look after what needs one.

use huiliu_core::connector::Received;
use huiliu_core::pipeline::intake::Appended;
use huiliu_core::retry;
use huiliu_core::store::inbox::{InboxItem, ItemKind};
use huiliu_core::store::{links, streams};

use super::{Due, MINUTE_US, SECOND_US, World};
use crate::mutant::Mutant;
use crate::script::letter;

impl World<'_> {
    /// Makes the database itself refuse every write to a table, as a full disk would, or allow it again.
    pub(super) fn refuse(&mut self, table: &'static str, full: bool) {
        // A disk is emptied whether the hub runs or not.
        let store = self.store().cloned().unwrap_or_else(|| self.disk.afresh());
        let statements = ["INSERT", "UPDATE"].map(|verb| {
            let name = format!("no_{verb}_{table}");
            if !full {
                return format!("DROP TRIGGER IF EXISTS {name}");
            }
            let body = "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
            format!("CREATE TRIGGER IF NOT EXISTS {name} BEFORE {verb} ON {table} {body}")
        });
        let done = store.write(|tx| statements.iter().try_for_each(|sql| tx.execute(sql, &[]).map(drop)));
        match (done, full) {
            (Err(error), _) => self.wrong(format!("table {table}: {error}")),
            (Ok(()), true) => drop(self.full.insert(table)),
            (Ok(()), false) => drop(self.full.remove(table)),
        }
    }

    pub(super) fn webhook(&mut self, system: usize, key: String, body: Vec<Received>, tries: usize) {
        let item = InboxItem {
            connection: self.systems[system].spec.name.clone(),
            kind: ItemKind::Webhook,
            target: Some("/hooks".to_owned()),
            headers: Some("[]".to_owned()),
            body: serde_json::to_vec(&body).unwrap_or_default(),
            received_us: self.now_us(),
            ..InboxItem::default()
        };
        let answered = self.hub.as_ref().map(|hub| hub.finish(hub.intake.append(item, key.clone())));
        match answered {
            Some(Ok(told)) => {
                self.tell(|| format!("{}: calls the hub, event {key}: {told:?}", letter(system)));
                if told == Appended::Fresh {
                    self.ring();
                }
            }
            // The hub is down or cannot write: the sender tries three times in all, as many do.
            _ if tries < 2 => self.soon(30 * SECOND_US, Due::Webhook { system, key, body, tries: tries + 1 }),
            _ => self.tell(|| format!("{}: gives up calling, event {key}", letter(system))),
        }
    }

    /// The planted bug that forgets what records hold.
    pub(super) fn deafen(&self) {
        if self.shared.mutant != Mutant::Deaf {
            return;
        }
        let Some(store) = self.store() else { return };
        let forgotten = store.write(|tx| {
            let mut all = links::by_numbers(tx, 1..1000)?;
            for link in &mut all {
                link.state.held =
                    link.state.said.iter().map(|(field, said)| (field.clone(), said.value.clone())).collect();
                link.state.written.clear();
                link.state.fresh_us = 0;
            }
            links::put(tx, &all)
        });
        if let Err(error) = forgotten {
            self.wrong(format!("the planted bug failed: {error}"));
        }
    }

    /// Every quarter of an hour somebody resumes what is paused, starts what stopped, and has what was given up tried
    /// again, if there was trouble in the last half hour.
    pub(super) fn operator(&mut self) {
        let now_us = self.now_us();
        self.soon(15 * MINUTE_US, Due::Operator);
        let Some(troubled_us) = self.shared.ledger().troubled_us else { return };
        let Some(hub) = &self.hub else { return };
        let engine = hub.engine.clone();
        let names: Vec<String> = self.systems.iter().map(|it| it.spec.name.clone()).collect();
        let looked = engine.store.write(|tx| {
            let mut resumed = 0;
            for name in &names {
                resumed += streams::resume(tx, name, now_us)?;
            }
            Ok((resumed, streams::all(tx)?))
        });
        let retried = retry::dead_letters(&engine, None);
        let (Ok((resumed, known)), Ok(retried)) = (looked, retried) else { return };
        self.tell(|| format!("somebody looks: {resumed} resumed, {retried:?}"));
        if troubled_us < now_us - 30 * MINUTE_US {
            self.shared.ledger().troubled_us = None;
        }
        self.ring();
        for (system, name) in names.into_iter().enumerate() {
            self.soon(0, Due::Errands(system));
            if known.get(&(name, "customers".to_owned())).is_some_and(|state| state.stopped) {
                self.read_by(system, now_us);
            }
        }
    }
}
