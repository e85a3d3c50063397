//! What only Chinese values have: characters with variants and sounds, names without blanks, companies that begin with a
//! place and end with a legal form, addresses from the province down, numbers with a check character.
//!
//! [`han`] knows characters, [`person`] names of people, [`company`] names of companies, [`place`] the administrative
//! divisions, [`address`] addresses, [`ids`] numbers, [`phone`] telephones. Tables stand in `rules/chinese` and are made from packages of public
//! registries by `rules/chinese/tables.py`; whose they are stands in `rules/chinese/README.md`.

pub mod address;
pub mod company;
pub mod han;
pub mod ids;
pub mod person;
pub mod phone;
pub mod place;
