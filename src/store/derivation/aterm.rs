//! The grammar of a derivation's file (nix, libstore/derivation/aterm.cc).

use std::borrow::Cow;

use super::{Derivation, DerivationOutput};
use crate::domain::{DrvPath, OutputName, StorePath, System};

type Bytes<'a> = Cow<'a, [u8]>;

/// The parts of a derivation's file, in its order, byte for byte but for quotes and escapes: environments need not be text.
pub(super) struct Parts<'a> {
    /// Name, path, hash algorithm, hash.
    pub outputs: Vec<[Bytes<'a>; 4]>,
    /// With the outputs that are needed of each.
    pub input_drvs: Vec<(Bytes<'a>, Vec<Bytes<'a>>)>,
    pub input_srcs: Vec<Bytes<'a>>,
    pub platform: Bytes<'a>,
    pub builder: Bytes<'a>,
    pub args: Vec<Bytes<'a>>,
    pub env: Vec<(Bytes<'a>, Bytes<'a>)>,
}

impl<'a> Parts<'a> {
    pub fn of(text: &'a [u8]) -> Result<Self, String> {
        let mut rest = Rest(text);
        if rest.take(b"DrvWithVersion(") {
            return Err(
                "it depends on outputs that are derivations themselves (dynamic derivations), which is experimental in Nix"
                    .into(),
            );
        }
        rest.expect("Derive(")?;
        let outputs = rest.list(|rest| rest.tuple(|rest| Ok([rest.bytes()?, rest.next()?, rest.next()?, rest.next()?])))?;
        rest.expect(",")?;
        let input_drvs = rest.list(|rest| {
            rest.tuple(|rest| {
                let drv = rest.bytes()?;
                rest.expect(",")?;
                Ok((drv, rest.list(Rest::bytes)?))
            })
        })?;
        rest.expect(",")?;
        let input_srcs = rest.list(Rest::bytes)?;
        let (platform, builder) = (rest.next()?, rest.next()?);
        rest.expect(",")?;
        let args = rest.list(Rest::bytes)?;
        rest.expect(",")?;
        let env = rest.list(|rest| rest.tuple(|rest| Ok((rest.bytes()?, rest.next()?))))?;
        rest.expect(")")?;
        if !rest.0.is_empty() {
            return Err("something follows its end".into());
        }
        Ok(Self { outputs, input_drvs, input_srcs, platform, builder, args, env })
    }
}

pub(super) fn derivation(file: &[u8]) -> Result<Derivation, String> {
    let parts = Parts::of(file)?;
    let outputs = parts.outputs.into_iter().map(|[name, path, algorithm, hash]| {
        let path = if path.is_empty() { None } else { Some(store_path(path)?) };
        // a method without hash: content-addressed; `impure`: built each time
        let fixed = !algorithm.is_empty() && !hash.is_empty() && *hash != *b"impure";
        Ok((OutputName::new(text(name)), DerivationOutput { path, fixed }))
    });
    let input_drvs = parts
        .input_drvs
        .into_iter()
        .map(|(drv, outputs)| Ok((drv_path(drv)?, outputs.into_iter().map(|name| OutputName::new(text(name))).collect())));
    Ok(Derivation {
        outputs: outputs.collect::<Result<_, String>>()?,
        input_drvs: input_drvs.collect::<Result<_, String>>()?,
        input_srcs: parts.input_srcs.into_iter().map(store_path).collect::<Result<_, _>>()?,
        system: System::new(text(parts.platform)),
        builder: text(parts.builder),
        args: parts.args.into_iter().map(text).collect(),
        env: parts.env.into_iter().map(|(name, value)| (text(name), text(value))).collect(),
    })
}

/// Bytes that are no UTF-8 are replaced.
fn text(bytes: Bytes<'_>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn store_path(path: Bytes<'_>) -> Result<StorePath, String> {
    text(path).parse().map_err(|error| format!("{error}"))
}

fn drv_path(path: Bytes<'_>) -> Result<DrvPath, String> {
    text(path).parse().map_err(|error| format!("{error}"))
}

/// What is still to be parsed.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, token: &[u8]) -> bool {
        match self.0.strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token.as_bytes()) {
            return Ok(());
        }
        let found = String::from_utf8_lossy(&self.0[..self.0.len().min(20)]);
        Err(format!("expected `{token}`, found `{found}`"))
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        self.expect("[")?;
        let mut items = Vec::new();
        while !self.take(b"]") {
            if !items.is_empty() {
                self.expect(",")?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn tuple<T>(&mut self, items: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        self.expect("(")?;
        let items = items(self)?;
        self.expect(")")?;
        Ok(items)
    }

    /// A comma and a quoted string.
    fn next(&mut self) -> Result<Bytes<'a>, String> {
        self.expect(",")?;
        self.bytes()
    }

    /// A quoted string, borrowed where it has no escapes.
    fn bytes(&mut self) -> Result<Bytes<'a>, String> {
        self.expect("\"")?;
        let text = self.0;
        let mut plain = true;
        let mut at = 0;
        loop {
            match text.get(at) {
                None => return Err("a string is never closed".into()),
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    at += 2;
                }
                Some(_) => at += 1,
            }
        }
        // an escape may be the last byte of the file: then `get` found its end above
        let (quoted, rest) = (&text[..at], &text[at + 1..]);
        self.0 = rest;
        if plain {
            return Ok(Cow::Borrowed(quoted));
        }
        let mut bytes = Vec::with_capacity(quoted.len());
        let mut quoted = quoted.iter();
        while let Some(byte) = quoted.next() {
            bytes.push(match byte {
                b'\\' => match quoted.next() {
                    Some(b'n') => b'\n',
                    Some(b'r') => b'\r',
                    Some(b't') => b'\t',
                    Some(other) => *other,
                    None => return Err("a string ends in an escape".into()),
                },
                other => *other,
            });
        }
        Ok(Cow::Owned(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "8x4imr87h9x530l6y2kdaj7ih62z8kgx";

    fn sample() -> String {
        format!(
            "Derive([(\"dev\",\"/nix/store/{HASH}-a-dev\",\"\",\"\"),(\"out\",\"\",\"r:sha256\",\"00ff\")],\
             [(\"/nix/store/{HASH}-b.drv\",[\"dev\",\"out\"]),(\"/nix/store/{HASH}-c.drv\",[\"out\"])],\
             [\"/nix/store/{HASH}-src\"],\"x86_64-linux\",\"/bin/sh\",[\"-c\",\"echo \\\"a\\\\b\\\"\\n\\t\"],[(\"name\",\"a\"),(\"x\",\"\")])"
        )
    }

    #[test]
    fn a_derivation_is_read() {
        let drv = derivation(sample().as_bytes()).unwrap();
        assert_eq!(drv.outputs[&"out".into()], DerivationOutput { path: None, fixed: true });
        assert_eq!(drv.outputs[&"dev".into()].path.as_ref().unwrap().name(), "a-dev");
        assert!(drv.is_fixed_output());
        let inputs: Vec<_> = drv.input_drvs.iter().map(|(drv, outputs)| (drv.name(), outputs.len())).collect();
        assert_eq!(inputs, [("b", 2), ("c", 1)]);
        assert_eq!(drv.input_srcs.len(), 1);
        assert_eq!(drv.args, ["-c", "echo \"a\\b\"\n\t"]);
        assert_eq!(drv.env["x"], "");
    }

    #[test]
    fn a_content_addressed_output_has_no_path_and_is_not_fixed() {
        let text = "Derive([(\"out\",\"\",\"r:sha256\",\"\")],[],[],\"x86_64-linux\",\"/bin/sh\",[],[])";
        let drv = derivation(text.as_bytes()).unwrap();
        assert_eq!(drv.outputs[&"out".into()], DerivationOutput { path: None, fixed: false });
        assert!(drv.features().contains("ca-derivations"));
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(cut in 0usize..600, at in 0usize..600, byte: u8) {
            let mut text = sample().into_bytes();
            let at = at % text.len();
            text[at] = byte;
            text.truncate(cut);
            // it may still be a derivation, but never a panic
            drop(derivation(&text));
        }

        #[test]
        fn any_text_survives_quoting(value in ".*") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
            let text = format!("Derive([],[],[],\"s\",\"b\",[],[(\"v\",\"{quoted}\")])");
            prop_assert_eq!(&derivation(text.as_bytes()).unwrap().env["v"], &value);
        }
    }
}
