//! Tryton, the free ERP: parties with their contact mechanisms both ways, sales in, over the JSON-RPC of its own client.
//!
//! [`typed`] reads and writes the values that JSON has no word for. [`rpc`] keeps a session and carries a call out, and
//! [`reply`] says what an answer means, since most errors arrive under HTTP 200. [`streams`] names the models and makes
//! records of their rows; [`pull`] walks what changed, children included, and now and then everything there is. [`push`]
//! writes a party and its contact mechanisms in one transaction of the server, guarded by the stamps that were read.
//! [`connector`] puts them behind the contract.
//!
//! Facts about the wire are from the source of trytond 8.2 (`protocols/`, `model/`), and are met again by the tests,
//! which run that server.

pub mod connector;
pub mod pull;
pub mod push;
pub mod reply;
pub mod rpc;
pub mod streams;
pub mod typed;
