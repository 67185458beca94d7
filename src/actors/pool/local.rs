//! What this machine offers, by Nix's own defaults and the user's Nix settings.

use std::collections::{BTreeMap, BTreeSet};

use crate::build::Offer;
use crate::domain::System;

/// `settings` are Nix's (`system`, `extra-platforms`, `system-features`, `extra-system-features`); what they don't say is as Nix has it
/// by default.
pub fn local_offer(settings: &BTreeMap<String, String>) -> Offer {
    let words = |name: &str| settings.get(name).map(|value| value.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>());
    let system = settings.get("system").map_or_else(System::host, System::new);
    let mut systems: BTreeSet<System> = match words("extra-platforms") {
        Some(platforms) => platforms.into_iter().map(System::new).collect(),
        None => default_platforms(&system),
    };
    systems.insert(system);
    systems.extend(words("extra-extra-platforms").unwrap_or_default().into_iter().map(System::new));
    let mut features = words("system-features").unwrap_or_else(default_features);
    features.extend(words("extra-system-features").unwrap_or_default());
    Offer { systems, features, mandatory: BTreeSet::new() }
}

/// nix, libstore/globals.cc: `getDefaultExtraPlatforms`.
fn default_platforms(system: &System) -> BTreeSet<System> {
    let mut platforms = BTreeSet::new();
    if system.as_str() == "x86_64-linux" {
        platforms.insert(System::new("i686-linux"));
        platforms.extend(microarchitectures().into_iter().map(|level| System::new(format!("{level}-linux"))));
    }
    platforms
}

#[cfg(target_arch = "x86_64")]
fn microarchitectures() -> Vec<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("sse4.2") && has!("ssse3") && has!("popcnt") && has!("cmpxchg16b");
    let v3 = v2 && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma") && has!("lzcnt") && has!("movbe");
    let v4 = v3 && has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
    let levels = [(true, "x86_64-v1"), (v2, "x86_64-v2"), (v3, "x86_64-v3"), (v4, "x86_64-v4")];
    levels.into_iter().filter_map(|(has, level)| has.then_some(level)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn microarchitectures() -> Vec<&'static str> {
    Vec::new()
}

/// nix, libstore/globals.cc: `getDefaultSystemFeatures`.
fn default_features() -> BTreeSet<String> {
    let mut features: BTreeSet<String> = Offer::DEFAULT_FEATURES.into_iter().map(str::to_owned).collect();
    features.insert("uid-range".into());
    let kvm = nix::unistd::access("/dev/kvm", nix::unistd::AccessFlags::R_OK | nix::unistd::AccessFlags::W_OK);
    if kvm.is_ok() {
        features.insert("kvm".into());
    }
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_before_defaults() {
        let settings =
            [("system", "a-b"), ("extra-platforms", "c-d  e-f"), ("system-features", "x"), ("extra-system-features", "y")];
        let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let offer = local_offer(&settings);
        assert_eq!(offer.systems, ["a-b", "c-d", "e-f"].map(System::new).into());
        assert_eq!(offer.features, ["x", "y"].map(str::to_owned).into());
    }

    #[test]
    fn by_default_it_is_the_host() {
        let offer = local_offer(&BTreeMap::new());
        assert!(offer.systems.contains(&System::host()));
        assert!(offer.features.contains("big-parallel"));
    }
}
