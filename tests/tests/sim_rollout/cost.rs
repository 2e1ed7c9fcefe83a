//! What a rollout costs: write units, and time beside the ideal schedule.
