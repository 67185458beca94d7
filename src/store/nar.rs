//! Where a NAR ends. A daemon sends NARs without saying how long they are, so that whoever passes one on has to follow its grammar
//! (nix, libutil/archive.cc): strings, of which a few say that the next one is somebody's text.

/// Follows a NAR through its bytes, in whatever pieces they come. Nothing of it is kept but the word of the grammar under way.
#[derive(Debug, Default)]
pub(super) struct NarEnd {
    part: Part,
    /// The next string is a file's content, a name or a link's target.
    text_follows: bool,
    /// Parentheses that are open.
    depth: u32,
    begun: bool,
}

#[derive(Debug)]
enum Part {
    Length {
        word: [u8; 8],
        have: usize,
    },
    /// A word of the grammar.
    Token {
        length: usize,
        padded: [u8; LONGEST_TOKEN],
        have: usize,
    },
    /// A text with its padding.
    Text {
        left: u64,
    },
    Done,
}

impl Default for Part {
    fn default() -> Self {
        Part::Length { word: [0; 8], have: 0 }
    }
}

/// `nix-archive-1`, padded.
const LONGEST_TOKEN: usize = 16;
/// Directories within directories: no file system has paths of so many parts.
const DEEPEST: u32 = 1 << 16;

impl NarEnd {
    pub fn is_done(&self) -> bool {
        matches!(self.part, Part::Done)
    }

    /// How many of these bytes belong to the NAR: all of them, unless it ends here.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.part {
                Part::Done => break,
                Part::Length { word, have } => {
                    fill(word, have, &mut rest);
                    if *have == word.len() {
                        let length = u64::from_le_bytes(*word);
                        self.part = self.string(length)?;
                    }
                }
                Part::Text { left } => {
                    let some = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    rest = &rest[some..];
                    *left -= some as u64;
                    if *left == 0 {
                        self.part = Part::default();
                    }
                }
                Part::Token { length, padded, have } => {
                    let end = length.next_multiple_of(8);
                    fill(&mut padded[..end], have, &mut rest);
                    if *have == end {
                        let (padded, length) = (*padded, *length);
                        self.part = self.token(&padded[..length])?;
                    }
                }
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// A string begins.
    fn string(&mut self, length: u64) -> Result<Part, &'static str> {
        let padded = length.checked_next_multiple_of(8).ok_or("a string in it is too long")?;
        if std::mem::take(&mut self.text_follows) {
            return Ok(if padded == 0 { Part::default() } else { Part::Text { left: padded } });
        }
        match usize::try_from(length) {
            Ok(0) => self.token(b""),
            Ok(length) if padded <= LONGEST_TOKEN as u64 => Ok(Part::Token { length, padded: [0; LONGEST_TOKEN], have: 0 }),
            _ => Err("it has a word that no NAR has"),
        }
    }

    /// A word of the grammar is complete.
    fn token(&mut self, token: &[u8]) -> Result<Part, &'static str> {
        if !std::mem::replace(&mut self.begun, true) {
            return if token == b"nix-archive-1" { Ok(Part::default()) } else { Err("it does not begin as a NAR does") };
        }
        match token {
            b"(" if self.depth == DEEPEST => return Err("its directories are too deep"),
            b"(" => self.depth += 1,
            b")" => match self.depth.checked_sub(1) {
                Some(0) => return Ok(Part::Done),
                Some(depth) => self.depth = depth,
                None => return Err("it closes what is not open"),
            },
            b"contents" | b"target" | b"name" => self.text_follows = true,
            b"" | b"type" | b"regular" | b"directory" | b"symlink" | b"executable" | b"entry" | b"node" => {}
            _ => return Err("it has a word that no NAR has"),
        }
        Ok(Part::default())
    }
}

/// Moves bytes into what is still free of `buffer`.
fn fill(buffer: &mut [u8], have: &mut usize, rest: &mut &[u8]) {
    let some = rest.len().min(buffer.len() - *have);
    let (now, later) = rest.split_at(some);
    buffer[*have..*have + some].copy_from_slice(now);
    *have += some;
    *rest = later;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::wire::Put;
    use proptest::prelude::*;

    /// A file system object.
    #[derive(Debug, Clone)]
    enum Object {
        File(Vec<u8>, bool),
        Link(Vec<u8>),
        Directory(Vec<(Vec<u8>, Object)>),
    }

    fn write(object: &Object, put: &mut Put<'_>) {
        put.string("(").string("type");
        match object {
            Object::File(bytes, executable) => {
                put.string("regular");
                if *executable {
                    put.string("executable").string("");
                }
                put.string("contents").bytes(bytes);
            }
            Object::Link(target) => {
                put.string("symlink").string("target").bytes(target);
            }
            Object::Directory(entries) => {
                put.string("directory");
                for (name, object) in entries {
                    put.string("entry").string("(").string("name").bytes(name).string("node");
                    write(object, put);
                    put.string(")");
                }
            }
        }
        put.string(")");
    }

    fn nar(object: &Object) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = Put(&mut bytes);
        put.string("nix-archive-1");
        write(object, &mut put);
        bytes
    }

    /// Texts that look like the grammar's own words.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::sample::select(vec!["(", ")", "contents", "name", "", "nix-archive-1"])
                .prop_map(|word| word.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..40),
        ]
    }

    fn object() -> impl Strategy<Value = Object> {
        let leaf = prop_oneof![
            (text(), any::<bool>()).prop_map(|(bytes, executable)| Object::File(bytes, executable)),
            text().prop_map(Object::Link)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| prop::collection::vec((text(), inner), 0..4).prop_map(Object::Directory))
    }

    proptest! {
        #[test]
        fn the_end_is_found_whatever_the_pieces(object in object(), pieces in prop::collection::vec(1usize..50, 1..20), after in text()) {
            let bytes = nar(&object);
            let mut sent = bytes.clone();
            sent.extend_from_slice(&after);
            let (mut end, mut taken, mut pieces) = (NarEnd::default(), 0, pieces.into_iter().cycle());
            while !end.is_done() {
                prop_assert!(taken < bytes.len());
                let piece = pieces.next().unwrap().min(sent.len() - taken);
                taken += end.feed(&sent[taken..taken + piece]).unwrap();
            }
            prop_assert_eq!(taken, bytes.len());
        }

        #[test]
        fn any_bytes_are_survived(object in object(), at: prop::sample::Index, byte: u8, junk in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut bytes = nar(&object);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            for bytes in [bytes, junk] {
                if let Ok(taken) = NarEnd::default().feed(&bytes) {
                    prop_assert!(taken <= bytes.len());
                }
            }
        }
    }

    #[test]
    fn what_is_no_nar_is_refused_at_once() {
        let mut html = Vec::new();
        Put(&mut html).string("<html>");
        assert_eq!(NarEnd::default().feed(&html), Err("it does not begin as a NAR does"));
        assert!(NarEnd::default().feed(&u64::MAX.to_le_bytes()).is_err());
    }
}
