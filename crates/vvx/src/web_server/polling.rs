//! State polling: calls, device and network as XML, for whoever knows `apps.statePolling.username` and `.password`.
//!
//! Without those two the phone has no state polling (404). With `apps.statePolling.responseMode` 0 the answer is the
//! document; otherwise the phone sends it to `apps.statePolling.URL` and answers with nothing.

use bytes::Bytes;
use net::http::{Method, Response, StatusCode, header};

use super::answer::{bad_method, forbidden, not_found, text, xml};
use super::guard::Account;
use super::markup::{element, escape};
use super::{Asked, WebServer};
use crate::call::{CallDirection, CallView, Party};
use crate::phone::serving::{Desk, Line};

/// Answers a request below `/polling/`.
pub fn serve(web: &mut WebServer, asked: &Asked, desk: &mut Desk<'_>) -> Response<Bytes> {
    let config = desk.config();
    let account = Account {
        name: config.text("apps.statePolling.username"),
        password: config.text("apps.statePolling.password"),
    };
    let handler = asked.request.uri().path().strip_prefix("/polling/").unwrap_or_default();
    let is_known = ["callstateHandler", "deviceHandler", "networkHandler"].contains(&handler);
    if account.name.is_empty() || account.password.is_empty() || !is_known {
        return not_found();
    }
    let secret = web.access.secret();
    if let Err(refused) = web.guards.polling.admit(&asked.request, &account, secret, desk.now()) {
        let is_stale = refused
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .any(|value| value.to_str().is_ok_and(|text| text.contains("stale=true")));
        // Who brings nothing is asked; who brings what is wrong is sent away.
        let brought = asked.request.headers().contains_key(header::AUTHORIZATION);
        let is_wrong = brought && !is_stale && refused.status() == StatusCode::UNAUTHORIZED;
        return if is_wrong { forbidden("(403) Forbidden") } else { *refused };
    }
    if !matches!(*asked.request.method(), Method::GET | Method::HEAD) {
        return bad_method("GET, HEAD");
    }
    let document = match handler {
        "callstateHandler" => calls(desk),
        "deviceHandler" => device(desk),
        _ => network(desk),
    };
    let document = format!("<PolycomIPPhone>{document}</PolycomIPPhone>");
    if desk.config().text("apps.statePolling.responseMode").trim() == "0" {
        return xml(document);
    }
    let url = desk.config().text("apps.statePolling.URL").to_owned();
    desk.post(&url, document);
    text("")
}

/// One `CallLineInfo` for each line, with its calls.
pub fn calls(desk: &Desk<'_>) -> String {
    let calls = desk.calls();
    desk.lines().iter().map(|line| call_line(line, &calls)).collect()
}

/// A line and its calls.
pub fn call_line(line: &Line, calls: &[CallView]) -> String {
    let own: Vec<&CallView> = calls.iter().filter(|call| call.line == line.number).collect();
    let state = if own.is_empty() { "Inactive" } else { "Active" };
    let infos: String = own.into_iter().map(call_info).collect();
    format!(
        "<CallLineInfo>{}{}{}{infos}</CallLineInfo>",
        element("LineKeyNum", &line.number.to_string()),
        element("LineDirNum", line.user.split('@').next().unwrap_or_default()),
        element("LineState", state),
    )
}

fn call_info(call: &CallView) -> String {
    let (called, calling) = ends(call);
    let mark = if call.is_in_focus { "*" } else { "" };
    let flag = |is: bool| if is { "1" } else { "0" };
    let inner: String = [
        ("CallReference", call.reference.to_string()),
        ("CallState", call.state.name().to_owned()),
        ("CallType", call.direction.name().to_owned()),
        ("UIAppearanceIndex", format!("{}{mark}", call.appearance)),
        ("CalledPartyName", called.shown()),
        ("CalledPartyDirNum", called.address.clone()),
        ("CallingPartyName", calling.shown()),
        ("CallingPartyDirNum", calling.address.clone()),
        ("CallDuration", call.duration.as_secs().to_string()),
        ("Protocol", "SIP".to_owned()),
        ("Muted", flag(call.is_muted).to_owned()),
        ("Ringing", flag(call.is_ringing).to_owned()),
    ]
    .iter()
    .map(|(name, text)| element(name, text))
    .collect();
    format!("<CallInfo>{inner}</CallInfo>")
}

/// Who was called, and who called.
pub fn ends(call: &CallView) -> (&Party, &Party) {
    match call.direction {
        CallDirection::Incoming => (&call.local, &call.remote),
        CallDirection::Outgoing => (&call.remote, &call.local),
    }
}

fn device(desk: &Desk<'_>) -> String {
    let numbers: Vec<String> = desk
        .lines()
        .iter()
        .map(|line| format!("Line{}:{}", line.number, line.user.split('@').next().unwrap_or_default()))
        .collect();
    format!(
        "<DeviceInformation>{}{}{}{}{}{}</DeviceInformation>",
        element("MACAddress", &desk.mac().to_string()),
        element("PhoneDN", &numbers.join(",")),
        element("AppLoadID", &desk.firmware().version().to_string()),
        element("BootROMID", &desk.firmware().updater().to_string()),
        element("ModelNumber", &desk.model().label),
        element("TimeStamp", &desk.stamp()),
    )
}

fn network(desk: &Desk<'_>) -> String {
    let granted = desk.granted();
    let text = |value: Option<String>| escape(&value.unwrap_or_default());
    let dns = |place: usize| granted.dns_servers.get(place).map(ToString::to_string);
    let server = granted.custom_boot_server.clone().or_else(|| granted.boot_server.clone());
    let server = server.unwrap_or_else(|| desk.config().text("device.prov.serverName").to_owned());
    let facts = [
        ("DHCPServer", text(desk.dhcp_server().map(|server| server.to_string()))),
        ("MACAddress", desk.mac().to_string()),
        ("DNSSuffix", text(granted.domain.clone())),
        ("IPAddress", text(desk.address().map(|address| address.to_string()))),
        ("SubnetMask", text(granted.mask.map(|mask| mask.to_string()))),
        ("ProvServer", escape(&server)),
        ("DefaultRouter", text(granted.router.map(|router| router.to_string()))),
        ("DNSServer1", text(dns(0))),
        ("DNSServer2", text(dns(1))),
        ("VLANID", String::new()),
        ("DHCPEnabled", "Yes".to_owned()),
    ];
    let inner: String = facts.iter().map(|(name, text)| format!("<{name}>{text}</{name}>")).collect();
    format!("<NetworkConfiguration>{inner}</NetworkConfiguration>")
}
