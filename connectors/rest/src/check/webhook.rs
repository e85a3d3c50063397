//! What can be known about `[webhook]`.

use huiliu_core::manifest::{Carries, Form, Merge, Verify};
use huiliu_mappings::diagnose::suggest;

use super::{Check, SETTINGS};
use crate::receive::Source;

impl Check<'_> {
    pub(super) fn webhook(&mut self) {
        let Some(webhook) = &self.manifest.webhook else { return };
        match &webhook.verify {
            Verify::HmacSha256 { secret, .. } | Verify::SharedToken { secret, .. } | Verify::Standard { secret } => {
                self.text("webhook.verify.secret", secret, SETTINGS);
            }
            Verify::HubspotV3 { secret, public_url } => {
                self.text("webhook.verify.secret", secret, SETTINGS);
                self.text("webhook.verify.public_url", public_url, SETTINGS);
            }
            Verify::Basic { username, password } => {
                self.text("webhook.verify.username", username, SETTINGS);
                self.text("webhook.verify.password", password, SETTINGS);
            }
            Verify::Form(form) => self.form(form),
            Verify::Connector {} => self.wrong("webhook.verify.kind", "`connector` needs a crate"),
            Verify::None { reason } => {
                if reason.trim().is_empty() {
                    self.wrong("webhook.verify.reason", "say why an unsigned webhook is right");
                }
            }
        }
        for pointer in webhook.record.iter().chain(&webhook.key).chain(&webhook.more_keys) {
            self.pointer("webhook", pointer);
        }
        let Some(route) = &webhook.route else {
            return self.wrong("webhook.route", "it is missing: calls would find no stream");
        };
        let streams = &self.manifest.streams;
        let mut named: Vec<&str> = [&route.topics, &route.deletes, &route.merges]
            .into_iter()
            .flat_map(|it| it.values())
            .map(String::as_str)
            .collect();
        self.merge(webhook.merge.as_ref(), !route.merges.is_empty());
        match Source::parse(&route.by) {
            Ok(Source::Stream(name)) => named.push(name),
            Ok(_) if named.is_empty() => self.wrong("webhook.route", "no topics are listed"),
            Ok(_) => {}
            Err(message) => self.wrong("webhook.route.by", message),
        }
        named.sort_unstable();
        named.dedup();
        for name in named.into_iter().chain(webhook.key_form.keys().map(String::as_str)) {
            match streams.get(name) {
                None => {
                    let hint = suggest(name, streams.keys().map(String::as_str));
                    self.wrong("webhook", format!("there is no stream `{name}`{hint}"));
                }
                Some(stream) if webhook.carries == Carries::Hint && stream.fetch.is_none() => {
                    self.wrong(
                        "webhook.carries",
                        format!("a hint is followed by a fetch, and stream `{name}` has none"),
                    );
                }
                Some(_) => {}
            }
        }
        for (stream, form) in &webhook.key_form {
            if !form.contains("{id}") {
                self.wrong(&format!("webhook.key_form.{stream}"), "it never says {id}");
            }
        }
    }

    fn merge(&mut self, merge: Option<&Merge>, has_topics: bool) {
        match merge {
            Some(merge) => {
                let when = merge.when.iter().map(|when| &when.at);
                merge
                    .from
                    .iter()
                    .chain([&merge.into])
                    .chain(when)
                    .for_each(|pointer| self.pointer("webhook.merge", pointer));
                if merge.from.is_empty() || !has_topics {
                    self.wrong("webhook.merge", "`from` names at least one place, and `route.merges` the topics");
                }
            }
            None if has_topics => {
                let example = "say where the ids are: merge = { from = [\"/losers\"], into = \"/winner\" }";
                self.wrong("webhook.route.merges", example);
            }
            None => {}
        }
    }

    fn form(&mut self, form: &Form) {
        let Form { secret, origins, fields, consents, consent_text, consent_version, title, thank_you, .. } = form;
        for text in
            [secret, origins, fields, consents, consent_text, consent_version, title, thank_you, &form.address_header]
        {
            self.text("webhook.verify", text, SETTINGS);
        }
        if form.seconds_min >= form.seconds_max || form.per_minute == 0 || form.trap.is_empty() {
            self.wrong(
                "webhook.verify",
                "seconds_min must stand below seconds_max, and per_minute and trap say something",
            );
        }
    }
}
