//! Every page once, in order: each is labelled, announced and free of script.

use identity::Profile;
use scraper::{Html, Selector};

use crate::browser::Browser;
use crate::lab::{ADMIN, ALICE, Lab, digits};

/// Walks through every page; gives back (id, HTML).
fn walk() -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let mut keep = |browser: &Browser| seen.push((browser.page(), browser.html.clone()));
    let mut lab = Lab::new(Profile::default());
    let (_, user) = lab.device_code();
    let mut browser = Browser::new("10.20.1.7");
    keep(browser.open(&mut lab, "/device"));
    keep(browser.enter_code(&mut lab, "B23456789"));
    keep(browser.enter_code(&mut lab, &user));
    keep(browser.confirm_app(&mut lab, "continue"));
    keep(browser.name(&mut lab, "nobody@contoso.example"));
    keep(browser.name(&mut lab, ALICE));
    keep(browser.password(&mut lab, "wrong"));
    keep(browser.password(&mut lab, "alice-password"));
    keep(browser.second_factor(&mut lab, "000000"));
    let code = digits(lab.unix());
    keep(browser.second_factor(&mut lab, &code));
    keep(browser.stay(&mut lab, "1"));
    let (_, user) = lab.device_code();
    browser.enter_code(&mut lab, &user);
    keep(browser.confirm_app(&mut lab, "continue"));
    let (_, user) = lab.device_code();
    browser.enter_code(&mut lab, &user);
    keep(browser.confirm_app(&mut lab, "cancel"));
    lab.act(|node, now, out| node.block_device_code_flow(true, now, out));
    let (_, user) = lab.device_code();
    browser.enter_code(&mut lab, &user).confirm_app(&mut lab, "continue");
    let picked = browser.form("/common/pick");
    let alice = browser.html.split("name=\"account\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let alice = alice.to_owned();
    let mut form = picked;
    form.fields.push(("account".into(), alice));
    keep(browser.send(&mut lab, &form));
    lab.act(|node, now, out| node.block_device_code_flow(false, now, out));

    lab.act(|node, now, out| node.expire_password(crate::lab::BOB, now, out)).unwrap();
    let mut bob = Browser::new("10.20.1.8");
    bob.open(&mut lab, "/password");
    keep(bob.name(&mut lab, crate::lab::BOB).password(&mut lab, "bob-password"));
    let values = [("newpasswd", "bob-s new one"), ("confirmnewpasswd", "bob-s new one")];
    bob.submit(&mut lab, "/common/newpassword", &values);
    keep(bob.stay(&mut lab, "0"));

    let mut admin = Browser::new("10.20.1.9");
    admin.open(&mut lab, "/cap");
    admin.name(&mut lab, ADMIN).password(&mut lab, "admin-password");
    keep(admin.stay(&mut lab, "0"));
    let (_, user) = lab.device_code();
    keep(admin.submit(&mut lab, "/cap/search", &[("name", "")]));
    let lobby = lab.node.account(crate::lab::LOBBY, lab.now).unwrap().oid;
    keep(admin.submit(&mut lab, "/cap/choose", &[("account", &lobby)]));
    keep(admin.submit(&mut lab, "/cap/provision", &[("user_code", "BAD")]));
    keep(admin.submit(&mut lab, "/cap/provision", &[("user_code", &user)]));

    let mut lab = Lab::new(Profile::EntraV2In2024);
    let (_, user) = lab.device_code();
    let mut browser = Browser::new("10.20.1.7");
    browser.enter_code(&mut lab, &user).name(&mut lab, crate::lab::BOB).password(&mut lab, "bob-password");
    seen.push({
        browser.stay(&mut lab, "0");
        (browser.page(), browser.html.clone())
    });
    seen
}

#[test]
fn every_page_can_be_used_without_eyes_or_script() {
    let select = |css: &str| Selector::parse(css).unwrap();
    for (id, html) in walk() {
        let page = Html::parse_document(&html);
        let count = |css: &str| page.select(&select(css)).count();
        assert_eq!(count("html[lang=en]"), 1, "{id}");
        assert_eq!(count("meta[name=viewport]"), 1, "{id}");
        assert_eq!((count("main"), count("h1")), (1, 1), "{id}");
        assert_eq!(count("script, [onclick], [style], style, iframe, img, object"), 0, "{id}");
        assert_eq!(count("form:not([method=post])"), 0, "{id}");
        for field in page.select(&select("input:not([type=hidden]):not([aria-hidden])")) {
            let name = field.value().attr("id").unwrap_or_else(|| panic!("{id}: a field without id"));
            assert_eq!(count(&format!("label[for={name}]")), 1, "{id}: {name} has no label");
            for told in field.value().attr("aria-describedby").unwrap_or_default().split_whitespace() {
                assert_eq!(count(&format!("#{told}")), 1, "{id}: {name} is described by nothing, {told}");
            }
        }
        for form in page.select(&select("form")) {
            assert_eq!(form.select(&select("input[name=canary], input[name=flowToken]")).count(), 2, "{id}");
            let first = form.select(&select("button")).next().unwrap_or_else(|| panic!("{id}: no button"));
            assert_eq!(first.value().attr("type"), Some("submit"), "{id}");
            assert_ne!(first.value().attr("value"), Some("other"), "{id}: the enter key must go on");
        }
        if id.contains(':') {
            assert_eq!(count("[role=alert]"), 1, "{id}: an error that nobody hears");
            assert!(
                page.select(&select("title")).next().unwrap().inner_html().starts_with("Error: "),
                "{id}"
            );
        }
        // Ids are unique.
        let mut ids: Vec<&str> = page.select(&select("[id]")).filter_map(|e| e.value().attr("id")).collect();
        let before = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), before, "{id}: an id comes twice");
    }
}
