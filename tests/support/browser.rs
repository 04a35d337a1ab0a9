//! A headless Chromium, driven over its debugging pipe (Chrome DevTools Protocol: JSON messages that end with NUL on the browser's
//! file descriptors 3 and 4, <https://chromedevtools.github.io/devtools-protocol/>). It resolves no name but loopback's.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use base64::Engine;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::build::root;
use super::{PATIENCE, eventually, skipped};

/// Names under which Chromium is installed; `LOCKGATE_CHROMIUM` names another.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Every request to a name or an address that is not this machine fails, whatever the browser would like to load for itself.
const ARGUMENTS: &str = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars --no-first-run \
    --no-default-browser-check --disable-background-networking --disable-component-update --disable-default-apps --disable-sync \
    --disable-extensions --metrics-recording-only --mute-audio --remote-debugging-pipe";

/// One browser with one page.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: File,
    from: Receiver<Value>,
    session: Option<String>,
    calls: u64,
    complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser; where none is installed a line says that `test` is skipped.
    pub fn start(test: &str) -> Option<Self> {
        let Some(program) = program() else {
            skipped(test, "there is no Chromium here (install it, or name it in LOCKGATE_CHROMIUM)");
            return None;
        };
        let profile = tempfile::Builder::new().prefix("lockgate-browser-").tempdir().unwrap();
        let (input, output) = (pipe(profile.path(), "in"), pipe(profile.path(), "out"));
        // The shell gives the browser its descriptors 3 and 4.
        let script = format!(
            "exec \"$1\" {ARGUMENTS} --host-resolver-rules='MAP * ~NOTFOUND, EXCLUDE 127.0.0.1' --user-data-dir=\"$2\" about:blank 3<\"$3\" 4>\"$4\""
        );
        let child = Command::new("sh")
            .args(["-c", &script, "sh"])
            .args([&program, &profile.path().join("profile"), &input, &output])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let to = File::options().write(true).open(&input).unwrap();
        let from = listen(File::open(&output).unwrap());
        let mut browser = Self { child, to, from, session: None, calls: 0, complaints: Vec::new(), _profile: profile };
        browser.attach();
        Some(browser)
    }

    fn attach(&mut self) {
        let targets = self.call("Target.getTargets", json!({}));
        let page = targets["targetInfos"].as_array().unwrap().iter().find(|target| target["type"] == "page").cloned();
        let page = page.unwrap_or_else(|| self.call("Target.createTarget", json!({ "url": "about:blank" })));
        let attached = self.call("Target.attachToTarget", json!({ "targetId": page["targetId"], "flatten": true }));
        self.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
        self.desktop();
    }

    /// A screen of 1440 × 900.
    pub fn desktop(&mut self) {
        self.screen(1440, 900, 1, false);
    }

    /// A phone's screen, 390 × 844.
    pub fn phone(&mut self) {
        self.screen(390, 844, 2, true);
    }

    fn screen(&mut self, width: u32, height: u32, scale: u32, mobile: bool) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile });
        self.call("Emulation.setDeviceMetricsOverride", screen);
    }

    /// Whether the user prefers `dark` or `light`.
    pub fn prefers(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Turns scripts off, or on again, for pages that are loaded from now on.
    pub fn scripts(&mut self, on: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !on }));
    }

    /// Loads a page and waits until it is there.
    #[track_caller]
    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        self.wait_until("the page is loaded", "document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// The page's address.
    #[track_caller]
    pub fn address(&mut self) -> String {
        self.evaluate("location.href").as_str().unwrap().to_owned()
    }

    /// All text that can be seen.
    #[track_caller]
    pub fn text(&mut self) -> String {
        self.evaluate("document.body ? document.body.innerText : ''").as_str().unwrap().to_owned()
    }

    /// Waits until `text` can be seen.
    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) {
        let expression = format!("(document.body?.innerText ?? '').includes({})", json!(text));
        self.wait_until(text, &expression);
    }

    /// Waits until `expression` is true; fails with the page's text. One that cannot be worked out, as while a page is being replaced
    /// by the next, is not true yet.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, expression: &str) {
        let started = std::time::Instant::now();
        let careful = format!("(() => {{ try {{ return {expression} }} catch {{ return false }} }})()");
        while self.evaluate(&careful) != json!(true) {
            assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?} on {}:\n{}", self.address(), self.text());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// The value of a JavaScript expression in the page; null while a page is being replaced.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.exchange("Runtime.evaluate", asked);
        if let Some(exception) = answer["result"].get("exceptionDetails") {
            panic!("{expression}: {exception:#}");
        }
        answer["result"]["result"]["value"].clone()
    }

    /// Clicks what the selector finds, where it is, as a person would.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let find = format!(
            "(() => {{ const found = document.querySelector({}); if (!found) return null; found.scrollIntoView({{block: 'center'}});
               const box = found.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        );
        let place = eventually(selector, || self.evaluate(&find).as_array().cloned());
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Types into whatever has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Presses a key: `Enter`, `Tab`, `/`, `g`.
    pub fn press(&mut self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            single if single.chars().count() == 1 => single,
            _ => "",
        };
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            _ => 0,
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Keeps a picture of the whole page in `target/screenshots/`.
    pub fn picture(&mut self, name: &str) {
        let taken = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        let png = base64::engine::general_purpose::STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        let folder = root().join("target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// What the browser complained of so far: errors, exceptions, refused by the content security policy.
    pub fn complaints(&mut self) -> Vec<String> {
        self.call("Runtime.enable", json!({}));
        std::mem::take(&mut self.complaints)
    }

    #[track_caller]
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        let answer = self.exchange(method, parameters);
        assert!(answer.get("error").is_none(), "{method}: {answer:#}");
        answer["result"].clone()
    }

    #[track_caller]
    fn exchange(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let heard = self.from.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("the browser does not answer {method}: {error}"));
            if heard["id"] == json!(self.calls) {
                return heard;
            }
            self.complaints.extend(complaint(&heard));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("LOCKGATE_CHROMIUM") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).flat_map(|folder| PROGRAMS.map(|program| folder.join(program))).find(|program| program.is_file())
}

fn pipe(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

/// Reads the browser's messages until it is gone.
fn listen(output: File) -> Receiver<Value> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for message in BufReader::new(output).split(0) {
            let Some(message) = message.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) else { return };
            if send.send(message).is_err() {
                return;
            }
        }
    });
    receive
}

fn complaint(event: &Value) -> Option<String> {
    let told = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(told["exceptionDetails"].to_string()),
        "Log.entryAdded" if told["entry"]["level"] == "error" => Some(told["entry"].to_string()),
        "Runtime.consoleAPICalled" if told["type"] == "error" => Some(told["args"].to_string()),
        _ => None,
    }
}
