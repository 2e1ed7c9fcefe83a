//! The fleet brake: how many services of an env may be restarting at once.

use crate::settings::Settings;

/// The most services that may be restarting at once in an env of `services`: min(5, max(1, 5 %)) by default.
#[must_use]
pub fn limit(settings: &Settings, services: u32) -> u32 {
    let share = u64::from(services) * u64::from(settings.brake_percent) / 100;
    u32::try_from(share).unwrap_or(u32::MAX).max(1).min(settings.brake_most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_fleets_restart_one_at_a_time_and_large_ones_five() {
        let settings = Settings::default();
        let table =
            [(0, 1), (1, 1), (39, 1), (40, 2), (60, 3), (99, 4), (100, 5), (10_000, 5), (u32::MAX, 5)];
        for (services, most) in table {
            assert_eq!(limit(&settings, services), most, "{services} services");
        }
    }
}
