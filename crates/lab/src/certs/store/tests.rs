//! A folder of certificates over the years, and in the hands of others.

use super::*;

use pki::Places;

struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Desk {
        let path = std::env::temp_dir().join(format!("lab-store-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Desk(path)
    }

    fn ready(&self, wanted: &[AuthorityWanted], keys: Option<KeyKind>, years: u64) -> Result<Ready, String> {
        ready(&self.0, wanted, keys, noon().plus(Duration::from_secs(years * 365 * 86_400)))
    }

    #[expect(clippy::disallowed_methods, reason = "the test damages files")]
    fn put(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).expect("the machine has room");
    }

    fn text(&self, file: &str) -> String {
        read(&self.0.join(file)).expect("the file is there")
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn noon() -> Wall {
    Wall::parse("2026-03-01T12:00:00Z").expect("a date")
}

fn names(paths: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().expect("a file").to_string_lossy().into_owned();
    paths.iter().map(name).collect()
}

fn lab(title: &str, hosts: &[&str]) -> Vec<AuthorityWanted> {
    let servers = vec![ServerWanted {
        name: "fe".to_owned(),
        names: hosts.iter().map(|host| (*host).to_owned()).collect(),
    }];
    vec![AuthorityWanted {
        name: "fe".to_owned(),
        title: title.to_owned(),
        places: Places::new("fe.contoso.example", "/pki", "pool-root"),
        servers,
    }]
}

const HOST: &[&str] = &["fe.contoso.example", "127.20.2.20"];

#[test]
fn what_is_made_once_is_there_the_next_time_and_closed_to_others() {
    let desk = Desk::new("again");
    let wanted = lab("Root", HOST);
    let first = desk.ready(&wanted, None, 0).expect("a folder that can be written");
    assert_eq!(names(&first.made), ["fe-root.pem", "fe.pem"]);
    let second = desk.ready(&wanted, None, 0).expect("the same again");
    assert!(second.made.is_empty());
    assert_eq!(first.certified.servers["fe"].chain, second.certified.servers["fe"].chain);
    let mut drawn = [first, second].map(|ready| ready.certified.random);
    assert_ne!(drawn[0].bytes::<16>(), drawn[1].bytes::<16>(), "two starts issue with the same serials");
    #[cfg(unix)]
    for file in ["fe-root.pem", "fe.pem"] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = desk.0.join(file);
        let mode = || std::fs::metadata(&path).expect("the file is there").permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
        desk.ready(&wanted, None, 0).expect("the same again");
        assert_eq!(mode(), 0o600, "an opened key was left open");
    }
}

#[test]
fn a_server_certificate_is_renewed_before_it_ends_and_for_another_name() {
    let desk = Desk::new("renewed");
    let wanted = lab("Root", HOST);
    desk.ready(&wanted, None, 0).expect("a folder that can be written");
    let root = desk.text("fe-root.pem");
    // 397 days last for one year, but not with thirty days to spare after it and three more days.
    let at = |days: u64| ready(&desk.0, &wanted, None, noon().plus(Duration::from_secs(days * 86_400)));
    assert!(at(366).expect("good for another month").made.is_empty());
    assert_eq!(names(&at(368).expect("renewed").made), ["fe.pem"]);
    let renamed = lab("Root", &["fe.contoso.example", "127.20.2.21"]);
    let made = ready(&desk.0, &renamed, None, noon().plus(Duration::from_secs(368 * 86_400)));
    assert_eq!(names(&made.expect("renewed").made), ["fe.pem"]);
    assert_eq!(desk.text("fe-root.pem"), root, "the authority stays");
}

#[test]
fn what_does_not_fit_is_told_and_left_alone() {
    let desk = Desk::new("foreign");
    let wanted = lab("Root", HOST);
    desk.ready(&wanted, None, 0).expect("a folder that can be written");
    let (root, server) = (desk.text("fe-root.pem"), desk.text("fe.pem"));
    let other = Desk::new("foreign-other");
    other.ready(&wanted, None, 0).expect("another folder");
    let key_of = |text: &str| text[text.find("-----BEGIN PRIVATE").expect("a key")..].to_owned();
    let certificate_of = |text: &str| text[..text.find("-----BEGIN PRIVATE").expect("a key")].to_owned();
    let mixed = certificate_of(&server) + &key_of(&root);
    let cut = server[..server.len() / 2].to_owned();
    let no_key = certificate_of(&server);
    for (file, text, why) in [
        ("fe.pem", other.text("fe.pem"), "another key than `Root` has"),
        ("fe.pem", mixed, "private key does not belong"),
        ("fe.pem", cut, "fe.pem"),
        ("fe.pem", no_key, "no private key"),
        ("fe.pem", String::new(), "no certificate"),
        ("fe-root.pem", server.clone(), "not an authority's"),
        (
            "fe-root.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            "fe-root.pem",
        ),
    ] {
        desk.put("fe-root.pem", &root);
        desk.put("fe.pem", &server);
        desk.put(file, &text);
        let told = desk.ready(&wanted, None, 0).expect_err(why);
        assert!(told.contains(file) && told.contains(why), "{told}");
        assert_eq!(desk.text(file), text, "what was there was overwritten");
    }
    desk.put("fe-root.pem", &root);
    desk.put("fe.pem", &server);
    for (title, keys, years, why) in [
        ("Another Root", None, 0, "this lab needs `Another Root`"),
        ("Root", Some(KeyKind::Rsa2048), 0, "has a P-256 key, not RSA-2048"),
        ("Root", None, 11, "the authority is valid from"),
    ] {
        let told = desk.ready(&lab(title, HOST), keys, years).expect_err(why);
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn rsa_keys_are_made_where_they_are_asked_for() {
    let desk = Desk::new("rsa");
    let ready = desk.ready(&lab("Root", HOST), Some(KeyKind::Rsa2048), 0).expect("a folder");
    // A P-256 key has 138 octets in PKCS #8, an RSA key of 2048 bits about 1,200.
    assert!(ready.certified.servers["fe"].key.secret_der().len() > 1_000);
    assert!(desk.ready(&lab("Root", HOST), None, 0).expect("the same again").made.is_empty());
}
