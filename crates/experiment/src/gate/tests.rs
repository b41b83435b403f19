//! JUnit XML and the Markdown summary.

use std::time::Duration;

use super::Gate;
use crate::condition::{ConditionResult, Verdict};
use crate::run::tests::run;

fn gate(verdicts: &[Verdict]) -> Gate {
    let one = |verdict: &Verdict| ConditionResult {
        condition: "a.success > 95%".to_owned(),
        variant: Some("budget".to_owned()),
        verdict: *verdict,
        measured: "30 % (22 to 40 %, 30 of 100)".to_owned(),
    };
    let condition_results = verdicts.iter().map(one).collect();
    Gate {
        name: "storm".to_owned(),
        title: "A <storm>".to_owned(),
        duration: Duration::from_millis(1500),
        condition_results,
    }
}

#[test]
fn junit_counts_failures_and_undecided_conditions() {
    let xml = gate(&[Verdict::Met, Verdict::NotMet, Verdict::Undecided]).junit();
    let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="storm" tests="3" failures="1" errors="1" time="1.500">
  <testsuite name="storm" tests="3" failures="1" errors="1" time="1.500">
    <testcase classname="storm.budget" name="a.success &gt; 95%" time="0">
      <system-out>30 % (22 to 40 %, 30 of 100)</system-out>
    </testcase>
    <testcase classname="storm.budget" name="a.success &gt; 95%" time="0">
      <failure type="not met" message="not met: measured 30 % (22 to 40 %, 30 of 100)"></failure>
    </testcase>
    <testcase classname="storm.budget" name="a.success &gt; 95%" time="0">
      <error type="undecided" message="undecided: measured 30 % (22 to 40 %, 30 of 100)"></error>
    </testcase>
  </testsuite>
</testsuites>
"#;
    assert_eq!(xml, expected);
}

#[test]
fn a_hostile_text_stays_text() {
    let mut hostile = gate(&[Verdict::NotMet]);
    hostile.condition_results[0].condition = "]]></x>\"&\u{1b}[31m|`*".to_owned();
    hostile.name = "<b>\u{0}".to_owned();
    let xml = hostile.junit();
    assert!(!xml.contains("<b>") && !xml.contains('\u{1b}') && !xml.contains("</x>"), "{xml}");
    assert!(xml.contains("]]&gt;&lt;/x&gt;&quot;&amp;\u{fffd}[31m|`*"), "{xml}");
    let summary = hostile.summary(&run().results());
    assert!(summary.contains("\\]\\]&gt;&lt;/x&gt;\"&amp; \\[31m\\|\\`\\*"), "{summary}");
}

#[test]
fn the_summary_has_a_row_for_each_condition_and_step() {
    let summary = gate(&[Verdict::Met, Verdict::NotMet]).summary(&run().results());
    let expected = "\
## A &lt;storm&gt;

1 of 2 expectations met.

| expected | result | measured |
| --- | --- | --- |
| a.success > 95% (budget) | met | 30 % (22 to 40 %, 30 of 100) |
| a.success > 95% (budget) | **not met** | 30 % (22 to 40 %, 30 of 100) |

| step | requests | success | attempts | p50 | p99 |
| --- | ---: | ---: | ---: | ---: | ---: |
| a | 32 | 50.0 % | 96 | - | - |
";
    assert_eq!(summary, expected.replace("success > ", "success &gt; "));
}

#[test]
fn a_failure_is_one_line_for_stderr() {
    assert_eq!(gate(&[Verdict::Met]).failure(), None);
    assert!(gate(&[Verdict::Met]).is_met() && !gate(&[Verdict::Undecided]).is_met());
    let failure = gate(&[Verdict::Met, Verdict::Undecided]).failure().unwrap();
    let expected = "1 of 2 expectations not met: budget: a.success > 95% (undecided, measured 30 % (22 to 40 %, 30 of 100))";
    assert_eq!(failure, expected);
}
