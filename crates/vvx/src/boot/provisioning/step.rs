//! The files of a visit, and their order.

use crate::config::{Macros, Master, Source};

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Leave the updater's log.
    PutBootLog,
    /// Read `<mac>.cfg`, or the site's master file in its place.
    Master,
    SiteMaster,
    /// Read a file that the master file names; only the last one completes the configuration.
    Config,
    /// Take over the menu's or the web interface's values that were left on the server.
    Overrides(Source),
    /// Look whether it is there.
    Optional,
    /// The same, but a server that refuses it breaks the visit off, as seen with licence files.
    Licence,
    /// Ask how long the log on the server is.
    HeadLog,
    /// Leave the application's log.
    PutLog,
}

/// A file to fetch or leave.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) what: What,
    pub(super) file: String,
}

impl Step {
    /// The file's name as logs show it: a master file may name a URL with a login in it.
    pub(super) fn shown(&self) -> &str {
        self.file.rsplit_once('@').map_or(&self.file, |(_, rest)| rest)
    }
}

/// What comes after the configuration, in the order seen on a real phone.
pub(super) fn after_configuration(master: &Master, macros: &Macros<'_>) -> Vec<Step> {
    let mac = macros.mac;
    let place = |directory: &str, file: &str| match macros.expand(directory).trim_matches('/') {
        "" => file.to_owned(),
        directory => format!("{directory}/{file}"),
    };
    let part = macros.model.part.as_ref().map(|part| format!("{part}.")).unwrap_or_default();
    let image = match master.app_file.as_str() {
        "" => "sip.ld".to_owned(),
        app_file => macros.expand(app_file),
    };
    let rest = [
        (What::Optional, format!("{part}{image}")),
        (What::Overrides(Source::Local), place(&master.overrides_directory, &format!("{mac}-phone.cfg"))),
        (What::Overrides(Source::Web), place(&master.overrides_directory, &format!("{mac}-web.cfg"))),
        (What::Licence, place(&master.license_directory, "000000000000-license.cfg")),
        (What::Licence, place(&master.license_directory, &format!("{mac}-license.cfg"))),
        (What::Optional, place(&master.call_lists_directory, &format!("{mac}-calls.xml"))),
        (What::Optional, place(&master.contacts_directory, &format!("{mac}-directory.xml"))),
        (What::Optional, place(&master.contacts_directory, "000000000000-directory.xml")),
        (What::HeadLog, place(&master.log_directory, &format!("{mac}-app.log"))),
        (What::PutLog, place(&master.log_directory, &format!("{mac}-app.log"))),
    ];
    rest.into_iter().map(|(what, file)| Step { what, file }).collect()
}
