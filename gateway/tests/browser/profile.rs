//! A browser with a profile of its own: its cookies are nobody else's.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const CANDIDATES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A headless browser that shows one page. Dropping it ends it and all of its processes.
pub(crate) struct Profile {
    child: Child,
    _directory: TempDir,
}

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
    /// Opens `page` with no cookies. It talks to this machine only.
    pub(crate) fn open(program: &Path, page: &str) -> Self {
        use std::os::unix::process::CommandExt;

        let directory = tempfile::tempdir().unwrap();
        let child = Command::new(program)
            .args(["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            // Its sandbox wants namespaces, which a container seldom has; the page is our own.
            .arg("--no-sandbox")
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"])
            // Without it the browser would end when it has loaded the page.
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", directory.path().display()))
            .arg(page)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Self { child, _directory: directory }
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let group = format!("kill -KILL -{}", self.child.id());
        Command::new("sh").args(["-c", &group]).status().ok();
        // Whatever came of that, the wait for it ends.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
