//! An app's code: a repository that services fetch from, and a checkout for each of them. Real git.

use std::path::{Path, PathBuf};
use std::process::Command;

use axum::http::Method;
use lamplighter_core::moment::Moment;
use lamplighter_core::rollout::Rollout;
use serde_json::{Value, json};

use super::{E, House, spec};

/// The branch that everything follows.
pub(crate) const BRANCH: &str = "main";

pub(crate) struct Code {
    dir: tempfile::TempDir,
}

impl Code {
    /// A repository with one commit.
    pub(crate) fn new() -> Code {
        let code = Code { dir: tempfile::tempdir().unwrap() };
        git(code.dir.path(), &["init", "--quiet", "--bare", "--initial-branch", BRANCH, "remote.git"]);
        git(code.dir.path(), &["clone", "--quiet", "remote.git", "desk"]);
        code.commit("first");
        code
    }

    /// Commits, pushes to the branch, and says which commit that is.
    pub(crate) fn commit(&self, text: &str) -> String {
        let desk = self.dir.path().join("desk");
        std::fs::write(desk.join("app"), text).unwrap();
        git(&desk, &["checkout", "--quiet", "-B", BRANCH]);
        git(&desk, &["add", "app"]);
        git(&desk, &["commit", "--quiet", "--message", text]);
        git(&desk, &["push", "--quiet", "origin", BRANCH]);
        git(&desk, &["rev-parse", "HEAD"])
    }

    /// Takes the repository away, or puts it back: its remote does not answer meanwhile.
    pub(crate) fn takes_itself_away(&self) {
        std::fs::rename(self.dir.path().join("remote.git"), self.dir.path().join("away.git")).unwrap();
    }

    pub(crate) fn is_back(&self) {
        std::fs::rename(self.dir.path().join("away.git"), self.dir.path().join("remote.git")).unwrap();
    }

    fn checkout(&self, id: &str) -> PathBuf {
        let path = self.dir.path().join(id);
        git(self.dir.path(), &["clone", "--quiet", "remote.git", id]);
        path
    }

    /// What the checkout of a service holds.
    pub(crate) fn text_of(&self, id: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(id).join("app")).unwrap()
    }

    /// A spec of the app, with a checkout of its own.
    pub(crate) fn spec(&self, id: &str, owner: Option<&str>) -> Value {
        let mut spec = spec(id, "true");
        spec["app"] = json!("shop");
        spec["update"] = json!({"dir": self.checkout(id), "branch": BRANCH});
        spec["policy"] = json!({"settle": "0s"});
        if let Some(owner) = owner {
            spec["owner"] = json!(owner);
        }
        spec
    }
}

fn git(dir: &Path, words: &[&str]) -> String {
    let done = Command::new("git")
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .args(["-c", "user.name=ada", "-c", "user.email=ada@example.com"])
        .args(words)
        .output()
        .unwrap();
    assert!(done.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

impl House {
    /// Services of the app `shop`, each with a checkout of its own, seen healthy.
    pub(crate) async fn shop(&self, code: &Code, services: &[(&str, Option<&str>)]) {
        for (id, owner) in services {
            let said =
                self.call(Method::PUT, &format!("{E}/services/{id}"), &[], Some(code.spec(id, *owner))).await;
            assert_eq!(said.status, 201, "{}", said.text);
        }
        self.sweep(0).await;
    }

    /// Starts a rollout of the branch's head, and says what it is called.
    pub(crate) async fn rollout(&self) -> String {
        let said = self.post(&format!("{E}/rollouts"), json!({"app": "shop", "branch": BRANCH})).await;
        assert_eq!(said.status, 202, "{}", said.text);
        said.body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn head(&self, id: &str) -> Rollout {
        self.env.store().rollout(&id.parse().unwrap()).await.unwrap().unwrap()
    }

    pub(crate) fn now(&self) -> Moment {
        self.env.clock().now()
    }
}
