//! A browser without script: it keeps cookies, follows redirects and fills the forms that a page shows.

use bytes::Bytes;
use net::http::{Request, Response, StatusCode, header};
use scraper::{Html, Selector};

use crate::lab::{Lab, get};

pub struct Browser {
    pub peer: String,
    pub cookie: Option<String>,
    pub html: String,
    pub status: StatusCode,
}

/// A form as a page shows it.
#[derive(Clone, Debug)]
pub struct PageForm {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

fn select(css: &str) -> Selector {
    Selector::parse(css).unwrap()
}

impl Browser {
    pub fn new(peer: &str) -> Browser {
        Browser { peer: peer.into(), cookie: None, html: String::new(), status: StatusCode::OK }
    }

    pub fn open(&mut self, lab: &mut Lab, path: &str) -> &mut Browser {
        let mut path = path.to_owned();
        for _ in 0..5 {
            let mut request = get(&path);
            self.add_cookie(&mut request);
            let answer = lab.ask(&self.peer, request);
            match answer.headers().get(header::LOCATION) {
                Some(to) => {
                    let to = to.to_str().unwrap();
                    path = to.strip_prefix("https://login.contoso.example").expect("own address").to_owned();
                }
                None => {
                    self.take(answer);
                    return self;
                }
            }
        }
        panic!("redirected in circles");
    }

    fn add_cookie(&self, request: &mut Request<Bytes>) {
        if let Some(cookie) = &self.cookie {
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        }
    }

    fn take(&mut self, answer: Response<Bytes>) {
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
            self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        }
        self.status = answer.status();
        self.html = String::from_utf8(answer.body().to_vec()).unwrap();
    }

    /// `data-page`, and `data-error` behind a colon if there is one.
    pub fn page(&self) -> String {
        let html = Html::parse_document(&self.html);
        let body = html.select(&select("body")).next().expect("a body").value().clone();
        let page = body.attr("data-page").unwrap_or_else(|| panic!("no page: {}", self.html));
        match body.attr("data-error") {
            Some(error) => format!("{page}:{error}"),
            None => page.to_owned(),
        }
    }

    pub fn text(&self, css: &str) -> String {
        let html = Html::parse_document(&self.html);
        let found = html.select(&select(css)).next().unwrap_or_else(|| panic!("no {css}: {}", self.html));
        found.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub fn form(&self, action: &str) -> PageForm {
        let html = Html::parse_document(&self.html);
        let form = html
            .select(&select("form[method=post]"))
            .find(|form| form.value().attr("action") == Some(action))
            .unwrap_or_else(|| panic!("no form for {action}: {}", self.html));
        let fields = form
            .select(&select("input"))
            .filter(|input| {
                input.value().attr("type") != Some("checkbox") || input.value().attr("checked").is_some()
            })
            .filter_map(|input| {
                let name = input.value().attr("name")?;
                Some((name.to_owned(), input.value().attr("value").unwrap_or_default().to_owned()))
            })
            .collect();
        PageForm { action: action.to_owned(), fields }
    }

    /// Fills the page's form and sends it.
    pub fn submit(&mut self, lab: &mut Lab, action: &str, values: &[(&str, &str)]) -> &mut Browser {
        let mut form = self.form(action);
        for (name, value) in values {
            form.fields.retain(|(known, _)| known != name);
            form.fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        self.send(lab, &form)
    }

    pub fn send(&mut self, lab: &mut Lab, form: &PageForm) -> &mut Browser {
        let fields: Vec<(&str, &str)> =
            form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut request = crate::lab::post(&form.action, &fields);
        self.add_cookie(&mut request);
        let answer = lab.ask(&self.peer, request);
        self.take(answer);
        self
    }

    // What a person does.

    pub fn enter_code(&mut self, lab: &mut Lab, user_code: &str) -> &mut Browser {
        self.open(lab, "/device");
        assert_eq!(self.page(), "enter-code");
        self.submit(lab, "/common/oauth2/deviceauth", &[("otc", user_code)])
    }

    pub fn confirm_app(&mut self, lab: &mut Lab, choice: &str) -> &mut Browser {
        self.submit(lab, "/common/confirm", &[("choice", choice)])
    }

    pub fn name(&mut self, lab: &mut Lab, upn: &str) -> &mut Browser {
        self.submit(lab, "/common/username", &[("loginfmt", upn)])
    }

    pub fn password(&mut self, lab: &mut Lab, password: &str) -> &mut Browser {
        self.submit(lab, "/common/login", &[("passwd", password), ("choice", "signin")])
    }

    pub fn second_factor(&mut self, lab: &mut Lab, digits: &str) -> &mut Browser {
        self.submit(lab, "/common/mfa", &[("otc", digits)])
    }

    pub fn stay(&mut self, lab: &mut Lab, answer: &str) -> &mut Browser {
        self.submit(lab, "/kmsi", &[("LoginOptions", answer)])
    }

    /// From the code page to the password, in the profiles that ask about the application first.
    pub fn up_to_password(&mut self, lab: &mut Lab, user_code: &str, upn: &str) -> &mut Browser {
        self.enter_code(lab, user_code).confirm_app(lab, "continue").name(lab, upn)
    }

    /// The whole way for somebody without a second factor.
    pub fn approve(&mut self, lab: &mut Lab, user_code: &str, upn: &str, password: &str) -> &mut Browser {
        self.up_to_password(lab, user_code, upn).password(lab, password).stay(lab, "0");
        assert_eq!(self.page(), "finished");
        self
    }
}
