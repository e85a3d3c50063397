//! 金蝶云星空 (Kingdee K3Cloud): customers both ways, sale orders in, over the `WebAPI` of the `DynamicFormService`.
//!
//! [`headers`] signs a call; no session is needed. [`reply`] says what an answer means, since errors arrive under
//! HTTP 200, and [`wire`] carries a call out. [`query`] reads rows by `ExecuteBillQuery` and makes JSON objects of
//! them; [`streams`] names the forms and their fields; [`pull`] walks a stream by (change stamp, id) and never cuts an
//! order in two. [`push`] saves, submits and approves as one delivery that can stop anywhere and go on later.
//! [`connector`] puts them behind the contract.

pub mod connector;
pub mod headers;
pub mod pull;
pub mod push;
pub mod query;
pub mod reply;
pub mod streams;
pub mod wire;
