//! Paths from one store to another, each end a connection of its own: what is copied streams through, a NAR is never held.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;

use super::{Connection, op};
use crate::domain::StorePath;
use crate::store::messages::{Discard, Listener};
use crate::store::nar::NarEnd;
use crate::store::wire::{Put, Wire, Writer};
use crate::store::{PathInfo, StoreError};

/// What a frame holds at most. The peer reads whole frames into memory.
const FRAME: usize = 64 << 10;

/// Which end failed: it decides whose fault that is.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("cannot read from the store: {0}")]
    Giver(StoreError),
    #[error("cannot write to the store: {0}")]
    Taker(StoreError),
}

/// Copies valid paths, in an order in which references come first. Returns the bytes of NARs that went over. A taker that does not
/// trust us takes what is signed by a key that it knows, or named by its content.
pub async fn copy(
    giver: &mut Connection,
    taker: &mut Connection,
    paths: &[(StorePath, Arc<PathInfo>)],
) -> Result<u64, CopyError> {
    let mut wire = taker.begin("while it was given paths").map_err(CopyError::Taker)?;
    const REPAIR: u64 = 0;
    const WITHOUT_SIGNATURES: u64 = 1;
    wire.put(op::ADD_MULTIPLE_TO_STORE).put(REPAIR).put(WITHOUT_SIGNATURES);
    wire.send().await.map_err(CopyError::Taker)?;
    let writer = wire.lend_writer().map_err(CopyError::Taker)?;

    let mut nobody = Discard;
    let mut listener = Listener::new(&mut nobody, None);
    let (fed, heard) = {
        let feeding = std::pin::pin!(feed(giver, writer, paths));
        // it may have something to say at any time, and while nobody hears it, it reads nothing
        let hearing = std::pin::pin!(listener.listen(&mut wire));
        match futures_util::future::select(feeding, hearing).await {
            futures_util::future::Either::Left((fed, hearing)) => match fed {
                Ok(fed) => (Some(fed), hearing.await),
                Err(CopyError::Giver(error)) => return Err(CopyError::Giver(error)),
                // it hung up: if it said why, that is worth more
                Err(CopyError::Taker(error)) => match hearing.await {
                    Err(said @ StoreError::Refused(_)) => return Err(CopyError::Taker(said)),
                    Ok(_) | Err(_) => return Err(CopyError::Taker(error)),
                },
            },
            futures_util::future::Either::Right((heard, _)) => (None, heard),
        }
    };
    let Some((writer, bytes)) = fed else {
        return Err(CopyError::Taker(heard.err().unwrap_or_else(|| wire.fault("it was done before it had everything"))));
    };
    wire.take_back(writer);
    match heard {
        Ok(_) => {
            taker.wire = Some(wire);
            Ok(bytes)
        }
        Err(refused @ StoreError::Refused(_)) => {
            taker.wire = Some(wire);
            Err(CopyError::Taker(refused))
        }
        Err(error) => Err(CopyError::Taker(error)),
    }
}

/// Writes everything that the taker is to get.
async fn feed(giver: &mut Connection, writer: Writer, paths: &[(StorePath, Arc<PathInfo>)]) -> Result<(Writer, u64), CopyError> {
    let mut frames = Frames { writer, frame: Vec::with_capacity(FRAME + 8) };
    let mut scratch = Vec::new();
    let mut bytes = 0;
    Put(&mut scratch).number(paths.len() as u64);
    for (path, info) in paths {
        let mut put = Put(&mut scratch);
        put.string(path.as_str());
        info.put(&mut put);
        frames.write(&scratch).await?;
        scratch.clear();
        giver.nar(path, info, &mut frames).await?;
        bytes += info.nar_bytes;
    }
    frames.write(&scratch).await?;
    Ok((frames.end().await?, bytes))
}

impl Connection {
    /// Passes a path's NAR on.
    async fn nar(&mut self, path: &StorePath, info: &PathInfo, frames: &mut Frames) -> Result<(), CopyError> {
        let mut wire = self.begin("while it gave a path").map_err(CopyError::Giver)?;
        wire.put(op::NAR_FROM_PATH).put_str(path.as_str());
        let mut wire = self.query(wire).await.map_err(CopyError::Giver)?;
        let mut end = NarEnd::default();
        let mut passed: u64 = 0;
        while !end.is_done() {
            let bytes = wire.peek().await.map_err(CopyError::Giver)?;
            let some = match end.feed(bytes) {
                Ok(some) => some,
                // it is told to send a NAR before it looks whether it can: what it says then stands in the NAR's place
                Err(fault) if passed == 0 => match Listener::new(&mut Discard, None).listen(&mut wire).await {
                    Err(said @ StoreError::Refused(_)) => return Err(CopyError::Giver(said)),
                    Ok(_) | Err(_) => return Err(damaged(&wire, path, fault)),
                },
                Err(fault) => return Err(damaged(&wire, path, fault)),
            };
            frames.write(&bytes[..some]).await?;
            wire.consume(some);
            passed = passed.saturating_add(some as u64);
            // what a store keeps may have been damaged on its disk; the other one would only find out at the end
            if passed > info.nar_bytes {
                return Err(damaged(&wire, path, "it is longer than when it was registered"));
            }
        }
        self.wire = Some(wire);
        if passed < info.nar_bytes {
            return Err(CopyError::Giver(StoreError::Protocol {
                during: "while it gave a path",
                fault: format!("{path} is shorter than when it was registered"),
            }));
        }
        Ok(())
    }
}

fn damaged(wire: &Wire, path: &StorePath, fault: &str) -> CopyError {
    CopyError::Giver(wire.fault(format!("the NAR of {path} is damaged: {fault}")))
}

/// A stream in frames, each with its length before it; an empty one ends it (nix, libutil/serialise.hh: `FramedSink`).
struct Frames {
    writer: Writer,
    /// Its length, once that is known, and its content.
    frame: Vec<u8>,
}

impl Frames {
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), CopyError> {
        while !bytes.is_empty() {
            if self.frame.is_empty() {
                self.frame.resize(8, 0);
            }
            let some = bytes.len().min(FRAME + 8 - self.frame.len());
            self.frame.extend_from_slice(&bytes[..some]);
            bytes = &bytes[some..];
            if self.frame.len() == FRAME + 8 {
                self.send().await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), CopyError> {
        if let Some(length) = self.frame.len().checked_sub(8) {
            self.frame[..8].copy_from_slice(&(length as u64).to_le_bytes());
            self.writer.write_all(&self.frame).await.map_err(broken)?;
            self.frame.clear();
        }
        Ok(())
    }

    async fn end(mut self) -> Result<Writer, CopyError> {
        self.send().await?;
        self.writer.write_all(&0u64.to_le_bytes()).await.map_err(broken)?;
        self.writer.flush().await.map_err(broken)?;
        Ok(self.writer)
    }
}

fn broken(fault: std::io::Error) -> CopyError {
    CopyError::Taker(StoreError::Broken { during: "while it was given paths", fault })
}
