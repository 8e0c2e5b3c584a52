//! How long a scale-down waits for proxies that say nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use samspill_model::plan::{Generation, InstanceState, Plan};
use tokio::time::Instant;

/// How long a live proxy may keep a withdrawn instance running without having acknowledged that it is gone. A connected one
/// answers within milliseconds and a restarted one within seconds, so this is for those that hang; what they still send to the
/// instance, they must send elsewhere.
const BOUND: Duration = Duration::from_secs(30);

/// Since when each withdrawal of the plan is waited for, as far as this process has seen it.
#[derive(Debug, Default)]
pub(crate) struct Patience(BTreeMap<Generation, Instant>);

impl Patience {
    /// Takes note of what is being waited for, and forgets the rest.
    pub(crate) fn observe(&mut self, plan: &Plan, now: Instant) {
        let withdrawals: BTreeMap<Generation, Instant> = plan
            .instances
            .iter()
            .filter_map(|instance| match instance.state {
                InstanceState::Withdraw { since } => Some((since, self.0.get(&since).copied().unwrap_or(now))),
                InstanceState::Serve | InstanceState::Stop => None,
            })
            .collect();
        self.0 = withdrawals;
    }

    /// Up to which generation nobody is waited for any longer.
    pub(crate) fn given_up(&self, now: Instant) -> Generation {
        let late = self.0.iter().filter(|(_since, seen)| now.duration_since(**seen) >= BOUND);
        late.map(|(since, _seen)| *since).max().unwrap_or_default()
    }

    /// When that changes next by itself.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.0.values().map(|seen| *seen + BOUND).min()
    }
}

#[cfg(test)]
mod tests {
    use samspill_model::name::InstanceName;
    use samspill_model::plan::PlannedInstance;

    use super::*;

    fn withdrawing(generations: &[u64]) -> Plan {
        let instance = |since: &u64| PlannedInstance {
            name: InstanceName(format!("a-{since}")),
            workload: 0,
            state: InstanceState::Withdraw { since: Generation(*since) },
        };
        Plan { instances: generations.iter().map(instance).collect(), ..Plan::default() }
    }

    #[test]
    fn it_is_counted_from_the_first_sight_of_each_withdrawal() {
        let start = Instant::now();
        let mut patience = Patience::default();
        patience.observe(&withdrawing(&[4]), start);
        patience.observe(&withdrawing(&[4, 6]), start + BOUND / 2);
        assert_eq!(patience.ends(), Some(start + BOUND));
        assert_eq!(patience.given_up(start + BOUND / 2), Generation(0));
        assert_eq!(patience.given_up(start + BOUND), Generation(4));
        assert_eq!(patience.given_up(start + BOUND * 2), Generation(6));
        patience.observe(&withdrawing(&[]), start + BOUND);
        assert_eq!((patience.ends(), patience.given_up(start + BOUND * 3)), (None, Generation(0)));
    }
}
