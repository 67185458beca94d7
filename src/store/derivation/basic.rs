//! A derivation as a builder elsewhere is handed it: what is to be run, without how its inputs were made.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::aterm::Parts;
use crate::domain::StorePath;
use crate::store::wire::Put;

/// Byte for byte what the derivation's file says: environments need not be text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicDerivation {
    /// Name, path, hash algorithm, hash.
    outputs: Vec<[Vec<u8>; 4]>,
    platform: Vec<u8>,
    builder: Vec<u8>,
    args: Vec<Vec<u8>>,
    env: Vec<(Vec<u8>, Vec<u8>)>,
}

impl BasicDerivation {
    /// Parses a derivation's file.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let parts = Parts::of(text)?;
        Ok(Self {
            outputs: parts.outputs.into_iter().map(|fields| fields.map(Cow::into_owned)).collect(),
            platform: parts.platform.into_owned(),
            builder: parts.builder.into_owned(),
            args: parts.args.into_iter().map(Cow::into_owned).collect(),
            env: parts.env.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        })
    }

    /// nix, libstore/derivations.cc: `writeDerivation`. `inputs` are paths that the other store has.
    pub(in crate::store) fn put(&self, inputs: &BTreeSet<StorePath>, out: &mut Vec<u8>) {
        let mut put = Put(out);
        put.number(self.outputs.len() as u64);
        for field in self.outputs.iter().flatten() {
            put.bytes(field);
        }
        put.strings(inputs.iter().map(StorePath::as_str));
        put.bytes(&self.platform).bytes(&self.builder);
        put.number(self.args.len() as u64);
        for arg in &self.args {
            put.bytes(arg);
        }
        put.number(self.env.len() as u64);
        for (name, value) in &self.env {
            put.bytes(name).bytes(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_bytes_and_inputs_are_replaced() {
        let mut text = b"Derive([(\"out\",\"/nix/store/x\",\"r:sha256\",\"00\")],[(\"/nix/store/d.drv\",[\"out\"])],[\"/nix/store/s\"],\"s\",\"b\",[\"-c\"],[(\"v\",\"a".to_vec();
        text.extend_from_slice(b"\\n\xff\")])");
        let basic = BasicDerivation::parse(&text).unwrap();
        assert_eq!(basic.env, [(b"v".to_vec(), b"a\n\xff".to_vec())]);
        assert_eq!(basic.outputs[0][2], b"r:sha256");
        let input: StorePath = "/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-in".parse().unwrap();
        let mut out = Vec::new();
        basic.put(&[input.clone()].into(), &mut out);
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(text.contains(input.as_str()) && !text.contains("d.drv"), "{text}");
        assert!(out.len().is_multiple_of(8));
        for cut in 0..30 {
            assert!(BasicDerivation::parse(&basic_text()[..cut]).is_err());
        }
    }

    fn basic_text() -> Vec<u8> {
        b"Derive([],[],[],\"s\",\"b\",[],[])".to_vec()
    }
}
