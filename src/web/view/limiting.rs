//! Whether builds on this machine have limits, and why not.

use maud::{Markup, html};

use super::icons::Icon;
use super::parts::{Tone, chip};
use crate::actors::house::Limiting;

pub fn limiting(limits: &Limiting) -> Markup {
    html! {
        section.panel #limits data-live aria-labelledby="limits-title" {
            div.panel-head { h2 #limits-title { "Limits of builds on this machine" } }
            div.panel-body {
                @match limits {
                    Limiting::On { by, classes, beyond } => {
                        p {
                            (chip(Tone::Good, Icon::Check, "on"))
                            " each build has a Nix daemon of its own in a control group of its own, started by " (by)
                            "; what it used is measured, and what it leaves behind ends with it"
                        }
                        dl.pairs { @for (builder, limits) in classes { dt { (builder) } dd { (limits) } } }
                        @if !beyond.is_empty() {
                            p { (chip(Tone::Warn, Icon::Warning, "not held")) " this machine has no controller for limits of " (beyond.join(", ")) }
                        }
                    }
                    Limiting::Off(reason) => p { (chip(Tone::Warn, Icon::Warning, "off")) " nothing that a build uses is limited or measured: " (reason) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_and_the_way_out_are_said() {
        let page = limiting(&Limiting::Off("run `snowgate worker` as root".into())).into_string();
        assert!(page.contains("off") && page.contains("run `snowgate worker` as root"), "{page}");
        let on = Limiting::On {
            by: "this process".into(),
            classes: vec![("local".into(), "512 MiB of memory, 100 processes".into())],
            beyond: vec!["memory"],
        };
        let page = limiting(&on).into_string();
        assert!(page.contains("512 MiB of memory") && page.contains("no controller for limits of memory"), "{page}");
    }
}
