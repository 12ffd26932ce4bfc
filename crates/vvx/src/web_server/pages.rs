//! What a person sees in a browser: the login, the frame, and the pages in it.
//!
//! The frame (`index.htm`) fetches every other page and puts it into itself. Looks and wording are the lab's own; ids,
//! names and attributes that tools look for are the device's. Nothing is loaded from anywhere but the phone.

use bytes::Bytes;
use net::http::{Response, StatusCode};

use super::WebServer;
use super::access::{Proof, Role, Visitor};
use super::answer::{answer, html, not_found};
use super::markup::escape;
use super::settings::{Field, Kind, PAGES, Page};
use crate::config::Source;
use crate::model::Feature;
use crate::phone::serving::Desk;

const STYLE: &str = include_str!("../../web/style.css");
const FRAME_SCRIPT: &str = include_str!("../../web/app.js");
const LOGIN_SCRIPT: &str = include_str!("../../web/login.js");

/// A telephone, drawn for this lab.
const MARK: &str = "<svg viewBox=\"0 0 32 32\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"2.4\" \
    stroke-linecap=\"round\" stroke-linejoin=\"round\" aria-hidden=\"true\"><rect x=\"3\" y=\"6\" width=\"8\" \
    height=\"20\" rx=\"3.5\"/><rect x=\"14\" y=\"4\" width=\"15\" height=\"24\" rx=\"2.5\"/><path d=\"M18 9h7v5h-7z\"/>\
    <path d=\"M18 19h.01M21.5 19h.01M25 19h.01M18 23.5h.01M21.5 23.5h.01M25 23.5h.01\"/></svg>";

/// Pages besides those of settings: path, heading, section of the menu.
const OTHERS: &[(&str, &str)] = &[
    ("/lyncSignIn.htm", "Sign In"),
    ("/screen.htm", "Screen"),
    ("/files.htm", "Settings as Files"),
    ("/appLog.htm", "Application Log"),
    ("/bootLog.htm", "Boot Log"),
    ("/auditLog.htm", "Audit Log"),
    ("/phone.htm", "Restart and Reset"),
    ("/password.htm", "Password"),
];

/// Styles and scripts, which anybody may have.
pub fn asset(path: &str) -> Option<Response<Bytes>> {
    let (content_type, body) = match path {
        "/style.css" => ("text/css; charset=utf-8", STYLE),
        "/app.js" => ("text/javascript; charset=utf-8", FRAME_SCRIPT),
        "/login.js" => ("text/javascript; charset=utf-8", LOGIN_SCRIPT),
        _ => return None,
    };
    Some(answer(StatusCode::OK, content_type, body))
}

/// Whether `path` is a page of this module.
pub fn is_one(path: &str) -> bool {
    OTHERS.iter().any(|(known, _)| *known == path)
}

fn shell(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n{head}<title>{}</title>\n\
         <link rel=\"icon\" href=\"data:,\"/>\n<link rel=\"stylesheet\" href=\"/style.css\"/>\n</head>\n{body}\n</html>\n",
        escape(title),
    )
}

/// The login.
pub fn log_in(desk: &Desk<'_>) -> Response<Bytes> {
    let label = escape(&desk.model().label);
    let body = format!(
        "<body>\n<div class=\"login\"><div class=\"card\">\n<div class=\"logo\">{MARK}<span><b>{label}</b>Web \
         interface</span></div>\n<form>\n<label for=\"account\">Log in as</label>\n<select id=\"account\" \
         name=\"account\"><option value=\"Polycom\">Admin</option><option value=\"User\">User</option></select>\n\
         <label for=\"password\">Password</label>\n<input id=\"password\" name=\"password\" type=\"password\" \
         autocomplete=\"current-password\" autofocus/>\n<p class=\"wrong\" role=\"alert\"></p>\n\
         <button class=\"main\">Log in</button>\n</form>\n</div></div>\n<script src=\"/login.js\"></script>\n</body>"
    );
    html(shell(&desk.model().label, "", &body))
}

/// The frame around all pages, with the token that tools read from it.
pub fn index(desk: &Desk<'_>, visitor: &Visitor, must_change: bool) -> String {
    let token = match &visitor.proof {
        Proof::Session { token } if desk.firmware().has(Feature::RequestToken) => {
            format!("<meta name=\"csrf-token\" content=\"{}\"/>\n", escape(token))
        }
        Proof::Session { .. } | Proof::Password => String::new(),
    };
    let label = escape(&desk.model().label);
    let version = desk.firmware().version();
    let address = desk.address().map(|address| address.to_string()).unwrap_or_default();
    let (menu, first) = match (must_change, visitor.role) {
        (true, _) => (String::new(), ""),
        (false, Role::User) => (menu(&[("Phone", &[("/home.htm", "Home")])]), "/home.htm"),
        (false, Role::Admin) => (admin_menu(), "/home.htm"),
    };
    let main = if must_change {
        format!(
            "<div class=\"card\"><h1>Choose a new password</h1><p>The administrator's password is still the one that \
             phones come with. Until it is changed, nothing else can be done here.</p>{}</div>",
            password_form()
        )
    } else {
        String::new()
    };
    let body = format!(
        "<body data-first=\"{first}\">\n<header class=\"top\">{MARK}<div class=\"who\"><b>{label}</b>\
         <span>{version} · {address}</span></div><div class=\"space\"></div><form action=\"/form-submit/logout.htm\" \
         data-then=\"reload\" data-done=\"Logged out.\"><button>Log out</button></form></header>\n\
         <div class=\"frame\">{menu}<main>{main}</main></div>\n<div id=\"said\" role=\"status\"></div>\n\
         <script src=\"/app.js\"></script>\n</body>"
    );
    shell(&desk.model().label, &token, &body)
}

fn menu(sections: &[(&str, &[(&str, &str)])]) -> String {
    let sections: String = sections
        .iter()
        .map(|(heading, links)| {
            let links: String =
                links.iter().map(|(path, label)| format!("<a href=\"#{path}\">{label}</a>")).collect();
            format!("<h2>{heading}</h2>{links}")
        })
        .collect();
    format!("<nav>{sections}</nav>")
}

fn admin_menu() -> String {
    let settings: Vec<(&str, &str)> = PAGES.iter().map(|page| (page.path, page.title)).collect();
    menu(&[
        ("Phone", &[("/home.htm", "Home"), OTHERS[0], OTHERS[1]]),
        ("Settings", &settings),
        ("Utilities", &[OTHERS[2], OTHERS[6], OTHERS[7]]),
        ("Diagnostics", &OTHERS[3..6]),
    ])
}

/// `home.htm`: what the phone is. Ids, bare cells and the order of model, part and address are what tools read.
pub fn home(desk: &Desk<'_>) -> String {
    let mac = desk.mac().to_string();
    let pairs: Vec<&str> = (0..6).map(|n| &mac[2 * n..2 * n + 2]).collect();
    let address = desk.address().map_or_else(|| "none".to_owned(), |address| address.to_string());
    let account = desk.account().unwrap_or("nobody");
    format!(
        "<div class=\"card\">\n<h1>Phone</h1>\n<table class=\"facts\">\n<tr><th>Model</th>\n\
         <td id=\"phoneModelInformationTd\">\n  {}\n</td></tr>\n<tr><th>Part</th>\n<td>\n  {} Rev:A\n</td></tr>\n\
         <tr><th>Hardware address</th>\n<td>\n  {}\n</td></tr>\n<tr><th>IP address</th>\n<td>{address}</td></tr>\n\
         <tr><th>Software</th>\n<td id=\"UCS_software_version\">\n  {}\n</td></tr>\n<tr><th>Updater</th>\n\
         <td id=\"bootrom_software_version\">\n  {}\n</td></tr>\n<tr><th>Running for</th>\n<td>{}</td></tr>\n\
         <tr><th>Signed in</th>\n<td>{}</td></tr>\n<tr><th>State</th>\n<td><span class=\"badge\" data-word></span>\
         </td></tr>\n</table>\n</div>\n",
        escape(&desk.model().label),
        desk.part(),
        pairs.join(":"),
        desk.firmware().version(),
        desk.firmware().updater(),
        net::time::spell(std::time::Duration::from_secs(desk.uptime().as_secs())),
        escape(account),
    )
}

/// A page of settings. `value` is what counts, `config` what provisioning delivered.
pub fn settings(page: &Page, web: &mut WebServer, desk: &Desk<'_>) -> Response<Bytes> {
    let mut body =
        format!("<form action=\"/form-submit\">\n<div class=\"card\"><h1>{}</h1>\n", escape(page.title));
    for (place, (heading, fields)) in page.groups.iter().enumerate() {
        if place > 0 {
            body.push_str("</div>\n<div class=\"card\">\n");
        }
        body.push_str(&format!("<h2>{}</h2>\n", escape(heading)));
        for field in *fields {
            let number = web.fields.number(field, web.access.random());
            body.push_str(&row(field, number, desk));
        }
    }
    body.push_str("<div class=\"actions\"><button class=\"main\">Save</button></div></div>\n</form>\n");
    html(body)
}

fn row(field: &Field, number: u16, desk: &Desk<'_>) -> String {
    let config = desk.config();
    let of = |source: Source| {
        let layers = config.everywhere(field.name);
        let own = layers.iter().find(|value| value.source == source).map(|value| value.text.to_owned());
        own.or_else(|| {
            let delivered = config.layer(Source::Files).find(|(name, _)| *name == field.name);
            delivered.filter(|_| source == Source::Files).map(|(_, text)| text.to_owned())
        })
    };
    let is_secret = matches!(field.kind, Kind::Secret(_));
    let shown = |text: String| if is_secret { String::new() } else { escape(&text) };
    let (least, most) = match field.kind {
        Kind::Text(most) | Kind::Secret(most) => (0, i64::from(most)),
        Kind::Number(least, most) => (least, most),
        Kind::Choice(choices) => (0, i64::try_from(choices.len()).unwrap_or(0)),
        Kind::Switch => (0, 1),
    };
    let kind = match field.kind {
        Kind::Text(_) | Kind::Secret(_) => "string",
        Kind::Number(..) => "integer",
        Kind::Choice(_) => "enum",
        Kind::Switch => "boolean",
    };
    let value = shown(field.value(config));
    // Tools cut `config` out at the quote and the space behind it.
    let attributes = format!(
        "isrebootrequired=\"{}\" helpid=\"{number}\" value=\"{value}\" paramname=\"{}\" default=\"{}\" config=\"{}\" \
         variabletype=\"{kind}\" min=\"{least}\" max=\"{most}\" maxlength=\"{}\" hintdivid=\"hint{number}\" \
         id=\"field{number}\"",
        field.needs_restart,
        field.name,
        shown(of(Source::Default).unwrap_or_default()),
        shown(of(Source::Files).unwrap_or_default()),
        match field.kind {
            Kind::Text(most) | Kind::Secret(most) => most,
            Kind::Number(..) | Kind::Choice(_) | Kind::Switch => 20,
        },
    );
    let control = if field.choices().is_empty() {
        let input = if is_secret {
            "password\" placeholder=\"unchanged\" autocomplete=\"new-password"
        } else {
            "text"
        };
        format!("<input name=\"{number}\" {attributes} type=\"{input}\"/>")
    } else {
        let value = field.value(config);
        let options: String = field
            .choices()
            .iter()
            .map(|(known, label)| {
                let selected = if *known == value { " selected" } else { "" };
                format!("<option value=\"{known}\"{selected}>{label}</option>")
            })
            .collect();
        format!("<select name=\"{number}\" {attributes}>{options}</select>")
    };
    let source = config.get(field.name).map_or("not set", |value| value.source.label());
    let later = if field.needs_restart { ", after a restart" } else { "" };
    format!(
        "<div class=\"row\"><label for=\"field{number}\">{}</label>{control}<small id=\"hint{number}\">{} · {source}{later}\
         </small></div>\n",
        escape(field.label),
        field.name,
    )
}

/// The other pages.
pub fn look(path: &str, desk: &Desk<'_>) -> Response<Bytes> {
    let Some((_, title)) = OTHERS.iter().find(|(known, _)| *known == path) else { return not_found() };
    let log = |kind: &str| {
        format!(
            "<pre class=\"log\" data-from=\"/Diagnostics/log?value={kind}\">…</pre><div class=\"actions\">\
             <a href=\"/Diagnostics/log?value={kind}\" download=\"{}-{kind}.log\"><button type=\"button\">Download\
             </button></a></div>",
            desk.mac()
        )
    };
    let body = match path {
        "/lyncSignIn.htm" => sign_in(desk),
        "/screen.htm" => "<p>What is on the display, every three seconds. Screen capture must be switched on \
            under Preferences.</p><img class=\"screen\" src=\"/captureScreen/mainScreen\" alt=\"The phone's display\"/>"
            .to_owned(),
        "/files.htm" => files(),
        "/appLog.htm" => log("app"),
        "/bootLog.htm" => log("boot"),
        "/auditLog.htm" => log("audit"),
        "/phone.htm" => restart(),
        _ => password_form(),
    };
    html(format!("<div class=\"card\">\n<h1>{title}</h1>\n{body}\n</div>\n"))
}

fn text_row(name: &str, label: &str, kind: &str) -> String {
    format!(
        "<div class=\"row\"><label for=\"{name}\">{label}</label><input id=\"{name}\" name=\"{name}\" type=\"{kind}\" \
         autocomplete=\"off\"/></div>\n"
    )
}

fn sign_in(desk: &Desk<'_>) -> String {
    let state = "<p>State: <span class=\"badge\" data-word></span></p>";
    if let Some(account) = desk.account() {
        return format!(
            "{state}<p>Signed in as <b>{}</b>.</p><form action=\"/form-submit/Settings/lyncSignOut\" \
             data-sure=\"Sign out?\"><div class=\"actions\"><button class=\"danger\">Sign out</button></div></form>",
            escape(account)
        );
    }
    format!(
        "{state}<form action=\"/form-submit/Settings/lyncSignIn\" data-done=\"Signing in.\">\n<input type=\"hidden\" \
         name=\"authType\" value=\"2\"/>\n{}{}{}{}<div class=\"actions\"><button class=\"main\">Sign in</button></div>\
         </form>\n<form action=\"/form-submit/Settings/lyncCancelSignIn\" data-done=\"Given up.\"><div class=\"actions\">\
         <button>Cancel a sign-in</button></div></form>",
        text_row("address", "Sign-in address", "text"),
        text_row("username", "User", "text"),
        text_row("password", "Password", "password"),
        text_row("domain", "Domain", "text"),
    )
}

fn files() -> String {
    let link = |path: &str, label: &str| {
        format!("<tr><th>{label}</th><td><a href=\"{path}\" download>Download</a></td></tr>")
    };
    format!(
        "<table class=\"facts\">{}{}{}{}{}{}</table>",
        link("/Utilities/configuration/phoneBackup", "All layers"),
        link("/Utilities/configuration/exportFile?source=-1", "What is in force"),
        link("/Utilities/configuration/exportFile?source=1", "Provisioned files"),
        link("/Utilities/configuration/exportFile?source=2", "Web interface"),
        link("/Utilities/configuration/exportFile?source=5", "Phone's own menu"),
        link("/Utilities/configuration/exportFile?source=6", "Device settings"),
    )
}

fn restart() -> String {
    let button = |action: &str, label: &str, sure: &str, class: &str, about: &str| {
        format!(
            "<p>{about}</p><form action=\"/form-submit/{action}\" data-sure=\"{sure}\" data-done=\"The phone starts \
             again.\"><div class=\"actions\"><button class=\"{class}\">{label}</button></div></form>"
        )
    };
    format!(
        "{}<br/>{}",
        button(
            "Restart",
            "Restart the phone",
            "Restart the phone?",
            "main",
            "The phone keeps everything it knows."
        ),
        button(
            "Utilities/restorePhoneToFactory",
            "Reset to factory",
            "Erase everything that the phone knows?",
            "danger",
            "Settings, accounts and certificates are erased.",
        ),
    )
}

fn password_form() -> String {
    format!(
        "<form action=\"/form-submit/Settings/ChangePassword\" data-then=\"reload\">\n{}{}{}<div class=\"actions\">\
         <button class=\"main\">Change the password</button></div></form>",
        text_row("oldadminpswd", "Old password", "password"),
        text_row("newadminpswd", "New password", "password"),
        text_row("cnfmadminpswd", "New password again", "password"),
    )
}
