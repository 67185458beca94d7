//! What a builder offers, and what a derivation requires of it.

use std::collections::BTreeSet;

use crate::domain::System;

/// What a builder must have to build a derivation. Derivations with equal requirements share one ready set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirements {
    pub system: System,
    /// `requiredSystemFeatures`.
    pub features: BTreeSet<String>,
    /// Fixed-output derivations are network-bound and have a lane of their own.
    pub fixed_output: bool,
}

/// What a builder can build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub systems: BTreeSet<System>,
    pub features: BTreeSet<String>,
    /// A derivation that lacks one of these is not built here (nix.conf `builders`, the sixth field).
    pub mandatory: BTreeSet<String>,
}

impl Offer {
    /// The default features of a Nix machine (nix, libstore/globals: `system-features`); `kvm` and `uid-range` depend on the machine.
    pub const DEFAULT_FEATURES: [&str; 3] = ["benchmark", "big-parallel", "nixos-test"];

    pub fn fits(&self, required: &Requirements) -> bool {
        self.has_system(&required.system)
            && required.features.is_subset(&self.features)
            && self.mandatory.is_subset(&required.features)
    }

    /// `builtin` derivations (`builtin:fetchurl`) run inside the daemon itself, on any system.
    fn has_system(&self, system: &System) -> bool {
        system.as_str() == "builtin" || self.systems.contains(system)
    }
}

/// Why none of `offers` can build it, in words for a person; `None` if one can.
pub fn unsupported(offers: &[Offer], required: &Requirements) -> Option<String> {
    if offers.iter().any(|offer| offer.fits(required)) {
        return None;
    }
    let of_system: Vec<&Offer> = offers.iter().filter(|offer| offer.has_system(&required.system)).collect();
    if of_system.is_empty() {
        let offered: BTreeSet<&str> = offers.iter().flat_map(|offer| &offer.systems).map(System::as_str).collect();
        let offered = if offered.is_empty() { "none".to_owned() } else { join(offered) };
        return Some(format!("no builder for the system {}; offered: {offered}", required.system));
    }
    // the builder that lacks least says most
    let lacking = of_system.iter().map(|offer| required.features.difference(&offer.features).collect::<Vec<_>>());
    match lacking.filter(|lack| !lack.is_empty()).min_by_key(Vec::len) {
        Some(lack) => {
            let noun = if lack.len() == 1 { "feature" } else { "features" };
            Some(format!("no builder for {} has the {noun} {}", required.system, join(lack.into_iter().map(String::as_str))))
        }
        None => {
            let mandatory: BTreeSet<&str> = of_system.iter().flat_map(|offer| &offer.mandatory).map(String::as_str).collect();
            Some(format!("the builders for {} only take derivations that require {}", required.system, join(mandatory)))
        }
    }
}

fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn offer(systems: &[&str], features: &[&str], mandatory: &[&str]) -> Offer {
        let systems = systems.iter().map(|system| System::new(*system)).collect();
        Offer { systems, features: set(features), mandatory: set(mandatory) }
    }

    fn required(system: &str, features: &[&str]) -> Requirements {
        Requirements { system: System::new(system), features: set(features), fixed_output: false }
    }

    #[test]
    fn a_builder_that_fits_is_found_and_one_that_does_not_is_explained() {
        let offers =
            [offer(&["x86_64-linux", "i686-linux"], &["big-parallel"], &[]), offer(&["aarch64-linux"], &["kvm"], &["kvm"])];
        assert_eq!(unsupported(&offers, &required("i686-linux", &["big-parallel"])), None);
        assert_eq!(unsupported(&offers, &required("builtin", &[])), None);
        assert_eq!(unsupported(&offers, &required("aarch64-linux", &["kvm"])), None);
        assert_eq!(
            unsupported(&offers, &required("riscv64-linux", &[])).unwrap(),
            "no builder for the system riscv64-linux; offered: aarch64-linux, i686-linux, x86_64-linux"
        );
        assert_eq!(
            unsupported(&offers, &required("x86_64-linux", &["big-parallel", "kvm"])).unwrap(),
            "no builder for x86_64-linux has the feature kvm"
        );
        assert_eq!(
            unsupported(&offers, &required("aarch64-linux", &[])).unwrap(),
            "the builders for aarch64-linux only take derivations that require kvm"
        );
        assert_eq!(unsupported(&[], &required("x", &[])).unwrap(), "no builder for the system x; offered: none");
    }
}
