//! What happens to the demo's fleet: units crash and are stopped, one breaks for good, a host drops off the network.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::fleet::{DemoFleet, HOSTS, Resident};
use super::systemd::Nature;

/// The service that breaks for good; its breaker opens. It has its host to itself.
const DOOMED: usize = 2;
/// Shortest and longest time between two gusts, in seconds: longer than a heal takes, shorter than a newcomer's patience.
const LULL_SECS: std::ops::RangeInclusive<u64> = 7..=14;
/// Every so many gusts, a host is cut off.
const GUSTS_PER_OUTAGE: u64 = 5;
/// How long a host stays cut off: long enough for its services to be called down.
const OUTAGE: Duration = Duration::from_secs(25);

/// One thing that goes wrong, or right again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gust {
    /// The process of the service with this index is killed.
    Crash(usize),
    /// Somebody stops the service with this index.
    Stop(usize),
    /// The service with this index goes down and will not start any more.
    BreakForGood(usize),
    /// The host with this index is cut off from the network.
    CutOff(usize),
    /// The host with this index is back.
    Reconnect(usize),
}

/// A forecast that never ends. The same seed brings the same weather.
pub struct Weather {
    random: StdRng,
    gusts: u64,
    cut_off: Option<usize>,
}

impl Weather {
    /// The weather of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), gusts: 0, cut_off: None }
    }

    /// What happens next to these services, and how long until then. Never two hosts cut off at once, and never more than
    /// one service at a time: more would look as if the fault were ours.
    pub fn next(&mut self, residents: &[Resident]) -> (Duration, Gust) {
        if let Some(host) = self.cut_off.take() {
            return (OUTAGE, Gust::Reconnect(host));
        }
        self.gusts += 1;
        let lull = Duration::from_secs(self.random.random_range(LULL_SECS));
        match self.gusts {
            // A newcomer should see a heal first, and then the breaker.
            1 => return (Duration::from_secs(6), self.fault(residents)),
            2 => return (lull, Gust::BreakForGood(DOOMED)),
            _ => {}
        }
        if self.gusts.is_multiple_of(GUSTS_PER_OUTAGE) {
            let doomed_host = residents.get(DOOMED).map(|resident| resident.host);
            let hosts: Vec<usize> = (0..HOSTS).filter(|host| Some(*host) != doomed_host).collect();
            if let Some(host) = hosts.get(self.random.random_range(0..hosts.len().max(1))) {
                self.cut_off = Some(*host);
                return (lull, Gust::CutOff(*host));
            }
        }
        (lull, self.fault(residents))
    }

    fn fault(&mut self, residents: &[Resident]) -> Gust {
        let mut index = self.random.random_range(0..residents.len().max(2));
        if index == DOOMED {
            index += 1;
        }
        if self.random.random_bool(0.5) { Gust::Crash(index) } else { Gust::Stop(index) }
    }
}

impl Gust {
    /// Lets it happen.
    pub fn strike(self, fleet: &DemoFleet) {
        let unit = |index: usize| {
            let resident = fleet.residents().get(index)?;
            Some((fleet.hosts().get(resident.host)?.systemd(), resident.unit.as_str()))
        };
        match self {
            Gust::Crash(index) => {
                if let Some((systemd, name)) = unit(index) {
                    systemd.crash(name);
                }
            }
            Gust::Stop(index) => {
                if let Some((systemd, name)) = unit(index) {
                    systemd.stop(name);
                }
            }
            Gust::BreakForGood(index) => {
                if let Some((systemd, name)) = unit(index) {
                    systemd.set_nature(name, Nature::RefusesToStart);
                    systemd.crash(name);
                }
            }
            Gust::CutOff(host) => {
                if let Some(host) = fleet.hosts().get(host) {
                    host.cut_off();
                }
            }
            Gust::Reconnect(host) => {
                if let Some(host) = fleet.hosts().get(host) {
                    host.reconnect();
                }
            }
        }
    }

    /// True if something goes wrong.
    fn is_fault(self) -> bool {
        match self {
            Gust::Crash(_) | Gust::Stop(_) | Gust::BreakForGood(_) | Gust::CutOff(_) => true,
            Gust::Reconnect(_) => false,
        }
    }

    /// What happens, for a person: `the process of vps-003 is killed`.
    #[must_use]
    pub fn told(self, residents: &[Resident]) -> String {
        let service = |index: usize| {
            residents.get(index).map_or_else(String::new, |resident| resident.spec.id.to_string())
        };
        let tenants = |host: usize| {
            let ids = residents
                .iter()
                .filter(|resident| resident.host == host)
                .map(|resident| resident.spec.id.to_string());
            ids.collect::<Vec<_>>().join(" and ")
        };
        match self {
            Gust::Crash(index) => format!("the process of {} is killed", service(index)),
            Gust::Stop(index) => format!("somebody stops {}", service(index)),
            Gust::BreakForGood(index) => {
                format!("{} loses its configuration and will not start again", service(index))
            }
            Gust::CutOff(host) => format!("the host of {} drops off the network", tenants(host)),
            Gust::Reconnect(host) => format!("the host of {} is back", tenants(host)),
        }
    }
}

/// Lets the weather pass over the fleet until told to stop. `tell` hears of each gust just before it strikes. While `busy`
/// is true only good weather comes: what a rollout does should be seen to follow from what it brings.
pub async fn pass(
    mut weather: Weather,
    fleet: &DemoFleet,
    mut busy: watch::Receiver<bool>,
    stopping: &CancellationToken,
    mut tell: impl FnMut(Gust),
) {
    loop {
        let (lull, gust) = weather.next(fleet.residents());
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(lull) => {}
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = its_time(gust, &mut busy) => {}
        }
        tell(gust);
        gust.strike(fleet);
    }
}

/// Waits until the gust may strike.
async fn its_time(gust: Gust, busy: &mut watch::Receiver<bool>) {
    if gust.is_fault() {
        // Whoever says so lives as long as the demo; without them nothing is under way.
        let _ = busy.wait_for(|busy| !*busy).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::fleet::fleet;
    use super::super::systemd::State;
    use super::*;

    #[tokio::test]
    async fn the_same_seed_brings_the_same_weather() {
        let folder = tempfile::tempdir().unwrap();
        let fleet = fleet(folder.path()).await.unwrap();
        let forecast = |seed| {
            let mut weather = Weather::new(seed);
            (0..50).map(|_| weather.next(fleet.residents())).collect::<Vec<_>>()
        };
        assert_eq!(forecast(1), forecast(1));
        assert_ne!(forecast(1), forecast(2));
        fleet.stop().await;
    }

    #[tokio::test]
    async fn one_host_at_most_is_cut_off_and_one_service_is_doomed() {
        let folder = tempfile::tempdir().unwrap();
        let fleet = fleet(folder.path()).await.unwrap();
        let mut weather = Weather::new(7);
        let (mut away, mut doomed, mut outages) = (None, 0, 0);
        for _ in 0..500 {
            let (_, gust) = weather.next(fleet.residents());
            assert!(!gust.told(fleet.residents()).is_empty());
            match gust {
                Gust::CutOff(host) => {
                    assert_eq!(away.replace(host), None);
                    outages += 1;
                }
                Gust::Reconnect(host) => assert_eq!(away.take(), Some(host)),
                Gust::BreakForGood(index) => {
                    assert_eq!(index, DOOMED);
                    doomed += 1;
                }
                Gust::Crash(index) | Gust::Stop(index) => {
                    assert!(index != DOOMED && index < fleet.residents().len())
                }
            }
        }
        assert!(doomed == 1 && outages > 10, "{doomed} {outages}");
        fleet.stop().await;
    }

    #[tokio::test]
    async fn a_gust_strikes_the_unit_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let fleet = fleet(folder.path()).await.unwrap();
        Gust::Crash(0).strike(&fleet);
        assert_eq!(fleet.hosts()[0].systemd().state("web"), Some(State::Failed));
        Gust::Stop(9).strike(&fleet);
        assert_eq!(fleet.hosts()[7].systemd().state("worker"), Some(State::Inactive));
        assert_eq!(fleet.hosts()[7].systemd().state("web"), Some(State::Active));
        fleet.stop().await;
    }

    #[test]
    fn nothing_breaks_while_a_rollout_is_under_way_and_what_is_away_comes_back() {
        use futures_util::FutureExt as _;
        let (busy, mut looks) = watch::channel(true);
        assert_eq!(its_time(Gust::Crash(0), &mut looks).now_or_never(), None);
        assert_eq!(its_time(Gust::Reconnect(0), &mut looks).now_or_never(), Some(()));
        busy.send_replace(false);
        assert_eq!(its_time(Gust::Crash(0), &mut looks).now_or_never(), Some(()));
    }
}
