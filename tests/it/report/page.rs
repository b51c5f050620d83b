//! The page in Chromium: on a desktop, on a phone, in dark mode and printed.

use std::fs;

use lucarne::report::Report;

use super::{
    HOSTILE, LONG, RIGHT_TO_LEFT,
    browser::{BrowserTab, DESKTOP, PHONE, Screen, file_url},
    run_dir, scratch,
};

/// The sections of the page.
const SECTIONS: &str = "[...document.querySelectorAll('main > section')]";
const CANVAS: &str = "[data-scatter3d] canvas";

fn open_page(screen: Screen) -> Option<BrowserTab> {
    let tab = BrowserTab::open()?;
    let path = scratch(&format!("{}.html", screen.name));
    fs::write(&path, Report::open(run_dir()).unwrap().page().unwrap()).unwrap();
    tab.on(screen).go(&file_url(&path));
    Some(tab)
}

fn check_sections_layout_and_console(screen: Screen) {
    let Some(tab) = open_page(screen) else { return };
    let visible = tab.evaluate(&format!(
        "{SECTIONS}.map((section) => [section.id, section.checkVisibility() && section.querySelector('h2').offsetHeight > 0])"
    ));
    let visible = visible.as_array().unwrap();
    for id in
        ["summary", "accuracy", "latent_drift", "latent_distance", "isomap", "church_window", "one_pixel", "rejects"]
    {
        assert!(visible.contains(&serde_json::json!([id, true])), "`{id}` is not visible: {visible:?}");
    }
    // The page is not wider than the screen, whatever the table contains. Wide content scrolls in its own box.
    assert_eq!(
        tab.evaluate("document.documentElement.scrollWidth"),
        tab.evaluate("document.documentElement.clientWidth")
    );
    let broken = tab
        .evaluate("[...document.querySelectorAll('svg image')].filter((image) => image.getBBox().width === 0).length");
    assert_eq!(broken, 0);
    tab.screenshot(&scratch(&format!("{}.png", screen.name)));
    tab.on(screen).prefer("dark", "screen");
    let background = tab.evaluate("getComputedStyle(document.body).backgroundColor");
    assert_eq!(background, "rgb(18, 22, 27)");
    tab.screenshot(&scratch(&format!("{}-dark.png", screen.name)));
    assert_eq!(tab.console(), Vec::<String>::new());
}

#[test]
fn shows_every_section_on_a_desktop() {
    check_sections_layout_and_console(DESKTOP);
}

#[test]
fn shows_every_section_on_a_phone() {
    check_sections_layout_and_console(PHONE);
}

#[test]
fn rotates_the_isomap_by_mouse_by_keys_and_by_button() {
    let Some(tab) = open_page(DESKTOP) else { return };
    let angle = |name: &str| -> f64 {
        // Rotations are drawn with the next animation frame.
        tab.evaluate(
            "requestAnimationFrame(() => (document.body.dataset.drawn = Number(document.body.dataset.drawn ?? 0) + 1))",
        );
        tab.wait_for("document.body.dataset.drawn > 0 && delete document.body.dataset.drawn");
        tab.evaluate(&format!("document.querySelector('{CANVAS}').dataset.{name}")).as_str().unwrap().parse().unwrap()
    };
    let pixels = || tab.evaluate(&format!("document.querySelector('{CANVAS}').toDataURL()"));
    assert_eq!(tab.evaluate("document.querySelector('[data-scatter3d] [data-static]')"), serde_json::Value::Null);
    tab.evaluate(&format!(
        "document.querySelector('{CANVAS}').scrollIntoView({{ block: 'center', behavior: 'instant' }})"
    ));
    let (first, first_pixels) = ((angle("azimuth"), angle("elevation")), pixels());
    assert_eq!(first, (30.0, 20.0));
    tab.drag(CANVAS, (100.0, 25.0));
    let dragged = (angle("azimuth"), angle("elevation"));
    assert!((dragged.0 - 350.0).abs() < 1.0 && (dragged.1 - 30.0).abs() < 1.0, "{dragged:?}");
    assert_ne!(pixels(), first_pixels);
    tab.evaluate(&format!("document.querySelector('{CANVAS}').focus()"));
    tab.key("ArrowLeft");
    tab.key("ArrowUp");
    assert_eq!((angle("azimuth"), angle("elevation")), ((dragged.0 + 5.0) % 360.0, dragged.1 - 5.0));
    tab.key("Home");
    assert_eq!(((angle("azimuth"), angle("elevation")), pixels()), (first, first_pixels));
    tab.evaluate("document.querySelector('[data-scatter3d] button').click()");
    tab.wait_for(&format!("Number(document.querySelector('{CANVAS}').dataset.azimuth) > 40"));
    tab.evaluate("document.querySelector('[data-scatter3d] button').click()");
    let stopped = angle("azimuth");
    assert_eq!(angle("azimuth"), stopped);
    assert_eq!(tab.console(), Vec::<String>::new());
}

#[test]
fn shows_hostile_names_as_text() {
    let Some(tab) = open_page(PHONE) else { return };
    for name in [HOSTILE, LONG, RIGHT_TO_LEFT] {
        let shown =
            format!("[...document.querySelectorAll('td bdi')].some((cell) => cell.textContent.startsWith({name:?}))");
        assert_eq!(tab.evaluate(&shown), true, "`{name}` is not shown");
    }
    assert_eq!(
        tab.evaluate("[typeof window.hacked, document.querySelectorAll('main script, main img, main b').length]"),
        serde_json::json!(["undefined", 0])
    );
    assert_eq!(tab.evaluate("document.documentElement.scrollWidth"), 390);
    // A right-to-left name does not reorder its neighbours.
    let are_isolated = tab.evaluate(
        "[...document.querySelectorAll('td bdi')].every((cell) => getComputedStyle(cell).unicodeBidi === 'isolate')",
    );
    assert_eq!(are_isolated, true);
    assert_eq!(tab.console(), Vec::<String>::new());
}

#[test]
fn prints_charts_without_buttons_and_navigation() {
    let Some(tab) = open_page(DESKTOP) else { return };
    let pdf = tab.pdf();
    assert!(pdf.starts_with(b"%PDF"));
    fs::write(scratch("printed.pdf"), &pdf).unwrap();
    tab.prefer("light", "print");
    let shown = tab.evaluate(
        "[...document.querySelectorAll('nav, button')].filter((element) => element.checkVisibility()).length",
    );
    assert_eq!(shown, 0);
    // Paper does not scroll: nothing is wider than the sheet.
    tab.on(Screen { name: "sheet", width: 560, height: 800, is_phone: false });
    let overflowing =
        "[...document.querySelectorAll('.wide, pre')].filter((box) => box.scrollWidth > box.clientWidth).length";
    assert_eq!(tab.evaluate(overflowing), 0);
    tab.prefer("light", "screen");
    assert_ne!(tab.evaluate(overflowing), 0, "on the screen something overflows");
}
