//! What a program did to its files and said to its callers, as strace saw it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The calls of the system that matter.
pub const CALLS: &str = "pwrite64,pwritev,write,writev,sendto,fdatasync,fsync,ftruncate";

/// One thing that happened, in order.
#[derive(Debug)]
pub enum Step {
    /// Bytes of a file were handed to the system.
    Wrote { file: PathBuf, at: usize, bytes: Vec<u8> },
    /// A file got another length.
    Cut { file: PathBuf, length: usize },
    /// What had been written to a file before the step of this number is on the disk.
    Synced { file: PathBuf, begun: usize },
    /// An event was acknowledged over the connection of this port.
    Acknowledged { port: u16 },
}

/// "HTTP/1.1 200", as strace writes it.
const FINE: &str = r"\x48\x54\x54\x50\x2f\x31\x2e\x31\x20\x32\x30\x30";

/// The steps in a log of `strace -f -yy -xx`, as far as they are about files of this folder, or about callers.
pub fn read(log: &str, folder: &Path) -> Vec<Step> {
    let (mut steps, mut begun) = (Vec::new(), HashMap::new());
    for line in log.lines() {
        let Some((thread, text)) = line.trim_start().split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(head) = text.strip_suffix("<unfinished ...>") {
            // A reply may have left by now.
            steps.extend(reply(head));
            begun.insert(thread, (head, steps.len()));
        } else if let Some(rest) = text.strip_prefix("<... ") {
            let Some((head, at)) = begun.remove(thread) else { continue };
            let tail = rest.split_once(" resumed>").map_or("", |(_, tail)| tail);
            steps.extend(on_file(&format!("{head}{tail}"), at, folder));
        } else {
            steps.extend(reply(text));
            let at = steps.len();
            steps.extend(on_file(text, at, folder));
        }
    }
    steps
}

fn reply(call: &str) -> Option<Step> {
    let (_, rest) = call.split_once("<TCP:[")?;
    let (_, peer) = rest.split_once("]>")?.0.split_once("->")?;
    let port = peer.rsplit_once(':')?.1.parse().ok()?;
    call.contains(FINE).then_some(Step::Acknowledged { port })
}

fn on_file(call: &str, begun: usize, folder: &Path) -> Option<Step> {
    let (name, args) = call.split_once('(')?;
    // A path is written as bytes, too; what stands for a socket or a pipe is none.
    let (path, rest) = args.split_once("<\\x2f")?.1.split_once('>')?;
    let path = String::from_utf8(decoded(path)).ok()?;
    let file = Path::new("/").join(path);
    // What processes share about the log is made anew by the first of them.
    if !file.starts_with(folder) || file.to_str()?.ends_with("-shm") {
        return None;
    }
    let (rest, result) = rest.rsplit_once(" = ")?;
    let result: usize = result.split(' ').next()?.parse().ok()?;
    match name {
        "pwrite64" => {
            let (bytes, numbers) = rest.split_once('"')?.1.split_once('"')?;
            let bytes = decoded(bytes);
            assert_eq!(bytes.len(), result, "a write is not whole in the log: {numbers}");
            let at = numbers.trim_end_matches(')').rsplit(", ").next()?.parse().ok()?;
            Some(Step::Wrote { file, at, bytes })
        }
        "ftruncate" => {
            let length = rest.trim_end_matches(')').rsplit(", ").next()?.parse().ok()?;
            Some(Step::Cut { file, length })
        }
        "fdatasync" | "fsync" => Some(Step::Synced { file, begun }),
        other => panic!("nobody knows what {other} does to {}", file.display()),
    }
}

fn decoded(text: &str) -> Vec<u8> {
    let byte = |pair: &str| u8::from_str_radix(pair, 16).expect("strace writes hexadecimal");
    text.split("\\x").filter(|pair| !pair.is_empty()).map(byte).collect()
}
