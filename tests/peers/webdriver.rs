//! A headless Chromium, driven through ChromeDriver by what the tests need of W3C WebDriver.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use http::{Method, Request};
use samspill_testkit::wait_until;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};

use super::{from_base64, target};
use crate::web;

/// No window, no sandbox (a test may run as root), and no word to anybody but the page.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--window-size=1024,800",
    "--hide-scrollbars",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// How WebDriver marks an element in its JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long an element may take to appear, in milliseconds: it only ends a test that has failed already.
const PATIENCE_MS: u32 = 20_000;

/// Whether a page may run JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scripts {
    Run,
    Blocked,
}

/// One browser with a profile of its own and one window.
pub(super) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: TempDir,
}

impl Browser {
    pub(super) async fn start(scripts: Scripts) -> Self {
        // ChromeDriver takes a port of ::1 and then wants the same one of 127.0.0.1, where all the mesh is: by `--port=0` it
        // would now and then meet somebody. A socket that is bound and does not listen keeps the port for it.
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = reserved.local_addr().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg(format!("--port={}", address.port()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}\n\nhint: cargo xtask peers install"));
        started(&mut driver).await;
        let profile = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        if scripts == Scripts::Blocked {
            arguments.push("--blink-settings=scriptEnabled=false".to_owned());
        }
        let mut browser = Self { driver, address, session: String::new(), _profile: profile };
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "timeouts": { "implicit": PATIENCE_MS },
            "goog:chromeOptions": { "args": arguments },
        } } });
        let session = browser.command(Method::POST, "/session", &wanted).await.unwrap();
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    pub(super) async fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).await;
    }

    pub(super) async fn title(&self) -> String {
        text_of(self.get("/title").await)
    }

    /// Writes into a field.
    pub(super) async fn fill(&self, css: &str, text: &str) {
        let element = self.element(css).await.unwrap();
        self.post(&format!("{element}/value"), &json!({ "text": text })).await;
    }

    pub(super) async fn click(&self, css: &str) {
        let element = self.element(css).await.unwrap();
        self.post(&format!("{element}/click"), &json!({})).await;
    }

    /// What a person reads there.
    pub(super) async fn text(&self, css: &str) -> String {
        self.try_text(css).await.unwrap()
    }

    /// Waits until that is what a person reads there.
    pub(super) async fn reads(&self, css: &str, expected: &str) {
        let what = format!("{css} says {expected:?}");
        wait_until(&what, async || self.try_text(css).await.is_ok_and(|text| text == expected)).await;
    }

    /// What everything reads that the selector finds.
    pub(super) async fn texts(&self, css: &str) -> Vec<String> {
        let found = self.post("/elements", &json!({ "using": "css selector", "value": css })).await;
        let mut texts = Vec::new();
        for element in found.as_array().unwrap() {
            texts.push(text_of(self.get(&format!("/element/{}/text", element[ELEMENT].as_str().unwrap())).await));
        }
        texts
    }

    /// A property of an element, such as `value`.
    pub(super) async fn property(&self, css: &str, name: &str) -> Value {
        let element = self.element(css).await.unwrap();
        self.get(&format!("{element}/property/{name}")).await
    }

    /// From now on, a window of this width, in CSS pixels.
    pub(super) async fn width(&self, width: u32) {
        let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics).await;
    }

    /// Keeps a picture of the whole page in `target/screenshots`.
    pub(super) async fn picture(&self, name: &str) {
        let whole = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.devtools("Page.captureScreenshot", &whole).await;
        let folder = target().join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let path: PathBuf = folder.join(format!("{name}.png"));
        std::fs::write(path, from_base64(picture["data"].as_str().unwrap())).unwrap();
    }

    async fn element(&self, css: &str) -> Result<String, Value> {
        let wanted = json!({ "using": "css selector", "value": css });
        let found = self.command(Method::POST, &format!("{}/element", self.session), &wanted).await?;
        Ok(format!("/element/{}", found[ELEMENT].as_str().unwrap()))
    }

    /// Fails also if the page goes away meanwhile.
    async fn try_text(&self, css: &str) -> Result<String, Value> {
        let element = self.element(css).await?;
        self.command(Method::GET, &format!("{}{element}/text", self.session), &Value::Null).await.map(text_of)
    }

    /// Chromium's own protocol, for what WebDriver has no word for.
    async fn devtools(&self, method: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": method, "params": parameters })).await
    }

    async fn get(&self, path: &str) -> Value {
        self.command(Method::GET, &format!("{}{path}", self.session), &Value::Null).await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.command(Method::POST, &format!("{}{path}", self.session), body).await.unwrap()
    }

    /// The `value` of the answer, either way.
    async fn command(&self, method: Method, path: &str, body: &Value) -> Result<Value, Value> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let reply = web::send(self.address, request.body(text).unwrap()).await.unwrap();
        let value = reply.json()["value"].take();
        if reply.status.is_success() { Ok(value) } else { Err(value) }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Only the driver ends the browser: its session must be deleted, also when the test has failed.
        if let Ok(mut stream) = std::net::TcpStream::connect(self.address) {
            drop(stream.set_read_timeout(Some(Duration::from_secs(10))));
            let (session, address) = (&self.session, self.address);
            let delete = format!("DELETE {session} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            drop(stream.write_all(delete.as_bytes()));
            drop(stream.read(&mut [0; 1024]));
        }
        drop(self.driver.start_kill());
    }
}

/// Waits for the line by which ChromeDriver says that it listens.
async fn started(driver: &mut Child) {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("started successfully on port ") {
            // It must not be stopped by a full pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return;
        }
    }
    panic!("ChromeDriver has ended without saying that it listens");
}

fn text_of(value: Value) -> String {
    serde_json::from_value(value).unwrap()
}
