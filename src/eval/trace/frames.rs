//! What the supervisor of a recording evaluator says of it: one frame for each access to the file system, in their order. On the
//! wire: the kind (one byte), the length of the text (two bytes, little-endian), the text.

/// An empty directory that the evaluating process sees. A path in it that is looked up is a mark: it says where in the stream of
/// accesses the evaluation stands.
pub const MARKS: &str = "/snowgate/marks";

/// The evaluating process's own place to write to: its content comes from the evaluation alone.
pub const OWN_PLACE: &str = "/tmp";

/// One access, or an attempt at one: whether it succeeded is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Seen {
        access: Access,
        /// It would go on to where a symbolic link leads, if the path's last name were one.
        follows: bool,
        /// Absolute, as the process sees it, and as it named it: with `.`, `..` and doubled slashes where it used them.
        path: Vec<u8>,
    },
    /// Something that no key stands for: what came to be known by it is not known to us. In words.
    Unknown(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Opened for reading. What is opened may be a directory too: then it can be listed.
    Content,
    /// Opened as a directory.
    Directory,
    /// Its type and mode, or whether it exists.
    Stat,
    /// Where a symbolic link leads.
    Link,
}

impl Access {
    const ALL: [Access; 4] = [Access::Content, Access::Directory, Access::Stat, Access::Link];

    fn letter(self) -> u8 {
        match self {
            Access::Content => b'c',
            Access::Directory => b'd',
            Access::Stat => b's',
            Access::Link => b'l',
        }
    }
}

const UNKNOWN: u8 = b'!';

impl Frame {
    pub fn encode(&self, to: &mut Vec<u8>) {
        let (kind, text) = match self {
            Frame::Seen { access, follows: false, path } => (access.letter(), path.as_slice()),
            Frame::Seen { access, follows: true, path } => (access.letter().to_ascii_uppercase(), path.as_slice()),
            Frame::Unknown(reason) => (UNKNOWN, reason.as_bytes()),
        };
        match u16::try_from(text.len()) {
            Ok(length) => {
                to.push(kind);
                to.extend_from_slice(&length.to_le_bytes());
                to.extend_from_slice(text);
            }
            Err(_) => Frame::Unknown("a path too long to be one".into()).encode(to),
        }
    }

    fn of(kind: u8, text: &[u8]) -> Frame {
        let access = Access::ALL.into_iter().find(|access| access.letter() == kind.to_ascii_lowercase());
        match access {
            Some(access) => Frame::Seen { access, follows: kind.is_ascii_uppercase(), path: text.to_vec() },
            None => Frame::Unknown(String::from_utf8_lossy(text).into_owned()),
        }
    }

    /// Whether it is a mark.
    pub fn is_mark(&self) -> bool {
        matches!(self, Frame::Seen { path, .. } if path.strip_prefix(MARKS.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/')))
    }
}

/// Takes the stream apart as it comes.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    read: usize,
}

impl Frames {
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the stream, if it ends here, ends between two frames.
    pub fn is_whole(&self) -> bool {
        self.read == self.bytes.len()
    }
}

impl Iterator for Frames {
    type Item = Frame;

    /// The next whole frame; `None` until more was added.
    fn next(&mut self) -> Option<Frame> {
        let [kind, low, high, rest @ ..] = &self.bytes[self.read..] else { return None };
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let frame = Frame::of(*kind, rest.get(..length)?);
        self.read += 3 + length;
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_cut_anywhere_gives_its_frames() {
        let seen = |access, follows, path: &str| Frame::Seen { access, follows, path: path.into() };
        let frames = vec![
            seen(Access::Content, false, "/snowgate/source/a"),
            seen(Access::Directory, true, "/snowgate/source"),
            Frame::Unknown("exec /bin/sh".into()),
            seen(Access::Stat, true, "/"),
            seen(Access::Link, false, ""),
            Frame::Seen { access: Access::Stat, follows: false, path: vec![0xff; 5000] },
        ];
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut bytes));
        for cut in 0..bytes.len().min(100) {
            let mut stream = Frames::default();
            stream.add(&bytes[..cut]);
            let mut read: Vec<Frame> = stream.by_ref().collect();
            stream.add(&bytes[cut..]);
            read.extend(stream.by_ref());
            assert_eq!(read, frames);
            assert!(stream.is_whole());
        }
        let mut stream = Frames::default();
        stream.add(&bytes[..bytes.len() - 1]);
        assert_eq!(stream.by_ref().count(), frames.len() - 1);
        assert!(!stream.is_whole());
    }

    #[test]
    fn marks_are_paths_below_their_directory() {
        let stat = |path: &str| Frame::Seen { access: Access::Stat, follows: false, path: path.into() };
        assert!(stat("/snowgate/marks/x").is_mark());
        assert!(!stat("/snowgate/marks").is_mark());
        assert!(!stat("/snowgate/marksx").is_mark());
        assert!(!Frame::Unknown("/snowgate/marks/x".into()).is_mark());
    }
}
