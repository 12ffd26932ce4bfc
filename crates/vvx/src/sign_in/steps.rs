//! From one step to the next: what each answer leads to.

use net::{Time, Wall};
use url::Url;

use super::ask::Answer;
use super::certificate::Certificate;
use super::discover::{self, Challenge, Discover};
use super::ticket::{self, Proof, Ticket};
use super::tokens::is_address;
use super::user_id::{self, NoToken};
use super::web_code;
use super::{SignIn, Stage, Then, Want, failed, refresh_of};

impl SignIn {
    /// Time has passed.
    pub fn woken(&mut self, now: Time) -> Vec<Want> {
        let Stage::Code(code) = &mut self.stage else {
            return Vec::new();
        };
        let outcome = code.woken(now);
        self.code_step(outcome)
    }

    /// The service records that [`Want::LookUp`] asked for.
    pub fn looked_up(&mut self, records: &[(String, u16)]) -> Vec<Want> {
        let Stage::Discovering(discover) = &mut self.stage else {
            return Vec::new();
        };
        let outcome = discover.looked_up(records);
        self.discover_step(outcome)
    }

    /// The pool wants a certificate, to be had at `service` if it says so.
    pub fn needs_certificate(&mut self, service: Option<Url>) -> Vec<Want> {
        if !matches!(self.stage, Stage::Knocking | Stage::Done) {
            return Vec::new();
        }
        let Some(service) = service.or_else(|| self.certificates.clone()) else {
            return vec![failed("The pool does not say where certificates are to be had.".to_owned(), false)];
        };
        self.certificates = Some(service.clone());
        if self.proof.is_none() {
            self.proof = self.typed.clone().map(|(user, password)| Proof::Password { user, password });
        }
        self.ticket_for_certificates(service)
    }

    /// What [`Want::Keep`] asked for is safe.
    pub fn kept(&mut self) -> Vec<Want> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Keeping(enrolled) => vec![Want::Certified(enrolled)],
            stage => {
                self.stage = stage;
                Vec::new()
            }
        }
    }

    pub(super) fn step(&mut self, now: Time, wall: Wall, answer: Answer) -> Vec<Want> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Code(mut code) => {
                let outcome = code.answered(now, answer);
                self.stage = Stage::Code(code);
                self.code_step(outcome)
            }
            Stage::Discovering(mut discover) => {
                let outcome = discover.answered(answer);
                self.stage = Stage::Discovering(discover);
                self.discover_step(outcome)
            }
            Stage::DiscoveringByTicket(discover, mut ticket) => {
                let outcome = ticket.answered(answer);
                self.discover_ticket_step(*discover, ticket, outcome)
            }
            Stage::Token(endpoint, then) => self.token_step(endpoint, *then, answer),
            Stage::Ticket(mut ticket) => {
                let outcome = ticket.answered(answer);
                self.ticket_step(ticket, outcome)
            }
            Stage::Certificate(certificate) => match certificate.answered(answer, wall) {
                Ok(enrolled) => {
                    self.stage = Stage::Keeping(Box::new(enrolled.clone()));
                    vec![Want::Keep(Box::new(enrolled))]
                }
                Err(none) => vec![failed(none.why, none.is_refusal)],
            },
            stage @ (Stage::Knocking | Stage::Keeping(_) | Stage::Done) => {
                self.stage = stage;
                Vec::new()
            }
        }
    }

    fn code_step(&mut self, outcome: web_code::Outcome) -> Vec<Want> {
        match outcome {
            web_code::Outcome::Wait => Vec::new(),
            web_code::Outcome::Ask(ask) => vec![self.ask(ask)],
            web_code::Outcome::Show => vec![Want::ShowCode],
            web_code::Outcome::Expired => vec![Want::Expired],
            web_code::Outcome::Failed(why) => vec![failed(why, true)],
            web_code::Outcome::Granted(tokens) => {
                let Some(owner) = tokens.upn.clone() else {
                    return vec![failed("The token does not say whose it is.".to_owned(), true)];
                };
                let endpoint = self.context.application.endpoint("oauth2/token");
                self.credential = refresh_of(&tokens, endpoint);
                self.proof = Some(Proof::Token(tokens.access));
                self.address = owner.clone();
                let mut wants = vec![Want::Owner(owner)];
                wants.extend(self.discover());
                wants
            }
        }
    }

    pub(super) fn discover(&mut self) -> Vec<Want> {
        let (discover, outcome) = Discover::start(&self.address, self.context.hints.clone());
        self.stage = Stage::Discovering(discover);
        self.discover_step(outcome)
    }

    fn discover_step(&mut self, outcome: discover::Outcome) -> Vec<Want> {
        match outcome {
            discover::Outcome::Wait => Vec::new(),
            discover::Outcome::Ask(ask) => vec![self.ask(ask)],
            discover::Outcome::LookUp(name) => vec![Want::LookUp(name)],
            discover::Outcome::Failed(why) => vec![failed(why, false)],
            discover::Outcome::Challenged(challenge) => self.challenged(challenge),
            discover::Outcome::Found(servers) => {
                if self.certificates.is_none() {
                    self.certificates = self.context.hints.certificate_service.clone();
                }
                self.servers = servers.clone();
                self.stage = Stage::Knocking;
                vec![Want::Register(servers)]
            }
        }
    }

    /// The pool's own document is only for the holder of a ticket.
    fn challenged(&mut self, challenge: Challenge) -> Vec<Want> {
        let Stage::Discovering(discover) = std::mem::replace(&mut self.stage, Stage::Done) else {
            return Vec::new();
        };
        match (&self.proof, &self.typed, &challenge.tokens) {
            (Some(proof), _, _) => {
                let proof = proof.clone();
                self.ticket_for_discovery(discover, &challenge, proof)
            }
            (None, Some(_), Some(named)) => {
                let named = named.clone();
                self.fetch_token(named, Then::Discover(Box::new(discover), Box::new(challenge)))
            }
            (None, Some((user, password)), None) => {
                let proof = Proof::Password { user: user.clone(), password: password.clone() };
                self.ticket_for_discovery(discover, &challenge, proof)
            }
            (None, None, _) => vec![failed("Nothing to show to the pool.".to_owned(), true)],
        }
    }

    fn ticket_for_discovery(&mut self, discover: Discover, challenge: &Challenge, proof: Proof) -> Vec<Want> {
        let entropy = self.random.bytes();
        let (ticket, ask) = Ticket::for_resource(
            &challenge.issuer,
            challenge.resource.clone(),
            &self.address,
            self.context.device.clone(),
            proof,
            entropy,
        );
        self.stage = Stage::DiscoveringByTicket(Box::new(discover), Box::new(ticket));
        vec![self.ask(ask)]
    }

    fn discover_ticket_step(
        &mut self,
        mut discover: Discover,
        ticket: Box<Ticket>,
        outcome: ticket::Outcome,
    ) -> Vec<Want> {
        match outcome {
            ticket::Outcome::Issued(issued) => {
                let outcome = discover.ticketed(&issued);
                self.stage = Stage::Discovering(discover);
                self.discover_step(outcome)
            }
            ticket::Outcome::Ask(ask) => {
                self.stage = Stage::DiscoveringByTicket(Box::new(discover), ticket);
                vec![self.ask(ask)]
            }
            ticket::Outcome::Wait => {
                self.stage = Stage::DiscoveringByTicket(Box::new(discover), ticket);
                Vec::new()
            }
            // The challenge promised that passwords do; the issuer knows better.
            ticket::Outcome::WantsToken(named) => {
                self.stage = Stage::Done;
                match self.certificates.clone() {
                    Some(url) => self.fetch_token(named, Then::Certificates(url)),
                    None => vec![failed("The pool contradicts itself about passwords.".to_owned(), true)],
                }
            }
            ticket::Outcome::Refused(why) => vec![failed(why, true)],
            ticket::Outcome::Failed(why) => vec![failed(why, false)],
        }
    }

    /// Trades the typed password for a token, then goes on.
    fn fetch_token(&mut self, named: Option<Url>, then: Then) -> Vec<Want> {
        let Some((_, password)) = &self.typed else {
            return vec![failed("The pool wants a token.".to_owned(), true)];
        };
        let domain = self.address.split_once('@').map_or("", |(_, domain)| domain);
        let endpoint = user_id::endpoint(named.as_ref(), &self.context.application, domain);
        let ask =
            user_id::password_grant(endpoint.clone(), &self.context.application, &self.address, password);
        self.stage = Stage::Token(endpoint, Box::new(then));
        vec![self.ask(ask)]
    }

    fn token_step(&mut self, endpoint: Url, then: Then, answer: Answer) -> Vec<Want> {
        let tokens = match user_id::read(answer) {
            Ok(tokens) => tokens,
            Err(why) => return vec![failed(why.spell(), matches!(why, NoToken::Refused(_)))],
        };
        if let Some(owner) = tokens.upn.as_ref().filter(|owner| is_address(owner))
            && *owner != self.address
        {
            return vec![failed("The token is somebody else's.".to_owned(), true)];
        }
        let fresh = refresh_of(&tokens, endpoint);
        let mut wants = Vec::new();
        if self.is_renewal {
            wants.extend(fresh.clone().map(|credential| Want::KeepCredential(Box::new(credential))));
        }
        self.credential = fresh.or(self.credential.take());
        let proof = Proof::Token(tokens.access);
        self.proof = Some(proof.clone());
        wants.extend(match then {
            Then::Discover(discover, challenge) => self.ticket_for_discovery(*discover, &challenge, proof),
            Then::Certificates(url) => self.ticket_for_certificates(url),
        });
        wants
    }

    pub(super) fn ticket_for_certificates(&mut self, url: Url) -> Vec<Want> {
        let Some(proof) = self.proof.clone() else {
            return vec![failed("Nothing to show to the pool.".to_owned(), true)];
        };
        let entropy = self.random.bytes();
        let device = self.context.device.clone();
        let (ticket, ask) = Ticket::for_certificates(url, &self.address, device, proof, entropy);
        self.stage = Stage::Ticket(ticket);
        vec![self.ask(ask)]
    }

    fn ticket_step(&mut self, ticket: Ticket, outcome: ticket::Outcome) -> Vec<Want> {
        match outcome {
            ticket::Outcome::Wait => {
                self.stage = Stage::Ticket(ticket);
                Vec::new()
            }
            ticket::Outcome::Ask(ask) => {
                self.stage = Stage::Ticket(ticket);
                vec![self.ask(ask)]
            }
            ticket::Outcome::WantsToken(named) => match self.certificates.clone() {
                Some(url) => self.fetch_token(named, Then::Certificates(url)),
                None => vec![failed("The pool contradicts itself about passwords.".to_owned(), true)],
            },
            ticket::Outcome::Refused(why) => vec![failed(why, true)],
            ticket::Outcome::Failed(why) => vec![failed(why, false)],
            ticket::Outcome::Issued(issued) => {
                if self.credential.is_none()
                    && let (Some(Proof::Password { .. }), Some((user, password))) = (&self.proof, &self.typed)
                {
                    let (user, password) = (user.clone(), password.clone());
                    self.credential = Some(super::Credential::Password { user, password });
                }
                let device_id = format!("{{{}}}", self.context.device);
                let started = Certificate::start(
                    &issued,
                    &self.address,
                    &device_id,
                    self.context.crypto,
                    &mut self.random,
                );
                match started {
                    Ok((certificate, ask)) => {
                        self.stage = Stage::Certificate(certificate);
                        vec![self.ask(ask)]
                    }
                    Err(why) => vec![failed(why, true)],
                }
            }
        }
    }
}
