//! A quarter of the fleet with a server of its own: apps on some hosts, and what a scene may do to their rollouts.

use std::collections::BTreeMap;
use std::time::Duration;

use lamplighter_tests::http::{self, Answer};
use serde_json::{Value, json};

use super::fleet::{Fleet, Host, NETWORK, Shown};
use super::program::{Home, PATIENCE, Program, eventually};

/// The secret that pushes are signed with.
pub(crate) const HOOK_SECRET: &str = "a secret that only the tests and their server know";
/// Longest a rollout of a scene takes on a busy machine.
const ROLLOUT_LIMIT: Duration = Duration::from_secs(240);

/// How long a restarted service is left alone before it is judged.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
/// What the plainest service does.
pub(crate) const INSTALL: &str = "./install.sh";

/// One app of a quarter: a service on each of its hosts.
#[derive(Debug, Clone)]
pub(crate) struct App<'f> {
    pub(crate) name: &'static str,
    pub(crate) hosts: &'f [Host],
    /// What the services of the app are called: this, and the name of their host.
    pub(crate) prefix: &'static str,
    pub(crate) branch: &'static str,
    pub(crate) install: &'static str,
    pub(crate) check: Check,
}

/// How a service is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Check {
    Systemd,
    Http,
}

impl<'f> App<'f> {
    pub(crate) fn new(name: &'static str, hosts: &'f [Host]) -> App<'f> {
        App { name, hosts, prefix: "", branch: "main", install: INSTALL, check: Check::Systemd }
    }

    /// The name of its service on a host.
    pub(crate) fn service(&self, host: &Host) -> String {
        format!("{}{}", self.prefix, host.name)
    }

    fn written(&self) -> String {
        let mut text = String::new();
        for host in self.hosts {
            let (id, unit, address) = (self.service(host), &host.name, &host.address);
            let check = match self.check {
                Check::Systemd => format!("{{ systemd = '{unit}' }}"),
                Check::Http => format!("{{ http = 'http://{address}:8080/' }}"),
            };
            text.push_str(&format!(
                "[[env.prod.service]]\nid = '{id}'\napp = '{app}'\naddress = '{address}'\nuser = '{user}'\n\
                 key = 'file:{key}'\nhost_key = '{host_key}'\ncheck = {check}\nrestart = {{ systemd = '{unit}' }}\n\
                 update = {{ dir = '/srv/{unit}', branch = '{branch}', install = '''{install}''' }}\n\
                 policy = {{ settle = '{settle}s', backoff_base = '200ms', backoff_cap = '400ms', breaker_cooldown = '1h', \
                 connect_limit = '4s', command_limit = '5s', restart_limit = '30s' }}\n",
                app = self.name,
                user = host.user,
                key = host.key,
                host_key = host.host_key,
                branch = self.branch,
                install = self.install,
                settle = SETTLE.as_secs(),
            ));
        }
        text
    }
}

/// A server at work on the apps of some hosts.
pub(crate) struct Quarter<'f> {
    pub(crate) fleet: &'f Fleet,
    pub(crate) home: Home,
    server: Option<Program>,
    apps: BTreeMap<&'static str, App<'f>>,
    token: String,
}

impl<'f> Quarter<'f> {
    /// A new server with an empty memory. `every` is how often it sweeps.
    pub(crate) fn new(fleet: &'f Fleet, apps: Vec<App<'f>>) -> Quarter<'f> {
        // Faults come to many hosts at once here; whether that is our own fault is for another test to ask.
        let env = "every = '5s'\nadmins = ['ops@example.com']\nblind_least = 100\n\
            hooks.deploy = { kind = 'github', secret = 'file:hook-secret', app = 'pushed', repository = 'acme/app', \
            branch = 'live' }";
        let mut text = "[env.prod.defaults]\nowner = 'ada@example.com'\n".to_owned();
        apps.iter().for_each(|app| text.push_str(&app.written()));
        let home = Home::new(&format!("allowed_networks = ['{NETWORK}']"), env, &text);
        home.keep_token("hook-secret", HOOK_SECRET);
        let server = home.serve();
        let token = server.token.clone().unwrap();
        let apps = apps.into_iter().map(|app| (app.name, app)).collect();
        let quarter = Quarter { fleet, home, server: Some(server), apps, token };
        quarter.all_are_healthy();
        quarter
    }

    pub(crate) fn app(&self, name: &str) -> &App<'f> {
        &self.apps[name]
    }

    pub(crate) fn server(&self) -> &Program {
        self.server.as_ref().unwrap()
    }

    /// SIGKILL, and a new life over the same data, at once. Answers when each of the two was.
    pub(crate) fn kill_server(&mut self) {
        self.server.take().unwrap().kill();
        self.server = Some(self.home.serve());
    }

    /// Waits until every service of every app is healthy.
    pub(crate) fn all_are_healthy(&self) {
        for app in self.apps.values() {
            for host in app.hosts {
                self.wait_for_status(&app.service(host), "healthy");
            }
        }
    }

    pub(crate) fn wait_for_status(&self, id: &str, status: &str) -> Value {
        let found = eventually(|| Some(self.service(id)).filter(|one| one["status"] == status), PATIENCE);
        found.unwrap_or_else(|| panic!("`{id}` is not {status}: {}\n{}", self.service(id), self.said()))
    }

    pub(crate) fn service(&self, id: &str) -> Value {
        self.get(&format!("services/{id}"))
    }

    /// What the server said, for a failing test.
    pub(crate) fn said(&self) -> String {
        self.server().said.all().join("\n")
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {}\n{}", answer.body, self.said());
        answer.body
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &body.to_string())
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let path = format!("/v1/envs/prod/{path}");
        let bearer = format!("Bearer {}", self.token);
        http::send(&self.server().url, method, &path, &[("authorization", &bearer)], body).unwrap()
    }

    /// Starts a rollout, which must be accepted. Answers its name.
    pub(crate) fn start(&self, order: &Value) -> String {
        let answer = self.post("rollouts", order);
        assert_eq!(answer.status, 202, "{order}: {}\n{}", answer.body, self.said());
        let id = answer.body["id"].as_str().unwrap().to_owned();
        assert!(answer.head("location").unwrap().ends_with(&format!("/rollouts/{id}")), "{answer:?}");
        id
    }

    pub(crate) fn rollout(&self, id: &str) -> Value {
        self.get(&format!("rollouts/{id}"))
    }

    /// Waits until the rollout is as `expected` says; answers what it is then.
    pub(crate) fn wait_for(&self, id: &str, what: &str, expected: impl Fn(&Value) -> bool) -> Value {
        self.wait_within(ROLLOUT_LIMIT, id, what, expected)
    }

    /// The same with another patience.
    pub(crate) fn wait_within(
        &self,
        limit: Duration,
        id: &str,
        what: &str,
        expected: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        let found = eventually(
            || {
                last = self.rollout(id);
                expected(&last).then(|| last.clone())
            },
            limit,
        );
        found.unwrap_or_else(|| panic!("`{id}` is not {what}: {last:#}\n{}", self.said()))
    }

    /// Waits for the end of a rollout, which must be this one.
    pub(crate) fn ended(&self, id: &str, how: &str) -> Value {
        let end = self.wait_for(id, "over", |rollout| !rollout["ended_at"].is_null());
        assert_eq!(end["status"], how, "{end:#}\n{}", self.said());
        assert_eq!(end["under_way"], json!([]), "{end:#}");
        end
    }

    /// Waits until a service is at this step of a rollout.
    pub(crate) fn at_step(&self, id: &str, service: &str, step: &str) -> Value {
        self.wait_for(id, &format!("with `{service}` at {step}"), |rollout| {
            row(rollout, service)["step"] == step
        })
    }

    /// The audit trail, oldest first.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let (mut all, mut path) = (Vec::new(), "audit?limit=200".to_owned());
        loop {
            let page = self.get(&path);
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => path = format!("audit?limit=200&after={}", encoded(next)),
                None => break,
            }
        }
        all.reverse();
        all
    }

    /// What the hosts of an app show.
    pub(crate) fn shown(&self, app: &str) -> Vec<Shown> {
        self.app(app).hosts.iter().map(|host| self.fleet.shown(&host.name)).collect()
    }

    /// Waits for the one letter to the admins about a rollout.
    pub(crate) fn letter(&self, id: &str) -> super::program::Letter {
        let about =
            || self.home.letters().into_iter().filter(|letter| letter.subject.contains(&format!(" {id} ")));
        let found = eventually(|| about().next(), PATIENCE);
        let letter = found.unwrap_or_else(|| panic!("no letter about `{id}`: {:#?}", self.home.letters()));
        assert_eq!(about().count(), 1, "{:#?}", self.home.letters());
        assert!(letter.to.contains("ops@example.com"), "{letter:?}");
        letter
    }

    /// Asserts that nobody but rollouts sent a command to a service.
    pub(crate) fn only_rollouts_acted_on(&self, service: &str, app: &str) {
        for entry in self.audit() {
            let is_command = entry["service"] == service && !entry["action_no"].is_null();
            let by = entry["by"].as_str().unwrap();
            assert!(!is_command || by.starts_with(&format!("{app}-")), "{entry}\n{}", self.said());
        }
    }
}

/// One service in the view of a rollout.
pub(crate) fn row<'v>(rollout: &'v Value, service: &str) -> &'v Value {
    let services = rollout["services"].as_array().unwrap();
    services.iter().find(|row| row["id"] == service).unwrap_or(&Value::Null)
}

/// A cursor as a query carries it.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
