//! A browser that is told what to do, over the pipe of the Chrome DevTools Protocol: what it shows, what it complains of,
//! what keys are pressed.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::profile::{Processes, arguments};

/// Upper bound of what is waited for: a browser takes seconds to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

/// A headless browser with one empty page. Dropping it ends it.
pub(crate) struct Browser {
    commands: File,
    messages: Receiver<Value>,
    number: u64,
    session: Value,
    /// What it told without being asked.
    events: Vec<Value>,
    _processes: Processes,
    _directory: TempDir,
}

// === impl Browser ===

impl Browser {
    pub(crate) fn start(program: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pipes = ["in", "out"].map(|name| directory.path().join(name));
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        let mut command = Command::new("sh");
        // The protocol is spoken on descriptors 3 and 4.
        command.args(["-c", "exec \"$@\" 3<\"$IN\" 4>\"$OUT\"", "sh"]).arg(program);
        command.args(arguments(directory.path())).arg("--remote-debugging-pipe");
        command.env("IN", &pipes[0]).env("OUT", &pipes[1]);
        let processes = Processes::begin(&mut command);
        let commands = OpenOptions::new().write(true).open(&pipes[0]).unwrap();
        let mut told = BufReader::new(File::open(&pipes[1]).unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while told.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { return };
                if sender.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            commands,
            messages,
            number: 0,
            session: Value::Null,
            events: Vec::new(),
            _processes: processes,
            _directory: directory,
        };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        browser.session = browser.call("Target.attachToTarget", attach)["sessionId"].take();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Asks for something; its answer.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if self.session.is_string() {
            message["sessionId"] = self.session.clone();
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = self.messages.recv_timeout(PATIENCE).unwrap();
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
            self.events.push(answer);
        }
    }

    /// Goes to this address.
    pub(crate) fn open(&mut self, address: &str) {
        self.call("Page.navigate", json!({ "url": address }));
    }

    /// The value of this expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let wanted =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", wanted);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer:#}");
        answer["result"]["value"].take()
    }

    /// What stands in the node that this selector names; empty without one.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let expression = format!("document.querySelector({selector:?})?.textContent ?? ''");
        self.evaluate(&expression).as_str().unwrap().to_owned()
    }

    /// Waits until the expression is true; how long that took.
    #[expect(clippy::disallowed_methods, reason = "a page has to be asked again and again")]
    pub(crate) fn until(&mut self, expression: &str) -> Duration {
        let begin = Instant::now();
        // What it asks for may not be there yet.
        let asked = format!(
            "(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()"
        );
        while self.evaluate(&asked) != true {
            if begin.elapsed() > PATIENCE {
                let shown = self.evaluate("document.body.innerText");
                panic!("never {expression}: {shown}; {:#?}", self.complaints());
            }
            std::thread::sleep(LOOK);
        }
        begin.elapsed()
    }

    /// Clicks on what the selector names.
    pub(crate) fn click(&mut self, selector: &str) {
        self.evaluate(&format!("document.querySelector({selector:?}).click()"));
    }

    /// Presses a key: its name, and the text that it makes if it makes one.
    pub(crate) fn press(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        // The code is what moves the focus and closes dialogs.
        let code = match key {
            "Tab" => 9,
            "Escape" => 27,
            "ArrowLeft" => 37,
            _ => 0,
        };
        let mut event =
            json!({ "type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", event);
    }

    /// Types into what has the focus.
    pub(crate) fn insert(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// A window of this width, and what the system prefers.
    pub(crate) fn look(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// The whole page as it looks, a PNG in Base64.
    pub(crate) fn picture(&mut self) -> String {
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].take();
        let clip = json!({
            "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1,
        });
        let wanted = json!({ "captureBeyondViewport": true, "clip": clip });
        let picture = self.call("Page.captureScreenshot", wanted);
        picture["data"].as_str().unwrap().to_owned()
    }

    /// What it has complained of: exceptions, refused parts, failed requests, lines on the console.
    pub(crate) fn complaints(&mut self) -> Vec<Value> {
        // Whatever came before the answer has come.
        self.call("Runtime.evaluate", json!({ "expression": "0" }));
        let complains = |event: &&Value| {
            ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"]
                .contains(&event["method"].as_str().unwrap_or_default())
        };
        self.events.iter().filter(complains).cloned().collect()
    }
}
