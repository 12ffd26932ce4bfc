//! The pages of the way, made from where the way stands.

use crate::errors::Fault;
use crate::pages::{self, Device, Shown, View};
use crate::sessions::{Flow, Purpose, Step};
use crate::turn::Turn;

pub(crate) fn with_error(mut view: View, number: u32, text: &str) -> View {
    view.frame().error = Some(Shown { code: number.to_string(), text: text.to_owned() });
    view
}

pub(crate) fn enter_code(typed: &str) -> View {
    View::EnterCode(pages::EnterCode { frame: Default::default(), typed: typed.to_owned() })
}

/// What of a typed code is worth showing again.
pub(crate) fn shortened(typed: &str) -> String {
    typed.chars().filter(|c| !c.is_control()).take(20).collect()
}

pub(crate) fn code_advice(fault: &Fault) -> &'static str {
    match fault.number {
        90119 => "Type the code that the device shows.",
        70019 => "This code has expired. Ask the device for a new one.",
        90120 => "This code was used already. Ask the device for a new one.",
        _ => "That code did not work. Check the code and try again.",
    }
}

pub(crate) fn device_of(flow: &Flow) -> Option<Device> {
    match &flow.purpose {
        Purpose::Device { user_code, application, address, asked, .. } => Some(Device {
            application: application.clone(),
            user_code: user_code.expose().to_owned(),
            address: address.clone(),
            asked: asked.clone(),
        }),
        Purpose::Code | Purpose::Portal | Purpose::Password => None,
    }
}

pub(crate) fn ask_username(flow: Flow, upn: &str) -> Turn {
    let page = pages::Username { frame: Default::default(), device: device_of(&flow), upn: upn.to_owned() };
    Turn::Next(flow.at(Step::Username), View::Username(page))
}

pub(crate) fn ask_password(flow: Flow) -> Turn {
    let page = pages::Password { frame: Default::default(), device: device_of(&flow), upn: flow.upn.clone() };
    Turn::Next(flow.at(Step::Password), View::Password(page))
}

pub(crate) fn ask_new_password(flow: Flow) -> Turn {
    let page = pages::NewPassword { frame: Default::default(), upn: flow.upn.clone() };
    Turn::Next(flow.at(Step::NewPassword), View::NewPassword(page))
}

pub(crate) fn ask_second_factor(flow: Flow) -> Turn {
    let page = pages::SecondFactor { frame: Default::default(), upn: flow.upn.clone() };
    Turn::Next(flow.at(Step::SecondFactor), View::SecondFactor(page))
}
