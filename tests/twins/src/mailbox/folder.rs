//! A folder and its mails.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// A folder.
pub(super) struct Folder {
    /// Another number, another life of the folder.
    pub validity: u32,
    pub uid_next: u32,
    pub modseq: u64,
    pub mails: Vec<Mail>,
}

/// A mail in a folder.
pub(super) struct Mail {
    pub uid: u32,
    pub modseq: u64,
    pub flags: Vec<String>,
    pub received: Timestamp,
    pub raw: Vec<u8>,
}

impl Folder {
    pub fn new(validity: u32) -> Self {
        Self { validity, uid_next: 1, modseq: 1, mails: Vec::new() }
    }

    pub fn add(&mut self, raw: &[u8], flags: &[String], received: Timestamp) -> u32 {
        let uid = self.uid_next;
        self.uid_next += 1;
        self.modseq += 1;
        // No literal of IMAP may hold a NUL (RFC 3501 section 4.3.1); Dovecot shows 0x80 in its place.
        let raw = raw.iter().map(|&byte| if byte == 0 { 0x80 } else { byte }).collect();
        self.mails.push(Mail { uid, modseq: self.modseq, flags: flags.to_vec(), received, raw });
        uid
    }

    pub fn set_flags(&mut self, uid: u32, flags: &[&str]) {
        self.modseq += 1;
        let modseq = self.modseq;
        if let Some(mail) = self.mails.iter_mut().find(|mail| mail.uid == uid) {
            mail.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
            mail.modseq = modseq;
        }
    }

    pub fn expunge(&mut self, uid: u32) {
        self.modseq += 1;
        self.mails.retain(|mail| mail.uid != uid);
    }

    pub fn snapshot(&self) -> Value {
        let mails = self.mails.iter().map(
            |mail| json!({ "uid": mail.uid, "flags": mail.flags, "raw": String::from_utf8_lossy(&mail.raw).as_ref() }),
        );
        json!({ "uidvalidity": self.validity, "mails": mails.collect::<Vec<_>>() })
    }
}

impl Mail {
    /// `17-Jul-1996 02:44:25 +0000`.
    pub fn internal_date(&self) -> String {
        self.received.to_zoned(TimeZone::UTC).strftime("%d-%b-%Y %H:%M:%S %z").to_string()
    }

    /// The header fields of these names (upper case) with the empty line after them; all of them without names.
    pub fn header(&self, names: Option<&[String]>) -> Vec<u8> {
        let end = self.raw.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(self.raw.len(), |at| at + 2);
        let mut kept = Vec::new();
        let mut keep = false;
        for line in self.raw[..end].split_inclusive(|byte| *byte == b'\n') {
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
                let name = String::from_utf8_lossy(name).trim().to_ascii_uppercase();
                keep = names.is_none_or(|names| names.contains(&name));
            }
            if keep {
                kept.extend_from_slice(line);
            }
        }
        kept.extend_from_slice(b"\r\n");
        kept
    }

    /// Whether a header field holds a text, letter case aside.
    pub fn header_holds(&self, name: &str, text: &str) -> bool {
        let field = self.header(Some(&[name.to_ascii_uppercase()]));
        let value = String::from_utf8_lossy(&field).to_ascii_lowercase();
        value.split_once(':').is_some_and(|(_, value)| value.contains(&text.to_ascii_lowercase()))
    }
}
