//! The machine of one code, step by step.

use super::*;

const LIFE: Duration = Duration::from_secs(900);

fn asked() -> Asked {
    Asked {
        client_id: "app".into(),
        tenant: "common".into(),
        wanted: Wanted::default(),
        address: "10.20.2.5".into(),
        at: 0,
    }
}

fn codes(profile: Profile, limit: usize) -> Codes {
    Codes::new(Rules { profile, life: LIFE, interval: Duration::from_secs(5), limit })
}

fn issued() -> (Codes, Fresh) {
    let mut codes = codes(Profile::default(), 10);
    let fresh = issue(&mut codes, Time::ZERO).expect("room");
    (codes, fresh)
}

fn issue(codes: &mut Codes, now: Time) -> Result<Fresh, Time> {
    codes.issue(asked(), &mut Random::named(now.as_nanos(), "codes"), now)
}

fn approval() -> Approval {
    Approval {
        oid: "alice".into(),
        epoch: 0,
        methods: vec!["pwd".into()],
        auth_time: 0,
        address: String::new(),
    }
}

fn secs(n: u64) -> Time {
    Time::from_secs(n)
}

#[test]
fn a_user_code_is_a_letter_and_forty_bits_without_look_alikes() {
    let (_, fresh) = issued();
    let code = fresh.user_code.expose();
    assert_eq!(code.len(), 9);
    assert!(FIRST_LETTERS.contains(&code.as_bytes()[0]));
    assert!(code.bytes().skip(1).all(|b| SYMBOLS.contains(&b)));
}

#[test]
fn the_rfc_profile_writes_eight_consonants() {
    let mut codes = codes(Profile::Rfc8628, 10);
    let fresh = issue(&mut codes, Time::ZERO).expect("room");
    let code = fresh.user_code.expose();
    assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'));
    assert!(codes.claim(&code.to_lowercase().replace('-', " "), 1, secs(1)).is_ok());
}

#[test]
fn a_code_is_given_out_once() {
    let (mut codes, fresh) = issued();
    let device = fresh.device_code.expose();
    let (id, _) = codes.claim(fresh.user_code.expose(), 7, secs(1)).expect("live");
    codes.approve(id, 7, approval(), secs(2)).expect("held");
    assert!(codes.redeem(device, "app", "common", secs(3)).is_ok());
    assert_eq!(codes.redeem(device, "app", "common", secs(3)).err(), Some(NoGrant::Redeemed));
    assert_eq!(codes.claim(fresh.user_code.expose(), 8, secs(4)).err(), Some(NotClaimed::Done));
}

#[test]
fn approval_must_come_before_the_end_of_the_code() {
    let (mut codes, fresh) = issued();
    let (id, _) = codes.claim(fresh.user_code.expose(), 7, secs(1)).expect("live");
    assert_eq!(codes.approve(id, 7, approval(), secs(900)), Err(NotClaimed::Expired));
    assert_eq!(codes.approve(id, 7, approval(), Time::from_millis(899_999)), Ok(()));
}

#[test]
fn only_the_session_that_holds_a_code_decides_on_it() {
    let (mut codes, fresh) = issued();
    let (id, _) = codes.claim(fresh.user_code.expose(), 7, secs(1)).expect("live");
    assert_eq!(codes.decline(id, 8, secs(2)), Err(NotClaimed::Done));
    codes.claim(fresh.user_code.expose(), 8, secs(3)).expect("taken over");
    assert_eq!(codes.approve(id, 7, approval(), secs(4)), Err(NotClaimed::Done));
    assert_eq!(codes.decline(id, 8, secs(4)), Ok(()));
    let poll = codes.redeem(fresh.device_code.expose(), "app", "common", secs(5));
    assert_eq!(poll.err(), Some(NoGrant::Declined));
}

#[test]
fn client_tenant_and_code_belong_together() {
    let (mut codes, fresh) = issued();
    let device = fresh.device_code.expose();
    assert_eq!(codes.redeem(device, "other", "common", secs(1)).err(), Some(NoGrant::OtherClient));
    assert_eq!(codes.redeem(device, "app", "elsewhere", secs(1)).err(), Some(NoGrant::OtherTenant));
    assert_eq!(codes.redeem("guess", "app", "common", secs(1)).err(), Some(NoGrant::Unknown));
    assert_eq!(codes.redeem(device, "APP", "common", secs(1)).err(), Some(NoGrant::Pending));
}

#[test]
fn a_device_that_slows_down_is_served_again() {
    let (mut codes, fresh) = issued();
    let device = fresh.device_code.expose();
    let poll = |codes: &mut Codes, at| codes.redeem(device, "app", "common", secs(at)).err();
    assert_eq!(poll(&mut codes, 0), Some(NoGrant::Pending));
    assert_eq!(poll(&mut codes, 1), Some(NoGrant::TooFast));
    codes.slow(device);
    assert_eq!(poll(&mut codes, 9), Some(NoGrant::TooFast));
    assert_eq!(poll(&mut codes, 10), Some(NoGrant::Pending));
}

#[test]
fn an_ended_code_is_called_expired_and_later_unknown() {
    let (mut codes, fresh) = issued();
    let device = fresh.device_code.expose();
    assert_eq!(codes.next_expiry(), Some(secs(900)));
    assert_eq!(codes.expire(secs(900)).len(), 1);
    assert!(codes.expire(secs(900)).is_empty(), "told once");
    assert_eq!(codes.redeem(device, "app", "common", secs(901)).err(), Some(NoGrant::Expired));
    let _ = issue(&mut codes, secs(900 + 3600));
    assert_eq!(codes.redeem(device, "app", "common", secs(5000)).err(), Some(NoGrant::Unknown));
}

#[test]
fn live_codes_never_give_way_to_new_ones() {
    let mut codes = codes(Profile::default(), 3);
    for n in 0..3 {
        assert!(issue(&mut codes, secs(n)).is_ok());
    }
    assert_eq!(issue(&mut codes, secs(10)).err(), Some(secs(900)));
    assert!(issue(&mut codes, secs(900)).is_ok(), "the first has ended");
}
