//! One connection to Postgres. What needs no answer before the next statement travels with it, in one round trip: that a
//! transaction begins, the locks that it takes, what it counts, whom it wakes, and that it ends.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Connection, Error, Notification, Row, Socket, Statement};

use super::{Bell, Result, postgres_tls};

/// So much is sent before somebody looks at the answers: what is sent is kept until then.
const DUE_MAX: usize = 32;

/// Values for a statement, which outlive the call.
pub type Values = Vec<Box<dyn ToSql + Sync + Send>>;

/// As the driver takes them.
pub fn refs(values: &Values) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
}

/// An answer that is still to come.
type Answer = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

type Wire = Connection<Socket, <postgres_tls::Tls as MakeTlsConnect<Socket>>::Stream>;

/// See the module.
pub struct Session {
    client: Arc<Client>,
    wire: Wire,
    /// Statements by their text.
    statements: HashMap<String, Statement>,
    /// What the transaction that is under way will ring.
    pub(super) bells: BTreeSet<Bell>,
    /// Of what was sent and not looked at, in the order in which it was sent.
    due: Vec<Answer>,
    /// Whether one of them may forbid what is under way.
    is_unproved: bool,
    heard: Vec<Notification>,
    // The connection is of it: it goes last.
    runtime: tokio::runtime::Runtime,
}

impl Session {
    /// Connects, and sets the connection up.
    pub fn open(config: &tokio_postgres::Config, tls: postgres_tls::Tls, set_up: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| super::StoreError::Open(format!("no room for a connection: {error}")))?;
        let (client, wire) = runtime.block_on(config.connect(tls))?;
        let mut session = Self {
            client: Arc::new(client),
            wire,
            statements: HashMap::new(),
            bells: BTreeSet::new(),
            due: Vec::new(),
            is_unproved: false,
            heard: Vec::new(),
            runtime,
        };
        session.batch(set_up)?;
        Ok(session)
    }

    /// Whether the connection is of no use any more, as far as is known.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs statements without values, and waits until they are done.
    pub fn batch(&mut self, sql: &str) -> Result<()> {
        let client = self.client.clone();
        self.wait(async move { client.batch_execute(sql).await })
    }

    /// Sends statements without values.
    pub fn batch_later(&mut self, sql: impl Into<String>) {
        let (client, sql) = (self.client.clone(), sql.into());
        self.send(Box::pin(async move { Ok(client.batch_execute(&sql).await?) }));
    }

    /// Rows that a statement reads.
    pub fn query(&mut self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let client = self.client.clone();
        self.wait(async move { client.query(statement, values).await })
    }

    /// How many rows a statement changed.
    pub fn execute(&mut self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        let client = self.client.clone();
        self.wait(async move { client.execute(statement, values).await })
    }

    /// Sends a statement; how much it changes is nobody's business.
    pub fn execute_later(&mut self, statement: Statement, values: Values) -> Result<()> {
        if self.due.len() >= DUE_MAX {
            self.settle()?;
        }
        let client = self.client.clone();
        self.send(Box::pin(async move {
            client.execute(&statement, &refs(&values)).await?;
            Ok(())
        }));
        Ok(())
    }

    /// Sends a statement whose rows may forbid what is under way: nothing is committed before `proof` was content.
    pub fn prove(
        &mut self,
        statement: Statement,
        values: Values,
        proof: impl FnOnce(Vec<Row>) -> Result<()> + Send + 'static,
    ) {
        let client = self.client.clone();
        self.send(Box::pin(async move { proof(client.query(&statement, &refs(&values)).await?) }));
        self.is_unproved = true;
    }

    /// A statement by its text, with `?1` for values: the server reads each text once.
    pub fn prepared(&mut self, sql: &str) -> Result<Statement> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let mut text = String::with_capacity(sql.len());
        let mut rest = sql.chars().peekable();
        while let Some(c) = rest.next() {
            text.push(if c == '?' && rest.peek().is_some_and(char::is_ascii_digit) { '$' } else { c });
        }
        let client = self.client.clone();
        let statement = self.wait(async move { client.prepare(&text).await })?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Waits until all that was sent is done.
    pub fn settle(&mut self) -> Result<()> {
        if self.due.is_empty() { Ok(()) } else { self.wait(async { Ok(()) }) }
    }

    /// Ends a transaction: what it wrote counts, unless anything of it failed.
    pub fn commit(&mut self) -> Result<()> {
        if self.is_unproved {
            self.settle()?;
        }
        self.batch("COMMIT")
    }

    /// Ends a transaction whose end nobody waits for: one that only read, or one that came to nothing.
    pub fn leave(&mut self, how: &'static str) {
        self.due.clear();
        self.is_unproved = false;
        self.batch_later(how);
        // Its answer tells nothing, but the server is to know it at once: it holds locks and old rows until then.
        self.due.clear();
        let Self { runtime, wire, heard, .. } = self;
        let _ = runtime.block_on(std::future::poll_fn(|cx| Poll::Ready(drive(wire, heard, cx))));
    }

    /// What others told on the channels that are listened to, waiting for the first for so long.
    pub fn notifications(&mut self, wait: Duration) -> Result<Vec<Notification>> {
        let Self { runtime, wire, heard, .. } = self;
        let told = std::future::poll_fn(|cx| match drive(wire, heard, cx) {
            Err(error) => Poll::Ready(Err(error)),
            Ok(Wired::Closed) => Poll::Ready(Ok(())),
            Ok(Wired::Open) if heard.is_empty() => Poll::Pending,
            Ok(Wired::Open) => Poll::Ready(Ok(())),
        });
        // In time or not: what was told is told.
        runtime.block_on(async { tokio::time::timeout(wait, told).await }).unwrap_or(Ok(()))?;
        Ok(std::mem::take(&mut self.heard))
    }

    /// Sends what nobody waits for yet.
    fn send(&mut self, mut answer: Answer) {
        // The first look hands it to the connection, in its place among the others.
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => self.due.push(Box::pin(async { Err(error) })),
            Poll::Pending => self.due.push(answer),
        }
    }

    /// Sends something, and waits for it and for all that was sent before; the first that failed is what is told.
    fn wait<T>(&mut self, asked: impl Future<Output = std::result::Result<T, Error>>) -> Result<T> {
        self.is_unproved = false;
        let Self { runtime, wire, heard, due, .. } = self;
        let (due, mut asked) = (std::mem::take(due), pin!(asked));
        let first = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut all = pin!(async {
            for answer in due {
                answer.await?;
            }
            match first {
                Poll::Ready(done) => Ok(done?),
                Poll::Pending => Ok(asked.await?),
            }
        });
        runtime.block_on(std::future::poll_fn(|cx| {
            // Why the connection ended says more than that it did.
            drive(wire, heard, cx)?;
            all.as_mut().poll(cx)
        }))
    }
}

/// Whether a connection goes on.
enum Wired {
    Open,
    Closed,
}

/// Sends what is to be sent and takes in what came.
fn drive(wire: &mut Wire, heard: &mut Vec<Notification>, cx: &mut Context<'_>) -> std::result::Result<Wired, Error> {
    loop {
        match wire.poll_message(cx) {
            Poll::Ready(Some(Ok(AsyncMessage::Notification(told)))) => heard.push(told),
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Err(error),
            Poll::Ready(None) => return Ok(Wired::Closed),
            Poll::Pending => return Ok(Wired::Open),
        }
    }
}

/// A transaction on a connection; it comes to nothing unless it is committed.
pub struct Transaction<'s> {
    session: &'s mut Session,
    is_over: bool,
}

impl<'s> Transaction<'s> {
    /// Begins one by this statement, which is sent with the first that is waited for.
    pub fn begin(session: &'s mut Session, how: &'static str) -> Self {
        session.bells.clear();
        session.batch_later(how);
        Self { session, is_over: false }
    }

    /// What it wrote counts from now on.
    pub fn commit(mut self) -> Result<()> {
        self.session.commit()?;
        self.is_over = true;
        Ok(())
    }

    /// It only read.
    pub fn end(mut self) {
        self.is_over = true;
        self.session.leave("COMMIT");
    }
}

impl Deref for Transaction<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        self.session
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.session.leave("ROLLBACK");
        }
    }
}
