//! Pages: what a person sees of an HTML document, and the forms in it.

use scraper::{ElementRef, Html, Selector};
use url::Url;

/// A page as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where it came from.
    pub url: Url,
    /// The status that it came with.
    pub status: u16,
    /// Its id: the body's `data-page`, else `page`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its text, one block a line.
    pub text: String,
    /// What it warns of: the text of an element with `role="alert"`.
    pub alert: Option<String>,
    /// The number of the error that it shows, if it names one.
    pub error: Option<String>,
    /// Its forms, in order.
    pub forms: Vec<Form>,
    links: Vec<(String, Url)>,
}

/// A form of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Where it goes.
    pub action: Url,
    /// Whether it is sent by POST.
    pub is_post: bool,
    fields: Vec<Field>,
    buttons: Vec<Button>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    /// What stands beside it.
    label: String,
    value: String,
    is_typed: bool,
    /// A box or a dot that only counts when it is chosen.
    is_chosen: bool,
}

/// A button of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    label: String,
    name: Option<String>,
    value: String,
    sends: bool,
}

/// What is looked for in every page, parsed once.
struct Selectors {
    body: Selector,
    title: Selector,
    alert: Selector,
    /// What is read as a block of text.
    blocks: Selector,
    anchors: Selector,
    forms: Selector,
    labels: Selector,
    /// What a form consists of.
    controls: Selector,
    options: Selector,
    named: Selector,
}

thread_local! {
    static SELECTORS: Selectors = Selectors {
        body: selector("body"),
        title: selector("title"),
        alert: selector("[role=alert]"),
        blocks: selector("h1, h2, h3, p, li, dt, dd, label, legend, button, td, th, [role=alert], output"),
        anchors: selector("a[href]"),
        forms: selector("form"),
        labels: selector("label[for]"),
        controls: selector("input, textarea, select, button"),
        options: selector("option[selected], option"),
        named: selector("[id]"),
    };
}

fn selector(text: &str) -> Selector {
    Selector::parse(text).expect("a selector written here is valid")
}

fn text_of(element: ElementRef<'_>) -> String {
    let mut words = Vec::new();
    gather(element, &mut words);
    words.join(" ")
}

/// The words of an element as they are read out: what is hidden from reading is left out.
fn gather(element: ElementRef<'_>, words: &mut Vec<String>) {
    if element.value().attr("aria-hidden") == Some("true") {
        return;
    }
    for child in element.children() {
        match (child.value().as_text(), ElementRef::wrap(child)) {
            (Some(text), _) => words.extend(text.split_whitespace().map(str::to_owned)),
            (None, Some(element)) => gather(element, words),
            (None, None) => {}
        }
    }
}

/// What `aria-labelledby` makes of an element's label: the texts of the elements that it names, one after the other.
fn labelled_by(element: ElementRef<'_>, selectors: &Selectors) -> Option<String> {
    let ids = element.value().attr("aria-labelledby")?;
    let root = element
        .ancestors()
        .last()
        .and_then(ElementRef::wrap)
        .or_else(|| element.ancestors().filter_map(ElementRef::wrap).last())?;
    let words = ids.split_whitespace().filter_map(|id| {
        root.select(&selectors.named).find(|named| named.value().attr("id") == Some(id)).map(text_of)
    });
    Some(words.collect::<Vec<_>>().join(" ")).filter(|label| !label.is_empty())
}

impl Page {
    /// Reads a document. Any text is some page: what cannot be read is left out.
    pub fn read(url: Url, status: u16, html: &str) -> Page {
        SELECTORS.with(|selectors| Page::read_by(selectors, url, status, html))
    }

    fn read_by(selectors: &Selectors, url: Url, status: u16, html: &str) -> Page {
        let document = Html::parse_document(html);
        let first = |query: &Selector| document.select(query).next();
        let body = first(&selectors.body);
        let attribute = |name: &str| body.and_then(|body| body.value().attr(name)).map(str::to_owned);
        let mut lines: Vec<String> = Vec::new();
        for element in document.select(&selectors.blocks) {
            let line = text_of(element);
            if !line.is_empty() && lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        let links = document.select(&selectors.anchors).filter_map(|link| {
            let target = url.join(link.value().attr("href")?).ok()?;
            Some((text_of(link), target))
        });
        let forms = document.select(&selectors.forms).map(|form| Form::read(form, &url, selectors));
        Page {
            id: attribute("data-page").unwrap_or_else(|| "page".to_owned()),
            error: attribute("data-error").filter(|number| !number.is_empty()),
            title: first(&selectors.title).map(text_of).unwrap_or_default(),
            alert: first(&selectors.alert).map(text_of).filter(|text| !text.is_empty()),
            text: lines.join("\n"),
            links: links.collect(),
            forms: forms.collect(),
            url,
            status,
        }
    }

    /// The form that a person fills in: the first with something to type, else the first.
    pub fn main_form(&self) -> Option<&Form> {
        let typed = |form: &&Form| form.fields.iter().any(|field| field.is_typed);
        self.forms.iter().find(typed).or_else(|| self.forms.first())
    }

    /// The button that reads `label`, with its form. Case and surrounding blanks do not count.
    pub fn button(&self, label: &str) -> Option<(&Form, &Button)> {
        let wanted = label.trim().to_lowercase();
        let mut all =
            self.forms.iter().flat_map(|form| form.buttons.iter().map(move |button| (form, button)));
        all.find(|(_, button)| button.label.to_lowercase() == wanted)
    }

    /// Where the link that reads `label` goes.
    pub fn link(&self, label: &str) -> Option<Url> {
        let wanted = label.trim().to_lowercase();
        self.links.iter().find(|(text, _)| text.to_lowercase() == wanted).map(|(_, url)| url.clone())
    }

    /// Everything that can be pressed.
    pub fn offers(&self) -> Vec<String> {
        let buttons = self.forms.iter().flat_map(|form| form.buttons.iter().map(|button| &button.label));
        buttons.chain(self.links.iter().map(|(text, _)| text)).cloned().collect()
    }
}

impl Form {
    fn read(form: ElementRef<'_>, base: &Url, selectors: &Selectors) -> Form {
        let attribute = |name: &str| form.value().attr(name).unwrap_or("");
        let labels: Vec<(String, String)> = form
            .select(&selectors.labels)
            .filter_map(|label| Some((label.value().attr("for")?.to_owned(), text_of(label))))
            .collect();
        let mut fields = Vec::new();
        let mut buttons = Vec::new();
        for element in form.select(&selectors.controls) {
            let value = element.value();
            let kind = value.attr("type").unwrap_or("").to_lowercase();
            let name = value.attr("name").map(str::to_owned);
            let given = value.attr("value").unwrap_or("").to_owned();
            let is_button =
                value.name() == "button" || matches!(kind.as_str(), "submit" | "button" | "image");
            if is_button {
                let label = if value.name() == "button" { text_of(element) } else { given.clone() };
                let label = value.attr("aria-label").map_or(label, str::to_owned);
                let label = labelled_by(element, selectors).unwrap_or(label);
                let sends = !(value.name() == "button" && kind == "button");
                buttons.push(Button { label, name, value: given, sends });
                continue;
            }
            let Some(name) = name else { continue };
            if value.attr("disabled").is_some() {
                continue;
            }
            let needs_choice = matches!(kind.as_str(), "checkbox" | "radio");
            let chosen = element.select(&selectors.options).next();
            let text = match (value.name(), chosen) {
                ("textarea", _) => element.text().collect(),
                ("select", Some(option)) => option.value().attr("value").unwrap_or("").to_owned(),
                _ if needs_choice && given.is_empty() => "on".to_owned(),
                _ => given,
            };
            let label = value.attr("id").and_then(|id| labels.iter().find(|(of, _)| of == id));
            fields.push(Field {
                name,
                label: label.map(|(_, text)| text.clone()).unwrap_or_default(),
                value: text,
                is_typed: kind != "hidden"
                    && !needs_choice
                    && value.name() != "select"
                    && value.attr("readonly").is_none(),
                is_chosen: !needs_choice || value.attr("checked").is_some(),
            });
        }
        Form {
            action: base.join(attribute("action")).unwrap_or_else(|_| base.clone()),
            is_post: attribute("method").eq_ignore_ascii_case("post"),
            fields,
            buttons,
        }
    }

    /// Types `value` into the field whose name or label is `name`, or into the first that can be typed into if `name` is empty. A
    /// box is chosen by `yes` and cleared by `no`.
    ///
    /// # Errors
    ///
    /// The names that there are, if there is no such field.
    pub fn fill(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wanted = |field: &&mut Field| match name {
            "" => field.is_typed,
            name => field.name == name || field.label.eq_ignore_ascii_case(name),
        };
        match self.fields.iter_mut().find(wanted) {
            Some(field) if !field.is_typed && matches!(value, "yes" | "no") => {
                field.is_chosen = value == "yes";
                Ok(())
            }
            Some(field) => {
                value.clone_into(&mut field.value);
                Ok(())
            }
            None => Err(self.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")),
        }
    }

    /// The form as it is sent when `button` is pressed, or its first button.
    pub fn body_for(&self, button: Option<&Button>) -> String {
        let mut body = form_urlencoded::Serializer::new(String::new());
        for field in self.fields.iter().filter(|field| field.is_chosen) {
            body.append_pair(&field.name, &field.value);
        }
        let pressed = button.or_else(|| self.buttons.iter().find(|button| button.sends));
        if let Some(Button { name: Some(name), value, .. }) = pressed {
            body.append_pair(name, value);
        }
        body.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(html: &str) -> Page {
        Page::read(Url::parse("https://login.contoso.example/here").expect("a URL"), 200, html)
    }

    #[test]
    fn a_form_is_sent_with_its_hidden_fields_and_the_pressed_button() {
        let page = page(
            "<body data-page=confirm-app><form method=post action=/next><input type=hidden name=canary value=c>\
             <input name=otc><button name=choice value=go>Continue</button>\
             <button name=choice value=no>Cancel</button></form>",
        );
        assert_eq!(page.id, "confirm-app");
        assert_eq!(page.offers(), ["Continue", "Cancel"]);
        let mut form = page.main_form().expect("a form").clone();
        form.fill("", "ABC 1").expect("the first field");
        let (_, cancel) = page.button("cancel").expect("a button");
        assert_eq!(form.body_for(None), "canary=c&otc=ABC+1&choice=go");
        assert_eq!(form.body_for(Some(cancel)), "canary=c&otc=ABC+1&choice=no");
        assert_eq!(form.action.as_str(), "https://login.contoso.example/next");
    }

    #[test]
    fn a_button_reads_as_a_screen_reader_reads_it() {
        let page = page(
            "<form><strong id=n>Lobby</strong><button id=b aria-labelledby=\"b n\">Choose</button></form>",
        );
        assert_eq!(page.offers(), ["Choose Lobby"]);
    }

    #[test]
    fn a_field_is_filled_by_its_name_or_by_what_stands_beside_it() {
        let page = page("<form><label for=p>Six digits</label><input id=p name=otc></form>");
        let mut form = page.main_form().expect("a form").clone();
        assert_eq!(form.fill("six digits", "123456"), Ok(()));
        assert_eq!(form.body_for(None), "otc=123456");
        assert_eq!(form.fill("seven", ""), Err("otc".to_owned()));
    }

    #[test]
    fn what_is_hidden_from_reading_is_not_part_of_a_label() {
        let page = page("<form><button><span aria-hidden=true>A</span> alice</button></form>");
        assert_eq!(page.offers(), ["alice"]);
    }

    #[test]
    fn an_alert_is_what_the_page_warns_of() {
        let page = page("<body data-page=password data-error=50126><p role=alert>Wrong  password.</p>");
        assert_eq!((page.alert.as_deref(), page.error.as_deref()), (Some("Wrong password."), Some("50126")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_some_page(html in ".{0,400}") {
            let _ = page(&html);
        }
    }
}
