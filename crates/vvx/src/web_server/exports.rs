//! Settings as files, in and out; logs; what there is to know about software versions.

use bytes::Bytes;
use net::http::{HeaderName, Request, Response, StatusCode, header};

use super::answer::{refusal, text, with, xml};
use super::form::Form;
use super::markup::{escape, is_name};
use crate::config::{Config, ConfigFile, Source};
use crate::log::{Level, LogKind};
use crate::phone::serving::Desk;

/// Parameters that no file shows: whoever has them owns the phone. Passwords of lines and servers are in the files,
/// as on the device.
const NEVER_SHOWN: [&str; 2] = ["device.auth.localAdminPassword", "device.auth.localUserPassword"];
/// What separates a file from a page in browsers.
const AS_FILE: HeaderName = header::CONTENT_DISPOSITION;

const BACKUP: &str = "/Utilities/configuration/phoneBackup";
const EXPORT: &str = "/Utilities/configuration/exportFile";
const VERSIONS: &str = "/Utilities/softwareUpgrade/getAvailableVersions";
const SERVER: &str = "/Utilities/softwareUpgrade/getProvisioningServer";

/// The layers by their numbers in `exportFile?source=`, with the elements they are called by. Which number is which
/// layer is a guess, but for -1, which is all that is in force.
const SOURCES: [(&str, Source, &str); 5] = [
    ("1", Source::Files, "CONFIG_FILES"),
    ("2", Source::Web, "WEB"),
    ("5", Source::Local, "PHONE_LOCAL"),
    ("6", Source::Device, "DEVICE_SETTINGS"),
    ("7", Source::CallServer, "CALL_SERVER"),
];

/// Whether `path` is one of this module's.
pub fn is_one(path: &str) -> bool {
    [BACKUP, EXPORT, VERSIONS, SERVER].contains(&path)
}

/// Answers one of this module's paths.
pub fn look(path: &str, query: &Form, desk: &mut Desk<'_>) -> Response<Bytes> {
    match path {
        BACKUP => backup(desk),
        EXPORT => export(query.text("source"), desk),
        VERSIONS => versions(query.text("type"), desk),
        _ => text(hardware(desk)),
    }
}

/// All layers in one document.
fn backup(desk: &Desk<'_>) -> Response<Bytes> {
    // Tools read the elements in this order.
    let order = [4, 0, 3, 2, 1].map(|place| SOURCES[place]);
    let layers: String = order.iter().map(|(_, source, name)| layer(desk.config(), *source, name)).collect();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<PHONE_BACKUP>\n{layers}</PHONE_BACKUP>\n"
    );
    as_file(xml(body), &format!("{}-backup.xml", desk.mac()))
}

/// One layer, or what is in force, as a file that a phone can read again.
fn export(source: &str, desk: &Desk<'_>) -> Response<Bytes> {
    let config = desk.config();
    let (element, name) = match SOURCES.iter().find(|(number, ..)| *number == source) {
        Some((_, source, name)) => (layer(config, *source, name), *name),
        None if source == "-1" => (in_force(config), "ALL"),
        None => return refusal(StatusCode::BAD_REQUEST, "source is one of -1, 1, 2, 5, 6 and 7"),
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<PHONE_CONFIG>\n{element}</PHONE_CONFIG>\n"
    );
    as_file(xml(body), &format!("{}-{}.cfg", desk.mac(), name.to_ascii_lowercase()))
}

fn as_file(response: Response<Bytes>, name: &str) -> Response<Bytes> {
    with(response, AS_FILE, &format!("attachment; filename=\"{name}\""))
}

fn layer(config: &Config, source: Source, element: &str) -> String {
    attributes(element, config.layer(source))
}

/// Every parameter that some layer besides the defaults knows, with the value that counts.
fn in_force(config: &Config) -> String {
    attributes("ALL", config.names("").filter_map(|name| Some((name, config.get(name)?.text))))
}

fn attributes<'a>(element: &str, values: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let shown = values.filter(|(name, _)| is_name(name) && !NEVER_SHOWN.contains(name));
    let lines: String = shown.map(|(name, value)| format!("\n  {name}=\"{}\"", escape(value))).collect();
    format!("<{element}{lines}/>\n")
}

/// `PUT` or `POST /form-submit/Utilities/configuration/importFile`: takes a file of settings into the web interface's
/// layer. Which elements they stand in does not matter.
pub fn import(request: &Request<Bytes>, desk: &mut Desk<'_>) -> Response<Bytes> {
    let body = upload(request);
    let Ok(file) = ConfigFile::parse("import", body) else {
        return refusal(StatusCode::BAD_REQUEST, "CONF_NO_CHANGE: this is no file of settings");
    };
    let is_new =
        |(name, text): &(String, String)| desk.config().get(name).is_none_or(|value| value.text != text);
    let changes: Vec<(String, String)> = file.values.into_iter().filter(is_new).collect();
    if changes.is_empty() {
        return text("CONF_NO_CHANGE");
    }
    match desk.set_all(&changes) {
        Ok(()) => {
            desk.audit(&format!("{} settings imported over the web interface", changes.len()));
            text("CONF_CHANGE")
        }
        Err(why) => refusal(StatusCode::INSUFFICIENT_STORAGE, &format!("CONF_NO_CHANGE: {why}")),
    }
}

/// The file in a request: its body, or the first part of it where a browser's form wrapped it (RFC 7578).
fn upload(request: &Request<Bytes>) -> &[u8] {
    let body = request.body().as_ref();
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = kind
        .filter(|kind| kind.starts_with("multipart/form-data"))
        .and_then(|kind| kind.split_once("boundary="))
        .map(|(_, boundary)| format!("\r\n--{}", boundary.trim_matches('"')));
    let Some(boundary) = boundary else { return body };
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let Some(start) = find(body, b"\r\n\r\n").map(|at| at + 4) else { return body };
    let part = &body[start..];
    &part[..find(part, boundary.as_bytes()).unwrap_or(part.len())]
}

/// `GET /Diagnostics/log`: one of the logs, and forgetting it.
pub fn log(query: &Form, desk: &mut Desk<'_>) -> Response<Bytes> {
    let is_clear = query.text("clear") == "1";
    let kind = match query.text("value") {
        "app" => LogKind::Application,
        "boot" => LogKind::Boot,
        "audit" => {
            let lines = desk.log().audit_lines().flat_map(|line| [line, "\r\n"]);
            return text(lines.collect::<String>());
        }
        _ => return refusal(StatusCode::BAD_REQUEST, "value is one of app, boot and audit"),
    };
    if is_clear {
        desk.clear_log(kind);
        desk.audit("a log was cleared over the web interface");
    }
    let lines: String = desk.log().lines(kind).flat_map(|line| [line, "\r\n"]).collect();
    text(lines)
}

/// The hardware, as update servers are told.
fn hardware(desk: &Desk<'_>) -> String {
    format!(
        "SERVER_TYPE={};HARDWARE_ID={};HARDWARE_REV=A",
        desk.config().text("device.prov.serverType"),
        desk.part()
    )
}

/// `GET …/getAvailableVersions`: the one version there is, which is installed. The lab has no images.
fn versions(kind: &str, desk: &Desk<'_>) -> Response<Bytes> {
    if !["plcmserver", "customserver"].contains(&kind) {
        return refusal(StatusCode::BAD_REQUEST, "type is one of plcmserver and customserver");
    }
    let version = desk.firmware().version();
    let path = escape(desk.config().text("device.prov.upgradeServer"));
    xml(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PHONE_IMAGES><REVISION ID=\"{}\"><PHONE_IMAGE>\
         <Version>{version}</Version><Path>{path}</Path></PHONE_IMAGE></REVISION></PHONE_IMAGES>\n",
        escape(&desk.part()),
    ))
}

/// `POST …/updateCustomServer`: remembers another server for software.
pub fn custom_server(form: &Form, desk: &mut Desk<'_>) -> Response<Bytes> {
    match desk.set("device.prov.upgradeServer", Some(form.text("CUSTOM_SERVER"))) {
        Ok(()) => text("CONF_CHANGE"),
        Err(why) => refusal(StatusCode::INSUFFICIENT_STORAGE, &why),
    }
}

/// `POST …/upgrade`: the lab's phones install nothing, and say so.
pub fn upgrade(form: &Form, desk: &mut Desk<'_>) -> Response<Bytes> {
    let url = form.text("URLPath");
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return refusal(StatusCode::BAD_REQUEST, "URLPath is no URL");
    }
    desk.say(
        "copy",
        Level::Minor,
        "A software update was asked for over the web interface; none is installed.",
    );
    text("UPGRADE_NOT_SUPPORTED")
}
