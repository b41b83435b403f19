//! A window as a document, so that tables can be made of it later.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pods::Pod;
use super::text::{self, ParseError};
use super::window::{PodWindow, Window};

/// A [`Window`] that can be written and read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedWindow {
    length_seconds: f64,
    pods: Vec<SavedPod>,
    gaps: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedPod {
    pod: Pod,
    /// The increase of the counters in the format of the proxies' metrics.
    counters: String,
}

impl From<&Window> for SavedWindow {
    fn from(window: &Window) -> Self {
        let saved = |one: &PodWindow| SavedPod { pod: one.pod.clone(), counters: one.change.to_text() };
        Self {
            length_seconds: window.length.as_secs_f64(),
            pods: window.pods.iter().map(saved).collect(),
            gaps: window.gaps.clone(),
        }
    }
}

impl SavedWindow {
    /// Returns the window.
    ///
    /// # Errors
    /// The counters of a pod cannot be read.
    pub fn window(&self) -> Result<Window, ParseError> {
        let read = |saved: &SavedPod| {
            Ok(PodWindow { pod: saved.pod.clone(), change: text::parse(&saved.counters)? })
        };
        Ok(Window {
            length: Duration::try_from_secs_f64(self.length_seconds).unwrap_or_default(),
            pods: self.pods.iter().map(read).collect::<Result<_, _>>()?,
            gaps: self.gaps.clone(),
        })
    }

    /// Whether one of these pods was in the window: it is of the same cluster then, and not of an earlier one of the same name.
    pub fn has_any(&self, pods: &[Pod]) -> bool {
        let has = |pod: &Pod| {
            self.pods.iter().any(|saved| saved.pod.namespace == pod.namespace && saved.pod.name == pod.name)
        };
        pods.iter().any(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_read_as_it_was_saved() {
        let pod = Pod::example("default", "web-1");
        let counters = "request_total{direction=\"inbound\",note=\"a \\\"b\\\" }\"} 5\nresponse_total 0.5\n";
        let change = text::parse(counters).unwrap();
        let window = Window {
            length: Duration::from_millis(2500),
            pods: vec![PodWindow { pod: pod.clone(), change }],
            gaps: vec!["default/x: gone".to_owned()],
        };
        let written = serde_json::to_string(&SavedWindow::from(&window)).unwrap();
        let read: SavedWindow = serde_json::from_str(&written).unwrap();
        assert_eq!(read.window().unwrap(), window);
        assert!(read.has_any(&[Pod { name: "other".to_owned(), ..pod.clone() }, pod.clone()]));
        assert!(!read.has_any(&[Pod { name: "web-2".to_owned(), ..pod }]));
    }
}
