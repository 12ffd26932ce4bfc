//! Golden texts: one page and one error, to be reviewed like code.

use identity::Profile;

use crate::browser::Browser;
use crate::lab::Lab;

/// A guard's values differ with every page.
fn without_guards(html: &str) -> String {
    let mut lines = Vec::new();
    for line in html.lines() {
        match line.split_once(" value=\"") {
            Some((start, _)) if start.contains("type=\"hidden\"") => {
                lines.push(format!("{start} value=\"•••\">"))
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

#[test]
fn the_code_page_after_a_wrong_code() {
    let mut lab = Lab::new(Profile::default());
    let mut browser = Browser::new("10.20.1.7");
    browser.enter_code(&mut lab, "b2345-6789");
    insta::assert_snapshot!(without_guards(&browser.html));
}

#[test]
fn the_error_of_an_unknown_code_in_2024() {
    let mut lab = Lab::new(Profile::EntraV2In2024);
    let (_, json) = lab.poll("guess");
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
}

#[test]
fn the_error_of_a_waiting_phone_in_2016() {
    let mut lab = Lab::new(Profile::EntraV1In2016);
    let (device, _) = lab.device_code();
    let (_, json) = lab.poll(&device);
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
}
