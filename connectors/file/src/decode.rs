//! The bytes of a file as UTF-8, and the encoding that they have.

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use encoding_rs::{CoderResult, Decoder, Encoding};

/// So much of a file, from the first character on that is not ASCII, decides its encoding.
pub const SAMPLE_BYTES: usize = 64 << 10;

/// The mark with which some programs begin a GB18030 file.
const GB18030_MARK: &[u8] = b"\x84\x31\x95\x33";

/// How the bytes of a file are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// UTF-8, UTF-16 by its mark, or GB18030.
    pub encoding: &'static Encoding,
    /// The length of the mark at the beginning, in bytes.
    pub mark: usize,
}

/// Opens a file; the error names it.
pub fn open(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| format!("{}: cannot be opened: {error}", path.display()))
}

impl Form {
    /// Finds out the encoding: by the mark, or by what the first characters are that are not ASCII.
    pub fn of(path: &Path) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
        let mut source = open(path)?;
        let mut sample = Vec::with_capacity(SAMPLE_BYTES);
        let mut is_first = true;
        loop {
            sample.clear();
            let read = source.by_ref().take(SAMPLE_BYTES as u64).read_to_end(&mut sample).map_err(told)?;
            if is_first {
                if let Some((encoding, mark)) = Encoding::for_bom(&sample) {
                    return Ok(Self { encoding, mark });
                }
                if sample.starts_with(GB18030_MARK) {
                    return Ok(Self { encoding: encoding_rs::GB18030, mark: GB18030_MARK.len() });
                }
            }
            is_first = false;
            if let Some(at) = sample.iter().position(|byte| !byte.is_ascii()) {
                sample.drain(..at);
                source.take(at as u64).read_to_end(&mut sample).map_err(told)?;
                let encoding = if reads_as_utf8(&sample) { encoding_rs::UTF_8 } else { encoding_rs::GB18030 };
                return Ok(Self { encoding, mark: 0 });
            }
            if read < SAMPLE_BYTES {
                return Ok(Self { encoding: encoding_rs::UTF_8, mark: 0 });
            }
        }
    }

    /// Whether quotes, delimiters and line ends are the bytes that they are in ASCII: in GB18030 they never are a part of
    /// another character.
    pub fn is_ascii_based(self) -> bool {
        self.encoding == encoding_rs::UTF_8 || self.encoding == encoding_rs::GB18030
    }

    /// The file as UTF-8 while it is read, without its mark.
    pub fn decode(self, path: &Path) -> Result<Decoding, String> {
        let mut source = open(path)?;
        let told = |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
        std::io::copy(&mut source.by_ref().take(self.mark as u64), &mut std::io::sink()).map_err(told)?;
        Ok(Decoding {
            source,
            decoder: self.encoding.new_decoder_without_bom_handling(),
            raw: Vec::new(),
            ready: Vec::new(),
            at: 0,
            ended: false,
            garbled: Rc::default(),
        })
    }
}

/// Whether this is UTF-8: one broken character among many good ones does not make it Chinese in another encoding, where
/// hardly two in a row would be good.
fn reads_as_utf8(sample: &[u8]) -> bool {
    let (mut good, mut bad) = (0_usize, 0_usize);
    let mut left = sample.len();
    for chunk in sample.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        left -= chunk.valid().len() + chunk.invalid().len();
        // A character that the end of the sample cuts is no sign of anything.
        let is_cut = left == 0 && sample.len() >= SAMPLE_BYTES;
        bad += usize::from(!chunk.invalid().is_empty() && !is_cut);
    }
    bad == 0 || good > bad * 10
}

/// A file as UTF-8. Bytes that are no character become U+FFFD.
pub struct Decoding {
    source: File,
    decoder: Decoder,
    raw: Vec<u8>,
    ready: Vec<u8>,
    at: usize,
    ended: bool,
    garbled: Rc<Cell<bool>>,
}

impl Decoding {
    /// Turns true once bytes came that are no character: rows must be looked through from then on.
    pub fn garbled(&self) -> Rc<Cell<bool>> {
        self.garbled.clone()
    }
}

impl Read for Decoding {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.ready.len() {
            if self.ended && self.raw.is_empty() {
                return Ok(0);
            }
            if self.raw.is_empty() {
                self.raw.resize(SAMPLE_BYTES, 0);
                let read = self.source.read(&mut self.raw)?;
                self.raw.truncate(read);
                self.ended = read == 0;
            }
            self.ready.resize(SAMPLE_BYTES * 2, 0);
            let (result, read, written, had_errors) =
                self.decoder.decode_to_utf8(&self.raw, &mut self.ready, self.ended);
            if had_errors {
                self.garbled.set(true);
            }
            self.ready.truncate(written);
            self.at = 0;
            self.raw.drain(..read);
            if self.ended && result == CoderResult::InputEmpty && written == 0 {
                return Ok(0);
            }
        }
        let count = into.len().min(self.ready.len() - self.at);
        into[..count].copy_from_slice(&self.ready[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_characters_that_are_not_ascii_decide() {
        let folder = tempfile::tempdir().unwrap();
        let check = |bytes: &[u8], encoding: &'static Encoding, mark: usize| {
            let path = folder.path().join("a.csv");
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(Form::of(&path).unwrap(), Form { encoding, mark });
        };
        let gb = encoding_rs::GB18030.encode("李雷,韩梅梅\n").0;
        check(b"plain", encoding_rs::UTF_8, 0);
        check("李雷".as_bytes(), encoding_rs::UTF_8, 0);
        check(&gb, encoding_rs::GB18030, 0);
        let late = [vec![b'a'; SAMPLE_BYTES * 2 + 7], gb.to_vec()].concat();
        check(&late, encoding_rs::GB18030, 0);
        let one_broken = ["好".repeat(40).as_bytes(), b"\xff", "好".repeat(40).as_bytes()].concat();
        check(&one_broken, encoding_rs::UTF_8, 0);
        let cut = ["a", &"好".repeat(SAMPLE_BYTES)].concat();
        check(cut.as_bytes(), encoding_rs::UTF_8, 0);
        check(b"\xef\xbb\xbfa", encoding_rs::UTF_8, 3);
        check(b"\xff\xfea\0", encoding_rs::UTF_16LE, 2);
        check(&[GB18030_MARK, &gb].concat(), encoding_rs::GB18030, 4);
    }
}
