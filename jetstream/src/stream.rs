//! What the stream must be: nothing that was not taken in may ever leave it by itself.

use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType};

use crate::Settings;

/// The stream as the hub makes it. Only the hub takes messages out, once they are in the inbox; when it is full it takes no
/// more in.
pub(crate) fn config(settings: &Settings) -> Config {
    Config {
        name: settings.stream.clone(),
        description: Some("Huiliu intake".to_owned()),
        subjects: vec![settings.subject.clone()],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: settings.replicas,
        max_bytes: settings.max_bytes,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        deny_delete: true,
        ..Config::default()
    }
}

/// What is wrong with a stream that is there.
pub(crate) fn mistake(settings: &Settings, is: &Config) -> Option<String> {
    let is_ours = is.subjects.contains(&settings.subject);
    let wrong = [
        (is.retention != RetentionPolicy::Limits, "its retention is not `limits`: others could remove calls"),
        (is.discard != DiscardPolicy::New, "its discard policy is not `new`: when it is full it would drop calls"),
        (!is.max_age.is_zero(), "it has a maximum age: calls that wait longer would be dropped"),
        (is.max_messages_per_subject > 0, "it has a limit for each subject"),
        (is.storage != StorageType::File, "it is kept in memory: a restart would lose calls"),
        (is.persist_mode == Some(PersistenceMode::Async), "it acknowledges before it has stored"),
        (is.num_replicas < settings.replicas, "it has fewer replicas than intake.replicas"),
        (is.mirror.is_some() || is.sources.as_ref().is_some_and(|it| !it.is_empty()), "it copies another stream"),
        (is.no_ack, "it does not acknowledge"),
        (is.sealed || is.deny_purge, "nothing may be taken out of it"),
        (is.allow_rollup, "a message may roll up all others"),
        (!is_ours, "it does not take the subject intake.subject"),
    ];
    let (_, what) = wrong.into_iter().find(|(is_wrong, _)| *is_wrong)?;
    let name = &settings.stream;
    Some(format!("the stream {name} cannot keep calls: {what}; mend it with `nats stream edit {name}`"))
}

/// Which stream of its name it is: when it was made, in nanoseconds since 1970 UTC.
pub(crate) fn identity(info: &Info) -> String {
    info.created.unix_timestamp_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Login, Sync, Tls};

    fn settings() -> Settings {
        Settings {
            servers: Vec::new(),
            login: Login::None,
            tls: Tls::default(),
            stream: "calls".to_owned(),
            subject: "huiliu.calls".to_owned(),
            replicas: 3,
            max_bytes: 1 << 20,
            sync: Sync::Always,
            monitors: Vec::new(),
        }
    }

    #[test]
    fn ours_is_right_and_whatever_drops_calls_is_not() {
        let (settings, ours) = (settings(), config(&settings()));
        assert_eq!(mistake(&settings, &ours), None);
        let wrong = [
            Config { discard: DiscardPolicy::Old, ..ours.clone() },
            Config { retention: RetentionPolicy::Interest, ..ours.clone() },
            Config { max_age: Duration::from_secs(60), ..ours.clone() },
            Config { storage: StorageType::Memory, ..ours.clone() },
            Config { num_replicas: 1, ..ours.clone() },
            Config { subjects: vec!["other".to_owned()], ..ours.clone() },
            Config { deny_purge: true, ..ours.clone() },
        ];
        for config in wrong {
            assert!(mistake(&settings, &config).is_some_and(|told| told.contains("nats stream edit calls")));
        }
    }
}
