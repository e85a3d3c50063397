//! How often one address may call, in bounded memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Addresses that are counted at one time: 2 MB. When they are more, all others share one count.
const ADDRESSES_MAX: usize = 20_000;

/// Calls of each address in the current minute.
#[derive(Default)]
pub struct Limiter(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    number: i64,
    calls: HashMap<(String, Option<u64>, &'static str), u32>,
}

impl Limiter {
    /// Counts one call; answers the seconds to wait if it is one too many.
    pub fn count(
        &self,
        form: &str,
        address: Option<IpAddr>,
        what: &'static str,
        most: u32,
        now_seconds: i64,
    ) -> Option<u32> {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now_seconds.div_euclid(60);
        if minute.number != number {
            *minute = Minute { number, calls: HashMap::new() };
        }
        let mut key = (form.to_owned(), address.map(network), what);
        if minute.calls.len() >= ADDRESSES_MAX && !minute.calls.contains_key(&key) {
            key.1 = None;
        }
        let calls = minute.calls.entry(key).or_default();
        *calls = calls.saturating_add(1);
        let wait = 60 - now_seconds.rem_euclid(60);
        (*calls > most).then(|| u32::try_from(wait).unwrap_or(60))
    }
}

/// One household has one IPv4 address, or 2^64 addresses of IPv6.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_of_a_minute() {
        let limiter = Limiter::default();
        let from = |address: &str, at: i64| limiter.count("site", address.parse().ok(), "post", 2, at);
        assert_eq!((from("192.0.2.1", 0), from("192.0.2.1", 10), from("192.0.2.1", 50)), (None, None, Some(10)));
        assert_eq!(from("192.0.2.2", 50), None);
        assert_eq!((from("2001:db8::1", 50), from("2001:db8::2", 50), from("2001:db8::3", 50)), (None, None, Some(10)));
        assert_eq!(from("192.0.2.1", 60), None, "a new minute");
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter::default();
        for number in 0..u32::try_from(ADDRESSES_MAX + 100).unwrap() {
            limiter.count("site", Some(IpAddr::from(number.to_be_bytes())), "post", 2, 0);
        }
        assert!(limiter.0.lock().unwrap().calls.len() <= ADDRESSES_MAX + 1);
        assert!(
            limiter.count("site", "203.0.113.7".parse().ok(), "post", 2, 0).is_some(),
            "the crowd shares one count"
        );
    }
}
