//! Attributes and their results, in columns. Names and jobs that were seen before are referred to; store paths are split into what
//! repeats (directory, name) and the hash, of which no bit can be spared.

use std::collections::HashMap;

use super::store_paths::{store_path, unhash};
use super::{Reader, Unreadable, Writer};
use crate::domain::{Attr, AttrPath, DrvPath, EvalError, Job, OutputName, Position, System};
use crate::eval::frontier::Found;

/// [`Found`], lent.
#[derive(Clone, Copy)]
pub enum Lent<'a> {
    Value(&'a Attr),
    Set(&'a [String]),
    Nothing,
}

impl<'a> From<&'a Found> for Lent<'a> {
    fn from(found: &'a Found) -> Self {
        match found {
            Found::Value(attr) => Self::Value(attr),
            Found::Set(names) => Self::Set(names),
            Found::Nothing => Self::Nothing,
        }
    }
}

// What a result is: a byte in the column of kinds.
const NOTHING: u8 = 0;
const SET: u8 = 1;
const JOB: u8 = 2;
const JOB_AGAIN: u8 = 3;
const ERROR: u8 = 4;
const ERROR_WITH_POSITION: u8 = 5;

// How an output's path is written: a byte in a shape.
const NO_PATH: u8 = 0;
/// In the derivation's directory, with the name that Nix gives an output: only the hash is written.
const USUAL_PATH: u8 = 1;
const ANY_PATH: u8 = 2;

/// No attribute lies deeper: a path that shares all but its last name costs two bytes, whatever its depth.
const DEPTH: usize = 1000;

/// Paths must come in ascending order, each once.
pub fn write<'a>(out: &mut Writer, results: impl Iterator<Item = (&'a AttrPath, Lent<'a>)>) {
    let mut columns = Columns::default();
    for (path, result) in results {
        columns.path(path);
        columns.result(result);
    }
    columns.put(out);
}

#[derive(Default)]
struct Columns<'a> {
    names: Names<'a>,
    count: u64,
    last: &'a [String],
    /// The name at each depth, to say how far the next one at that depth is from it.
    at_depth: Vec<u32>,
    paths: Writer,
    kinds: Writer,
    sets: Writer,
    jobs: Vec<&'a Job>,
    job_of: HashMap<&'a str, u32>,
    next_again: u32,
    again: Writer,
    shapes: Writer,
    shape_of: HashMap<Vec<u8>, u32>,
    job_shapes: Writer,
    job_names: Writer,
    hashes: Writer,
    any_paths: Writer,
    errors: Writer,
}

#[derive(Default)]
struct Names<'a> {
    numbers: HashMap<&'a str, u32>,
    texts: Writer,
}

impl<'a> Names<'a> {
    fn number(&mut self, name: &'a str) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(name).or_insert_with(|| {
            self.texts.text(name);
            next
        })
    }
}

impl<'a> Columns<'a> {
    fn path(&mut self, path: &'a AttrPath) {
        let names = path.names();
        let shared = self.last.iter().zip(names).take_while(|(last, name)| last == name).count();
        self.count += 1;
        self.last = names;
        self.paths.number(shared as u64);
        self.paths.number((names.len() - shared) as u64);
        self.at_depth.resize(self.at_depth.len().max(names.len()), 0);
        for (depth, name) in names.iter().enumerate().skip(shared) {
            let number = self.names.number(name);
            self.paths.away_from(self.at_depth[depth] + 1, number);
            self.at_depth[depth] = number;
        }
    }

    fn result(&mut self, result: Lent<'a>) {
        match result {
            Lent::Nothing => self.kinds.byte(NOTHING),
            Lent::Set(names) => {
                self.kinds.byte(SET);
                self.sets.number(names.len() as u64);
                let mut last = 0;
                for name in names {
                    let number = self.names.number(name);
                    self.sets.away_from(last + 1, number);
                    last = number;
                }
            }
            Lent::Value(Attr::Derivation(job)) => self.job(job),
            Lent::Value(Attr::Failed(EvalError { message, position })) => {
                self.kinds.byte(if position.is_some() { ERROR_WITH_POSITION } else { ERROR });
                self.errors.text(message);
                if let Some(Position { file, line, column }) = position {
                    self.errors.text(file);
                    self.errors.number(u64::from(*line));
                    self.errors.number(u64::from(*column));
                }
            }
        }
    }

    fn job(&mut self, job: &'a Job) {
        if let Some(number) = self.job_of.get(job.drv.as_str()).filter(|number| self.jobs[**number as usize] == job) {
            self.kinds.byte(JOB_AGAIN);
            // a set that is another one's alias refers to one after the other
            self.again.away_from(self.next_again, *number);
            self.next_again = *number + 1;
            return;
        }
        self.kinds.byte(JOB);
        self.job_of.insert(job.drv.as_str(), self.jobs.len() as u32);
        self.jobs.push(job);
        let drv = job.drv.path();
        self.job_names.text(job.drv.name());
        self.hashes.raw(&unhash(drv.hash()));
        let mut shape = Writer::default();
        shape.text(drv.store_dir());
        shape.text(job.system.as_str());
        shape.number(job.outputs.len() as u64);
        for (output, path) in &job.outputs {
            shape.text(output.as_str());
            match path {
                None => shape.byte(NO_PATH),
                Some(path) if path.store_dir() == drv.store_dir() && is_usual(path.name(), job.drv.name(), output) => {
                    shape.byte(USUAL_PATH);
                    self.hashes.raw(&unhash(path.hash()));
                }
                Some(path) => {
                    shape.byte(ANY_PATH);
                    self.any_paths.text(path.as_str());
                }
            }
        }
        let next = self.shape_of.len() as u32;
        let shape = *self.shape_of.entry(shape.into_bytes()).or_insert_with_key(|shape| {
            self.shapes.raw(shape);
            next
        });
        self.job_shapes.number(u64::from(shape));
    }

    fn put(self, out: &mut Writer) {
        out.number(self.count);
        out.number(self.names.numbers.len() as u64);
        out.number(self.shape_of.len() as u64);
        for column in [
            self.names.texts,
            self.paths,
            self.kinds,
            self.sets,
            self.again,
            self.shapes,
            self.job_shapes,
            self.job_names,
            self.hashes,
            self.any_paths,
            self.errors,
        ] {
            out.column(column);
        }
    }
}

/// In ascending order, each path once.
pub fn read(from: &mut Reader<'_>) -> Result<Vec<(AttrPath, Found)>, Unreadable> {
    let (count, names, shapes) = (from.small()?, from.small()?, from.small()?);
    let texts = texts(from.column()?, names)?;
    let mut paths = Paths { texts: &texts, column: from.column()?, last: Vec::new(), at_depth: Vec::new() };
    let (mut kinds, mut sets) = (from.column()?, from.column()?);
    let mut jobs = Jobs::read(from, shapes)?;
    let mut errors = from.column()?;
    let mut results: Vec<(AttrPath, Found)> = Vec::new();
    for _ in 0..count {
        let kind = kinds.byte()?;
        let path = paths.next()?;
        if results.last().is_some_and(|(last, _)| *last >= path) {
            return Err(Unreadable::Contents("attributes that are not in order"));
        }
        let found = match kind {
            NOTHING => Found::Nothing,
            SET => Found::Set(set(&mut sets, &texts)?),
            JOB => Found::Value(Attr::Derivation(jobs.next()?)),
            JOB_AGAIN => Found::Value(Attr::Derivation(jobs.again()?)),
            ERROR => Found::Value(Attr::Failed(EvalError { message: errors.text()?.to_owned(), position: None })),
            ERROR_WITH_POSITION => Found::Value(Attr::Failed(EvalError {
                message: errors.text()?.to_owned(),
                position: Some(Position { file: errors.text()?.to_owned(), line: errors.small()?, column: errors.small()? }),
            })),
            _ => return Err(Unreadable::Contents("a result of an unknown kind")),
        };
        results.push((path, found));
    }
    [&paths.column, &kinds, &sets, &errors].iter().try_for_each(|column| column.end())?;
    jobs.end()?;
    Ok(results)
}

fn texts(mut column: Reader<'_>, count: u32) -> Result<Vec<&str>, Unreadable> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(column.text()?);
    }
    column.end()?;
    Ok(texts)
}

fn text<'a>(texts: &[&'a str], number: u32) -> Result<&'a str, Unreadable> {
    texts.get(number as usize).copied().ok_or(Unreadable::Contents("a name that is not there"))
}

fn set(column: &mut Reader<'_>, texts: &[&str]) -> Result<Vec<String>, Unreadable> {
    let count = column.count()?;
    let mut names = Vec::with_capacity(count);
    let mut last = 0;
    for _ in 0..count {
        last = column.away_from(next(last)?)?;
        names.push(text(texts, last)?.to_owned());
    }
    Ok(names)
}

fn next(number: u32) -> Result<u32, Unreadable> {
    number.checked_add(1).ok_or(Unreadable::Contents("a number that is too large"))
}

struct Paths<'a> {
    texts: &'a [&'a str],
    column: Reader<'a>,
    last: Vec<&'a str>,
    at_depth: Vec<u32>,
}

impl Paths<'_> {
    fn next(&mut self) -> Result<AttrPath, Unreadable> {
        let shared = self.column.small()? as usize;
        if shared > self.last.len() {
            return Err(Unreadable::Contents("a path that shares what is not there"));
        }
        self.last.truncate(shared);
        let depth = shared + self.column.count()?;
        if depth > DEPTH {
            return Err(Unreadable::Contents("a path that is too deep"));
        }
        self.at_depth.resize(self.at_depth.len().max(depth), 0);
        for last in &mut self.at_depth[shared..depth] {
            *last = self.column.away_from(next(*last)?)?;
            self.last.push(text(self.texts, *last)?);
        }
        Ok(AttrPath::new(self.last.iter().copied()))
    }
}

struct Shape<'a> {
    dir: &'a str,
    system: System,
    outputs: Vec<(OutputName, u8)>,
}

struct Jobs<'a> {
    shapes: Vec<Shape<'a>>,
    jobs: Vec<Job>,
    next_again: u32,
    again: Reader<'a>,
    job_shapes: Reader<'a>,
    names: Reader<'a>,
    hashes: Reader<'a>,
    any_paths: Reader<'a>,
}

impl<'a> Jobs<'a> {
    fn read(from: &mut Reader<'a>, shapes: u32) -> Result<Self, Unreadable> {
        let again = from.column()?;
        let shapes = read_shapes(from.column()?, shapes)?;
        Ok(Self {
            shapes,
            jobs: Vec::new(),
            next_again: 0,
            again,
            job_shapes: from.column()?,
            names: from.column()?,
            hashes: from.column()?,
            any_paths: from.column()?,
        })
    }

    fn next(&mut self) -> Result<Job, Unreadable> {
        let shape = self.shapes.get(self.job_shapes.small()? as usize);
        let shape = shape.ok_or(Unreadable::Contents("a shape that is not there"))?;
        let name = self.names.text()?;
        let drv = store_path(shape.dir, self.hashes.array()?, &[name, ".drv"])?;
        let drv = DrvPath::try_from(drv).map_err(|_| Unreadable::Contents("a derivation that is none"))?;
        let mut outputs = std::collections::BTreeMap::new();
        for (output, kind) in &shape.outputs {
            let path = match *kind {
                NO_PATH => None,
                USUAL_PATH if output.as_str() == "out" => Some(store_path(shape.dir, self.hashes.array()?, &[name])?),
                USUAL_PATH => Some(store_path(shape.dir, self.hashes.array()?, &[name, "-", output.as_str()])?),
                _ => {
                    let path = self.any_paths.text()?.parse();
                    Some(path.map_err(|_| Unreadable::Contents("a store path that is none"))?)
                }
            };
            outputs.insert(output.clone(), path);
        }
        let job = Job { drv, outputs, system: shape.system.clone() };
        self.jobs.push(job.clone());
        Ok(job)
    }

    fn again(&mut self) -> Result<Job, Unreadable> {
        let number = self.again.away_from(self.next_again)?;
        self.next_again = next(number)?;
        self.jobs.get(number as usize).cloned().ok_or(Unreadable::Contents("a job that is not there"))
    }

    fn end(&self) -> Result<(), Unreadable> {
        [&self.again, &self.job_shapes, &self.names, &self.hashes, &self.any_paths].iter().try_for_each(|column| column.end())
    }
}

fn read_shapes(mut column: Reader<'_>, count: u32) -> Result<Vec<Shape<'_>>, Unreadable> {
    let mut shapes = Vec::new();
    for _ in 0..count {
        let (dir, system) = (column.text()?, System::new(column.text()?));
        let mut outputs = Vec::new();
        for _ in 0..column.count()? {
            let output = OutputName::new(column.text()?);
            match column.byte()? {
                kind @ (NO_PATH | USUAL_PATH | ANY_PATH) => outputs.push((output, kind)),
                _ => return Err(Unreadable::Contents("an output's path of an unknown kind")),
            }
        }
        shapes.push(Shape { dir, system, outputs });
    }
    column.end()?;
    Ok(shapes)
}

fn is_usual(path: &str, drv: &str, output: &OutputName) -> bool {
    path.strip_prefix(drv).is_some_and(|rest| match output.as_str() {
        "out" => rest.is_empty(),
        output => rest.strip_prefix('-') == Some(output),
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_comes_back(results in samples::results()) {
            let mut writer = Writer::default();
            write(&mut writer, results.iter().map(|(path, found)| (path, Lent::from(found))));
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            let read = read(&mut reader).unwrap();
            reader.end().unwrap();
            prop_assert_eq!(read, results.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn what_does_not_hold_together_is_refused(results in samples::results(), place: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let mut writer = Writer::default();
            write(&mut writer, results.iter().map(|(path, found)| (path, Lent::from(found))));
            let mut bytes = writer.into_bytes();
            // without the envelope's checksum: it may read as something else, but must not panic
            drop(read(&mut Reader::new(&bytes[..cut.index(bytes.len())])));
            let place = place.index(bytes.len());
            bytes[place] = byte;
            drop(read(&mut Reader::new(&bytes)));
        }
    }
}
