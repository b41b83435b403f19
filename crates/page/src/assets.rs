//! The files of the page, inside of the program. `vendor/` is the only code that was not written here. Both pages have their body in
//! a file, and the rest in `template.html`.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// The path in URLs, without the first `/`.
    pub path: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub content: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

macro_rules! asset {
    ($path:literal, $media_type:expr) => {
        Asset { path: $path, media_type: $media_type, content: include_str!(concat!("../assets/", $path)) }
    };
}

const TEMPLATE: &str = include_str!("../assets/template.html");

/// The main page.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    // Without these the browser would learn of a module only from one that imports it.
    let modules = MODULES
        .iter()
        .map(|module| format!("<link rel=\"modulepreload\" href=\"{}\">", module.path))
        .collect::<Vec<_>>()
        .join("\n");
    let files = format!(
        "<link rel=\"stylesheet\" href=\"vendor/uPlot.min.css\">\n\
         <script src=\"vendor/uPlot.iife.min.js\" defer></script>\n\
         {modules}\n\
         <script type=\"module\" src=\"page.js\"></script>"
    );
    document("meshy", &files, include_str!("../assets/page.html"))
});

static SPEAKER: LazyLock<String> = LazyLock::new(|| {
    let files = "<script type=\"module\" src=\"speaker.js\"></script>";
    document("Speaker \u{b7} meshy", files, include_str!("../assets/speaker.html"))
});

fn document(title: &str, files: &str, body: &str) -> String {
    TEMPLATE.replace("{title}", title).replace("{files}", files).replace("{body}", body)
}

/// Returns the main page.
pub(crate) fn page() -> Asset {
    Asset { path: "page.html", media_type: HTML, content: &PAGE }
}

fn speaker() -> Asset {
    Asset { path: "speaker.html", media_type: HTML, content: &SPEAKER }
}

/// The library that draws the charts: a classic script.
pub(crate) const CHARTS: Asset = asset!("vendor/uPlot.iife.min.js", SCRIPT);

/// Styles, in the order in which they apply.
pub(crate) const STYLES: [Asset; 2] = [asset!("vendor/uPlot.min.css", STYLE), asset!("page.css", STYLE)];

/// The modules of the page, each after those that it imports.
pub(crate) const MODULES: [Asset; 16] = [
    asset!("types.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("format.js", SCRIPT),
    asset!("series.js", SCRIPT),
    asset!("model.js", SCRIPT),
    asset!("layout.js", SCRIPT),
    asset!("graph.js", SCRIPT),
    asset!("chart.js", SCRIPT),
    asset!("wall.js", SCRIPT),
    asset!("numbers.js", SCRIPT),
    asset!("panel.js", SCRIPT),
    asset!("controls.js", SCRIPT),
    asset!("lesson.js", SCRIPT),
    asset!("source.js", SCRIPT),
    asset!("replay.js", SCRIPT),
    asset!("page.js", SCRIPT),
];

const OTHERS: [Asset; 2] = [asset!("speaker.js", SCRIPT), asset!("icon.svg", "image/svg+xml")];

/// Returns all files.
pub fn all() -> impl Iterator<Item = Asset> {
    [page(), speaker(), CHARTS].into_iter().chain(STYLES).chain(MODULES).chain(OTHERS)
}

/// Returns the file of a path such as `/page.js`.
pub fn find(path: &str) -> Option<Asset> {
    match path {
        "/" => Some(page()),
        "/speaker" => Some(speaker()),
        path => all().find(|asset| path.strip_prefix('/') == Some(asset.path)),
    }
}

/// Returns whether a path is a page that a browser can be opened at.
pub(crate) fn is_page(path: &str) -> bool {
    matches!(path, "/" | "/speaker")
}
