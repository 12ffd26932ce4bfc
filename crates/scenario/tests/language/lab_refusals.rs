//! What a person is told about a wrong `lab.yaml`.

use insta::assert_snapshot;

use crate::shelf::{lab_refusal, lab_with};

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    assert_snapshot!(lab_refusal(
        "
domain: contoso.example
identity: { profile: entra-v1-2016, tennant: contoso }
people:
  alice: { upn: alice@contoso.example, password: secret, pin: \"482913\" }
"
    ));
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    assert_snapshot!(lab_refusal(
        "
domian: contoso.example
seed: seven
epoch: last tuesday
policies: { phone-lock: { min-digits: 3, idle: 10 } }
people:
  alice: { upn: alice, password: secret, second-factor: sms, line: 5550101 }
sites:
  hq: { subnet: 10.20.1.0/16, link: { delay: 12, loss: 0.5 } }
phones:
  desk: { model: vvx6000, mac: 0004f2a1b2, site: hq, firmware: latest }
"
    ));
}

#[test]
fn a_value_needs_its_unit() {
    assert_snapshot!(lab_refusal(
        "
identity: { code-life: 15, poll-interval: 1m 1h, access-token-life: 1.5.2h }
pool: { host: fe.contoso.example, certificate-life: 600000d }
sites:
  hq: { subnet: 10.20.0.0/16, link: { loss: 120% } }
"
    ));
}

#[test]
fn a_phone_stands_at_a_site_that_exists() {
    assert_snapshot!(lab_with(
        "
phones:
  desk: { model: vvx600, mac: 0004f2a1b2c3, site: hqq }
  hall: { model: vvx600, mac: 00:04:f2:a1:b2:c3, site: hq }
  wall: { model: vvx600, mac: 0104f2a1b2c4, site: hq }
"
    ));
}

#[test]
fn a_real_service_is_never_played() {
    assert_snapshot!(lab_refusal(
        "
domain: contoso.onmicrosoft.com
identity:
  host: login.microsoftonline.com
  tenant: common
  verification-url: http://aka.ms/sphone
pool: { host: webdir.online.lync.com }
sites:
  hq: { subnet: 10.20.0.0/16, dhcp: { provisioning: \"http://noam.ipp.sdg.teams.microsoft.com/\" } }
"
    ));
}

#[test]
fn accounts_live_in_the_labs_domain_and_are_told_apart() {
    assert_snapshot!(lab_refusal(
        "
people:
  alice: { upn: alice@contoso.example, password: a, line: \"+15550101\" }
  bob: { upn: Alice@contoso.example, password: b, line: \"+15550101\" }
  carol: { upn: carol@fabrikam.example, password: c, pool: fe9 }
  dave: { upn: dave@contoso.example }
  lobby: { upn: lobby@contoso.example, kind: common-area, role: administrator }
pool: { host: fe.contoso.example }
"
    ));
}

#[test]
fn networks_do_not_overlap() {
    assert_snapshot!(lab_refusal(
        "
sites:
  hq: { subnet: 10.20.0.0/16 }
  branch: { subnet: 10.20.64.0/18 }
  cloud: { subnet: 192.0.2.0/24 }
  far: { subnet: 8.8.0.0/16 }
"
    ));
}

#[test]
fn names_are_words_and_no_two_things_share_one() {
    assert_snapshot!(lab_refusal(
        "
people:
  Alice: { upn: alice@contoso.example, password: a }
  hq: { upn: bob@contoso.example, password: b }
  identity: { upn: carol@contoso.example, password: c }
sites:
  hq: { subnet: 10.20.0.0/16 }
"
    ));
}

#[test]
fn a_lab_has_one_pool_or_several_by_name() {
    assert_snapshot!(lab_refusal(
        "
pool: { host: fe.contoso.example, sip: 443 }
pools: { fe2: { host: fe.contoso.example }, fe3: { host: fe3.fabrikam.example } }
"
    ));
}

#[test]
fn dhcp_and_rules_say_what_can_be_meant() {
    assert_snapshot!(lab_refusal(
        "
policies: { conditional-access: [{ rule: block-device-code, people: alice }, { rule: blok }] }
people: { alice: { upn: alice@contoso.example, password: a } }
sites:
  hq:
    subnet: 10.20.0.0/16
    dhcp: { gmt-offset: 15h, lease: 1s, provisioning: \"ftp://prov/\", ntp: no where }
    nat: { idle: 120s }
"
    ));
}
