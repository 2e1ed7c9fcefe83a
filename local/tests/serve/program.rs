//! The real binary as a running server: started, asked, killed, and read what it says and writes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest a start takes on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Longest anything a test waits for takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// How often what gives no signal is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Where the binary is: beside the tests of its own package cargo says so, and any other builds it first.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = option_env!("CARGO_BIN_EXE_lamplighter") {
        return PathBuf::from(path);
    }
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--package", "lamplighter", "--bin", "lamplighter"])
            .status()
            .unwrap();
        assert!(built.success(), "the binary does not build");
        let test = std::env::current_exe().unwrap();
        test.parent().and_then(Path::parent).unwrap().join("lamplighter")
    });
    built.clone()
}

/// The folder a server lives in: its two files, its data, its admin token.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// A home whose one env is `prod`; `top` and `env` are lines of `lamplighter.toml`, `fleet` is the fleet file.
    pub(crate) fn new(top: &str, env: &str, fleet: &str) -> Home {
        let dir = tempfile::tempdir().unwrap();
        let config = format!("listen = '127.0.0.1:0'\n{top}\n[env.prod]\n{env}\nfleet = 'fleet.toml'\n");
        std::fs::write(dir.path().join("lamplighter.toml"), config).unwrap();
        std::fs::write(dir.path().join("fleet.toml"), fleet).unwrap();
        Home { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env_clear().env("HOME", self.path()).current_dir(self.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the command line to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let child = self.command(arguments).spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let (ended, output) = std::sync::mpsc::channel();
        // Nobody may be left to hear it.
        std::thread::spawn(move || drop(ended.send(child.wait_with_output())));
        output.recv_timeout(PATIENCE).map(Result::unwrap).unwrap_or_else(|_| {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("{arguments:?} does not end: {:?}", output.recv_timeout(START_LIMIT));
        })
    }

    /// Keeps a secret in a file of this home.
    pub(crate) fn keep_token(&self, file: &str, secret: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path().join(file);
        std::fs::write(&path, secret).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn serve(&self) -> Program {
        self.serve_in(&self.data())
    }

    /// The same with another data folder.
    pub(crate) fn serve_in(&self, data: &Path) -> Program {
        let data = data.to_str().unwrap();
        let mut command = self.command(&["--json", "serve", "--config", "lamplighter.toml", "--data", data]);
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Said::default());
        let (stderr, listener) = (child.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || listener.listen(stderr));
        let (first_line, announced) = std::sync::mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            // The test may have given up waiting.
            let _ = first_line.send(line);
            // A pipe that nobody reads would stop the server.
            let _ = stdout.read_to_end(&mut Vec::new());
        });
        let line = announced.recv_timeout(START_LIMIT).unwrap_or_default();
        let mut program = Program { child, url: String::new(), token: None, said };
        let Ok(announced) = serde_json::from_str::<Value>(&line) else {
            drop(program.child.kill());
            panic!("the server did not start: {line}{}", program.said.all().join("\n"));
        };
        program.url = announced["url"].as_str().unwrap().to_owned();
        program.token = announced["token"].as_str().map(str::to_owned);
        if let Some(token) = &program.token {
            self.keep_token("token", token);
        }
        program
    }

    /// Runs the command line against `server` with this home's admin token.
    pub(crate) fn ask(&self, server: &Program, arguments: &[&str]) -> Output {
        let ours = ["--url", &server.url, "--token-file", "token", "--env", "prod"];
        self.run(&[arguments, &ours[..]].concat())
    }

    /// The same, which must succeed, and its answer.
    pub(crate) fn json(&self, server: &Program, arguments: &[&str]) -> Value {
        let output = self.ask(server, &[&["--json"][..], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}\n{}", server.said.all().join("\n"));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }

    /// One service as the API shows it.
    pub(crate) fn service(&self, server: &Program, id: &str) -> Value {
        let all = self.json(server, &["services"]);
        let found = all.as_array().unwrap().iter().find(|one| one["id"] == id).cloned();
        found.unwrap_or_else(|| panic!("no `{id}` in {all}"))
    }

    /// Waits until the service is as `expected` says; answers what it is then.
    pub(crate) fn wait_for(
        &self,
        server: &Program,
        id: &str,
        what: &str,
        expected: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        eventually(
            || {
                last = self.service(server, id);
                expected(&last).then(|| last.clone())
            },
            PATIENCE,
        )
        .unwrap_or_else(|| panic!("`{id}` is not {what}: {last}\n{}", server.said.all().join("\n")))
    }

    /// Waits until the service has this status.
    pub(crate) fn wait_for_status(&self, server: &Program, id: &str, status: &str) -> Value {
        self.wait_for(server, id, status, |service| service["status"] == status)
    }

    /// The letters in the data folder, oldest first.
    pub(crate) fn letters(&self) -> Vec<Letter> {
        let Ok(files) = std::fs::read_dir(self.data().join("letters")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        // Their names begin with when they were decided.
        paths.sort();
        let mut letters: Vec<Letter> =
            paths.iter().map(|path| Letter::read(&std::fs::read_to_string(path).unwrap())).collect();
        letters.sort_by_key(|letter| letter.action_no);
        letters
    }

    /// Waits until there are so many letters whose subject holds `word`.
    pub(crate) fn wait_for_letters(&self, server: &Program, word: &str, count: usize) -> Vec<Letter> {
        let found = || -> Vec<Letter> {
            self.letters().into_iter().filter(|letter| letter.subject.contains(word)).collect()
        };
        eventually(|| Some(found()).filter(|letters| letters.len() >= count), PATIENCE).unwrap_or_else(|| {
            panic!("{count} letters `{word}`: {:#?}\n{}", self.letters(), server.said.all().join("\n"))
        })
    }
}

/// The heads of a letter that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) subject: String,
    pub(crate) to: String,
    pub(crate) id: String,
    pub(crate) answers: Option<String>,
    pub(crate) text: String,
    /// The number in its id, by which letters of one service sort.
    action_no: u64,
}

impl Letter {
    pub(crate) fn read(text: &str) -> Letter {
        let unfolded = text.replace("\r\n ", " ").replace("\r\n\t", " ");
        let head = |name: &str| {
            let line = unfolded
                .lines()
                .take_while(|line| !line.is_empty())
                .find(|line| line.split_once(':').is_some_and(|(head, _)| head.eq_ignore_ascii_case(name)));
            line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.trim().to_owned())
        };
        let id = head("message-id").unwrap_or_default();
        let mut numbers = id.split(['.', '@']).filter_map(|part| part.parse().ok());
        Letter {
            subject: head("subject").unwrap_or_default(),
            to: head("to").unwrap_or_default(),
            action_no: numbers.next_back().unwrap_or_default(),
            answers: head("in-reply-to"),
            id,
            // Lines that were too long for mail were broken with `=`.
            text: text.replace("=\r\n", ""),
        }
    }
}

/// A server that runs. One that is dropped is killed.
pub(crate) struct Program {
    child: Child,
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) said: Arc<Said>,
}

impl Program {
    /// SIGKILL: no chance to tidy up.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(mut self) -> (ExitStatus, Duration, Arc<Said>) {
        let told = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = eventually(|| self.child.try_wait().unwrap(), PATIENCE);
        (ended.expect("the server ends when told to"), told.elapsed(), Arc::clone(&self.said))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server wrote to stderr, line by line, as it comes.
#[derive(Default)]
pub(crate) struct Said {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Said {
    fn listen(&self, stderr: std::process::ChildStderr) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            self.lines.lock().unwrap().push(line);
            self.more.notify_all();
        }
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for a line that holds `words`.
    pub(crate) fn wait_for(&self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(words)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nobody said `{words}`:\n{}", lines.join("\n"));
            lines = self.more.wait_timeout(lines, left).unwrap().0;
        }
    }
}

/// Asks again until there is an answer, or the limit is over.
pub(crate) fn eventually<T>(mut ask: impl FnMut() -> Option<T>, limit: Duration) -> Option<T> {
    let until = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= until {
            return None;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
