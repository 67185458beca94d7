//! Debian's Chromium, driven through its own driver, with as many words as the stories need.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::{ParseError, Url};

/// What a page has not done by then it never will; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Light,
    Dark,
}

impl Look {
    pub fn word(self) -> &'static str {
        match self {
            Look::Light => "light",
            Look::Dark => "dark",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    Run,
    /// As for a visitor who runs none.
    Off,
}

/// One window. Dropping it closes it.
pub struct Browser {
    runtime: Runtime,
    client: Client,
    driver: Child,
}

/// A command of Chromium's own protocol. chromedriver: `goog/cdp/execute`.
#[derive(Debug)]
struct Own {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({"cmd": self.command, "params": self.parameters}).to_string()))
    }
}

impl Browser {
    pub fn open(scripts: Scripts) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver runs (Debian's package chromium-driver, which .ci/test installs)");
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = said.next().expect("chromedriver says its port").unwrap();
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // what it says from now on has to be read, or it would wait for a reader
        std::thread::spawn(move || said.for_each(drop));
        let mut options = json!({"args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
            "--no-first-run", "--hide-scrollbars", "--window-size=1280,900"
        ]});
        if scripts == Scripts::Off {
            options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
        }
        let capabilities: Capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(async {
            let connector = hyper_util::client::legacy::connect::HttpConnector::new();
            ClientBuilder::new(connector).capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await
        });
        Self { runtime, client: client.expect("a session"), driver }
    }

    /// The window's width in pixels of a page, and what its user likes to look at.
    pub fn looks(&self, width: u32, look: Look) {
        self.own(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}),
        );
        let features = json!([{"name": "prefers-color-scheme", "value": look.word()}, {"name": "prefers-reduced-motion", "value": "reduce"}]);
        self.own("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    fn own(&self, command: &'static str, parameters: Value) -> Value {
        self.runtime
            .block_on(self.client.issue_cmd(Own { command, parameters }))
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    pub fn go(&self, address: &str) {
        self.runtime.block_on(self.client.goto(address)).unwrap_or_else(|error| panic!("{address}: {error}"));
    }

    /// Path, query and place of what is shown.
    pub fn at(&self) -> String {
        let url = self.runtime.block_on(self.client.current_url()).unwrap();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let place = url.fragment().map(|place| format!("#{place}")).unwrap_or_default();
        format!("{}{query}{place}", url.path())
    }

    /// The element, as soon as there is one.
    fn element(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css));
        self.runtime.block_on(found).unwrap_or_else(|error| panic!("{css} at {}: {error}", self.at()))
    }

    pub fn click(&self, css: &str) {
        self.click_element(css, self.element(css));
    }

    fn click_element(&self, what: &str, element: Element) {
        self.runtime.block_on(element.click()).unwrap_or_else(|error| panic!("{what} at {}: {error}", self.at()));
    }

    /// Clicks the link whose words these are.
    pub fn follow(&self, words: &str) {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::LinkText(words));
        let link = self.runtime.block_on(found).unwrap_or_else(|error| panic!("“{words}” at {}: {error}", self.at()));
        self.click_element(words, link);
    }

    pub fn has(&self, css: &str) -> bool {
        !self.runtime.block_on(self.client.find_all(Locator::Css(css))).unwrap().is_empty()
    }

    pub fn count(&self, css: &str) -> usize {
        self.runtime.block_on(self.client.find_all(Locator::Css(css))).unwrap().len()
    }

    /// What can be seen of the element's text.
    pub fn text(&self, css: &str) -> String {
        let element = self.element(css);
        self.runtime.block_on(element.text()).unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    /// Waits until the text of the element contains the words: a page that is live replaces its parts.
    pub fn until_says(&self, css: &str, words: &str) {
        let seen = self.runtime.block_on(async {
            let mut seen = String::new();
            let deadline = tokio::time::Instant::now() + PATIENCE;
            let mut looks = tokio::time::interval(Duration::from_millis(50));
            while tokio::time::Instant::now() < deadline {
                looks.tick().await;
                seen = match self.client.find(Locator::Css(css)).await {
                    Ok(element) => element.text().await.unwrap_or_default(),
                    Err(CmdError::Standard(_)) => String::new(),
                    Err(error) => panic!("{css}: {error}"),
                };
                if seen.contains(words) {
                    return None;
                }
            }
            Some(seen)
        });
        assert_eq!(seen, None, "{css} at {} never says “{words}”", self.at());
    }

    /// Waits until there is no such element.
    pub fn until_gone(&self, css: &str) {
        let gone = self.runtime.block_on(async {
            let deadline = tokio::time::Instant::now() + PATIENCE;
            let mut looks = tokio::time::interval(Duration::from_millis(50));
            while tokio::time::Instant::now() < deadline {
                looks.tick().await;
                if self.client.find_all(Locator::Css(css)).await.is_ok_and(|found| found.is_empty()) {
                    return true;
                }
            }
            false
        });
        assert!(gone, "{css} at {} does not go", self.at());
    }

    pub fn press(&self, keys: &str) {
        self.type_into(":focus, body", keys);
    }

    pub fn press_key(&self, key: Key) {
        self.type_into(":focus, body", &String::from(char::from(key)));
    }

    pub fn type_into(&self, css: &str, keys: &str) {
        // the focus is wherever the page has it
        let element = if css.starts_with(":focus") {
            self.runtime.block_on(self.client.active_element()).unwrap()
        } else {
            self.element(css)
        };
        self.runtime.block_on(element.send_keys(keys)).unwrap_or_else(|error| panic!("{keys} into {css}: {error}"));
    }

    /// The answer of a script that is handed a callback as its last argument.
    pub fn ask(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.runtime
            .block_on(self.client.execute_async(script, arguments))
            .unwrap_or_else(|error| panic!("at {}: {error}", self.at()))
    }

    /// What an expression is worth on the page.
    pub fn value(&self, expression: &str) -> Value {
        let script = format!("return {expression};");
        self.runtime.block_on(self.client.execute(&script, Vec::new())).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    pub fn run(&self, script: &str) {
        self.runtime.block_on(self.client.execute(script, Vec::new())).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Keeps what is seen as `target/screenshots/NAME.png`.
    pub fn keep(&self, name: &str) {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&directory).unwrap();
        let picture = self.runtime.block_on(self.client.screenshot()).unwrap();
        std::fs::write(directory.join(format!("{name}.png")), picture).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // an error: the browser is gone already
        self.runtime.block_on(self.client.clone().close()).ok();
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
