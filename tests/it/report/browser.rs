//! Chromium, as far as tests of pages need it: pages are opened, looked at, turned by the mouse and by keys.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
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

/// A window of a browser, with all that its console complained about.
pub(super) struct Window {
    tab: Arc<Tab>,
    complaints: Arc<Mutex<Vec<String>>>,
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

impl Window {
    /// A window, or a line that says that there is no browser: Debian's package is `chromium`, and the variable `CHROME` names
    /// any other.
    pub(super) fn open() -> Option<Self> {
        let path = match default_executable() {
            Ok(path) => path,
            Err(_) => {
                // Not by a macro: what those print of a test that passes is not shown.
                let _ = writeln!(io::stderr(), "skipped: no Chromium is installed (Debian: apt-get install chromium)");
                return None;
            }
        };
        // Tests open their own files alone, and containers have no user namespaces for the sandbox.
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
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let heard = complaints.clone();
        let listener = move |event: &Event| {
            let complaint = match event {
                Event::RuntimeExceptionThrown(thrown) => format!("{:?}", thrown.params.exception_details),
                Event::RuntimeConsoleAPICalled(call) => format!("{:?}", call.params.args),
                Event::LogEntryAdded(entry) => format!("{:?}: {:?}", entry.params.entry.text, entry.params.entry.url),
                _ => return,
            };
            heard.lock().unwrap().push(complaint);
        };
        tab.add_event_listener(Arc::new(listener)).unwrap();
        tab.enable_runtime().unwrap();
        tab.enable_log().unwrap();
        Some(Self { tab, complaints, _browser: browser })
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

    /// Asks for the dark, or for paper.
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

    /// What an expression of JavaScript gives.
    pub(super) fn evaluate(&self, expression: &str) -> Value {
        // Strings come whole, and objects by their JSON.
        let answer = self.tab.evaluate(&format!("JSON.stringify({expression})"), false).unwrap();
        let text = answer.value.unwrap_or(Value::Null);
        text.as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }

    /// Waits until an expression is true.
    pub(super) fn wait_for(&self, expression: &str) {
        let begun = Instant::now();
        while self.evaluate(expression) != Value::Bool(true) {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never came to that: {expression}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses the mouse on the middle of an element and moves it by so many pixels.
    pub(super) fn drag(&self, selector: &str, (right, down): (f64, f64)) {
        let middle = self.evaluate(&format!(
            "(({{ left, top, width, height }}) => [left + width / 2, top + height / 2])(document.querySelector({selector:?}).getBoundingClientRect())"
        ));
        let (x, y) = (middle[0].as_f64().unwrap(), middle[1].as_f64().unwrap());
        self.mouse(DispatchMouseEventTypeOption::MousePressed, (x, y));
        for step in 1..=4 {
            let part = f64::from(step) / 4.0;
            self.mouse(DispatchMouseEventTypeOption::MouseMoved, (x + part * right, y + part * down));
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

    /// The page printed.
    pub(super) fn pdf(&self) -> Vec<u8> {
        self.tab.print_to_pdf(None).unwrap()
    }

    /// Takes a picture of the whole page, for people to look at.
    pub(super) fn picture(&self, path: &Path) {
        let height = self.evaluate("document.documentElement.scrollHeight").as_u64().unwrap() as u32;
        let width = self.evaluate("document.documentElement.clientWidth").as_u64().unwrap() as u32;
        // Chromium draws no more than 16384 pixels.
        let screen = Screen { name: "whole", width, height: height.min(16_000), is_phone: false };
        self.on(screen);
        let png = self.tab.capture_screenshot(CaptureScreenshotFormatOption::Png, None, None, true).unwrap();
        fs::write(path, png).unwrap();
    }

    /// All complaints so far.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }
}

/// The address of a file.
pub(super) fn address(path: &Path) -> String {
    let path: PathBuf = path.canonicalize().unwrap();
    format!("file://{}", path.display())
}
