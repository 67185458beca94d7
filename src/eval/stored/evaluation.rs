//! An evaluation as bytes: in full, or as its difference to another one.

use super::results::{self, Lent};
use super::sealed::{self, Checksum, Counterpart, Kind};
use super::{Reader, Unreadable, Unstorable, Writer};
use crate::domain::{Attr, EvalStats, Evaluation, JobsetName, System, TreeId};
use crate::eval::frontier::Found;

/// The number goes into the key as well: evaluations of another format are not even looked for.
pub const FORMAT: u32 = 1;

const KIND: Kind = Kind { mark: *b"eval", format: FORMAT };

/// What an evaluation's bytes expand to, and the checksum of those bytes: what differences refer to.
pub struct Anchor {
    content: Vec<u8>,
    checksum: Checksum,
}

impl Anchor {
    /// `full`: as [`full`] made it for the same key.
    pub fn read(key: &str, full: &[u8]) -> Result<Self, Unreadable> {
        let content = sealed::unseal(KIND, key, full, None)?;
        let checksum = sealed::checksum(full).ok_or(Unreadable::Cut)?;
        Ok(Self { content, checksum })
    }

    fn counterpart(&self) -> Counterpart<'_> {
        Counterpart { content: &self.content, checksum: &self.checksum }
    }
}

/// An evaluation laid out, to be stored in one way or the other.
pub struct Content(Vec<u8>);

impl Content {
    pub fn of(evaluation: &Evaluation) -> Self {
        let mut out = Writer::default();
        out.text(evaluation.tree.as_str());
        out.text(evaluation.jobset.as_str());
        out.text(evaluation.system.as_str());
        write_stats(&mut out, &evaluation.stats);
        results::write(&mut out, evaluation.attrs.iter().map(|(path, attr)| (path, Lent::Value(attr))));
        Self(out.into_bytes())
    }

    pub fn full(&self, key: &str) -> Result<Vec<u8>, Unstorable> {
        sealed::seal(KIND, key, &self.0, None)
    }

    pub fn difference(&self, key: &str, anchor: &Anchor) -> Result<Vec<u8>, Unstorable> {
        sealed::seal(KIND, key, &self.0, Some(anchor.counterpart()))
    }
}

/// `anchor`: what `stored` is the difference to; `None` where it is in full.
pub fn read(key: &str, stored: &[u8], anchor: Option<&Anchor>) -> Result<Evaluation, Unreadable> {
    let content = sealed::unseal(KIND, key, stored, anchor.map(Anchor::counterpart))?;
    let mut from = Reader::new(&content);
    let tree: TreeId = from.text()?.parse().map_err(|_| Unreadable::Contents("a tree that is none"))?;
    let jobset = JobsetName::new(from.text()?);
    let system = System::new(from.text()?);
    let stats = read_stats(&mut from)?;
    let results = results::read(&mut from)?;
    from.end()?;
    let attr = |found| match found {
        Found::Value(attr) => Ok(attr),
        Found::Set(_) | Found::Nothing => Err(Unreadable::Contents("an attribute without a result")),
    };
    let attrs = results.into_iter().map(|(path, found)| Ok::<_, Unreadable>((path, attr(found)?))).collect::<Result<_, _>>()?;
    Ok(Evaluation { tree, jobset, system, attrs, stats })
}

fn write_stats(out: &mut Writer, stats: &EvalStats) {
    let EvalStats { attrs_evaluated, attrs_reused, cpu_seconds, trace_cpu_seconds, wall_seconds, peak_memory_bytes } = stats;
    out.number(*attrs_evaluated);
    out.number(*attrs_reused);
    [cpu_seconds, trace_cpu_seconds, wall_seconds].iter().for_each(|seconds| out.raw(&seconds.to_le_bytes()));
    out.number(*peak_memory_bytes);
}

fn read_stats(from: &mut Reader<'_>) -> Result<EvalStats, Unreadable> {
    Ok(EvalStats {
        attrs_evaluated: from.number()?,
        attrs_reused: from.number()?,
        cpu_seconds: f64::from_le_bytes(from.array()?),
        trace_cpu_seconds: f64::from_le_bytes(from.array()?),
        wall_seconds: f64::from_le_bytes(from.array()?),
        peak_memory_bytes: from.number()?,
    })
}

/// Of the derivations of an evaluation, the smallest hashes: with those of another evaluation they tell how many of their derivations
/// the two have in common (Broder, On the resemblance and containment of documents, 1997).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch(Vec<u64>);

/// An estimate from so many is off by some percent.
const SKETCHED: usize = 128;

impl Sketch {
    pub fn of(evaluation: &Evaluation) -> Self {
        let hashes = evaluation.attrs.values().filter_map(|attr| match attr {
            Attr::Derivation(job) => job.drv.path().hash().as_bytes().first_chunk::<8>().copied().map(u64::from_be_bytes),
            Attr::Failed(_) => None,
        });
        let mut hashes: Vec<u64> = hashes.collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes.truncate(SKETCHED);
        Self(hashes)
    }

    /// From 0, where nothing is the same, to 1.
    pub fn likeness(&self, other: &Self) -> f64 {
        let mut union: Vec<u64> = self.0.iter().chain(&other.0).copied().collect();
        union.sort_unstable();
        union.dedup();
        union.truncate(SKETCHED);
        let common =
            union.iter().filter(|hash| self.0.binary_search(hash).is_ok() && other.0.binary_search(hash).is_ok()).count();
        if union.is_empty() { 1.0 } else { common as f64 / union.len() as f64 }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|hash| hash.to_le_bytes()).collect()
    }

    /// What is no sketch is like nothing.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut hashes: Vec<u64> = bytes.as_chunks().0.iter().map(|hash| u64::from_le_bytes(*hash)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes.truncate(SKETCHED);
        Self(hashes)
    }
}
