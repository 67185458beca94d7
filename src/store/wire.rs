//! Numbers, strings and lists as the worker protocol writes them: little-endian words of eight bytes, strings padded to eight.
//!
//! Nothing that the peer says about a length is believed: strings grow as their bytes arrive, and there are limits.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};

use super::StoreError;
use super::daemon::Daemon;
use crate::domain::{DrvPath, StorePath};

/// Longest string that is kept whole; the longest that Nix itself sends here are error messages with a builder's last lines.
const MAX_STRING: u64 = 16 << 20;
/// Longest list. nixpkgs has some hundred thousand paths in a complete evaluation.
const MAX_LIST: u64 = 4 << 20;
/// What a list or a string allocates before its content has arrived.
const FIRST_ALLOCATION: usize = 4096;

/// A byte stream to a daemon.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A stream with its buffers, and the daemon at its other end where that one is ours. Dropping it closes the stream and ends the daemon.
pub(super) struct Wire {
    stream: BufReader<ReadHalf<Box<dyn ByteStream>>>,
    /// Lent out while something streams in ([`Wire::lend_writer`]).
    writer: Option<Writer>,
    out: Vec<u8>,
    daemon: Option<Daemon>,
    /// What is going on, for error messages: "while building".
    during: &'static str,
}

/// Writes words and strings into a buffer.
pub(super) struct Put<'a>(pub &'a mut Vec<u8>);

impl Put<'_> {
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        let padding = bytes.len().next_multiple_of(8) - bytes.len();
        self.0.extend_from_slice(&[0; 8][..padding]);
        self
    }

    pub fn string(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub fn strings<'s>(&mut self, texts: impl ExactSizeIterator<Item = &'s str>) -> &mut Self {
        self.number(texts.len() as u64);
        for text in texts {
            self.string(text);
        }
        self
    }
}

/// The writing half of a wire: a long stream is written while the peer is listened to, else each end could wait for the other to read.
pub(super) type Writer = WriteHalf<Box<dyn ByteStream>>;

impl Wire {
    pub fn new(stream: impl ByteStream + 'static, daemon: Option<Daemon>) -> Self {
        let stream: Box<dyn ByteStream> = Box::new(stream);
        let (reader, writer) = tokio::io::split(stream);
        Self { stream: BufReader::with_capacity(64 << 10, reader), writer: Some(writer), out: Vec::new(), daemon, during: "" }
    }

    /// The writing half, to be given back when what it wrote is complete. Until then nothing can be sent.
    pub fn lend_writer(&mut self) -> Result<Writer, StoreError> {
        self.writer.take().ok_or(StoreError::Abandoned)
    }

    pub fn take_back(&mut self, writer: Writer) {
        self.writer = Some(writer);
    }

    /// Some bytes of a stream without length, at least one; [`Wire::consume`] says how many of them were taken.
    pub async fn peek(&mut self) -> Result<&[u8], StoreError> {
        // asked twice, since an error could not borrow the wire while the bytes do
        match self.stream.fill_buf().await {
            Ok([]) => Err(self.broke(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(self.stream.buffer()),
            Err(fault) => Err(self.broke(fault)),
        }
    }

    pub fn consume(&mut self, bytes: usize) {
        self.stream.consume(bytes);
    }

    /// Names what follows in error messages.
    pub fn begin(&mut self, during: &'static str) {
        self.during = during;
        self.out.clear();
    }

    pub fn put(&mut self, number: u64) -> &mut Self {
        Put(&mut self.out).number(number);
        self
    }

    pub fn put_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        Put(&mut self.out).bytes(bytes);
        self
    }

    pub fn put_str(&mut self, text: &str) -> &mut Self {
        self.put_bytes(text.as_bytes())
    }

    /// A list of strings.
    pub fn put_strs<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) -> &mut Self {
        self.put(texts.len() as u64);
        for text in texts {
            self.put_str(text);
        }
        self
    }

    /// Whatever `write` appends, a whole number of words.
    pub fn put_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        write(&mut self.out);
        self
    }

    /// Sends what was put.
    pub async fn send(&mut self) -> Result<(), StoreError> {
        let writer = self.writer.as_mut().ok_or(StoreError::Abandoned)?;
        let sent = async {
            writer.write_all(&self.out).await?;
            writer.flush().await
        };
        let sent = sent.await;
        self.out.clear();
        if self.out.capacity() > 1 << 20 {
            self.out.shrink_to(64 << 10);
        }
        match sent {
            Ok(()) => Ok(()),
            // a daemon that refuses us writes why and hangs up: its words are worth more than "broken pipe"
            Err(fault) => Err(self.broke(fault)),
        }
    }

    pub async fn number(&mut self) -> Result<u64, StoreError> {
        let mut word = [0; 8];
        match self.stream.read_exact(&mut word).await {
            Ok(_) => Ok(u64::from_le_bytes(word)),
            Err(fault) => Err(self.broke(fault)),
        }
    }

    pub async fn flag(&mut self) -> Result<bool, StoreError> {
        Ok(self.number().await? != 0)
    }

    /// A string whose bytes may be anything. Of one longer than `keep`, the beginning is kept and the rest is read and dropped.
    pub async fn bytes_cut(&mut self, keep: u64) -> Result<Vec<u8>, StoreError> {
        let length = self.number().await?;
        let Some(padded) = length.checked_next_multiple_of(8) else {
            return Err(self.fault(format!("a string of {length} bytes")));
        };
        let mut bytes = Vec::with_capacity(FIRST_ALLOCATION.min(length.min(keep) as usize));
        let kept = self.stream_into(&mut bytes, length.min(keep)).await?;
        let mut rest = padded - kept;
        let mut scrap = Vec::new();
        while rest > 0 {
            scrap.clear();
            rest -= self.stream_into(&mut scrap, rest.min(64 << 10)).await?;
        }
        Ok(bytes)
    }

    /// Appends exactly `length` bytes.
    async fn stream_into(&mut self, bytes: &mut Vec<u8>, length: u64) -> Result<u64, StoreError> {
        match (&mut self.stream).take(length).read_to_end(bytes).await {
            Ok(got) if got as u64 == length => Ok(length),
            Ok(_) => Err(self.broke(io::ErrorKind::UnexpectedEof.into())),
            Err(fault) => Err(self.broke(fault)),
        }
    }

    /// A string that has to be whole.
    pub async fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        let bytes = self.bytes_cut(MAX_STRING + 1).await?;
        if bytes.len() as u64 > MAX_STRING {
            return Err(self.fault(format!("a string of more than {MAX_STRING} bytes")));
        }
        Ok(bytes)
    }

    /// Text for a person.
    pub async fn text(&mut self) -> Result<String, StoreError> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// The length of a list.
    pub async fn length(&mut self) -> Result<u64, StoreError> {
        let length = self.number().await?;
        if length > MAX_LIST {
            return Err(self.fault(format!("a list of {length} items")));
        }
        Ok(length)
    }

    pub async fn store_path(&mut self) -> Result<StorePath, StoreError> {
        let text = self.text().await?;
        text.parse().map_err(|error| self.fault(format!("{error}")))
    }

    /// A store path, or nothing as the empty string.
    pub async fn optional_store_path(&mut self) -> Result<Option<StorePath>, StoreError> {
        let text = self.text().await?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|error| self.fault(format!("{error}"))) }
    }

    pub async fn drv_path(&mut self) -> Result<DrvPath, StoreError> {
        let path = self.store_path().await?;
        path.try_into().map_err(|error| self.fault(format!("{error}")))
    }

    pub async fn store_paths<C: Default + Extend<StorePath>>(&mut self) -> Result<C, StoreError> {
        let mut paths = C::default();
        for _ in 0..self.length().await? {
            paths.extend([self.store_path().await?]);
        }
        Ok(paths)
    }

    /// The peer said something that the protocol does not know.
    pub fn fault(&self, fault: impl Into<String>) -> StoreError {
        StoreError::Protocol { during: self.during, fault: fault.into() }
    }

    pub fn broke(&self, fault: io::Error) -> StoreError {
        match fault.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                let said = self.daemon.as_ref().map(Daemon::last_words).unwrap_or_default();
                StoreError::Closed { during: self.during, said }
            }
            _ => StoreError::Broken { during: self.during, fault },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a peer that sends these bytes and hangs up looks like.
    fn wire(bytes: &[u8]) -> Wire {
        Wire::new(tokio::io::join(io::Cursor::new(bytes.to_vec()), tokio::io::sink()), None)
    }

    fn word(number: u64) -> [u8; 8] {
        number.to_le_bytes()
    }

    #[tokio::test]
    async fn a_string_is_padded() {
        let mut out = wire(&[]);
        out.put_str("abc").put(7);
        let mut back = wire(&out.out);
        assert_eq!(back.bytes().await.unwrap(), b"abc");
        assert_eq!(back.number().await.unwrap(), 7);
        assert!(matches!(back.number().await, Err(StoreError::Closed { .. })));
    }

    #[tokio::test]
    async fn a_long_line_is_cut_and_the_stream_stays_in_step() {
        let mut out = wire(&[]);
        out.put_bytes(&[b'x'; 1001]).put(7);
        let mut back = wire(&out.out);
        assert_eq!(back.bytes_cut(10).await.unwrap(), [b'x'; 10]);
        assert_eq!(back.number().await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_length_is_not_believed() {
        for length in [1 << 30, 1 << 60, u64::MAX, u64::MAX - 7] {
            let mut bytes = word(length).to_vec();
            bytes.extend_from_slice(b"short");
            assert!(wire(&bytes).bytes().await.is_err());
            assert!(wire(&bytes).bytes_cut(100).await.is_err());
            assert!(wire(&bytes).store_paths::<Vec<_>>().await.is_err());
        }
    }
}
