//! Bindings of devices to certificates, and what survives of them, step by step.

use std::time::Duration;

use net::{Effect, Random, WriteKind};
use pki::{CertificateRequest, Holder, Validity};
use rustls::pki_types::{CertificateDer, UnixTime};

use super::*;

const NOW: Wall = Wall::from_unix_secs(1_700_000_000);

fn authority(seed: u64) -> Authority {
    let life = Duration::from_secs(10 * 365 * 86_400);
    Authority::new("Contoso Pool Root", Crypto::Seeded, &mut Random::named(seed, "ca"), NOW, life)
}

fn issue(authority: &mut Authority, user: &str, device: &str, key: &str) -> Certificate {
    let mut random = Random::named(3, key);
    let request = pki::make_request(&Crypto::Seeded.p256_key(&mut random), user).unwrap();
    let request = CertificateRequest::parse(&request).unwrap();
    let der = authority.issue_user(&request, &Holder::new(user), Validity::days(NOW, 180)).unwrap();
    let read = pki::Certificate::read(&der).unwrap();
    Certificate {
        user: user.to_owned(),
        device: device.to_owned(),
        der: der.to_vec(),
        not_before: read.not_before,
        not_after: read.not_after,
        issued: NOW,
    }
}

fn disk_after(out: &mut Outbox, published: &mut Published, mut disk: Disk) -> (Disk, Vec<WriteId>) {
    let mut done = Vec::new();
    for effect in out.take() {
        let Effect::Keep(id, keep) = effect else { continue };
        let file = disk.entry(keep.file).or_default();
        match keep.write {
            WriteKind::Append(bytes) => file.extend_from_slice(&bytes),
            WriteKind::Replace(bytes) => *file = bytes.to_vec(),
        }
        done.extend(published.kept(id).1);
    }
    (disk, done)
}

fn verify(published: &Published, authority: &Authority, user: &str, der: &[u8], at: Wall) -> bool {
    let verifier = published.verifier(user, Crypto::Seeded, authority).unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at.unix_secs() as u64));
    verifier.verify_client_cert(&CertificateDer::from(der.to_vec()), &[], at).is_ok()
}

#[test]
fn a_published_certificate_counts_for_its_user_within_its_time_and_survives_a_power_cut() {
    let mut authority = authority(1);
    let mut published = Published::default();
    let mut out = Outbox::new();
    published.power_on(&Disk::new(), &mut out);
    let certificate = issue(&mut authority, "alice@contoso.example", "d1", "one");
    let der = certificate.der.clone();
    let write = published.publish(certificate, &mut out);
    let (disk, done) = disk_after(&mut out, &mut published, Disk::new());
    assert_eq!(done, [write]);

    let mut published = Published::default();
    published.power_on(&disk, &mut out);
    assert!(published.check("sip:Alice@Contoso.example", &der, NOW).is_ok());
    assert_eq!(published.check("bob@contoso.example", &der, NOW), Err(NotPublished::ForeignUser));
    let first = NOW.minus(pki::authority::BACK_DATING);
    assert!(published.check("alice@contoso.example", &der, first).is_ok());
    let early = first.minus(Duration::from_secs(1));
    assert_eq!(published.check("alice@contoso.example", &der, early), Err(NotPublished::OutsideValidity));
    assert!(!verify(&published, &authority, "sip:alice@contoso.example", &der, early));
    let last = NOW.plus(Duration::from_secs(180 * 86_400));
    assert!(published.check("alice@contoso.example", &der, last).is_ok());
    let late = last.plus(Duration::from_secs(1));
    assert_eq!(published.check("alice@contoso.example", &der, late), Err(NotPublished::OutsideValidity));

    assert!(verify(&published, &authority, "sip:alice@contoso.example", &der, NOW));
    assert!(!verify(&published, &authority, "sip:bob@contoso.example", &der, NOW));
    assert!(!verify(&published, &authority, "sip:alice@contoso.example", &der, late));

    assert_eq!(published.revoke("alice@contoso.example", NOW, &mut out), 1);
    assert!(!verify(&published, &authority, "sip:alice@contoso.example", &der, NOW));
    assert_eq!(published.check("alice@contoso.example", &der, NOW), Err(NotPublished::Unknown));
    let (disk, _) = disk_after(&mut out, &mut published, disk);
    published.power_on(&disk, &mut out);
    assert_eq!(published.of("alice@contoso.example").count(), 0, "a revocation is remembered");
    let serial = pki::Certificate::read(&der.as_slice().into()).expect("readable").serial;
    assert_eq!(published.revoked().find(&serial).map(|revoked| revoked.at), Some(NOW));
    assert!(!published.has_serial(&serial));
}

#[test]
fn a_certificate_of_another_authority_or_for_another_address_does_not_count_even_when_listed() {
    let mut stranger = authority(2);
    let mut authority = authority(1);
    let mut published = Published::default();
    let mut out = Outbox::new();
    let foreign = issue(&mut stranger, "alice@contoso.example", "d1", "one");
    let mut bobs = issue(&mut authority, "bob@contoso.example", "d2", "two");
    bobs.user = "alice@contoso.example".to_owned();
    for certificate in [foreign, bobs] {
        let der = certificate.der.clone();
        published.publish(certificate, &mut out);
        assert!(!verify(&published, &authority, "alice@contoso.example", &der, NOW));
    }
}

#[test]
fn a_device_holds_one_certificate_and_a_user_at_most_eight_devices() {
    let mut authority = authority(1);
    let mut published = Published::default();
    let mut out = Outbox::new();
    let first = issue(&mut authority, "alice@contoso.example", "d0", "a");
    published.publish(first.clone(), &mut out);
    let again = issue(&mut authority, "alice@contoso.example", "d0", "b");
    published.publish(again.clone(), &mut out);
    assert_eq!(published.check("alice@contoso.example", &first.der, NOW), Err(NotPublished::Unknown));
    for device in 1..=DEVICES_LIMIT {
        let next = issue(&mut authority, "alice@contoso.example", &format!("d{device}"), "a");
        published.publish(next, &mut out);
    }
    assert_eq!(published.of("alice@contoso.example").count(), DEVICES_LIMIT);
    assert_eq!(published.check("alice@contoso.example", &again.der, NOW), Err(NotPublished::Unknown));
}

#[test]
fn the_ledger_is_written_anew_before_it_grows_without_bound() {
    let mut authority = authority(1);
    let mut published = Published::default();
    let mut out = Outbox::new();
    published.power_on(&Disk::new(), &mut out);
    let (mut disk, _) = disk_after(&mut out, &mut published, Disk::new());
    let certificate = issue(&mut authority, "alice@contoso.example", "d0", "a");
    for _ in 0..2000 {
        published.publish(certificate.clone(), &mut out);
        (disk, _) = disk_after(&mut out, &mut published, disk);
    }
    let octets: usize = disk.values().map(Vec::len).sum();
    assert!(octets < 600 << 10, "{octets} octets for one certificate");
    published.power_on(&disk, &mut out);
    assert!(published.check("alice@contoso.example", &certificate.der, NOW).is_ok());
}

#[test]
fn a_certificate_below_an_intermediate_authority_counts_though_the_client_sends_it_alone() {
    let mut root = authority(1);
    let mut below = root.intermediate("Contoso Users", Validity::days(NOW, 3650)).unwrap();
    let mut published = Published::default();
    let mut out = Outbox::new();
    let certificate = issue(&mut below, "alice@contoso.example", "d0", "a");
    published.publish(certificate.clone(), &mut out);
    assert!(verify(&published, &below, "alice@contoso.example", &certificate.der, NOW));
    assert!(!verify(&published, &root, "alice@contoso.example", &certificate.der, NOW));
}
