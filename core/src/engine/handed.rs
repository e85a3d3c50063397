//! Who sends to a connection, and what is claimed for him by those who plan: it need not be asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Engine;
use crate::store::db::{Result, StoreError, Tx};
use crate::store::deliveries::Planned;
use crate::store::leases::Fence;

/// See [`Engine::take_handed`].
#[derive(Default)]
pub(super) struct Handed {
    senders: BTreeMap<String, Sender>,
    claimed: BTreeMap<String, Vec<Planned>>,
}

/// Somebody who takes what is handed over.
struct Sender {
    /// What proves that it is this node's to send.
    fence: Option<Arc<Fence>>,
    /// So many deliveries are on their way, or answered and not on record.
    under_way: usize,
    /// What calls him while he sends; none: he rests, and the bell of his connection does.
    called: Option<Arc<Notify>>,
}

impl Engine {
    fn handed(&self) -> MutexGuard<'_, Handed> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever sends to a connection has nothing to do: what is planned for it is claimed and handed over at once.
    pub fn rest(&self, connection: &str) {
        self.note_sender(connection, 0, None);
    }

    /// Whoever sends to a connection takes more while so many deliveries are on their way.
    pub(crate) fn take_along(&self, connection: &str, under_way: usize, called: &Arc<Notify>) {
        self.note_sender(connection, under_way, Some(called.clone()));
    }

    fn note_sender(&self, connection: &str, under_way: usize, called: Option<Arc<Notify>>) {
        let sender = Sender { fence: self.store.fence().cloned(), under_way, called };
        self.handed().senders.insert(connection.to_owned(), sender);
    }

    /// How many more than what is on its way may be handed over where at most so many are to be; 0 also where nobody takes
    /// anything, or another node sends by now. No other takes it over before this transaction ends.
    pub(crate) fn room(&self, tx: &mut Tx<'_>, connection: &str, most: usize) -> Result<usize> {
        let (fence, taken) = {
            let handed = self.handed();
            let Some(sender) = handed.senders.get(connection) else { return Ok(0) };
            (sender.fence.clone(), sender.under_way + handed.claimed.get(connection).map_or(0, Vec::len))
        };
        match fence.map_or(Ok(()), |fence| fence.check(tx)) {
            Err(StoreError::TakenOver(_)) => {
                self.handed().senders.remove(connection);
                Ok(0)
            }
            checked => checked.map(|()| most.saturating_sub(taken)),
        }
    }

    /// Hands over what was claimed for a connection. Where somebody rested nothing more is until he rests again.
    pub(crate) fn hand_over(&self, connection: &str, claimed: Vec<Planned>) {
        let mut handed = self.handed();
        handed.claimed.entry(connection.to_owned()).or_default().extend(claimed);
        match handed.senders.get(connection).map(|sender| sender.called.clone()) {
            Some(Some(called)) => called.notify_one(),
            Some(None) => drop(handed.senders.remove(connection)),
            None => {}
        }
    }

    /// Gives what was handed over to whoever sends, who takes more.
    pub(crate) fn take_more(&self, connection: &str) -> Vec<Planned> {
        let mut handed = self.handed();
        let claimed = handed.claimed.remove(connection).unwrap_or_default();
        if let Some(sender) = handed.senders.get_mut(connection) {
            sender.under_way += claimed.len();
        }
        claimed
    }

    /// Ends the rest of whoever sends to a connection, or that he takes more, and gives what was claimed meanwhile: its
    /// attempts are on record, so it must be sent.
    pub fn take_handed(&self, connection: &str) -> Vec<Planned> {
        let mut handed = self.handed();
        handed.senders.remove(connection);
        handed.claimed.remove(connection).unwrap_or_default()
    }
}
