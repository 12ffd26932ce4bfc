//! Expectations: whether what a story claims is so, and what is so instead.

mod calls;

use std::collections::BTreeMap;

use net::{Note, World};

use crate::actor::Actor;
use crate::cast::Cast;
use crate::language::{
    Claim, ExpectEvent, ExpectPerson, ExpectPhone, ExpectRegistrar, PageLooks, PhoneLooks, RegistrarFact,
    Text,
};
use crate::yaml::OneOrMany;

/// Whether a claim holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Holds,
    /// It does not; in the words of a sentence that goes on after "but".
    Not(String),
}

type Captured = BTreeMap<String, String>;

/// Judges a claim as things stand. Events count from the journal's entry number `since` on.
pub fn judge<W: World<Actor>>(cast: &Cast<W>, claim: &Claim, since: usize, captured: &Captured) -> Verdict {
    let wrong = match claim {
        Claim::Phone(claim) => judge_phone(cast, claim, captured),
        Claim::Person(claim) => judge_person(cast, claim, captured),
        Claim::Registrar(claim) => judge_registrar(cast, claim),
        Claim::Call(claim) => calls::judge(cast, claim, captured),
        Claim::Event(claim) => judge_event(cast, claim, since, captured),
    };
    wrong.map_or(Verdict::Holds, Verdict::Not)
}

/// Whom a claim is about, as a sentence's subject.
pub fn who(claim: &Claim) -> String {
    match claim {
        Claim::Phone(claim) => claim.phone.to_string(),
        Claim::Person(claim) => claim.person.to_string(),
        Claim::Call(claim) => claim.phone.to_string(),
        Claim::Registrar(_) => "the registrar".to_owned(),
        Claim::Event(_) => "the lab".to_owned(),
    }
}

/// Whose display or page a failure of this claim shows.
pub fn subject(claim: &Claim) -> Option<String> {
    match claim {
        Claim::Phone(claim) => Some(claim.phone.to_string()),
        Claim::Person(claim) => Some(claim.person.to_string()),
        Claim::Call(claim) => Some(claim.phone.to_string()),
        Claim::Registrar(_) => None,
        Claim::Event(claim) => claim.of.as_ref().map(|of| of.as_str().to_owned()),
    }
}

/// What a claim wishes, as a sentence goes on after "should".
pub fn wish(claim: &Claim) -> String {
    match claim {
        Claim::Phone(claim) => {
            let mut wishes = phone_wishes(
                claim.screen.as_ref().map(|name| name.as_str()),
                claim.state.as_ref().map(|name| name.as_str()),
                claim.account.as_ref().map(|name| name.as_str()),
                &claim.offers.0,
                &claim.says.0,
            );
            if let Some(not) = &claim.not {
                let screen = not.screen.as_ref().map(|name| name.as_str());
                let state = not.state.as_ref().map(|name| name.as_str());
                let account = not.account.as_ref().map(|name| name.as_str());
                let unwished = phone_wishes(screen, state, account, &not.offers.0, &not.says.0);
                wishes.extend(unwished.into_iter().map(|wish| format!("not {wish}")));
            }
            wishes.join(" and ")
        }
        Claim::Person(claim) => {
            let page = claim.page.as_ref().map(|name| name.as_str());
            let mut wishes = page_wishes(page, &claim.offers.0, &claim.says.0);
            if let Some(not) = &claim.not {
                let page = not.page.as_ref().map(|name| name.as_str());
                let unwished = page_wishes(page, &not.offers.0, &not.says.0);
                wishes.extend(unwished.into_iter().map(|wish| format!("not {wish}")));
            }
            wishes.join(" and ")
        }
        Claim::Call(claim) => calls::wish(claim),
        Claim::Registrar(claim) => match claim.count {
            Some(count) => format!("have {count} {} of {}", fact_name(claim.fact), claim.of),
            None => format!("have {} of {}", fact_name(claim.fact), claim.of),
        },
        Claim::Event(claim) => format!("see {}", event_words(claim)),
    }
}

/// What a forbidden claim would be, as a sentence's subject.
pub fn title(claim: &Claim) -> String {
    match claim {
        Claim::Event(claim) => event_words(claim),
        Claim::Phone(_) | Claim::Call(_) | Claim::Person(_) | Claim::Registrar(_) => {
            format!("that {} should {}", who(claim), wish(claim))
        }
    }
}

fn event_words(claim: &ExpectEvent) -> String {
    let mut words = format!("`{}`", claim.event);
    if let Some(of) = &claim.of {
        words.push_str(&format!(" of {}", of.as_str()));
    }
    if let Some(count) = claim.count {
        words.push_str(&format!(", {count} times"));
    }
    if let Some(says) = &claim.says {
        words.push_str(&format!(", saying “{says}”"));
    }
    words
}

fn phone_wishes(
    screen: Option<&str>,
    state: Option<&str>,
    account: Option<&str>,
    offers: &[Text],
    says: &[Text],
) -> Vec<String> {
    let mut wishes = Vec::new();
    wishes.extend(screen.map(|screen| format!("show screen `{screen}`")));
    wishes.extend(state.map(|state| format!("be `{state}`")));
    wishes.extend(account.map(|account| format!("be signed in as {account}")));
    wishes.extend(offers.iter().map(|label| format!("offer “{label}”")));
    wishes.extend(says.iter().map(|text| format!("say “{text}”")));
    wishes
}

fn page_wishes(page: Option<&str>, offers: &[Text], says: &[Text]) -> Vec<String> {
    let mut wishes = Vec::new();
    wishes.extend(page.map(|page| format!("see page `{page}`")));
    wishes.extend(offers.iter().map(|label| format!("be offered “{label}”")));
    wishes.extend(says.iter().map(|text| format!("read “{text}”")));
    wishes
}

fn judge_phone<W: World<Actor>>(cast: &Cast<W>, claim: &ExpectPhone, captured: &Captured) -> Option<String> {
    let looks = PhoneLooks {
        screen: claim.screen.clone(),
        offers: claim.offers.clone(),
        says: claim.says.clone(),
        state: claim.state.clone(),
        account: claim.account.clone(),
    };
    let name = claim.phone.as_str();
    let wrong = phone_lacks(cast, name, &looks, captured);
    wrong.or_else(|| {
        let not = claim.not.as_ref()?;
        // None of it may hold: each part is looked at by itself.
        let parts = split_phone(not);
        let held = parts.iter().any(|part| phone_lacks(cast, name, part, captured).is_none());
        held.then(|| format!("shows `{}`", cast.screen(name).map_or("off", |screen| screen.id)))
    })
}

fn nothing() -> OneOrMany<Text> {
    OneOrMany(Vec::new())
}

fn split_phone(not: &PhoneLooks) -> Vec<PhoneLooks> {
    let empty = PhoneLooks { screen: None, offers: nothing(), says: nothing(), state: None, account: None };
    let mut parts = Vec::new();
    if not.screen.is_some() {
        parts.push(PhoneLooks { screen: not.screen.clone(), ..empty.clone() });
    }
    if not.state.is_some() {
        parts.push(PhoneLooks { state: not.state.clone(), ..empty.clone() });
    }
    if not.account.is_some() {
        parts.push(PhoneLooks { account: not.account.clone(), ..empty.clone() });
    }
    for label in &not.offers.0 {
        parts.push(PhoneLooks { offers: OneOrMany(vec![label.clone()]), ..empty.clone() });
    }
    for text in &not.says.0 {
        parts.push(PhoneLooks { says: OneOrMany(vec![text.clone()]), ..empty.clone() });
    }
    parts
}

/// What of `looks` is missing at the phone.
fn phone_lacks<W: World<Actor>>(
    cast: &Cast<W>,
    name: &str,
    looks: &PhoneLooks,
    captured: &Captured,
) -> Option<String> {
    let phone = cast.phone(name)?;
    let screen = cast.screen(name)?;
    if let Some(wanted) = &looks.screen
        && screen.id != wanted.as_str()
    {
        return Some(format!("shows `{}`", screen.id));
    }
    let state = phone.state().name();
    if let Some(wanted) = &looks.state
        && !is_state(state, wanted.as_str())
    {
        return Some(format!("is `{state}` and shows `{}`", screen.id));
    }
    if let Some(wanted) = &looks.account {
        let wanted = cast.upn(wanted.as_str());
        let account = phone.account();
        if account != wanted.as_deref() {
            let who = account.unwrap_or("nobody");
            return Some(format!("is signed in as {who}"));
        }
    }
    for label in &looks.offers.0 {
        let label = label.fill(captured).ok()?;
        if !screen.offers(&label) {
            return Some(format!("shows `{}`, which offers {}", screen.id, list(&screen.labels())));
        }
    }
    let text = screen_text(&screen);
    for says in &looks.says.0 {
        let says = says.fill(captured).ok()?;
        if !text.contains(&readable(&says)) {
            return Some(format!("shows `{}` without these words", screen.id));
        }
    }
    None
}

/// A locked phone is signed in all the same; who means the lock says `locked`.
fn is_state(state: &str, wanted: &str) -> bool {
    state == wanted || (wanted == "signed-in" && state == "locked")
}

/// Everything that can be read on a screen.
fn screen_text(screen: &vvx::screen::Screen) -> String {
    let mut text = vec![screen.title.clone()];
    text.extend(screen.lines.iter().map(|line| line.text().to_owned()));
    text.extend(screen.fields.iter().map(|field| format!("{}: {}", field.label, field.shown())));
    text.extend(screen.labels().into_iter().map(str::to_owned));
    text.extend(screen.status_bar.iter().flat_map(|bar| bar.warnings.clone()));
    readable(&text.join("\n"))
}

fn list(labels: &[&str]) -> String {
    if labels.is_empty() { "nothing".to_owned() } else { labels.join(", ") }
}

/// Words as people compare them: case and white space do not count.
fn readable(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn judge_person<W: World<Actor>>(
    cast: &Cast<W>,
    claim: &ExpectPerson,
    captured: &Captured,
) -> Option<String> {
    let looks =
        PageLooks { page: claim.page.clone(), says: claim.says.clone(), offers: claim.offers.clone() };
    let name = claim.person.as_str();
    page_lacks(cast, name, &looks, captured).or_else(|| {
        let not = claim.not.as_ref()?;
        let empty = PageLooks { page: None, says: nothing(), offers: nothing() };
        let mut parts = Vec::new();
        if not.page.is_some() {
            parts.push(PageLooks { page: not.page.clone(), ..empty.clone() });
        }
        for text in &not.says.0 {
            parts.push(PageLooks { says: OneOrMany(vec![text.clone()]), ..empty.clone() });
        }
        for label in &not.offers.0 {
            parts.push(PageLooks { offers: OneOrMany(vec![label.clone()]), ..empty.clone() });
        }
        let held = parts.iter().any(|part| page_lacks(cast, name, part, captured).is_none());
        held.then(|| format!("sees `{}`", page_id(cast, name)))
    })
}

fn page_id<W: World<Actor>>(cast: &Cast<W>, name: &str) -> String {
    let person = cast.person(name);
    match person.and_then(|person| person.page()) {
        Some(page) => page.id.clone(),
        None => "no-page".to_owned(),
    }
}

fn page_lacks<W: World<Actor>>(
    cast: &Cast<W>,
    name: &str,
    looks: &PageLooks,
    captured: &Captured,
) -> Option<String> {
    let id = page_id(cast, name);
    if let Some(wanted) = &looks.page
        && id != wanted.as_str()
    {
        let trouble = cast.person(name).and_then(|person| person.trouble());
        let why = trouble.map(|why| format!(" ({why})")).unwrap_or_default();
        return Some(format!("sees `{id}`{why}"));
    }
    let page = cast.person(name).and_then(|person| person.page());
    let (text, offers) = page.map_or_else(Default::default, |page| (readable(&page.text), page.offers()));
    for says in &looks.says.0 {
        let says = says.fill(captured).ok()?;
        if !text.contains(&readable(&says)) {
            return Some(format!("sees `{id}` without these words"));
        }
    }
    for label in &looks.offers.0 {
        let label = label.fill(captured).ok()?;
        if !offers.iter().any(|offer| offer.eq_ignore_ascii_case(&label)) {
            return Some(format!("sees `{id}`, which offers {}", offers.join(", ")));
        }
    }
    None
}

fn fact_name(fact: RegistrarFact) -> &'static str {
    match fact {
        RegistrarFact::Bindings => "bindings",
        RegistrarFact::Certificates => "certificates",
    }
}

fn judge_registrar<W: World<Actor>>(cast: &Cast<W>, claim: &ExpectRegistrar) -> Option<String> {
    let found = cast.registrar_count(claim.fact, claim.of.as_str());
    let is_so = match claim.count {
        Some(count) => found == count as usize,
        None => found > 0,
    };
    (!is_so).then(|| format!("has {found}"))
}

fn judge_event<W: World<Actor>>(
    cast: &Cast<W>,
    claim: &ExpectEvent,
    since: usize,
    captured: &Captured,
) -> Option<String> {
    let wanted_of = claim.of.as_ref().map(|of| cast.event_subjects(of));
    let by = claim.by.as_ref().map(|by| cast.event_subjects(by));
    let says = claim.says.as_ref().and_then(|says| says.fill(captured).ok()).map(|says| readable(&says));
    let journal = cast.world.journal();
    let entries = journal.since(since).iter();
    let count = entries
        .filter(|entry| {
            let Note::Event { name, of, text } = &entry.note else { return false };
            let who = entry.who.map(|who| journal.name(who));
            let is_of = wanted_of.as_ref().is_none_or(|names| {
                names.iter().any(|name| name.eq_ignore_ascii_case(of) || Some(name.as_str()) == who)
            });
            let is_said = says.as_ref().is_none_or(|says| readable(text).contains(says));
            let is_by = by.as_ref().is_none_or(|by| by.iter().any(|name| Some(name.as_str()) == who));
            *name == claim.event.as_str() && is_of && is_by && is_said
        })
        .count();
    let is_so = match claim.count {
        Some(wanted) => count == wanted as usize,
        None => count > 0,
    };
    (!is_so).then(|| match count {
        0 => "it did not happen".to_owned(),
        1 => "it happened once".to_owned(),
        count => format!("it happened {count} times"),
    })
}
