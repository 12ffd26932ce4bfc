//! What calls need of a line: a way out, the names that go into their messages, and proofs for challenges.
//!
//! A call machine knows neither sockets nor registrations. For a call on line `n` it
//!
//! 1. takes [`Lines::outlet`]: the flow to send on, and what to write into From, Contact, Route and User-Agent;
//! 2. writes its request, with a Via by [`Outlet::via`], and adds the headers of [`Lines::proofs`];
//! 3. sends it, and every repeat, by [`Lines::send`]; [`Flow::reliability`] says whether repeats are needed;
//! 4. takes answers from [`crate::line::Said::Response`]. A 401 or 407 goes to [`Lines::challenged`]: after `Ok` the
//!    request is sent again as a new one (its CSeq one higher, a new branch) with [`Lines::proofs`] as before; any other
//!    final answer goes to [`Lines::accepted`];
//! 5. tells [`Lines::unreachable`] if nobody answered, so that the line may fail over.
//!
//! What others ask comes as [`crate::line::Said::Request`]; [`Lines::line_of`] says whose it is. An answer begins with
//! [`crate::line::ports::reply`] and goes out by [`Lines::respond`].

use net::{Outbox, Random, Time};
use sip::digest::{Asked, NoAnswer};
use sip::{Draft, Message};
use thiserror::Error;

use crate::line::lines::{Lines, Said, Setting};
use crate::line::messages;
use crate::line::ports::{Flow, Ports};
use crate::line::registration::Line;

/// Where a call of a line goes out, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlet {
    /// The line.
    pub line: u8,
    /// The way to the server that the line is at.
    pub flow: Flow,
    /// The line's address of record: `sip:201@contoso.example`.
    pub uri: String,
    /// The domain that completes a number to an address.
    pub domain: String,
    /// The line's name; may be empty.
    pub display_name: String,
    /// Where the other end reaches the phone: a URI for Contact.
    pub contact: String,
    /// What goes into Route headers, in order; often nothing.
    pub routes: Vec<String>,
}

impl Outlet {
    /// A Via for a request of this line.
    pub fn via(&self, branch: &str) -> String {
        messages::via(&self.flow, branch)
    }
}

/// Why a line has no way out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoOutlet {
    /// There is no such line.
    #[error("there is no line {0}")]
    NoLine(u8),
    /// It is not registered; why, if something is known.
    #[error("line {0} is not registered")]
    NotRegistered(u8),
}

impl Lines {
    /// The way out of a line that is registered.
    ///
    /// # Errors
    ///
    /// If there is no such line, or it is not registered.
    pub fn outlet(&self, number: u8) -> Result<Outlet, NoOutlet> {
        let line = self.line(number).ok_or(NoOutlet::NoLine(number))?;
        let binding = line.binding().ok_or(NoOutlet::NotRegistered(number))?;
        let settings = line.settings();
        Ok(Outlet {
            line: number,
            flow: binding.flow,
            uri: settings.uri(binding.server),
            domain: settings.domain(binding.server).to_owned(),
            display_name: settings.display_name.clone(),
            contact: messages::contact_uri(&settings.user, &binding.flow),
            routes: binding.routes.clone(),
        })
    }

    /// The line of that number.
    pub fn line(&self, number: u8) -> Option<&Line> {
        self.lines.iter().find(|line| line.settings().number == number)
    }

    /// Whose line a request is for, by the user part of its Request-URI.
    pub fn line_of(&self, request: &Message) -> Option<u8> {
        let user = request.uri()?.user_name()?;
        let is_mine = |line: &&Line| line.settings().user == user;
        self.lines.iter().find(is_mine).map(|line| line.settings().number)
    }

    /// The headers that prove a request of this line to everybody who asked so far; call it once for each new request.
    pub fn proofs(&mut self, line: u8, asked: &Asked<'_>) -> Vec<(&'static str, String)> {
        self.line_mut(line).map(|line| line.login_mut().answer(asked)).unwrap_or_default()
    }

    /// Takes in a 401 or 407 to `sent`.
    ///
    /// # Errors
    ///
    /// Says why the request is not to be sent again.
    pub fn challenged(
        &mut self,
        line: u8,
        response: &Message,
        sent: &Message,
        random: &mut Random,
    ) -> Result<(), NoAnswer> {
        let line = self.line_mut(line).ok_or(NoAnswer::NoChallenge)?;
        line.login_mut().challenged(response, sent, random)
    }

    /// Takes in any other final response to `sent`, for what it says of the proofs.
    pub fn accepted(&mut self, line: u8, response: &Message, sent: &Message, random: &mut Random) {
        if let Some(line) = self.line_mut(line) {
            line.login_mut().accepted(response, sent, random);
        }
    }

    /// Nobody answered a request of this line: it fails over where its settings say so.
    pub fn unreachable(
        &mut self,
        line: u8,
        now: Time,
        with: &mut Setting<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        let at = self.lines.iter().position(|known| known.settings().number == line);
        at.map(|at| self.with_line(at, with, |line, tools| line.unreachable(now, tools, out)))
            .unwrap_or_default()
    }

    /// Sends a request, or a repeat; `what` says in a word what it is for.
    pub fn send(&mut self, flow: &Flow, message: &Message, what: &str, out: &mut Outbox) {
        self.ports.send(flow, message, what, out);
    }

    /// Sends a response to a request that came by `flow`, where RFC 3261 §18.2.2 wants it.
    pub fn respond(&mut self, request: &Message, flow: &Flow, response: &Draft, out: &mut Outbox) {
        // Everything in a response that came from outside was in a header before and fits into one again.
        if let Ok(message) = response.message() {
            self.ports.send(&Ports::way_back(request, flow), &message, "", out);
        }
    }

    fn line_mut(&mut self, number: u8) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.settings().number == number)
    }
}
