//! What REST tells about the phone: device, lines, network, presence, call lists.
//!
//! Shapes follow firmware: 5.7 changed several answers of version 1, and from 5.8 those shapes are version 2's while
//! version 1 has its old ones back.

use std::time::Duration;

use bytes::Bytes;
use net::http::{Response, StatusCode};
use serde_json::{Value, json};

use super::super::answer::json as document;
use super::Outcome;
use crate::call::{CallListKind, CallRecord};
use crate::model::Feature;
use crate::phone::PhoneState;
use crate::phone::serving::{Desk, Line};

/// Answers what can be looked at; `None` if there is no such thing.
pub fn look(is_second: bool, call: &str, desk: &Desk<'_>) -> Option<Outcome> {
    let firmware = desk.firmware();
    let has_objects = is_second || (firmware.has(Feature::RestObjects) && !firmware.has(Feature::RestSecond));
    if is_second {
        return Some(Ok(match call {
            "mgmt/device/info" => second_info(desk),
            "mgmt/lineInfo" => second_lines(desk),
            _ => return None,
        }));
    }
    Some(Ok(match call {
        "mgmt/device/info" if has_objects => object_info(desk),
        "mgmt/device/info" => info(desk),
        "mgmt/lineInfo" => lines(has_objects, desk),
        "mgmt/network/info" => network(desk),
        "mgmt/network/stats" => traffic(desk),
        "mgmt/device/stats" => load(desk),
        "mgmt/device/runningConfig" => running_config(desk),
        "webCallControl/sipStatus" => sip_status(desk),
        "mgmt/getPresence" => json!({ "Presence": presence(desk) }),
        "mgmt/location/info" => location(),
        "mgmt/media/sessionStats" => session_stats(desk),
        "mgmt/callLogs" => json!({
            "Missed": records(CallListKind::Missed, desk),
            "Received": records(CallListKind::Received, desk),
            "Placed": records(CallListKind::Placed, desk),
        }),
        "mgmt/callLogs/missed" => records(CallListKind::Missed, desk),
        "mgmt/callLogs/received" => records(CallListKind::Received, desk),
        "mgmt/callLogs/placed" => records(CallListKind::Placed, desk),
        "mgmt/pollForStatus" => activity(desk),
        "mgmt/transferType/get" => json!({ "Type": "Consultative" }),
        _ => return None,
    }))
}

/// Days, hours, minutes and seconds.
fn parts(span: Duration) -> (u64, u64, u64, u64) {
    let s = span.as_secs();
    (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60)
}

fn identity(desk: &Desk<'_>) -> serde_json::Map<String, Value> {
    let address = desk.address().map_or_else(|| "0.0.0.0".to_owned(), |address| address.to_string());
    let facts = json!({
        "ModelNumber": desk.model().label,
        "DeviceType": "hardwareEndpoint",
        "DeviceVendor": "Polycom",
        "MACAddress": desk.mac().to_string(),
        "IPV4Address": address,
        "IPV6Address": "::",
        "AttachedHardware": {},
    });
    match facts {
        Value::Object(facts) => facts,
        _ => serde_json::Map::new(),
    }
}

fn info(desk: &Desk<'_>) -> Value {
    let (days, hours, minutes, seconds) = parts(desk.uptime());
    let word = if days == 1 { "Day" } else { "Days" };
    let mut facts = identity(desk);
    facts.insert("FirmwareRelease".to_owned(), json!(desk.firmware().version().to_string()));
    let uptime = format!("{days} {word} {hours}:{minutes:02}:{seconds:02}");
    facts.insert("UpTimeSinceLastReboot".to_owned(), json!(uptime));
    Value::Object(facts)
}

fn object_info(desk: &Desk<'_>) -> Value {
    let (days, hours, minutes, seconds) = parts(desk.uptime());
    let firmware = desk.firmware();
    let mut facts = identity(desk);
    facts.insert(
        "Firmware".to_owned(),
        json!({
            "Application": firmware.version().to_string(),
            "Updater": firmware.updater().to_string(),
            // The boot block's own number is known of no release; it is taken to be the updater's.
            "BootBlock": firmware.updater().to_string(),
        }),
    );
    facts.insert(
        "UpTime".to_owned(),
        json!({
            "Days": days.to_string(),
            "Hours": hours.to_string(),
            "Minutes": minutes.to_string(),
            "Seconds": seconds.to_string(),
        }),
    );
    Value::Object(facts)
}

fn second_info(desk: &Desk<'_>) -> Value {
    let mut info = object_info(desk);
    let is_idle = desk.calls().is_empty();
    for (name, value) in [
        ("AppState", json!("AppStateMenu")),
        ("ReadyToUse", json!("True")),
        ("IntendToShutdown", json!("False")),
        ("CanApplyShutdownRequest", json!(if is_idle { "True" } else { "False" })),
        ("IPStack", json!("IPv4 Only")),
    ] {
        info[name] = value;
    }
    info
}

fn registration(line: &Line) -> &'static str {
    if line.is_registered { "registered" } else { "unregistered" }
}

fn lines(has_objects: bool, desk: &Desk<'_>) -> Value {
    let shown = |line: &Line| {
        let mut facts = facts(line);
        facts["ProxyAddress"] = json!(line.proxy);
        facts["Port"] = json!(line.port.to_string());
        facts[if has_objects { "Username" } else { "SIPAddress" }] = json!(line.user);
        facts
    };
    Value::Array(desk.lines().iter().map(shown).collect())
}

fn facts(line: &Line) -> Value {
    json!({
        "LineNumber": line.number.to_string(),
        "UserID": line.user.split('@').next().unwrap_or_default(),
        "LineType": "private",
        "Protocol": "SIP",
        "RegistrationStatus": registration(line),
        "Label": line.label,
    })
}

fn second_lines(desk: &Desk<'_>) -> Value {
    let shown = |line: &Line| {
        let mut facts = facts(line);
        facts["Username"] = json!(line.user);
        facts["SIPAddress"] = json!(line.user);
        facts["CallServers"] = match line.proxy.is_empty() {
            true => json!([]),
            false => json!([{
                "Address": line.proxy,
                "Port": line.port.to_string(),
                "Transport": line.transport,
                "RegistrationStatus": registration(line),
            }]),
        };
        facts
    };
    Value::Array(desk.lines().iter().map(shown).collect())
}

fn network(desk: &Desk<'_>) -> Value {
    let config = desk.config();
    let granted = desk.granted();
    let text = |address: Option<String>| address.unwrap_or_else(|| "0.0.0.0".to_owned());
    let dns = |place: usize| text(granted.dns_servers.get(place).map(ToString::to_string));
    let named = |text: &str| if text == "1" { "enabled" } else { "disabled" };
    let server = granted.custom_boot_server.clone().or_else(|| granted.boot_server.clone());
    json!({
        "IPV4Address": text(desk.address().map(|address| address.to_string())),
        "SubnetMask": text(granted.mask.map(|mask| mask.to_string())),
        "DefaultGateway": text(granted.router.map(|router| router.to_string())),
        "DNSServer": dns(0),
        "AlternateDNSServer": dns(1),
        "DNSDomain": granted.domain.clone().unwrap_or_default(),
        "DHCP": "enabled",
        "DHCPServer": text(desk.dhcp_server().map(|server| server.to_string())),
        "DHCPBootServerUseOption": config.text("device.dhcp.bootSrvUseOpt"),
        "DHCPBootServerOption": config.text("device.dhcp.bootSrvOpt"),
        "DHCPBootServerOptionType": config.text("device.dhcp.bootSrvOptType"),
        "DHCPOption60Format": "ASCII String",
        "VLANIDOption": "129",
        "VLANDiscoveryMode": "Fixed",
        "VLANID": "",
        "LLDP": named(config.text("device.net.lldpEnabled")),
        "CDPCompatibility": named(config.text("device.net.cdpEnabled")),
        "LANPortStatus": "active",
        "LANSpeed": "1000Mbps",
        "SNTPAddress": granted
            .ntp_servers
            .first()
            .map_or_else(|| config.text("tcpIpApp.sntp.address").to_owned(), ToString::to_string),
        "ProvServerAddress": server.unwrap_or_else(|| config.text("device.prov.serverName").to_owned()),
        "ProvServerType": config.text("device.prov.serverType"),
        "ProvServerUser": config.text("device.prov.user"),
        "UpgradeServer": config.text("device.prov.upgradeServer"),
        "ZTPStatus": "disabled",
    })
}

fn traffic(desk: &Desk<'_>) -> Value {
    let (days, hours, minutes, seconds) = parts(desk.uptime());
    let word = if days == 1 { "day" } else { "days" };
    let (received, sent) = desk.traffic();
    json!({
        "RxPackets": received.to_string(),
        "TxPackets": sent.to_string(),
        "UpTime": format!("{days} {word} {hours}:{minutes:02}:{seconds:02}"),
    })
}

/// The lab's phones have no processor of their own: the numbers are those of a phone at rest, and a guess.
fn load(_: &Desk<'_>) -> Value {
    json!({
        "CPU": { "Current": "7.0", "Average": "6.5" },
        "Memory": {
            "Used": "133169152",
            "Cached": "41943040",
            "Free": "93323264",
            "Total": "268435456",
            "Buffers": "4194304",
        },
    })
}

fn running_config(desk: &Desk<'_>) -> Value {
    let config = desk.config();
    let granted = desk.granted();
    let text = |name: &str| json!(config.text(name));
    let first = |list: Option<String>| json!(list.unwrap_or_default());
    json!({
        "Network": {
            "IPAddress": first(desk.address().map(|address| address.to_string())),
            "SubnetMask": first(granted.mask.map(|mask| mask.to_string())),
            "Gateway": first(granted.router.map(|router| router.to_string())),
            "LLDP": text("device.net.lldpEnabled"),
            "CDP": text("device.net.cdpEnabled"),
            "VLANID": "",
        },
        "DHCP": {
            "Enabled": "1",
            "BootServer": text("device.dhcp.bootSrvUseOpt"),
            "BootServerOption": text("device.dhcp.bootSrvOpt"),
            "BootServerOptionType": text("device.dhcp.bootSrvOptType"),
            "OfferTimeout": text("device.dhcp.offerTimeout"),
            "Option60Format": "ASCII",
            "VLANOption": "129",
        },
        "Provisioning": {
            "ServerType": text("device.prov.serverType"),
            "ServerAddress": text("device.prov.serverName"),
            "ServerUser": text("device.prov.user"),
            "FileTxTries": text("device.prov.redunAttemptLimit"),
            "RetryWait": text("device.prov.redunInterAttemptDelay"),
            "MaxServers": text("device.prov.maxRedunServers"),
            "TagSN": text("device.prov.tagSerialNo"),
        },
        "DNS": {
            "Domain": granted.domain.clone().unwrap_or_default(),
            "Primary": first(granted.dns_servers.first().map(ToString::to_string)),
            "Secondary": first(granted.dns_servers.get(1).map(ToString::to_string)),
        },
        "SNTP": {
            "Address": first(granted.ntp_servers.first().map(ToString::to_string)),
            "GMTOffset": desk.clock().offset_s().to_string(),
        },
        "Syslog": {
            "Address": text("device.syslog.serverName"),
            "Transport": text("device.syslog.transport"),
            "Facility": text("device.syslog.facility"),
            "RenderLevel": text("device.syslog.renderLevel"),
            "PrependMAC": text("device.syslog.prependMac"),
        },
    })
}

fn sip_status(desk: &Desk<'_>) -> Value {
    let calls = desk.calls();
    let user = |line: &Line| {
        let events = match line.is_registered {
            true => json!([{
                "Type": "REGISTER", "RegistrationState": "Registered", "Expires": "", "CallID": "", "Overlap": "0",
            }]),
            false => json!([]),
        };
        let own = calls.iter().filter(|call| call.line == line.number).count();
        json!({
            "Name": line.user,
            "LineNumber": line.number.to_string(),
            "TotalCalls": own.to_string(),
            "TotalEvents": if line.is_registered { "1" } else { "0" },
            "Events": events,
        })
    };
    let users: Vec<Value> = desk.lines().iter().map(user).collect();
    json!({ "UUID": desk.instance(), "GRUUID": "", "User": users })
}

/// The answer of `getPresence`, which has its value beside `data`.
pub fn presence_answer(desk: &Desk<'_>) -> Response<Bytes> {
    let presence = presence(desk);
    let body = json!({ "data": { "Presence": presence }, "Presence": presence, "Status": "2000" });
    document(StatusCode::OK, &body)
}

fn presence(desk: &Desk<'_>) -> &'static str {
    match desk.state() {
        PhoneState::SignedIn | PhoneState::Locked | PhoneState::Registered if desk.calls().is_empty() => {
            "Available"
        }
        PhoneState::SignedIn | PhoneState::Locked | PhoneState::Registered => "Busy",
        _ => "Offline",
    }
}

/// Nobody tells the lab's phones where they are.
fn location() -> Value {
    json!({
        "Location": "", "Street": "", "City": "", "State": "", "PostalCode": "", "Country": "", "ELIN": "",
    })
}

fn session_stats(desk: &Desk<'_>) -> Value {
    let streams = desk.calls().into_iter().map(|call| {
        json!({
            "Ref": call.reference.to_string(),
            "Streams": [{
                "Category": "Audio",
                "Codec": call.media.codec,
                "PacketsSent": call.media.sent.to_string(),
                "PacketsReceived": call.media.received.to_string(),
                "PacketsLost": call.media.lost.to_string(),
                "Jitter": call.media.jitter.as_millis().to_string(),
                "Latency": call.media.round_trip.unwrap_or_default().as_millis().to_string(),
            }],
        })
    });
    Value::Array(streams.collect())
}

fn records(kind: CallListKind, desk: &Desk<'_>) -> Value {
    let record = |record: &CallRecord| {
        let (_, hours, minutes, seconds) = parts(record.duration);
        json!({
            "LineNumber": "1",
            "RemotePartyName": record.remote.shown(),
            "RemotePartyNumber": record.remote.address,
            "StartTime": desk.local_time(record.started),
            "Duration": format!("{hours:02}:{minutes:02}:{seconds:02}"),
        })
    };
    Value::Array(desk.call_list(kind).iter().map(record).collect())
}

fn activity(desk: &Desk<'_>) -> Value {
    if !desk.calls().is_empty() {
        let longest = desk.calls().iter().map(|call| call.duration).max().unwrap_or_default();
        let (_, hours, minutes, seconds) = parts(longest);
        let minutes = hours * 60 + minutes;
        let words = |n: u64, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let duration = format!("{} {}", words(minutes, "min"), words(seconds, "sec"));
        return json!({ "State": "Active", "StateData": format!("Call duration {duration}") });
    }
    let lists = [CallListKind::Missed, CallListKind::Received, CallListKind::Placed];
    let last = lists.iter().flat_map(|kind| desk.call_list(*kind)).map(|record| record.started).max();
    let told = last.map_or_else(|| "None".to_owned(), |at| desk.local_time(at));
    json!({ "State": "Idle", "StateData": format!("Time of last call {told}") })
}
