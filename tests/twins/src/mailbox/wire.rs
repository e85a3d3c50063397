//! Lines in and out, bounded.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A longer line is not a mail program's.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A larger mail is not taken.
pub(super) const MAIL_BYTES_MAX: usize = 32 << 20;

/// One client.
pub(super) struct Wire(BufReader<TcpStream>);

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// The next line without its end; none when the client is gone. Can be dropped while it waits only if nothing of
    /// the line has come yet.
    pub async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        (&mut self.0).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    /// Waits until something can be read.
    pub async fn readable(&mut self) -> io::Result<()> {
        self.0.fill_buf().await.map(drop)
    }

    /// Exactly so many bytes.
    pub async fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        if count > MAIL_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    pub async fn send(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(text.as_ref()).await?;
        self.0.flush().await
    }
}
