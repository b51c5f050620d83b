//! The page in Chromium: as a colleague opens it on a desk, on a phone, in the dark and on paper.

use std::fs;

use lucarne::report::Report;

use super::{
    HOSTILE, LONG, RIGHT_TO_LEFT,
    browser::{DESKTOP, PHONE, Screen, Window, address},
    run_dir, scratch,
};

/// The parts of the page, by their anchors.
const SECTIONS: &str = "[...document.querySelectorAll('main > section')]";
const CANVAS: &str = "[data-space] canvas";

fn opened(screen: Screen) -> Option<Window> {
    let window = Window::open()?;
    let path = scratch(&format!("{}.html", screen.name));
    fs::write(&path, Report::open(run_dir()).unwrap().page().unwrap()).unwrap();
    window.on(screen).go(&address(&path));
    Some(window)
}

fn every_section_is_visible_and_nothing_is_complained_about(screen: Screen) {
    let Some(window) = opened(screen) else { return };
    let seen = window.evaluate(&format!(
        "{SECTIONS}.map((section) => [section.id, section.checkVisibility() && section.querySelector('h2').offsetHeight > 0])"
    ));
    let seen = seen.as_array().unwrap();
    for id in
        ["summary", "accuracy", "latent_drift", "latent_distance", "isomap", "church_window", "one_pixel", "rejects"]
    {
        assert!(seen.contains(&serde_json::json!([id, true])), "`{id}` is not visible: {seen:?}");
    }
    // Whatever stands in the file, the page is no wider than the screen; what is wider scrolls by itself.
    assert_eq!(
        window.evaluate("document.documentElement.scrollWidth"),
        window.evaluate("document.documentElement.clientWidth")
    );
    let broken = window
        .evaluate("[...document.querySelectorAll('svg image')].filter((image) => image.getBBox().width === 0).length");
    assert_eq!(broken, 0);
    window.picture(&scratch(&format!("{}.png", screen.name)));
    window.on(screen).prefer("dark", "screen");
    let paper = window.evaluate("getComputedStyle(document.body).backgroundColor");
    assert_eq!(paper, "rgb(18, 22, 27)");
    window.picture(&scratch(&format!("{}-dark.png", screen.name)));
    assert_eq!(window.complaints(), Vec::<String>::new());
}

#[test]
fn a_desk_shows_every_section_and_no_error() {
    every_section_is_visible_and_nothing_is_complained_about(DESKTOP);
}

#[test]
fn a_phone_shows_every_section_and_no_error() {
    every_section_is_visible_and_nothing_is_complained_about(PHONE);
}

#[test]
fn the_isomap_turns_by_mouse_by_keys_and_by_itself() {
    let Some(window) = opened(DESKTOP) else { return };
    let angle = |name: &str| -> f64 {
        // What was asked for is drawn with the next frame.
        window.evaluate(
            "requestAnimationFrame(() => (document.body.dataset.drawn = Number(document.body.dataset.drawn ?? 0) + 1))",
        );
        window.wait_for("document.body.dataset.drawn > 0 && delete document.body.dataset.drawn");
        window
            .evaluate(&format!("document.querySelector('{CANVAS}').dataset.{name}"))
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let picture = || window.evaluate(&format!("document.querySelector('{CANVAS}').toDataURL()"));
    assert_eq!(window.evaluate("document.querySelector('[data-space] [data-still]')"), serde_json::Value::Null);
    window.evaluate(&format!(
        "document.querySelector('{CANVAS}').scrollIntoView({{ block: 'center', behavior: 'instant' }})"
    ));
    let (first, first_picture) = ((angle("azimuth"), angle("elevation")), picture());
    assert_eq!(first, (30.0, 20.0));
    window.drag(CANVAS, (100.0, 25.0));
    let dragged = (angle("azimuth"), angle("elevation"));
    assert!((dragged.0 - 350.0).abs() < 1.0 && (dragged.1 - 30.0).abs() < 1.0, "{dragged:?}");
    assert_ne!(picture(), first_picture);
    window.evaluate(&format!("document.querySelector('{CANVAS}').focus()"));
    window.key("ArrowLeft");
    window.key("ArrowUp");
    assert_eq!((angle("azimuth"), angle("elevation")), ((dragged.0 + 5.0) % 360.0, dragged.1 - 5.0));
    window.key("Home");
    assert_eq!(((angle("azimuth"), angle("elevation")), picture()), (first, first_picture));
    window.evaluate("document.querySelector('[data-space] button').click()");
    window.wait_for(&format!("Number(document.querySelector('{CANVAS}').dataset.azimuth) > 40"));
    window.evaluate("document.querySelector('[data-space] button').click()");
    let stopped = angle("azimuth");
    assert_eq!(angle("azimuth"), stopped);
    assert_eq!(window.complaints(), Vec::<String>::new());
}

#[test]
fn names_that_would_be_more_than_text_are_text() {
    let Some(window) = opened(PHONE) else { return };
    for name in [HOSTILE, LONG, RIGHT_TO_LEFT] {
        let shown =
            format!("[...document.querySelectorAll('td bdi')].some((cell) => cell.textContent.startsWith({name:?}))");
        assert_eq!(window.evaluate(&shown), true, "`{name}` is not shown");
    }
    assert_eq!(
        window.evaluate("[typeof window.hacked, document.querySelectorAll('main script, main img, main b').length]"),
        serde_json::json!(["undefined", 0])
    );
    assert_eq!(window.evaluate("document.documentElement.scrollWidth"), 390);
    // A name from right to left turns nothing around it.
    let around = window.evaluate(
        "[...document.querySelectorAll('td bdi')].every((cell) => getComputedStyle(cell).unicodeBidi === 'isolate')",
    );
    assert_eq!(around, true);
    assert_eq!(window.complaints(), Vec::<String>::new());
}

#[test]
fn paper_shows_the_pictures_without_what_cannot_be_pressed() {
    let Some(window) = opened(DESKTOP) else { return };
    let pdf = window.pdf();
    assert!(pdf.starts_with(b"%PDF"));
    fs::write(scratch("printed.pdf"), &pdf).unwrap();
    window.prefer("light", "print");
    let shown = window.evaluate(
        "[...document.querySelectorAll('nav, button')].filter((element) => element.checkVisibility()).length",
    );
    assert_eq!(shown, 0);
    // Paper does not scroll: nothing is wider than a sheet.
    window.on(Screen { name: "sheet", width: 560, height: 800, is_phone: false });
    let cut = "[...document.querySelectorAll('.wide, pre')].filter((box) => box.scrollWidth > box.clientWidth).length";
    assert_eq!(window.evaluate(cut), 0);
    window.prefer("light", "screen");
    assert_ne!(window.evaluate(cut), 0, "there was something to break");
}
