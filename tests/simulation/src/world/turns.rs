//! The turns of the hub, as `huiliu serve` takes them: read when due, do errands, think when something came.

use std::sync::atomic::Ordering;
use std::task::Poll;

use huiliu_core::connection::State;
use huiliu_core::pipeline::{plan, process, think};
use huiliu_core::store::streams;

use super::{Due, GLANCE_US, MINUTE_US, World};
use crate::hub::{Done, Hub, Work, every_us};

impl World<'_> {
    pub(super) fn restart(&mut self) {
        if self.hub.is_some() {
            return;
        }
        let started = Hub::start(self.kit, &self.disk, &self.shared.clock, &self.systems);
        match started {
            Ok(hub) => self.hub = Some(hub),
            Err(error) => {
                // The disk may be full still: whoever watches the program starts it again.
                self.tell(|| format!("the hub cannot start: {error}"));
                self.soon(GLANCE_US, Due::Restart);
                return;
            }
        }
        self.tell(|| "the hub starts".to_owned());
        self.thinks = false;
        self.ring();
        for system in 0..self.systems.len() {
            self.soon(0, Due::Errands(system));
            self.schedule(system);
        }
    }

    pub(super) fn ring(&mut self) {
        if !self.thinks {
            self.thinks = true;
            self.soon(1_000, Due::Think);
        }
    }

    /// Sets the time of the next pull as the store has it.
    pub(super) fn schedule(&mut self, system: usize) {
        let Some(store) = self.store() else { return };
        let key = (self.systems[system].spec.name.clone(), "customers".to_owned());
        let due_us = match store.read(streams::all) {
            Ok(all) => all.get(&key).map_or(0, |state| if state.stopped { i64::MAX } else { state.due_us }),
            Err(_) => self.now_us() + GLANCE_US,
        };
        if due_us < i64::MAX {
            self.read_by(system, due_us);
        }
    }

    pub(super) fn read_by(&mut self, system: usize, at_us: i64) {
        let at_us = at_us.max(self.now_us());
        self.read_at[system] = Some(at_us);
        self.at(at_us, Due::Read(system));
    }

    pub(super) fn errands(&mut self, system: usize) {
        let Some(hub) = &mut self.hub else { return };
        if hub.is_busy(Work::Fetch(system)) || hub.is_busy(Work::Push(system)) {
            hub.again.insert(system);
            return;
        }
        self.begin(Work::Fetch(system));
    }

    pub(super) fn begin(&mut self, work: Work) {
        let (Work::Read(system) | Work::Fetch(system) | Work::Push(system)) = work;
        self.next += 1;
        let number = self.next;
        let Some(hub) = &mut self.hub else { return };
        if hub.is_busy(work) {
            return;
        }
        let name = &self.systems[system].spec.name;
        // What is sent looks for itself.
        let paused = matches!(work, Work::Read(_) | Work::Fetch(_)).then(|| hub.engine.store.read(streams::states));
        if paused
            .is_some_and(|all| all.is_ok_and(|all| all.get(name).is_some_and(|(state, _)| *state == State::Paused)))
        {
            if let Work::Read(system) = work {
                self.read_by(system, self.now_us() + MINUTE_US);
            }
            return;
        }
        hub.begin(number, work, &self.systems[system]);
        self.drive(number);
    }

    pub(super) fn drive(&mut self, number: u64) {
        let alarm = self.shared.alarm.clone();
        alarm.store(i64::MAX, Ordering::SeqCst);
        let Some(hub) = &mut self.hub else { return };
        match hub.drive(number, || alarm.load(Ordering::SeqCst) != i64::MAX) {
            None => {}
            Some((_, Poll::Pending)) => self.at(alarm.load(Ordering::SeqCst), Due::Task(number)),
            Some((work, Poll::Ready(result))) => match result {
                Ok(done) => self.ended(work, done),
                Err(error) => {
                    self.tell(|| format!("{work:?}: the store failed: {error}"));
                    match work {
                        Work::Read(system) => self.read_by(system, self.now_us() + GLANCE_US),
                        Work::Fetch(system) | Work::Push(system) => self.soon(GLANCE_US, Due::Errands(system)),
                    }
                }
            },
        }
    }

    pub(super) fn ended(&mut self, work: Work, done: Done) {
        match work {
            Work::Read(system) => {
                // Even a read that brought nothing may end the wait of creates, or be a complete scan.
                self.ring();
                if done.count > 0 {
                    self.soon(0, Due::Errands(system));
                }
                if done.failed {
                    self.schedule(system);
                } else {
                    self.read_by(system, self.now_us() + every_us(&self.systems[system]));
                }
            }
            Work::Fetch(system) => {
                if done.count > 0 {
                    self.ring();
                }
                self.begin(Work::Push(system));
            }
            Work::Push(system) => {
                self.deafen();
                if done.count > 0 {
                    self.ring();
                    self.begin(Work::Push(system));
                    return;
                }
                let Some(hub) = &mut self.hub else { return };
                if hub.again.remove(&system) {
                    self.begin(Work::Fetch(system));
                    return;
                }
                let name = self.systems[system].spec.name.clone();
                hub.engine.rest(&name);
                let due_us = self.store().map(|store| store.read(|tx| streams::next_errand_us(tx, &name)));
                if let Some(Ok(Some(due_us))) = due_us {
                    self.at(due_us.max(self.now_us() + 20_000), Due::Errands(system));
                }
            }
        }
    }

    pub(super) fn think(&mut self) {
        self.thinks = false;
        let Some(hub) = &self.hub else { return };
        let engine = hub.engine.clone();
        // Little is taken in, planned and claimed at once; every other time stage by stage, as what is much.
        let at_once = self.now_us() / 1000 % 2 == 0;
        let worked = (|| {
            let mut errands = 0;
            if at_once {
                think::pass(&engine)?;
                errands += engine.take_errands().len();
            }
            loop {
                let done = process::batch(&engine)?;
                let (changes, deliveries) = plan::batch(&engine)?;
                errands += done.hints + deliveries;
                if done.items + changes == 0 {
                    return Ok::<_, huiliu_core::store::StoreError>(errands);
                }
            }
        })();
        match worked {
            Ok(0) => {}
            Ok(_) => (0..self.systems.len()).for_each(|system| self.soon(0, Due::Errands(system))),
            Err(error) => {
                self.tell(|| format!("processing failed: {error}"));
                self.thinks = true;
                self.soon(GLANCE_US, Due::Think);
            }
        }
    }
}
