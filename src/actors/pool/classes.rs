//! The slots of this machine: the ordinary ones, and larger ones where the settings have them.

use std::path::{Path, PathBuf};

use super::lodging::Quarters;
use crate::actors::house::Limiting;
use crate::actors::scheduler::Builder;
use crate::build::Offer;
use crate::cgroup::{Ground, Limits, NoGround};
use crate::config::server::{Build, WORKER_SOCKET};
use crate::store::{Cells, Nix};

/// What is built only where there is much of everything.
const BIG: &str = "big-parallel";

/// Slots of one kind.
pub struct Class {
    /// The name of its Pool's post.
    pub post: &'static str,
    pub builder: Builder,
    pub quarters: Quarters,
}

/// How builds here can be kept apart; or why they can't be, with the way out.
pub async fn cells(build: &Build, nix: &Nix, ground: Result<Ground, NoGround>) -> Result<Cells, String> {
    if let Some(socket) = &build.worker {
        return Ok(Cells::of_worker(socket.clone()));
    }
    let own = match Cells::own(nix, ground) {
        Ok(own) => return Ok(own),
        Err(reason) => reason,
    };
    if !Path::new(WORKER_SOCKET).exists() {
        return Err(own.to_string());
    }
    let worker = Cells::of_worker(PathBuf::from(WORKER_SOCKET));
    worker.welcome().await.map(|()| worker).map_err(|error| error.to_string())
}

pub fn classes(build: &Build, offer: Offer, processors: usize, cells: Option<&Cells>) -> Vec<Class> {
    let class = |post, name: &str, offer, slots, downloads, limits: Limits| Class {
        post,
        builder: Builder {
            name: name.to_owned(),
            offer,
            slots,
            downloads,
            speed: 1.0,
            // what nobody holds is no limit
            memory: cells.and(limits.memory_bytes),
        },
        quarters: Quarters { cells: cells.cloned(), limits },
    };
    let slots = build.jobs.map_or(processors, |jobs| jobs as usize);
    let mut ordinary = offer.clone();
    let big = build.big.as_ref().zip(build.big_slot_limits()).map(|(big, limits)| {
        ordinary.features.remove(BIG);
        let mut larger = offer;
        larger.features.insert(BIG.into());
        // what is fetched needs no larger slot, but may say that it does
        class("pool-big", "local-big", larger, big.jobs as usize, 1, limits)
    });
    let first = class("pool", "local", ordinary, slots, build.downloads as usize, build.slot_limits());
    [first].into_iter().chain(big).collect()
}

/// What the pages say of it.
pub fn limiting(cells: &Result<Cells, String>, classes: &[Class]) -> Limiting {
    match cells {
        Err(reason) => Limiting::Off(reason.clone()),
        Ok(cells) => Limiting::On {
            by: cells.by(),
            classes: classes.iter().map(|class| (class.builder.name.clone(), class.quarters.limits.to_string())).collect(),
            beyond: classes.first().map(|class| cells.beyond(&class.quarters.limits)).unwrap_or_default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::local_offer;
    use super::*;
    use crate::config::Settings;

    fn of(text: &str) -> Vec<Class> {
        let cells = Cells::of_worker("/nowhere".into());
        classes(&Settings::parse(text).unwrap().build, local_offer(&BTreeMap::new()), 8, Some(&cells))
    }

    #[test]
    fn one_class_offers_everything() {
        let [local] = &of("[build]\nmemory_mb = 512")[..] else { panic!("one class") };
        assert_eq!((local.builder.name.as_str(), local.builder.slots, local.builder.downloads), ("local", 8, 4));
        assert_eq!(local.builder.memory, Some(512 << 20));
        assert!(local.builder.offer.features.contains(BIG));
    }

    #[test]
    fn a_larger_class_takes_what_needs_it() {
        let text = "[build]\njobs = 2\nmemory_mb = 512\n[build.big]\njobs = 1\nmemory_mb = 2048";
        let [local, big] = &of(text)[..] else { panic!("two classes") };
        assert!(!local.builder.offer.features.contains(BIG) && big.builder.offer.features.contains(BIG));
        assert_eq!((big.builder.name.as_str(), big.builder.slots, big.builder.downloads), ("local-big", 1, 1));
        assert_eq!(big.builder.memory, Some(2 << 30));
    }

    #[test]
    fn a_limit_that_nobody_holds_is_none() {
        let build = Settings::parse("build.memory_mb = 512").unwrap().build;
        let classes = classes(&build, local_offer(&BTreeMap::new()), 1, None);
        assert_eq!(classes[0].builder.memory, None);
    }
}
