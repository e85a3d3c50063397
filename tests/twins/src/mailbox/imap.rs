//! The IMAP server: one client's session.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::folder::{Folder, Mail};
use super::wire::Wire;
use super::{Shared, USERNAME};

const ABILITIES: &str = "IMAP4rev1 IDLE CONDSTORE UIDPLUS";

/// A client's view of the server.
struct Session {
    shared: Arc<Shared>,
    logged_in: bool,
    selected: Option<View>,
}

/// The opened folder as the client knows it: sequence numbers are positions in `mails`.
struct View {
    folder: String,
    /// UID and modification sequence as last told.
    mails: Vec<(u32, u64)>,
}

pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    let mut session = Session { shared, logged_in: false, selected: None };
    wire.send(format!("* OK [CAPABILITY {ABILITIES}] ready\r\n")).await?;
    while let Some(words) = command(&mut wire).await? {
        let mut words = words.into_iter();
        let (Some(tag), Some(verb)) = (words.next(), words.next()) else {
            wire.send("* BAD no command\r\n").await?;
            continue;
        };
        let rest: Vec<String> = words.collect();
        let verb = verb.to_ascii_uppercase();
        if verb == "LOGOUT" {
            return wire.send(format!("* BYE bye\r\n{tag} OK done\r\n")).await;
        }
        if verb == "IDLE" && session.selected.is_some() {
            idle(&mut wire, &mut session, &tag).await?;
            continue;
        }
        let (mut reply, verdict) = session.answer(&verb, &rest);
        reply.extend_from_slice(format!("{tag} {verdict}\r\n").as_bytes());
        wire.send(reply).await?;
    }
    Ok(())
}

/// Reads a command: words, quoted texts, literals; a group in parentheses or brackets stays one word.
async fn command(wire: &mut Wire) -> io::Result<Option<Vec<String>>> {
    let mut words = Words::default();
    loop {
        let Some(line) = wire.line().await? else { return Ok(None) };
        let line = String::from_utf8_lossy(&line).into_owned();
        let literal = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
        let size = literal.and_then(|(_, size)| size.trim_end_matches('+').parse::<usize>().ok());
        let (Some((before, _)), Some(size)) = (literal, size) else {
            words.read(&line);
            return Ok(Some(words.done));
        };
        words.read(before);
        if !line.ends_with("+}") {
            wire.send("+ go on\r\n").await?;
        }
        // Latin-1 keeps every byte, so that a mail can travel among words.
        words.done.push(wire.bytes(size).await?.into_iter().map(char::from).collect());
    }
}

#[derive(Default)]
struct Words {
    done: Vec<String>,
}

impl Words {
    fn read(&mut self, line: &str) {
        let mut word = String::new();
        let (mut depth, mut quoted, mut is_text) = (0_usize, false, false);
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' if quoted => word.extend(letters.next()),
                '"' if depth == 0 => {
                    quoted = !quoted;
                    is_text = true;
                }
                ' ' if !quoted && depth == 0 => {
                    if !word.is_empty() || is_text {
                        self.done.push(std::mem::take(&mut word));
                    }
                    is_text = false;
                }
                _ => {
                    match letter {
                        '(' | '[' if !quoted => depth += 1,
                        ')' | ']' if !quoted => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    word.push(letter);
                }
            }
        }
        if !word.is_empty() || is_text {
            self.done.push(word);
        }
    }
}

/// The words inside a group's parentheses.
fn group(text: &str) -> Vec<String> {
    let mut words = Words::default();
    words.read(text.trim().trim_start_matches('(').strip_suffix(')').unwrap_or(text));
    words.done
}

async fn idle(wire: &mut Wire, session: &mut Session, tag: &str) -> io::Result<()> {
    let mut changed = session.shared.changed.subscribe();
    wire.send("+ idling\r\n").await?;
    loop {
        let told = session.updates();
        wire.send(told).await?;
        tokio::select! {
            woken = changed.changed() => woken.map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?,
            read = wire.readable() => {
                read?;
                let said = wire.line().await?.unwrap_or_default();
                let verdict = if said.eq_ignore_ascii_case(b"DONE") { "OK" } else { "BAD" };
                return wire.send(format!("{tag} {verdict} idle ended\r\n")).await;
            }
        }
    }
}

type Answer = (Vec<u8>, String);

fn ok(reply: impl Into<Vec<u8>>) -> Answer {
    (reply.into(), "OK done".to_owned())
}

fn refused(verdict: &str) -> Answer {
    (Vec::new(), verdict.to_owned())
}

impl Session {
    fn answer(&mut self, verb: &str, rest: &[String]) -> Answer {
        match verb {
            "CAPABILITY" => ok(format!("* CAPABILITY {ABILITIES}\r\n")),
            "NOOP" => ok(self.updates()),
            "LOGIN" if !self.logged_in => self.login(rest),
            _ if !self.logged_in => refused("BAD log in first"),
            "SELECT" | "EXAMINE" => self.open(verb, rest),
            "APPEND" => self.append(rest),
            "UID" => match (rest.first().map(|word| word.to_ascii_uppercase()).as_deref(), rest.get(1..)) {
                (Some("FETCH"), Some(rest)) => self.fetch(rest),
                (Some("SEARCH"), Some(rest)) => self.search(rest),
                _ => refused("BAD unknown command"),
            },
            _ => refused("BAD unknown command"),
        }
    }

    fn login(&mut self, rest: &[String]) -> Answer {
        let [user, password] = rest else { return refused("BAD name and password") };
        self.logged_in = user == USERNAME && *password == self.shared.state().password;
        if self.logged_in { ok([]) } else { refused("NO [AUTHENTICATIONFAILED] wrong name or password") }
    }

    fn open(&mut self, verb: &str, rest: &[String]) -> Answer {
        self.selected = None;
        let name = rest.first().map_or("", String::as_str);
        let name = if name.eq_ignore_ascii_case("INBOX") { "INBOX" } else { name };
        let state = self.shared.state();
        let Some(folder) = state.folders.get(name) else { return refused("NO [NONEXISTENT] no such folder") };
        let mails = folder.mails.iter().map(|mail| (mail.uid, mail.modseq)).collect();
        let reply = format!(
            "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n* {} EXISTS\r\n* 0 RECENT\r\n\
             * OK [UIDVALIDITY {}] valid\r\n* OK [UIDNEXT {}] next\r\n* OK [HIGHESTMODSEQ {}] highest\r\n",
            folder.mails.len(),
            folder.validity,
            folder.uid_next,
            folder.modseq
        );
        self.selected = Some(View { folder: name.to_owned(), mails });
        (reply.into_bytes(), format!("OK [{}] open", if verb == "SELECT" { "READ-WRITE" } else { "READ-ONLY" }))
    }

    fn append(&mut self, rest: &[String]) -> Answer {
        let (Some(name), Some(raw)) = (rest.first(), rest.last()) else { return refused("BAD folder and mail") };
        let flags = rest.get(1).filter(|word| word.starts_with('(')).map(|word| group(word)).unwrap_or_default();
        let raw: Vec<u8> = raw.chars().filter_map(|letter| u8::try_from(letter).ok()).collect();
        {
            let mut state = self.shared.state();
            let now = state.now();
            let Some(folder) = state.folders.get_mut(name) else { return refused("NO [TRYCREATE] no such folder") };
            folder.add(&raw, &flags, now);
        }
        self.shared.wake();
        ok([])
    }

    /// Tells what has changed since the client was last told.
    fn updates(&mut self) -> String {
        let state = self.shared.state();
        let Some(view) = &mut self.selected else { return String::new() };
        let Some(folder) = state.folders.get(&view.folder) else { return String::new() };
        let now: BTreeMap<u32, &Mail> = folder.mails.iter().map(|mail| (mail.uid, mail)).collect();
        let mut told = String::new();
        let mut place = 0;
        view.mails.retain(|(uid, _)| {
            let stays = now.contains_key(uid);
            if stays {
                place += 1;
            } else {
                told.push_str(&format!("* {} EXPUNGE\r\n", place + 1));
            }
            stays
        });
        for (place, (uid, modseq)) in view.mails.iter_mut().enumerate() {
            if let Some(mail) = now.get(uid).filter(|mail| mail.modseq > *modseq) {
                *modseq = mail.modseq;
                let flags = mail.flags.join(" ");
                told.push_str(&format!("* {} FETCH (UID {uid} MODSEQ ({modseq}) FLAGS ({flags}))\r\n", place + 1));
            }
        }
        let known = view.mails.last().map_or(0, |(uid, _)| *uid);
        let before = view.mails.len();
        view.mails.extend(folder.mails.iter().filter(|mail| mail.uid > known).map(|mail| (mail.uid, mail.modseq)));
        if view.mails.len() > before {
            told.push_str(&format!("* {} EXISTS\r\n", view.mails.len()));
        }
        told
    }

    fn search(&mut self, rest: &[String]) -> Answer {
        let state = self.shared.state();
        let Some((view, folder)) = opened(self.selected.as_ref(), &state.folders) else {
            return refused("BAD open first");
        };
        let mut found = String::new();
        for mail in visible(view, folder).map(|(_, mail)| mail) {
            match fits(rest, mail, view) {
                Some(true) => found.push_str(&format!(" {}", mail.uid)),
                Some(false) => {}
                None => return refused("BAD unknown search"),
            }
        }
        ok(format!("* SEARCH{found}\r\n"))
    }

    fn fetch(&mut self, rest: &[String]) -> Answer {
        let state = self.shared.state();
        let Some((view, folder)) = opened(self.selected.as_ref(), &state.folders) else {
            return refused("BAD open first");
        };
        let (Some(set), Some(items)) = (rest.first(), rest.get(1)) else { return refused("BAD set and items") };
        let since = rest.get(2).map(|modifier| group(modifier));
        let since = since.as_deref().map(|words| words.get(1).and_then(|number| number.parse::<u64>().ok()));
        let mut items = group(items);
        let mut reply = Vec::new();
        match since {
            Some(None) => return refused("BAD unknown modifier"),
            Some(Some(_)) => items.push("MODSEQ".to_owned()),
            None => {}
        }
        for (place, mail) in visible(view, folder) {
            if !holds(set, mail.uid, view) || since.flatten().is_some_and(|since| mail.modseq <= since) {
                continue;
            }
            reply.extend_from_slice(format!("* {place} FETCH (").as_bytes());
            for (nth, item) in items.iter().enumerate() {
                let Some(shown) = show(mail, item) else { return refused("BAD unknown item") };
                reply.extend_from_slice(if nth == 0 { b"" } else { b" " });
                reply.extend_from_slice(&shown);
            }
            reply.extend_from_slice(b")\r\n");
        }
        ok(reply)
    }
}

fn opened<'a>(view: Option<&'a View>, folders: &'a BTreeMap<String, Folder>) -> Option<(&'a View, &'a Folder)> {
    view.and_then(|view| Some((view, folders.get(&view.folder)?)))
}

/// The mails that the client knows of and that are still there, with their sequence numbers.
fn visible<'a>(view: &'a View, folder: &'a Folder) -> impl Iterator<Item = (usize, &'a Mail)> {
    let numbers: BTreeMap<u32, usize> = view.mails.iter().enumerate().map(|(at, (uid, _))| (*uid, at + 1)).collect();
    folder.mails.iter().filter_map(move |mail| Some((*numbers.get(&mail.uid)?, mail)))
}

/// Whether a UID is in a set. `*` is the last UID there is, and a range runs whichever way: `9:*` holds the last mail
/// even when that is mail 3.
fn holds(set: &str, uid: u32, view: &View) -> bool {
    let last = view.mails.last().map_or(0, |(uid, _)| *uid);
    let number = |text: &str| if text == "*" { last } else { text.parse().unwrap_or(0) };
    set.split(',').any(|part| {
        let (a, b) = part.split_once(':').unwrap_or((part, part));
        let (a, b) = (number(a), number(b));
        (a.min(b)..=a.max(b)).contains(&uid)
    })
}

/// Whether a mail fits all criteria; none if one is unknown.
fn fits(criteria: &[String], mail: &Mail, view: &View) -> Option<bool> {
    let (first, rest) = criteria.split_first()?;
    let (fit, rest) = match first.to_ascii_uppercase().as_str() {
        "ALL" => (true, rest),
        "UID" => (holds(rest.first()?, mail.uid, view), &rest[1..]),
        "HEADER" => (mail.header_holds(rest.first()?, rest.get(1)?), rest.get(2..)?),
        "NOT" => return fits(rest, mail, view).map(|fit| !fit),
        _ => return None,
    };
    if rest.is_empty() { Some(fit) } else { fits(rest, mail, view).map(|others| fit && others) }
}

fn show(mail: &Mail, item: &str) -> Option<Vec<u8>> {
    let upper = item.to_ascii_uppercase();
    let text = match upper.as_str() {
        "UID" => format!("UID {}", mail.uid),
        "FLAGS" => format!("FLAGS ({})", mail.flags.join(" ")),
        "MODSEQ" => format!("MODSEQ ({})", mail.modseq),
        "RFC822.SIZE" => format!("RFC822.SIZE {}", mail.raw.len()),
        "INTERNALDATE" => format!("INTERNALDATE \"{}\"", mail.internal_date()),
        _ => return section(mail, &upper),
    };
    Some(text.into_bytes())
}

/// `BODY.PEEK[section]<offset.count>`.
fn section(mail: &Mail, item: &str) -> Option<Vec<u8>> {
    let inner = item.strip_prefix("BODY.PEEK[")?;
    let (name, partial) = inner.rsplit_once(']')?;
    let bytes = match name.split_once(' ') {
        None if name.is_empty() => mail.raw.clone(),
        None if name == "HEADER" => mail.header(None),
        Some(("HEADER.FIELDS", names)) => mail.header(Some(&group(names))),
        _ => return None,
    };
    let bounds = partial.strip_prefix('<').and_then(|partial| partial.strip_suffix('>'));
    let (label, part) = match bounds.and_then(|bounds| bounds.split_once('.')) {
        Some((offset, count)) => {
            let (offset, count): (usize, usize) = (offset.parse().ok()?, count.parse().ok()?);
            let from = offset.min(bytes.len());
            (format!("<{offset}>"), &bytes[from..(from + count).min(bytes.len())])
        }
        None => (String::new(), bytes.as_slice()),
    };
    let head = format!("BODY[{name}]{label} {{{}}}\r\n", part.len());
    Some([head.as_bytes(), part].concat())
}
