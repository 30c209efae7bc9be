//! The program as it is shipped, in a process of its own: started, watched and measured from outside.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Nothing that is waited for may take longer.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Lines of the log that are kept; the lines of answered requests are not.
const MAX_LINES: usize = 50_000;

/// A folder with settings and rules.
pub struct Stage {
    folder: TempDir,
}

impl Stage {
    /// Settings, and for each origin of the rules where it really is.
    pub fn new(settings: &str, origins: &[(&str, SocketAddr)]) -> Self {
        let stage = Stage { folder: tempfile::tempdir().expect("a temporary folder can be made") };
        fs::create_dir(stage.path("rules")).expect("a folder can be made");
        let reroute: String =
            origins.iter().map(|(origin, address)| format!("\"{origin}\" = \"http://{address}\"\n")).collect();
        stage.write("claimsmith.toml", &format!("{settings}\n[upstream.reroute]\n{reroute}"));
        stage
    }

    /// Adds a rule.
    pub fn rule(self, name: &str, text: &str) -> Self {
        self.write(&format!("rules/{name}.toml"), text);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in one step, as README asks.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs::write(&new, text).expect("the folder can be written to");
        fs::rename(&new, self.path(name)).expect("a file can be renamed");
    }

    /// Serves, at a free port.
    pub fn start(&self) -> Program {
        self.start_at("127.0.0.1:0")
    }

    /// Serves at an address.
    pub fn start_at(&self, address: &str) -> Program {
        Program::start(self.command(address))
    }

    fn command(&self, address: &str) -> Command {
        let shipped = std::env::var_os("CLAIMSMITH_BIN").map(PathBuf::from);
        let program = shipped.unwrap_or_else(|| env!("CARGO_BIN_EXE_claimsmith").into());
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CLAIMSMITH_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--log-format", "json", "--listen", address]).current_dir(self.folder.path());
        command.env("CLAIMSMITH_ADMIN__LISTEN", "127.0.0.1:0").env("CLAIMSMITH_WATCH", "50ms");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// `claimsmith serve` while it runs.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Program {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program can be started");
        let stderr = child.stderr.take().expect("it is piped");
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = log.clone();
        // Read to the end whatever comes, so that the program never waits for us.
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut lines = lines.lock().expect("no reader panics");
                if lines.len() < MAX_LINES && !line.contains("\"request_id\"") {
                    lines.push(line);
                }
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut program = Program { child, address: nowhere, admin: nowhere, log };
        let address = |line: String| {
            let json: serde_json::Value = serde_json::from_str(&line).expect("the log is JSON");
            json["address"].as_str().expect("the line has the address").parse().expect("it is an address")
        };
        program.address = address(program.line("\"listening\""));
        program.admin = address(program.line("telling how it is"));
        program
    }

    /// The first line of the log that holds a text.
    #[track_caller]
    pub fn line(&self, part: &str) -> String {
        let started = Instant::now();
        loop {
            let found = self.log().into_iter().find(|line| line.contains(part));
            if let Some(line) = found {
                return line;
            }
            assert!(started.elapsed() < LIMIT, "no line with {part:?} in {:?}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What was logged, besides the lines of requests.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("no reader panics").clone()
    }

    /// Resident memory, in KiB.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that it ever was, in KiB.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the program runs");
        let line = status.lines().find(|line| line.starts_with(name)).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("it is a number")
    }

    /// Open file descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the program runs").count()
    }

    /// Asks it to stop, and waits until it has ended: whether it ended well.
    pub fn stop(mut self) -> bool {
        let number = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &number]).status().expect("`kill` can be run");
        assert!(sent.success(), "the process is there");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the program can be waited for") {
                return status.success();
            }
            assert!(started.elapsed() < LIMIT, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already where it was asked to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
