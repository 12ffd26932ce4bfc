//! What an answer to REGISTER leads to.

use std::time::Duration;

use net::{Outbox, Time};
use sip::Message;
use sip::digest::NoAnswer;

use crate::line::messages;
use crate::line::settings::FailBack;
use crate::log::Level;
use crate::registration::messages::reason;

use super::attempt::Purpose;
use super::{Binding, EXPIRES_MAX_S, Line, MOVES_MAX, News, TOO_BRIEF_MAX, Tools, moved_to};

impl Line {
    /// The answer to what is out.
    pub(super) fn answered(
        &mut self,
        response: &Message,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        let status = response.status().unwrap_or(0);
        let Some((flow, sent)) = self.attempt.as_ref().and_then(|attempt| attempt.sent()) else {
            return Vec::new();
        };
        if status < 200 {
            if let Some(attempt) = &mut self.attempt {
                attempt.provisional(now, response);
            }
            return Vec::new();
        }
        if matches!(status, 401 | 407) {
            return match self.login.challenged(response, &sent, tools.random) {
                Ok(()) => self.ask(flow, now, tools, out),
                Err(NoAnswer::Refused(_)) => self.login_refused(response, now, tools, out),
                Err(why) => self.round_failed(why.to_string(), None, now, tools, out),
            };
        }
        self.login.accepted(response, &sent, tools.random);
        let wait = messages::retry_after(response);
        if let (Some(attempt), Some(wait)) = (&mut self.attempt, wait) {
            attempt.asked = attempt.asked.max(Some(wait));
        }
        let log = |why: &str| {
            let text = format!("Registration failed User: {}, Error Code:{why}", self.settings.user);
            News::Log(Level::Minor, text)
        };
        let why = reason(response);
        match status {
            200..=299 => self.registered(response, &sent, now, tools, out),
            423 => self.too_brief(response, now, tools, out),
            300..=399 => {
                let moves = self.attempt.as_ref().map_or(0, |attempt| attempt.moves);
                match moved_to(response).filter(|_| moves < MOVES_MAX) {
                    Some(place) => self.move_to(place, now, tools, out),
                    None => self.round_failed(why, None, now, tools, out),
                }
            }
            // The server is in trouble; another one may not be.
            408 | 430 | 500..=599 => {
                let mut news = vec![log(&why)];
                news.extend(self.place_failed(why, now, tools, out));
                news
            }
            _ => {
                let mut news = vec![log(&why)];
                news.extend(self.round_failed(why, wait, now, tools, out));
                news
            }
        }
    }

    fn registered(
        &mut self,
        response: &Message,
        sent: &Message,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        let granted_s = messages::granted(response, sent);
        if granted_s == 0 {
            return self.server_failed("the server granted no time".to_owned(), now, tools, out);
        }
        let Some(attempt) = self.attempt.take() else { return Vec::new() };
        let Some((flow, _)) = attempt.sent() else { return Vec::new() };
        let settings = &self.settings.servers[attempt.server];
        // `expires.overlap` before the end; half-way where that would come too soon after.
        let wait_s = granted_s.saturating_sub(settings.overlap_s).max(granted_s / 2).max(1);
        // A way that carried refreshes is as old as its first.
        let same = self.binding.as_ref().filter(|before| before.flow == flow);
        let since = same.map_or(now, |before| before.since);
        let before = self.binding.replace(Binding {
            server: attempt.server,
            flow,
            until: now + Duration::from_secs(granted_s.into()),
            granted_s,
            routes: messages::service_routes(response),
            since,
            refresh_at: now + Duration::from_secs(wait_s.into()),
        });
        let at = settings.place.host.clone();
        if let Some(stream) = before.as_ref().and_then(|before| before.flow.stream)
            && Some(stream) != flow.stream
        {
            tools.ports.hang_up(stream, out);
        }
        self.failures = 0;
        self.why.clear();
        (self.retry_at, self.is_login_refused) = (None, false);
        self.look_back(now, tools);
        let was_lost = std::mem::take(&mut self.is_lost);
        let is_first = !std::mem::replace(&mut self.has_been_registered, true);
        let mut news = Vec::new();
        let from = before.as_ref().map(|before| before.server);
        match (from, attempt.server) {
            (Some(from), to) if from == to && !was_lost => return news,
            (Some(_), 0) => news.push(News::FailedBack(at.clone())),
            (_, to) if to != 0 && from != Some(to) => news.push(News::FailedOver(at.clone())),
            _ => {}
        }
        news.push(News::Registered { at, is_back: was_lost && !is_first });
        news
    }

    /// When to look for the first server again.
    fn look_back(&mut self, now: Time, tools: &Tools<'_>) {
        let is_away = self.binding.as_ref().is_some_and(|binding| binding.server != 0);
        // The first server's settings say when it is looked for.
        let mode = self.settings.servers.first().filter(|_| is_away).map(|first| first.fail_back);
        self.fail_back_at = match mode.unwrap_or(FailBack::NewRequests) {
            FailBack::Duration(wait) => Some(now + wait),
            FailBack::DnsTtl => {
                self.record_life(now, tools).map(|life| now + life.max(Duration::from_secs(1)))
            }
            FailBack::NewRequests | FailBack::Registration => None,
        };
    }

    /// 423: the server wants a longer lifetime (RFC 3261 §10.2.8).
    fn too_brief(
        &mut self,
        response: &Message,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        let least = response.header("Min-Expires").and_then(|text| text.trim().parse::<u32>().ok());
        let sent = self.attempt.as_ref().and_then(|attempt| attempt.sent());
        let (Some(least), Some((flow, sent))) = (least, sent) else {
            return self.round_failed(reason(response), None, now, tools, out);
        };
        let tries = self.attempt.as_mut().map_or(TOO_BRIEF_MAX, |attempt| {
            attempt.too_brief += 1;
            attempt.too_brief
        });
        let is_more = least > sent.expires().unwrap_or(0) && least <= EXPIRES_MAX_S;
        if !is_more || tries > TOO_BRIEF_MAX {
            return self.round_failed(reason(response), None, now, tools, out);
        }
        self.least_s = least;
        self.ask(flow, now, tools, out)
    }

    fn login_refused(
        &mut self,
        response: &Message,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        let why = reason(response);
        let text = format!("Registration failed User: {}, Error Code:{why}", self.settings.user);
        let mut news = vec![News::Log(Level::Minor, text)];
        if !std::mem::replace(&mut self.is_login_refused, true) {
            news.push(News::LoginRefused);
        }
        news.extend(self.round_failed("the login is not accepted".to_owned(), None, now, tools, out));
        news
    }

    /// The round came to nothing.
    pub(super) fn round_failed(
        &mut self,
        why: String,
        asked: Option<Duration>,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        let asked = asked.max(self.attempt.as_ref().and_then(|attempt| attempt.asked));
        let purpose = self.attempt.as_ref().map(|attempt| attempt.purpose);
        self.drop_attempt(tools, out);
        if purpose == Some(Purpose::FailBack) && self.binding.is_some() {
            // The binding elsewhere is as good as before.
            self.why.clear();
            self.look_back(now, tools);
            return Vec::new();
        }
        self.drop_binding(tools, out);
        self.fail_back_at = None;
        self.wait(why, asked, now, tools)
    }
}
