//! A browser with a profile of its own: its cookies are nobody else's.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const CANDIDATES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A headless browser that shows one page. Dropping it ends it.
pub(crate) struct Profile {
    _processes: Processes,
    _directory: TempDir,
}

/// A browser and all the processes that it has begun. Dropping it ends them.
pub(crate) struct Processes(Child);

/// The program to test with; nothing if the test is to be left out.
pub(crate) fn browser() -> Option<PathBuf> {
    match env::var_os("FLOODGATE_TEST_BROWSER") {
        Some(none) if none == "none" => {
            eprintln!("left out: FLOODGATE_TEST_BROWSER=none");
            None
        }
        Some(program) => Some(PathBuf::from(program)),
        None => Some(on_path().expect(
            "no Chromium on the path: install the package `chromium`, name the program in \
             FLOODGATE_TEST_BROWSER, or leave this test out by FLOODGATE_TEST_BROWSER=none",
        )),
    }
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut programs = env::split_paths(&path)
        .flat_map(|directory| CANDIDATES.map(|candidate| directory.join(candidate)));
    programs.find(|program| program.is_file())
}

// === impl Profile ===

impl Profile {
    /// Opens `page` with no cookies.
    pub(crate) fn open(program: &Path, page: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments(directory.path()))
            // Without it the browser would end when it has loaded the page.
            .arg("--remote-debugging-port=0")
            .arg(page);
        Self { _processes: Processes::begin(&mut command), _directory: directory }
    }
}

/// What every browser is started with: it talks to this machine only, and remembers what it does in `directory`.
pub(crate) fn arguments(directory: &Path) -> Vec<String> {
    let mut arguments = [
        "--headless",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        // Its sandbox wants namespaces, which a container seldom has; the page is our own.
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-proxy-server",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", directory.display()));
    arguments
}

// === impl Processes ===

impl Processes {
    pub(crate) fn begin(command: &mut Command) -> Self {
        use std::os::unix::process::CommandExt;

        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn();
        Self(child.unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program())))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let group = format!("kill -KILL -{}", self.0.id());
        Command::new("sh").args(["-c", &group]).status().ok();
        // Whatever came of that, the wait for it ends.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
