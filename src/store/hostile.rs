//! Peers that lie, stammer or hang up: whatever they send, a request ends with an answer or an error.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::{BuildResult, ClientSettings, Connection, CopyError, Discard, LogSink, PathInfo, StoreError, copy};
use crate::domain::{DrvPath, Outcome, StorePath};

const DRV: &str = "/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-a.drv";
const LAST: u64 = 0x616c_7473;

/// What a daemon sends, piece by piece.
#[derive(Debug, Clone)]
enum Piece {
    Word(u64),
    Text(Vec<u8>),
    Junk(Vec<u8>),
}

fn bytes(pieces: &[Piece]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Word(word) => bytes.extend_from_slice(&word.to_le_bytes()),
            Piece::Text(text) => {
                bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
                bytes.extend_from_slice(text);
                bytes.resize(bytes.len().next_multiple_of(8), 0);
            }
            Piece::Junk(junk) => bytes.extend_from_slice(junk),
        }
    }
    bytes
}

fn text(text: &str) -> Piece {
    Piece::Text(text.as_bytes().to_vec())
}

/// A greeting at some protocol, and the answer to the settings.
fn greeting(minor: u64) -> Vec<Piece> {
    let mut pieces = vec![Piece::Word(0x6478_696f), Piece::Word(1 << 8 | minor), text("2.34.8")];
    if minor >= 35 {
        pieces.push(Piece::Word(1));
    }
    pieces.extend([Piece::Word(LAST), Piece::Word(LAST)]);
    pieces
}

/// Talks to a peer that sends these bytes and hangs up: a build, then two questions.
fn talk(sent: Vec<u8>) -> Result<BuildResult, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let conversation = async {
        let mut connection = Connection::over(tokio::io::join(Cursor::new(sent), tokio::io::sink())).await?;
        let drv: DrvPath = DRV.parse().unwrap();
        let settings = ClientSettings { max_log_bytes: Some(1 << 20), ..Default::default() };
        let result = connection.build(&drv, &settings, &mut Discard).await;
        if let Err(error) = &result {
            assert!(!matches!(error, StoreError::Abandoned), "the first request is never abandoned");
            assert!(!connection.is_usable() || matches!(error, StoreError::Refused(_)), "{error}");
        }
        let usable = connection.is_usable();
        let asked = connection.missing(&[drv]).await;
        assert_eq!(matches!(asked, Err(StoreError::Abandoned)), !usable);
        drop(connection.path_infos(&[DRV.parse::<StorePath>().unwrap()]).await);
        result
    };
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), conversation).await.expect("it hangs") })
}

/// Pieces of which the protocol is made, in any order, and a few that it is not made of.
fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        4 => prop::sample::select(vec![
            0x6f6c_6d67, 0x6461_7461, 0x6461_7416, LAST, 0x6378_7470, 0x5354_5254, 0x5354_4f50, 0x5253_4c54, 101, 104, 105, 108,
        ]).prop_map(Piece::Word),
        4 => (0u64..17).prop_map(Piece::Word),
        1 => any::<u64>().prop_map(Piece::Word),
        2 => prop::sample::select(vec!["Error", "", "x!out", "{\"outPath\":\"8x4imr87h9x530l6y2kdaj7ih62z8kgx-a\"}", DRV, "\u{1b}[31mred"])
            .prop_map(text),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Piece::Text),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Piece::Junk),
    ]
}

/// A build that says something and succeeds.
fn success(minor: u64) -> Vec<Piece> {
    let mut pieces = greeting(minor);
    let word = Piece::Word;
    pieces.extend([
        word(0x5354_5254),
        word(1),
        word(3),
        word(105),
        text("building"),
        word(2),
        word(1),
        text(DRV),
        word(0),
        word(1),
        word(0),
    ]);
    pieces.extend([word(0x5253_4c54), word(1), word(101), word(1), word(1), text("a line")]);
    pieces.extend([
        word(0x5354_4f50),
        word(1),
        word(LAST),
        word(1),
        text(DRV),
        word(0),
        text(""),
        word(1),
        word(0),
        word(5),
        word(7),
    ]);
    if minor >= 37 {
        pieces.extend([word(1), word(1000), word(0)]);
    }
    pieces.extend([word(1), text("sha256:00!out"), text("{\"outPath\":\"8x4imr87h9x530l6y2kdaj7ih62z8kgx-a\"}")]);
    pieces
}

#[test]
fn each_protocol_is_read_to_its_last_byte() {
    for minor in 34..=40 {
        let sent = bytes(&success(minor));
        let result = talk(sent.clone()).unwrap();
        assert_eq!(result.outcome, Outcome::Succeeded);
        assert_eq!(result.outputs[&"out".into()].as_str(), "/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-a");
        // and not one byte less will do
        for length in 0..sent.len() {
            assert!(talk(sent[..length].to_vec()).is_err(), "protocol 1.{minor}, {length} of {} bytes", sent.len());
        }
    }
}

#[test]
fn older_and_foreign_peers_are_refused() {
    assert!(matches!(talk(bytes(&greeting(33))), Err(StoreError::TooOld(0x121))));
    assert!(matches!(talk(bytes(&[Piece::Word(0x6478_696f), Piece::Word(2 << 8)])), Err(StoreError::TooOld(0x200))));
    assert!(matches!(talk(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Err(StoreError::Protocol { .. })));
    let error = talk(Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "the Nix daemon closed the connection while greeting");
}

#[test]
fn a_line_that_does_not_end_is_cut() {
    struct Longest(usize);
    impl LogSink for Longest {
        fn line(&mut self, _: Option<&DrvPath>, line: &[u8]) {
            self.0 = self.0.max(line.len());
        }
        fn phase(&mut self, _: &str) {}
        fn message(&mut self, _: u64, _: &str) {}
        fn substituting(&mut self, _: &StorePath) {}
    }
    let mut pieces = greeting(37);
    let word = Piece::Word;
    pieces.extend([word(0x5253_4c54), word(1), word(101), word(1), word(1), Piece::Text(vec![b'x'; 8 << 20])]);
    pieces.extend([word(0x6378_7470), text("Error"), word(0), text(""), text("no more"), word(0), word(0)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::io::join(Cursor::new(bytes(&pieces)), tokio::io::sink());
        let mut connection = Connection::over(stream).await.unwrap();
        let mut longest = Longest(0);
        let result = connection.build(&DRV.parse().unwrap(), &ClientSettings::default(), &mut longest).await.unwrap();
        assert_eq!((result.outcome, result.message.as_str()), (Outcome::Infrastructure, "no more"));
        assert_eq!(longest.0, 1 << 20);
        assert!(connection.is_usable());
    });
}

/// Copies a path from a peer that sends these bytes to one that sends those, and both hang up.
fn copies(gives: Vec<u8>, takes: Vec<u8>) -> Result<u64, CopyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let conversation = async {
        let peer = |sent: Vec<u8>| Connection::over(tokio::io::join(Cursor::new(sent), tokio::io::sink()));
        let mut giver = peer(gives).await.map_err(CopyError::Giver)?;
        let mut taker = peer(takes).await.map_err(CopyError::Taker)?;
        let info = PathInfo {
            deriver: None,
            references: [].into(),
            nar_bytes: nar().len() as u64,
            nar_hash: "00".into(),
            signatures: Vec::new(),
            content_address: String::new(),
        };
        let path: StorePath = "/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-a".parse().unwrap();
        let copied = copy(&mut giver, &mut taker, &[(path, Arc::new(info))]).await;
        if let Err(CopyError::Giver(_)) = &copied {
            assert!(!taker.is_usable(), "it waits for the rest of a path");
        }
        copied
    };
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), conversation).await.expect("it hangs") })
}

/// The NAR of a file.
fn nar() -> Vec<u8> {
    let words = ["nix-archive-1", "(", "type", "regular", "contents", "some text", ")"];
    bytes(&words.map(text))
}

/// What a giver says: a greeting, then the path.
fn giver() -> Vec<u8> {
    let mut sent = bytes(&greeting(37)[..5]);
    sent.extend(LAST.to_le_bytes());
    sent.extend(nar());
    sent
}

/// What a taker says when it has everything.
fn taker() -> Vec<u8> {
    let mut sent = bytes(&greeting(37)[..5]);
    sent.extend(LAST.to_le_bytes());
    sent
}

#[test]
fn a_copy_is_read_to_its_last_byte() {
    assert_eq!(copies(giver(), taker()).unwrap(), nar().len() as u64);
    for length in 0..giver().len() {
        assert!(matches!(copies(giver()[..length].to_vec(), taker()), Err(CopyError::Giver(_))), "{length}");
    }
    for length in 0..taker().len() {
        assert!(matches!(copies(giver(), taker()[..length].to_vec()), Err(CopyError::Taker(_))), "{length}");
    }
}

proptest! {
    #[test]
    fn a_copy_survives_either_peer(
        at: prop::sample::Index,
        byte: u8,
        from_giver: bool,
        pieces in prop::collection::vec(piece(), 0..30),
    ) {
        let (mut gives, mut takes) = (giver(), taker());
        let spoilt = if from_giver { &mut gives } else { &mut takes };
        let at = at.index(spoilt.len());
        spoilt[at] = byte;
        drop(copies(gives, takes));
        let mut sent = bytes(&greeting(37)[..5]);
        sent.extend(bytes(&pieces));
        drop(copies(sent.clone(), taker()));
        drop(copies(giver(), sent));
    }

    #[test]
    fn any_bytes_end_a_conversation(junk in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(talk(junk));
    }

    #[test]
    fn any_talk_after_the_greeting_ends(minor in 34u64..41, pieces in prop::collection::vec(piece(), 0..60)) {
        let mut sent = greeting(minor);
        sent.extend(pieces);
        drop(talk(bytes(&sent)));
    }

    #[test]
    fn a_flipped_byte_ends_a_conversation(minor in 34u64..38, at: prop::sample::Index, byte: u8) {
        let mut sent = bytes(&success(minor));
        let at = at.index(sent.len());
        sent[at] = byte;
        drop(talk(sent));
    }
}
