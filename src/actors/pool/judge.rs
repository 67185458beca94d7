//! PURE: what a build's control group says of its end.

use crate::actors::scheduler::End;
use crate::cgroup::{Account, Limits, size};
use crate::domain::Outcome;

/// The end, in the light of what the kernel did to the group. The victim may have been the builder, which then failed, or the daemon,
/// whose connection then broke: the text of an error tells nothing. What succeeded all the same succeeded.
pub(super) fn judged(end: End, account: &Account, limits: &Limits) -> End {
    match end {
        End::Broke(_) if account.oom_kills > 0 => out_of_memory(account, limits),
        End::Built { outcome: Outcome::Failed | Outcome::Infrastructure, .. } if account.oom_kills > 0 => {
            out_of_memory(account, limits)
        }
        End::Built { outcome: Outcome::Failed, message } if account.refused_forks > 0 => {
            let most = limits.pids_max.map_or_else(|| "as many processes".to_owned(), |most| format!("{most} processes at once"));
            let message = format!(
                "{message}\nIt could not start a process because it had {most}: `pids_max` in [build] says how many it may have."
            );
            End::Built { outcome: Outcome::Failed, message: message.trim_start().to_owned() }
        }
        end @ (End::Built { .. } | End::Broke(_) | End::Unreachable(_)) => end,
    }
}

/// What is asked for at once, and not had, is not in the peak.
const SLACK: u64 = 4 << 20;

fn out_of_memory(account: &Account, limits: &Limits) -> End {
    let peak = account.peak_memory_bytes.map(|peak| format!(" (peak {})", size(peak))).unwrap_or_default();
    let peak_of = account.peak_memory_bytes.unwrap_or_default();
    let message = match limits.memory_bytes {
        // some kernels of version 1 count no hits
        Some(limit) if account.memory_limit_hits > 0 || peak_of.saturating_add(SLACK) >= limit => {
            format!("was stopped: it used all of its {} of memory{peak}", size(limit))
        }
        _ => format!("was stopped: this machine ran out of memory{peak}; `memory_mb` in [build] limits each build"),
    };
    End::Built { outcome: Outcome::OutOfMemory, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { memory_bytes: Some(512 << 20), cpu_weight: None, cpu_percent: None, pids_max: Some(100), io_weight: None };

    fn killed(hits: u64, peak_mib: u64) -> Account {
        Account { oom_kills: 1, memory_limit_hits: hits, peak_memory_bytes: Some(peak_mib << 20), ..Account::default() }
    }

    fn failed() -> End {
        End::Built { outcome: Outcome::Failed, message: "builder failed with exit code 137".into() }
    }

    fn words(end: End) -> (Outcome, String) {
        match end {
            End::Built { outcome, message } => (outcome, message),
            End::Broke(_) | End::Unreachable(_) => panic!("{end:?}"),
        }
    }

    #[test]
    fn whichever_process_was_the_victim_it_was_the_memory() {
        let expected = (Outcome::OutOfMemory, "was stopped: it used all of its 512 MiB of memory (peak 512 MiB)".to_owned());
        for account in [killed(9, 512), killed(0, 512)] {
            assert_eq!(words(judged(failed(), &account, &LIMITS)), expected);
            assert_eq!(words(judged(End::Broke("closed".into()), &account, &LIMITS)), expected);
        }
    }

    #[test]
    fn a_machine_without_memory_is_told_from_a_limit() {
        let (outcome, message) = words(judged(failed(), &killed(0, 200), &LIMITS));
        assert_eq!(outcome, Outcome::OutOfMemory);
        assert!(message.contains("this machine ran out of memory (peak 200 MiB)"), "{message}");
    }

    #[test]
    fn what_ended_otherwise_ended_otherwise() {
        for outcome in [Outcome::Succeeded, Outcome::TimedOut, Outcome::Cancelled, Outcome::HashMismatch, Outcome::LogLimit] {
            let end = End::Built { outcome, message: String::new() };
            assert_eq!(words(judged(end, &killed(9, 512), &LIMITS)).0, outcome);
        }
        assert!(matches!(judged(End::Broke("x".into()), &Account::default(), &LIMITS), End::Broke(_)));
        assert_eq!(words(judged(failed(), &Account { memory_limit_hits: 7, ..Account::default() }, &LIMITS)).0, Outcome::Failed);
    }

    #[test]
    fn too_many_processes_are_named() {
        let (outcome, message) = words(judged(failed(), &Account { refused_forks: 3, ..Account::default() }, &LIMITS));
        assert_eq!(outcome, Outcome::Failed);
        assert!(message.starts_with("builder failed with exit code 137\n") && message.contains("100 processes"), "{message}");
    }
}
