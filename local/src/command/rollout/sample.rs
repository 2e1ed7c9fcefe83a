//! Rollouts as a server tells them, for the tests beside this.

use serde_json::{Value, json};

use super::seen::{Rollout, understood};

/// What most of them bring, and what ran before.
pub(super) const TARGET: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";
pub(super) const PREVIOUS: &str = "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c";

/// Half way through its second stage.
pub(super) fn under_way() -> Value {
    json!({
        "id": "shop-3", "app": "shop", "target": TARGET, "branch": "main", "status": "running",
        "because": "stage 2 of 3: 2 services are under way", "stage": 2,
        "stages": [
            { "percent": 10, "size": 1, "status": "passed", "succeeded": 1, "failed": 0, "skipped": 0 },
            { "percent": 50, "size": 4, "status": "arriving", "succeeded": 0, "failed": 1, "skipped": 0 },
            { "percent": 100, "size": 5, "status": "pending", "succeeded": 0, "failed": 0, "skipped": 0 },
        ],
        "services": [
            service("vps-001", 1, "success", "healthy 30 s after the last restart"),
            { "id": "vps-004", "stage": 2, "status": "updating", "step": "install", "way": "forward", "previous": PREVIOUS,
              "current": null, "because": "", "until": "2026-01-02T02:31:30Z", "settled_at": null },
            service("vps-005", 2, "rolled_back", "rolled back to 9f8e7d6: install failed: bun: command not found"),
            { "id": "vps-006", "stage": 2, "status": "updating", "step": "check out", "way": "back", "previous": PREVIOUS,
              "current": null, "because": "install failed: exit 1", "until": "2026-01-02T02:31:30Z", "settled_at": null },
            { "id": "vps-007", "stage": 2, "status": "pending", "because": "" },
            { "id": "vps-008", "stage": 3, "status": "pending", "because": "" },
        ],
        "next": null, "under_way": ["vps-004", "vps-006"], "paused": null, "options": {}, "plan_hash": "ab12",
        "by": "ada", "forced": null, "retries": null, "waits_for": "the 2 services under way, then 1 more of stage 2",
        "due_at": null, "version": 17, "created_at": "2026-01-02T02:30:00Z", "updated_at": "2026-01-02T02:30:50Z",
        "ended_at": null,
    })
}

/// The same, halted by its second stage.
pub(super) fn halted() -> Value {
    let mut told = under_way();
    let now = json!({
        "status": "halted", "because": "halted: 2 of 4 failed in stage 2", "ended_at": "2026-01-02T02:31:10Z",
        "waits_for": "",
    });
    for (key, value) in now.as_object().into_iter().flatten() {
        told[key] = value.clone();
    }
    told["stages"][1] =
        json!({ "percent": 50, "size": 4, "status": "halted", "succeeded": 1, "failed": 2, "skipped": 0 });
    told["services"][1] = service("vps-004", 2, "success", "");
    told["services"][3] = json!({
        "id": "vps-006", "stage": 2, "status": "failed", "previous": PREVIOUS, "current": null,
        "because": "install failed: exit 1; going back: check out failed: No space left on device",
    });
    told
}

/// A service that was settled.
fn service(id: &str, stage: u32, status: &str, because: &str) -> Value {
    let current = if status == "success" { TARGET } else { PREVIOUS };
    json!({ "id": id, "stage": stage, "status": status, "step": null, "way": null, "previous": PREVIOUS,
            "current": current, "because": because, "until": null, "settled_at": "2026-01-02T02:30:40Z" })
}

/// As a command understands it.
pub(super) fn rollout(told: &Value) -> Rollout {
    understood(told).unwrap()
}
