//! `junit.xml`: each limit as a test, for CI servers.

use super::result::Outcome;

/// The limits as JUnit XML.
pub fn xml(outcome: &Outcome) -> String {
    let mut cases: Vec<(String, Option<String>)> = (outcome.limits.iter())
        .map(|limit| (limit.name.clone(), (!limit.held).then(|| limit.in_words())))
        .collect();
    let early = outcome.stopped_early.then(|| "the run was ended before its time".to_owned());
    cases.push(("ran to its end".to_owned(), early));
    for lost in &outcome.lost {
        cases.push((format!("part {}", lost.part), Some(lost.why.clone())));
    }
    let failures = cases.iter().filter(|(_, why)| why.is_some()).count();
    let name = escaped(&outcome.title);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{name}\" tests=\"{}\" \
         failures=\"{failures}\" time=\"{:.3}\">\n",
        cases.len(),
        outcome.took_s
    );
    for (case, why) in cases {
        let case = escaped(&case);
        match why {
            None => text.push_str(&format!("<testcase classname=\"{name}\" name=\"{case}\"/>\n")),
            Some(why) => text.push_str(&format!(
                "<testcase classname=\"{name}\" name=\"{case}\"><failure message=\"{}\"/></testcase>\n",
                escaped(&why)
            )),
        }
    }
    text + "</testsuite>\n</testsuites>\n"
}

/// Text as it may stand in XML and HTML, in attributes too; what neither may hold is shown as `�`.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
