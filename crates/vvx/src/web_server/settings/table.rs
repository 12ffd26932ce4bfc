//! Which settings there are on which page.
//!
//! Only `/provConf.htm` is known by its path; the paths of the other pages are the lab's own.

use super::{Field, Kind};

/// A page of settings.
#[derive(Debug)]
pub struct Page {
    /// Where it is.
    pub path: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Its settings, in groups that have headings of their own.
    pub groups: &'static [(&'static str, &'static [Field])],
}

const fn field(name: &'static str, label: &'static str, kind: Kind) -> Field {
    Field { name, label, kind, needs_restart: false }
}

const fn at_start(name: &'static str, label: &'static str, kind: Kind) -> Field {
    Field { name, label, kind, needs_restart: true }
}

const TEXT: Kind = Kind::Text(255);
const SECRET: Kind = Kind::Secret(128);
const SERVER_TYPES: Kind = Kind::Choice(&[("0", "FTP"), ("1", "TFTP"), ("2", "HTTP"), ("3", "HTTPS")]);
const BOOT_SERVER: Kind = Kind::Choice(&[
    ("Static", "Static"),
    ("Option66", "Option 66"),
    ("Custom", "Custom"),
    ("Custom+Option66", "Custom + Option 66"),
]);
const PROFILES: Kind = Kind::Choice(&[("Generic", "Generic"), ("Lync", "Skype for Business")]);
const TRANSPORTS: Kind = Kind::Choice(&[
    ("DNSnaptr", "DNSnaptr"),
    ("TCPpreferred", "TCPpreferred"),
    ("UDPOnly", "UDPOnly"),
    ("TLS", "TLS"),
    ("TCPOnly", "TCPOnly"),
]);
const MESSAGE_TYPES: Kind = Kind::Choice(&[
    ("0", "None"),
    ("1", "Normal"),
    ("2", "Important"),
    ("3", "High"),
    ("4", "Critical"),
    ("5", "All"),
]);
const LEVELS: Kind = Kind::Choice(&[
    ("0", "0 Debug"),
    ("1", "1 High detail"),
    ("2", "2 Moderate"),
    ("3", "3 Low"),
    ("4", "4 Minor error"),
    ("5", "5 Major error"),
    ("6", "6 Fatal error"),
]);
const SYSLOG: Kind = Kind::Choice(&[("1", "UDP"), ("2", "TCP"), ("3", "TLS")]);
const PORT: Kind = Kind::Number(1, 65_535);
const SWITCH: Kind = Kind::Switch;

/// Every page, in the order of the menu.
pub const PAGES: &[Page] = &[
    Page {
        path: "/provConf.htm",
        title: "Provisioning Server",
        groups: &[
            (
                "Server",
                &[
                    at_start("device.prov.serverType", "Server Type", SERVER_TYPES),
                    at_start("device.prov.serverName", "Server Address", TEXT),
                    at_start("device.prov.user", "Server User", TEXT),
                    at_start("device.prov.password", "Server Password", SECRET),
                    at_start("device.prov.tagSerialNo", "Tag Serial Number in Agent", SWITCH),
                ],
            ),
            (
                "Boot Server",
                &[
                    at_start("device.dhcp.bootSrvUseOpt", "Boot Server", BOOT_SERVER),
                    at_start("device.dhcp.bootSrvOpt", "Custom Option", Kind::Number(128, 254)),
                ],
            ),
            (
                "Polling",
                &[
                    field("prov.polling.enabled", "Polling", SWITCH),
                    field("prov.polling.period", "Period (s)", Kind::Number(3600, 8_640_000)),
                ],
            ),
        ],
    },
    Page {
        path: "/lineConf.htm",
        title: "Lines",
        groups: &[
            (
                "Line 1",
                &[
                    field("reg.1.displayName", "Display Name", TEXT),
                    field("reg.1.address", "Address", TEXT),
                    field("reg.1.label", "Label", TEXT),
                    field("reg.1.auth.userId", "Authentication User", TEXT),
                    field("reg.1.auth.password", "Authentication Password", SECRET),
                    field("reg.1.auth.useLoginCredentials", "Use Login Credentials", SWITCH),
                ],
            ),
            (
                "Server 1",
                &[
                    field("reg.1.server.1.address", "Address", TEXT),
                    field("reg.1.server.1.port", "Port", Kind::Number(0, 65_535)),
                    field("reg.1.server.1.transport", "Transport", TRANSPORTS),
                    field("reg.1.server.1.expires", "Expires (s)", Kind::Number(30, 2_147_483_647)),
                ],
            ),
            (
                "Server 2",
                &[
                    field("reg.1.server.2.address", "Address", TEXT),
                    field("reg.1.server.2.port", "Port", Kind::Number(0, 65_535)),
                    field("reg.1.server.2.transport", "Transport", TRANSPORTS),
                ],
            ),
        ],
    },
    Page {
        path: "/skypeConf.htm",
        title: "Skype for Business",
        groups: &[(
            "Phone",
            &[
                at_start("device.baseProfile", "Base Profile", PROFILES),
                field("feature.CAP.enable", "Common Area Phone", SWITCH),
                field("feature.HotDesking.enabled", "Hot Desking", SWITCH),
                field("reg.1.auth.usePinCredentials", "PIN Sign-in", SWITCH),
                field("reg.1.lync.autoProvisionCertLocation", "Slot for the Pool's Root", Kind::Number(0, 6)),
            ],
        )],
    },
    Page {
        path: "/sntpConf.htm",
        title: "Date and Time",
        groups: &[(
            "Time Server",
            &[
                field("tcpIpApp.sntp.address", "Address", TEXT),
                field("tcpIpApp.sntp.address.overrideDHCP", "Instead of the Network's", SWITCH),
                field("tcpIpApp.sntp.gmtOffset", "Offset (s)", Kind::Number(-43_200, 50_400)),
                field("tcpIpApp.sntp.gmtOffset.overrideDHCP", "Instead of the Network's Offset", SWITCH),
                field("tcpIpApp.sntp.daylightSavings.enable", "Daylight Saving", SWITCH),
                field("tcpIpApp.sntp.resyncPeriod", "Asks Again After (s)", Kind::Number(60, 8_640_000)),
            ],
        )],
    },
    Page {
        path: "/appConf.htm",
        title: "Applications",
        groups: &[
            ("REST", &[field("apps.restapi.enabled", "REST API", SWITCH)]),
            (
                "Push",
                &[
                    field("apps.push.messageType", "Allowed Messages", MESSAGE_TYPES),
                    field("apps.push.username", "User", TEXT),
                    field("apps.push.password", "Password", SECRET),
                    field("apps.push.serverRootURL", "Server Root URL", TEXT),
                    field("apps.push.secureTunnelRequired", "HTTPS Only", SWITCH),
                ],
            ),
            (
                "State Polling",
                &[
                    field(
                        "apps.statePolling.responseMode",
                        "Answers Go to",
                        Kind::Choice(&[("0", "Whoever asks"), ("1", "The URL")]),
                    ),
                    field("apps.statePolling.URL", "URL", TEXT),
                    field("apps.statePolling.username", "User", TEXT),
                    field("apps.statePolling.password", "Password", SECRET),
                ],
            ),
            (
                "Telephony Notifications",
                &[
                    field("apps.telNotification.URL", "URL", TEXT),
                    field("apps.telNotification.lineRegistrationEvent", "Registration", SWITCH),
                    field("apps.telNotification.incomingEvent", "Incoming Calls", SWITCH),
                    field("apps.telNotification.outgoingEvent", "Outgoing Calls", SWITCH),
                    field("apps.telNotification.offhookEvent", "Off Hook", SWITCH),
                    field("apps.telNotification.onhookEvent", "On Hook", SWITCH),
                    field("apps.telNotification.callStateChangeEvent", "Call States", SWITCH),
                    field("apps.telNotification.userLogInOutEvent", "Users", SWITCH),
                ],
            ),
        ],
    },
    Page {
        path: "/webConf.htm",
        title: "Web Server",
        groups: &[
            (
                "Ports",
                &[
                    field("httpd.enabled", "Web Server", SWITCH),
                    field("httpd.cfg.enabled", "Web Interface", SWITCH),
                    field("httpd.cfg.port", "HTTP Port", PORT),
                    field("httpd.cfg.secureTunnelEnabled", "HTTPS", SWITCH),
                    field("httpd.cfg.secureTunnelPort", "HTTPS Port", PORT),
                    field("httpd.cfg.secureTunnelRequired", "HTTPS Only", SWITCH),
                ],
            ),
            (
                "Lock",
                &[
                    field("httpd.cfg.lockWebUI.enable", "Lock After Wrong Passwords", SWITCH),
                    field("httpd.cfg.lockWebUI.noOfInvalidAttempts", "How Many", Kind::Number(1, 20)),
                    field(
                        "httpd.cfg.lockWebUI.noOfInvalidAttemptsDuration",
                        "Within (s)",
                        Kind::Number(1, 3600),
                    ),
                    field("httpd.cfg.lockWebUI.lockOutDuration", "Lasts (s)", Kind::Number(1, 3600)),
                ],
            ),
        ],
    },
    Page {
        path: "/prefConf.htm",
        title: "Preferences",
        groups: &[(
            "Display",
            &[
                field("up.screenCapture.enabled", "Screen Capture Allowed", SWITCH),
                field("up.screenCapture.value", "Screen Capture", SWITCH),
                field("up.backlight.timeout", "Backlight (s)", Kind::Number(0, 86_400)),
            ],
        )],
    },
    Page {
        path: "/logConf.htm",
        title: "Logging",
        groups: &[
            ("Lines", &[field("log.render.level", "Lowest Level", LEVELS)]),
            (
                "Syslog",
                &[
                    field("device.syslog.serverName", "Server", TEXT),
                    field("device.syslog.transport", "Transport", SYSLOG),
                    field("device.syslog.facility", "Facility", Kind::Number(0, 23)),
                    field("device.syslog.renderLevel", "Lowest Level", LEVELS),
                    field("device.syslog.prependMac", "Begin with the Hardware Address", SWITCH),
                ],
            ),
        ],
    },
];
