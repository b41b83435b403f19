//! The report in a real browser without a screen.

use std::path::Path;
use std::process::Command;

use crate::home::Home;

#[test]
#[ignore = "needs chromium: tests/browser/run report"]
fn the_report_of_a_demo_is_drawn_light_dark_and_for_print() {
    let home = Home::new();
    home.good("demo --fast");
    home.good("report --out demo.html");
    draw(&home.path().join("demo.html"));
}

/// Draws the page light, dark and for print, and checks what it contains.
fn draw(page: &Path) {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    });
    let browser = found.expect("Chromium is installed");
    let folder = tempfile::tempdir().expect("a folder");
    let run = |flags: &[&str]| {
        let mut command = Command::new(browser);
        // In a container Chromium has no rights for its sandbox; the page is ours.
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display())).args(flags);
        let output = command.arg(format!("file://{}", page.display())).output().expect("the browser starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    };
    let dom = String::from_utf8(run(&["--dump-dom"]).stdout).expect("text");
    assert!(dom.contains("data-ready=\"true\""), "the page's scripts ran");
    assert_eq!(
        dom.matches("<figure>").count(),
        3,
        "for a browser without scripts: the chart of the run, the latency and the call graph"
    );
    assert!(dom.matches("<path").count() + dom.matches("<polyline").count() > 3, "the pictures hold curves");
    assert!(dom.contains("<table"), "the browser sees tables");
    let shot = |name: &str, flags: &[&str]| {
        let file = folder.path().join(name);
        let flag = format!("--screenshot={}", file.display());
        run(&[&["--window-size=1000,1400", flag.as_str()], flags].concat());
        std::fs::read(file).expect("a picture")
    };
    let light = shot("light.png", &[]);
    let dark = shot("dark.png", &["--blink-settings=preferredColorScheme=0"]);
    assert!(light.len() > 20_000 && dark.len() > 20_000, "an empty page is smaller");
    assert_ne!(light, dark, "the dark page is another picture");
    let pdf = folder.path().join("page.pdf");
    run(&[format!("--print-to-pdf={}", pdf.display()).as_str()]);
    let pdf = std::fs::read(pdf).expect("the print");
    assert!(pdf.starts_with(b"%PDF") && pdf.len() > 20_000, "{} bytes", pdf.len());
}
