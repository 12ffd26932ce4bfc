//! Power cuts at every octet, lost writes, garbage: what is read afterwards is always some whole state.

use net::{Effect, Keep, WriteKind};
use proptest::prelude::*;

use super::*;

/// A batch as the tests make them up: key number and value, or `None` to remove.
type Batch = Vec<(u8, Option<Vec<u8>>)>;
type State = BTreeMap<String, Vec<u8>>;

fn write(flash: &mut Flash, batch: &Batch, out: &mut Outbox) -> Result<WriteId, FlashError> {
    let keys: Vec<String> = batch.iter().map(|(key, _)| format!("key/{key}")).collect();
    let batch: Vec<(&str, Option<&[u8]>)> =
        keys.iter().zip(batch).map(|(key, (_, value))| (key.as_str(), value.as_deref())).collect();
    flash.write(&batch, out)
}

fn state(flash: &Flash) -> State {
    flash.keys("").map(|key| (key.to_owned(), flash.get(key).expect("a value").to_vec())).collect()
}

/// Takes the disk writes out of an outbox.
fn keeps(out: &mut Outbox) -> Vec<(RecordId, Keep)> {
    let keeps = out.take().into_iter().filter_map(|effect| match effect {
        Effect::Keep(id, keep) => Some((id, keep)),
        _ => None,
    });
    keeps.collect()
}

/// Carries out a write, of which only the first `octets` reach the disk.
fn carry_out(disk: &mut Disk, keep: &Keep, octets: usize) {
    match &keep.write {
        WriteKind::Append(bytes) => {
            disk.entry(keep.file.clone()).or_default().extend(&bytes[..octets.min(bytes.len())]);
        }
        WriteKind::Replace(bytes) => {
            disk.insert(keep.file.clone(), bytes[..octets.min(bytes.len())].to_vec());
        }
    }
}

fn octets(keep: &Keep) -> usize {
    let (WriteKind::Append(bytes) | WriteKind::Replace(bytes)) = &keep.write;
    bytes.len()
}

#[test]
fn a_value_is_seen_at_once_and_promised_only_when_kept() {
    let (mut flash, damage) = Flash::read(&Disk::new());
    assert_eq!(damage, []);
    let mut out = Outbox::new();
    let id = flash.write(&[("user", Some(b"alice"))], &mut out).expect("room");
    assert_eq!(flash.get("user"), Some(&b"alice"[..]));
    assert!(!flash.is_settled());
    let [(record, _)] = &keeps(&mut out)[..] else { panic!("one write") };
    assert_eq!(flash.kept(RecordId(999)), None);
    assert_eq!(flash.kept(*record), Some(id));
    assert!(flash.is_settled());
}

#[test]
fn a_batch_behind_one_that_may_be_lost_is_not_safe_yet() {
    let mut flash = Flash::default();
    let mut out = Outbox::new();
    let ids: Vec<WriteId> =
        (0..3u8).map(|n| flash.write(&[("n", Some(&[n]))], &mut out).expect("room")).collect();
    let records: Vec<RecordId> = keeps(&mut out).into_iter().map(|(id, _)| id).collect();
    assert_eq!(flash.kept(records[2]), None);
    assert_eq!(flash.kept(records[0]), Some(ids[0]));
    assert_eq!(flash.kept(records[1]), Some(ids[2]));
}

#[test]
fn writing_goes_on_in_the_other_bank_after_a_torn_tail() {
    let mut flash = Flash::default();
    let mut out = Outbox::new();
    let mut disk = Disk::new();
    for value in [b"one", b"two"] {
        flash.write(&[("n", Some(value))], &mut out).expect("room");
    }
    for (_, keep) in keeps(&mut out) {
        carry_out(&mut disk, &keep, octets(&keep));
    }
    let bank = disk.get_mut("flash.a").expect("the first bank");
    bank.truncate(bank.len() - 1);
    let (mut flash, damage) = Flash::read(&disk);
    assert_eq!(flash.get("n"), Some(&b"one"[..]));
    assert_eq!(damage.len(), 1);
    assert_eq!(damage[0].why, Flaw::Torn);
    flash.write(&[("m", Some(b"new"))], &mut out).expect("room");
    let [(_, keep)] = &keeps(&mut out)[..] else { panic!("one write") };
    assert_eq!(keep.file, "flash.b");
    carry_out(&mut disk, keep, usize::MAX);
    let (flash, _) = Flash::read(&disk);
    assert_eq!(flash.get("n"), Some(&b"one"[..]));
    assert_eq!(flash.get("m"), Some(&b"new"[..]));
}

#[test]
fn a_bank_that_grew_too_large_is_left_for_the_other_and_neither_grows_for_ever() {
    let mut flash = Flash::default();
    let mut out = Outbox::new();
    let mut disk = Disk::new();
    let value = vec![7u8; 60_000];
    let mut banks = std::collections::BTreeSet::new();
    for n in 0..100u8 {
        flash.write(&[("a", Some(&value)), ("n", Some(&[n]))], &mut out).expect("room");
        for (id, keep) in keeps(&mut out) {
            banks.insert(keep.file.clone());
            carry_out(&mut disk, &keep, usize::MAX);
            flash.kept(id);
        }
        assert!(disk.values().all(|bank| bank.len() <= BANK_LIMIT));
    }
    assert_eq!(banks.len(), 2);
    let (read, damage) = Flash::read(&disk);
    assert_eq!((state(&read), damage), (state(&flash), Vec::new()));
}

#[test]
fn the_other_bank_is_not_touched_before_the_move_to_this_one_is_safe() {
    let mut flash = Flash::default();
    let mut out = Outbox::new();
    let value = vec![7u8; 60_000];
    // Nothing is ever confirmed: everything must go to the first bank, until no more is taken in.
    let refused = (0..1000).find_map(|_| flash.write(&[("a", Some(&value))], &mut out).err());
    assert_eq!(refused, Some(FlashError::Stalled));
    assert!(keeps(&mut out).iter().all(|(_, keep)| keep.file == "flash.a"));
}

#[test]
fn limits_hold_on_both_sides() {
    let mut flash = Flash::default();
    let mut out = Outbox::new();
    let key = "k".repeat(KEY_LIMIT);
    assert!(flash.write(&[(&key, Some(&vec![0; VALUE_LIMIT]))], &mut out).is_ok());
    assert_eq!(
        flash.write(&[(&"k".repeat(KEY_LIMIT + 1), Some(b""))], &mut out),
        Err(FlashError::Key(KEY_LIMIT + 1))
    );
    assert_eq!(flash.write(&[("", Some(b""))], &mut out), Err(FlashError::Key(0)));
    assert!(matches!(
        flash.write(&[("k", Some(&vec![0; VALUE_LIMIT + 1]))], &mut out),
        Err(FlashError::TooLarge { .. })
    ));
    let mut full = None;
    for n in 0..20 {
        if let Err(why) = flash.write(&[(&format!("n{n}"), Some(&vec![0; VALUE_LIMIT]))], &mut out) {
            full = Some(why);
            break;
        }
    }
    assert!(matches!(full, Some(FlashError::Full { .. })));
    assert!(flash.write(&[("n0", None), ("n1", Some(b"small"))], &mut out).is_ok(), "shrinking always fits");
}

#[test]
fn erasing_a_prefix_leaves_the_rest() {
    let mut flash = Flash::default();
    let mut out = Outbox::new();
    flash.write(&[("a/1", Some(b"")), ("a/2", Some(b"")), ("b", Some(b""))], &mut out).expect("room");
    flash.erase("a/", &mut out).expect("room");
    assert_eq!(flash.keys("").collect::<Vec<_>>(), ["b"]);
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let value = proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..12));
    let batch = proptest::collection::vec((0..6u8, value), 0..4);
    proptest::collection::vec(batch, 1..8)
}

proptest! {
    #[test]
    fn after_a_cut_at_any_octet_the_state_is_whole_and_nothing_kept_is_lost(
        batches in batches(),
        cut_before in any::<bool>(),
        lost in 0usize..8,
        moves in proptest::collection::vec(any::<bool>(), 8),
    ) {
        // Begin from a disk with a torn tail in every other run, so that a bank is moved on the way.
        let mut disk = Disk::new();
        let mut flash = Flash::default();
        let mut out = Outbox::new();
        let mut states = vec![State::new()];
        if cut_before {
            write(&mut flash, &vec![(9, Some(vec![9]))], &mut out).expect("room");
            for (_, keep) in keeps(&mut out) {
                carry_out(&mut disk, &keep, usize::MAX);
            }
            disk.get_mut("flash.a").expect("a bank").extend([1, 2, 3]);
            flash = Flash::read(&disk).0;
            states = vec![state(&flash)];
        }
        for (index, batch) in batches.iter().enumerate() {
            write(&mut flash, batch, &mut out).expect("room");
            states.push(state(&flash));
            let written = keeps(&mut out);
            prop_assert_eq!(written.len(), 1);
            let (id, keep) = &written[0];
            // The power cut: any prefix of the newest write, everything before it is there.
            for octets in 0..=octets(keep) {
                let mut torn = disk.clone();
                carry_out(&mut torn, keep, octets);
                let read = state(&Flash::read(&torn).0);
                let older = &states[states.len() - 2];
                prop_assert!(read == *older || read == states[states.len() - 1], "a mixture at octet {}", octets);
                if octets == self::octets(keep) {
                    prop_assert_eq!(&read, &states[states.len() - 1]);
                }
            }
            // A write that never reaches the disk takes those behind it along, and none that was kept.
            if index == lost {
                let kept = states[states.len() - 2].clone();
                let mut later = disk.clone();
                for batch in &batches[index..] {
                    if write(&mut flash, batch, &mut out).is_ok() {
                        for (id, keep) in keeps(&mut out) {
                            carry_out(&mut later, &keep, usize::MAX);
                            prop_assert_eq!(flash.kept(id), None, "nothing behind a lost write is promised");
                        }
                    }
                }
                prop_assert_eq!(state(&Flash::read(&later).0), kept);
                return Ok(());
            }
            carry_out(&mut disk, keep, usize::MAX);
            prop_assert!(flash.kept(*id).is_some());
            if moves[index] && let Some(bank) = &mut flash.bank {
                bank.is_damaged = true;
            }
        }
    }

    #[test]
    fn of_writes_that_were_never_confirmed_any_prefixes_may_survive(
        kept in batches(),
        open in batches(),
        survives in proptest::collection::vec(any::<prop::sample::Index>(), 8),
        whole in proptest::collection::vec(any::<bool>(), 8),
        is_damaged in any::<bool>(),
    ) {
        let (mut disk, mut flash, mut out) = (Disk::new(), Flash::default(), Outbox::new());
        for batch in &kept {
            write(&mut flash, batch, &mut out).expect("room");
            for (id, keep) in keeps(&mut out) {
                carry_out(&mut disk, &keep, usize::MAX);
                flash.kept(id);
            }
        }
        if let Some(bank) = &mut flash.bank {
            bank.is_damaged = is_damaged;
        }
        let mut states = vec![state(&flash)];
        for (index, batch) in open.iter().enumerate() {
            write(&mut flash, batch, &mut out).expect("room");
            states.push(state(&flash));
            for (_, keep) in keeps(&mut out) {
                let prefix = if whole[index] { octets(&keep) } else { survives[index].index(octets(&keep) + 1) };
                carry_out(&mut disk, &keep, prefix);
            }
        }
        let read = state(&Flash::read(&disk).0);
        prop_assert!(states.contains(&read));
    }

    #[test]
    fn any_octets_can_be_read(a in proptest::collection::vec(any::<u8>(), 0..200), b in any::<Option<Vec<u8>>>()) {
        let mut disk = Disk::from([("flash.a".to_owned(), a)]);
        if let Some(b) = b {
            disk.insert("flash.b".to_owned(), b);
        }
        let (mut flash, _) = Flash::read(&disk);
        let mut out = Outbox::new();
        flash.write(&[("k", Some(b"v"))], &mut out).expect("room");
        for (_, keep) in keeps(&mut out) {
            carry_out(&mut disk, &keep, usize::MAX);
        }
        let (read, _) = Flash::read(&disk);
        prop_assert_eq!(read.get("k"), Some(&b"v"[..]));
    }

    #[test]
    fn a_flipped_bit_anywhere_never_gives_a_mixture(batches in batches(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let (mut disk, mut flash, mut out) = (Disk::new(), Flash::default(), Outbox::new());
        let mut states = vec![State::new()];
        for batch in &batches {
            write(&mut flash, batch, &mut out).expect("room");
            states.push(state(&flash));
            for (id, keep) in keeps(&mut out) {
                carry_out(&mut disk, &keep, usize::MAX);
                flash.kept(id);
            }
        }
        let bank = disk.get_mut("flash.a").expect("a bank");
        let at = at.index(bank.len());
        bank[at] ^= 1 << bit;
        let read = state(&Flash::read(&disk).0);
        prop_assert!(states.contains(&read));
    }
}
