//! What phones say: requests written straight into the buffer that they leave from.

use std::net::SocketAddr;

use crate::plan::{Account, Accounts, Plan, Server, Transport};

/// What a branch must begin with (RFC 3261 §8.1.1.7).
const COOKIE: &str = "z9hG4bK";

/// What is the same for every request of a run.
#[derive(Debug)]
pub struct Words {
    domain: String,
    transport: Transport,
    expires: String,
    accounts: Names,
    /// Told apart from every earlier run, whose Call-IDs and sequence numbers a server may remember.
    run: String,
}

#[derive(Debug)]
enum Names {
    Pattern { user: Pattern, password: Option<Pattern> },
    List(Vec<Account>),
}

/// A text with the phone's number in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<(String, Option<usize>)>,
}

impl Pattern {
    /// Reads a pattern: `{n}` is the number, `{n:05}` the number with at least five digits. Other braces stand for themselves.
    pub fn read(text: &str) -> Pattern {
        let mut pieces = Vec::new();
        let mut before = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let place = rest[start..].find('}').map(|end| (&rest[start + 1..start + end], start + end + 1));
            let width = place.and_then(|(inside, _)| match inside {
                "n" => Some(0),
                other => other
                    .strip_prefix("n:0")
                    .and_then(|width| width.parse().ok())
                    .filter(|width| *width <= 20),
            });
            match (width, place) {
                (Some(width), Some((_, next))) => {
                    before.push_str(&rest[..start]);
                    pieces.push((std::mem::take(&mut before), Some(width)));
                    rest = &rest[next..];
                }
                _ => {
                    before.push_str(&rest[..=start]);
                    rest = &rest[start + 1..];
                }
            }
        }
        before.push_str(rest);
        pieces.push((before, None));
        Pattern { pieces }
    }

    /// Writes the text for phone number `n`.
    pub fn write(&self, n: u64, out: &mut Vec<u8>) {
        for (text, width) in &self.pieces {
            out.extend_from_slice(text.as_bytes());
            if let Some(width) = width {
                decimal(n, *width, out);
            }
        }
    }

    /// The text for phone number `n`.
    pub fn text(&self, n: u64) -> String {
        let mut out = Vec::new();
        self.write(n, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `REGISTER` or `OPTIONS`.
    pub method: &'static str,
    /// The phone's number, over all parts.
    pub phone: u64,
    /// Where it is, as its Via and Contact say.
    pub own: SocketAddr,
    /// CSeq.
    pub cseq: u32,
    /// What tells this transaction from the phone's others.
    pub transaction: u32,
    /// Whether the binding is to end: `Expires: 0`.
    pub ends: bool,
    /// A header with credentials, line end included.
    pub credentials: &'a str,
}

impl Words {
    /// The words of a plan against a server; `run` is a token that no other run has.
    pub fn new(plan: &Plan, server: &Server, run: &str) -> Words {
        let accounts = match &plan.phones.accounts {
            Accounts::Pattern { user, password } => {
                Names::Pattern { user: Pattern::read(user), password: password.as_deref().map(Pattern::read) }
            }
            Accounts::List(list) => Names::List(list.clone()),
        };
        Words {
            domain: server.domain.clone(),
            transport: server.transport,
            expires: plan.phones.expires.as_secs().to_string(),
            accounts,
            run: run.to_owned(),
        }
    }

    /// The Request-URI.
    pub fn uri(&self) -> String {
        format!("sip:{}", self.domain)
    }

    /// Writes name and password for digest in place of what is there, and says whether the plan has them.
    pub fn login(&self, phone: u64, user: &mut Vec<u8>, password: &mut Vec<u8>) -> bool {
        user.clear();
        password.clear();
        match &self.accounts {
            Names::Pattern { user: name, password: Some(secret) } => {
                name.write(phone, user);
                secret.write(phone, password);
                true
            }
            Names::Pattern { .. } => false,
            Names::List(list) => {
                let Some(account) = list.get((phone % list.len().max(1) as u64) as usize) else {
                    return false;
                };
                user.extend_from_slice(account.auth_name.as_ref().unwrap_or(&account.user).as_bytes());
                password.extend_from_slice(account.password.as_deref().unwrap_or_default().as_bytes());
                account.password.is_some()
            }
        }
    }

    /// Whether a phone can prove who it is.
    pub fn has_password(&self, phone: u64) -> bool {
        match &self.accounts {
            Names::Pattern { password, .. } => password.is_some(),
            Names::List(list) => {
                let account = list.get((phone % list.len().max(1) as u64) as usize);
                account.is_some_and(|it| it.password.is_some())
            }
        }
    }

    fn user(&self, phone: u64, out: &mut Vec<u8>) {
        match &self.accounts {
            Names::Pattern { user, .. } => user.write(phone, out),
            Names::List(list) => {
                out.extend_from_slice(list[(phone % list.len().max(1) as u64) as usize].user.as_bytes());
            }
        }
    }

    /// Writes a request.
    pub fn write(&self, request: &Request<'_>, out: &mut Vec<u8>) {
        let Request { phone, own, .. } = *request;
        let (via, parameter) = match self.transport {
            Transport::Udp => ("UDP", ""),
            Transport::Tcp => ("TCP", ";transport=tcp"),
            Transport::Tls => ("TLS", ";transport=tls"),
        };
        let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
        put(request.method);
        put(" sip:");
        put(&self.domain);
        put(" SIP/2.0\r\nVia: SIP/2.0/");
        put(via);
        put(" ");
        address(own, out);
        out.extend_from_slice(b";rport;branch=");
        branch(phone, request.transaction, out);
        out.extend_from_slice(b"\r\nMax-Forwards: 70\r\nFrom: <sip:");
        self.user(phone, out);
        out.extend_from_slice(b"@");
        out.extend_from_slice(self.domain.as_bytes());
        out.extend_from_slice(b">;tag=");
        hexadecimal(phone, out);
        out.extend_from_slice(self.run.as_bytes());
        out.extend_from_slice(b"\r\nTo: <sip:");
        self.user(phone, out);
        out.extend_from_slice(b"@");
        out.extend_from_slice(self.domain.as_bytes());
        out.extend_from_slice(b">\r\nCall-ID: ");
        hexadecimal(phone, out);
        out.extend_from_slice(b"-");
        out.extend_from_slice(self.run.as_bytes());
        out.extend_from_slice(b"\r\nCSeq: ");
        decimal(u64::from(request.cseq), 0, out);
        out.extend_from_slice(b" ");
        out.extend_from_slice(request.method.as_bytes());
        out.extend_from_slice(b"\r\nContact: <sip:");
        self.user(phone, out);
        out.extend_from_slice(b"@");
        address(own, out);
        out.extend_from_slice(parameter.as_bytes());
        out.extend_from_slice(b">\r\n");
        if request.method == "REGISTER" {
            out.extend_from_slice(b"Expires: ");
            out.extend_from_slice(if request.ends { b"0" } else { self.expires.as_bytes() });
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(request.credentials.as_bytes());
        out.extend_from_slice(b"User-Agent: lab-load\r\nContent-Length: 0\r\n\r\n");
    }
}

/// Writes a branch that says whose transaction it is.
fn branch(phone: u64, transaction: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(COOKIE.as_bytes());
    hexadecimal(phone, out);
    out.push(b'.');
    hexadecimal(u64::from(transaction), out);
}

/// Whose transaction a branch names: the phone's number and the transaction's. Nothing if it is none of ours.
pub fn read_branch(text: &str) -> Option<(u64, u32)> {
    let (phone, transaction) = text.strip_prefix(COOKIE)?.split_once('.')?;
    let digits =
        |text: &str| !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !digits(phone) || !digits(transaction) {
        return None;
    }
    Some((u64::from_str_radix(phone, 16).ok()?, u32::from_str_radix(transaction, 16).ok()?))
}

fn address(at: SocketAddr, out: &mut Vec<u8>) {
    match at.ip() {
        std::net::IpAddr::V4(ip) => {
            for (index, octet) in ip.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                decimal(u64::from(octet), 0, out);
            }
        }
        std::net::IpAddr::V6(ip) => out.extend_from_slice(format!("[{ip}]").as_bytes()),
    }
    out.push(b':');
    decimal(u64::from(at.port()), 0, out);
}

fn decimal(mut number: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 || start == digits.len() {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let start = start.min(digits.len() - width.min(digits.len()));
    out.extend_from_slice(&digits[start..]);
}

/// Writes a number in hexadecimal digits.
pub fn hexadecimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 16];
    let mut start = digits.len();
    while number > 0 || start == digits.len() {
        start -= 1;
        digits[start] = b"0123456789abcdef"[(number % 16) as usize];
        number /= 16;
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_puts_the_number_where_it_is_wanted() {
        assert_eq!(Pattern::read("load{n:05}").text(42), "load00042");
        assert_eq!(Pattern::read("{n}-at-{n:03}").text(1_234), "1234-at-1234");
        assert_eq!(Pattern::read("a{m}b{n").text(1), "a{m}b{n");
    }

    proptest! {
        #[test]
        fn a_branch_is_read_as_it_was_written(phone: u64, transaction: u32) {
            let mut out = Vec::new();
            branch(phone, transaction, &mut out);
            let text = String::from_utf8(out).expect("letters and digits");
            prop_assert_eq!(read_branch(&text), Some((phone, transaction)));
        }

        #[test]
        fn any_branch_is_read_or_left(text in "\\PC{0,40}") {
            let _ = read_branch(&text);
            let _ = read_branch(&format!("{COOKIE}{text}"));
            let _ = Pattern::read(&text).text(7);
        }
    }
}
