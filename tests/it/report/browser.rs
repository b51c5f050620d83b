//! Drives Chromium: opens pages, evaluates JavaScript, sends mouse and key events, takes screenshots.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use headless_chrome::{
    Browser, LaunchOptions, Tab,
    browser::default_executable,
    protocol::cdp::{
        Emulation::{MediaFeature, SetDeviceMetricsOverride, SetEmulatedMedia},
        Input::{DispatchMouseEvent, DispatchMouseEventTypeOption, MouseButton},
        Page::CaptureScreenshotFormatOption,
        types::Event,
    },
};
use serde_json::Value;

/// A browser tab, with the errors and messages of its console.
pub(super) struct BrowserTab {
    tab: Arc<Tab>,
    console: Arc<Mutex<Vec<String>>>,
    _browser: Browser,
}

/// A screen, in CSS pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    pub(super) name: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) is_phone: bool,
}

pub(super) const DESKTOP: Screen = Screen { name: "desktop", width: 1280, height: 900, is_phone: false };
pub(super) const PHONE: Screen = Screen { name: "phone", width: 390, height: 844, is_phone: true };

impl BrowserTab {
    /// A new browser, or `None` and a message on standard error if Chromium is not installed (Debian package `chromium`). The
    /// variable `CHROME` selects another binary.
    pub(super) fn open() -> Option<Self> {
        let path = match default_executable() {
            Ok(path) => path,
            Err(_) => {
                crate::skip::skip("reports in a browser: Chromium is not installed (Debian: apt-get install chromium)");
                return None;
            }
        };
        // Tests open only their own files, and containers often lack the user namespaces that the sandbox needs.
        let options = LaunchOptions {
            path: Some(path),
            sandbox: false,
            args: vec![OsStr::new("--mute-audio"), OsStr::new("--hide-scrollbars")],
            idle_browser_timeout: Duration::from_secs(300),
            ..LaunchOptions::default()
        };
        let browser = Browser::new(options).unwrap();
        let tab = browser.new_tab().unwrap();
        tab.set_default_timeout(Duration::from_secs(60));
        let console = Arc::new(Mutex::new(Vec::new()));
        let sink = console.clone();
        let listener = move |event: &Event| {
            let message = match event {
                Event::RuntimeExceptionThrown(thrown) => format!("{:?}", thrown.params.exception_details),
                Event::RuntimeConsoleAPICalled(call) => format!("{:?}", call.params.args),
                Event::LogEntryAdded(entry) => format!("{:?}: {:?}", entry.params.entry.text, entry.params.entry.url),
                _ => return,
            };
            sink.lock().unwrap().push(message);
        };
        tab.add_event_listener(Arc::new(listener)).unwrap();
        tab.enable_runtime().unwrap();
        tab.enable_log().unwrap();
        Some(Self { tab, console, _browser: browser })
    }

    /// Sets the screen.
    pub(super) fn on(&self, screen: Screen) -> &Self {
        let metrics = SetDeviceMetricsOverride {
            width: screen.width,
            height: screen.height,
            device_scale_factor: 1.0,
            mobile: screen.is_phone,
            scale: None,
            screen_width: None,
            screen_height: None,
            position_x: None,
            position_y: None,
            dont_set_visible_size: None,
            screen_orientation: None,
            viewport: None,
            display_feature: None,
            device_posture: None,
        };
        self.tab.call_method(metrics).unwrap();
        self
    }

    /// Sets the colour scheme and the medium.
    pub(super) fn prefer(&self, scheme: &str, media: &str) -> &Self {
        let feature = MediaFeature { name: "prefers-color-scheme".into(), value: scheme.into() };
        let media = SetEmulatedMedia { media: Some(media.into()), features: Some(vec![feature]) };
        self.tab.call_method(media).unwrap();
        self
    }

    pub(super) fn go(&self, address: &str) -> &Self {
        self.tab.navigate_to(address).unwrap().wait_until_navigated().unwrap();
        self
    }

    /// The value of a JavaScript expression.
    pub(super) fn evaluate(&self, expression: &str) -> Value {
        let object = self.tab.evaluate(&format!("JSON.stringify({expression})"), false).unwrap();
        let text = object.value.unwrap_or(Value::Null);
        text.as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }

    /// Waits until an expression is true.
    pub(super) fn wait_for(&self, expression: &str) {
        let started = Instant::now();
        while self.evaluate(expression) != Value::Bool(true) {
            assert!(started.elapsed() < Duration::from_secs(60), "timed out waiting for: {expression}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Drags the mouse from the centre of an element by some pixels.
    pub(super) fn drag(&self, selector: &str, (right, down): (f64, f64)) {
        let centre = self.evaluate(&format!(
            "(({{ left, top, width, height }}) => [left + width / 2, top + height / 2])(document.querySelector({selector:?}).getBoundingClientRect())"
        ));
        let (x, y) = (centre[0].as_f64().unwrap(), centre[1].as_f64().unwrap());
        self.mouse(DispatchMouseEventTypeOption::MousePressed, (x, y));
        for step in 1..=4 {
            let fraction = f64::from(step) / 4.0;
            self.mouse(DispatchMouseEventTypeOption::MouseMoved, (x + fraction * right, y + fraction * down));
        }
        self.mouse(DispatchMouseEventTypeOption::MouseReleased, (x + right, y + down));
    }

    fn mouse(&self, kind: DispatchMouseEventTypeOption, (x, y): (f64, f64)) {
        let event = DispatchMouseEvent {
            Type: kind,
            x,
            y,
            modifiers: None,
            timestamp: None,
            button: Some(MouseButton::Left),
            buttons: Some(1),
            click_count: Some(1),
            force: None,
            tangential_pressure: None,
            tilt_x: None,
            tilt_y: None,
            twist: None,
            delta_x: None,
            delta_y: None,
            pointer_Type: None,
        };
        self.tab.call_method(event).unwrap();
    }

    pub(super) fn key(&self, key: &str) {
        self.tab.press_key(key).unwrap();
    }

    /// The page as printed.
    pub(super) fn pdf(&self) -> Vec<u8> {
        self.tab.print_to_pdf(None).unwrap()
    }

    /// Takes a screenshot of the complete page, to look at.
    pub(super) fn screenshot(&self, path: &Path) {
        let height = self.evaluate("document.documentElement.scrollHeight").as_u64().unwrap() as u32;
        let width = self.evaluate("document.documentElement.clientWidth").as_u64().unwrap() as u32;
        // Chromium renders at most 16384 pixels.
        let screen = Screen { name: "complete", width, height: height.min(16_000), is_phone: false };
        self.on(screen);
        let png = self.tab.capture_screenshot(CaptureScreenshotFormatOption::Png, None, None, true).unwrap();
        fs::write(path, png).unwrap();
    }

    /// All console messages so far.
    pub(super) fn console(&self) -> Vec<String> {
        self.console.lock().unwrap().clone()
    }
}

/// The URL of a file.
pub(super) fn file_url(path: &Path) -> String {
    let path: PathBuf = path.canonicalize().unwrap();
    format!("file://{}", path.display())
}
