//! Real files: what was saved is loaded once, and no file stops a start.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tempfile::TempDir;

use super::super::Settings;
use super::super::envelope::{CipherKey, Keys};
use super::*;

const NOW: u64 = 1_795_250_000_000;

struct Place {
    folder: TempDir,
    path: PathBuf,
}

fn somewhere() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/state/cache.bin");
    Place { folder, path }
}

fn envelope() -> Envelope {
    Envelope::new(&Settings { object_bytes_max: 100_000, ..Settings::default() })
}

fn with_key(id: &str) -> Envelope {
    let key = CipherKey::new(&[7; 32]).unwrap();
    let encryption = Keys::new(id.parse().unwrap(), vec![(id.parse().unwrap(), key)]);
    Envelope::new(&Settings { encryption, object_bytes_max: 100_000, ..Settings::default() })
}

/// Fresh for a second.
fn record(key: &str) -> Record {
    Record {
        key: key.into(),
        url: key.into(),
        namespace: "".into(),
        vary: Vec::new(),
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: Bytes::from(format!("body of {key}")),
        tags: Vec::new(),
        received_unix_ms: NOW,
        age_ms: 0,
        ttl_ms: 1000,
        stale_while_revalidate_ms: 0,
        stale_if_error_ms: 0,
        stale_if_unreachable_ms: 0,
        refresh_ahead_ms: 0,
        generation: 0,
        flags: 0,
    }
}

fn some() -> impl Iterator<Item = Record> {
    ["a", "b", "c"].into_iter().map(record)
}

/// What is loaded: the keys, and the warning without the folder.
fn loaded(place: &Place, envelope: &Envelope, now: u64) -> (Vec<String>, String) {
    let mut loaded = load(&place.path, envelope, now);
    let keys = loaded.by_ref().map(|record| record.key.into()).collect();
    let warning = loaded.warning().unwrap_or_default();
    (keys, warning.replace(&format!("{}/", place.path.parent().unwrap().display()), ""))
}

fn keys(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_was_saved_is_loaded_once() {
    for envelope in [envelope(), with_key("a")] {
        let place = somewhere();
        assert_eq!(loaded(&place, &envelope, NOW), (keys(""), String::new()), "there is no file yet");
        let saved = save(&place.path, some(), &envelope, 1 << 20).unwrap();
        let file = fs::metadata(&place.path).unwrap();
        assert_eq!((saved.records, saved.left_out, saved.bytes), (3, 0, file.len()));
        assert_eq!(file.mode() & 0o7777, 0o600);
        let records: Vec<Record> = load(&place.path, &envelope, NOW).collect();
        assert_eq!(records, some().collect::<Vec<_>>());
        assert!(!place.path.exists(), "what is purged from now on must not come back");
        assert_eq!(loaded(&place, &envelope, NOW), (keys(""), String::new()));
    }
}

#[test]
fn a_file_is_replaced_and_nothing_is_left_beside_it() {
    let place = somewhere();
    save(&place.path, some(), &envelope(), 1 << 20).unwrap();
    // Left by a process that was killed; and whoever put a link there does not get anything written where it points.
    let other = place.folder.path().join("other");
    fs::write(&other, "other").unwrap();
    std::os::unix::fs::symlink(&other, place.path.with_file_name(".cache.bin.new")).unwrap();
    save(&place.path, [record("d")].into_iter(), &envelope(), 1 << 20).unwrap();
    assert_eq!(fs::read(&other).unwrap(), b"other");
    let names = || fs::read_dir(place.path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names().collect::<Vec<_>>(), ["cache.bin"]);
    assert_eq!(loaded(&place, &envelope(), NOW), (keys("d"), String::new()));
    // Where it fails, too.
    fs::create_dir(&place.path).unwrap();
    save(&place.path, some(), &envelope(), 1 << 20).unwrap_err();
    assert_eq!(names().collect::<Vec<_>>(), ["cache.bin"]);
    save(Path::new("/"), some(), &envelope(), 1 << 20).unwrap_err();
}

#[test]
fn only_what_is_of_use_is_loaded() {
    let place = somewhere();
    let records = || {
        let fresh = record("fresh");
        let revalidated = Record { stale_while_revalidate_ms: 500, ..record("revalidated") };
        let saved = Record { stale_if_error_ms: 1000, ..record("on-error") };
        let soon = Record { received_unix_ms: NOW + 60_000, ..record("soon") };
        let strange = Record { received_unix_ms: NOW + 61_000, ..record("strange") };
        [fresh, revalidated, saved, soon, strange].into_iter()
    };
    let check = |now, expected: &str, outdated| {
        save(&place.path, records(), &envelope(), 1 << 20).unwrap();
        let envelope = envelope();
        let mut loaded = load(&place.path, &envelope, now);
        let found: Vec<String> = loaded.by_ref().map(|record| record.key.into()).collect();
        assert_eq!((found, loaded.outdated(), loaded.warning()), (keys(expected), outdated, None), "at {now}");
    };
    check(NOW, "fresh revalidated on-error soon", 1);
    check(NOW + 999, "fresh revalidated on-error soon", 1);
    check(NOW + 1000, "revalidated on-error soon strange", 1);
    check(NOW + 1500, "on-error soon strange", 2);
    check(NOW + 2000, "soon strange", 3);
}

#[test]
fn the_file_has_a_limit() {
    let place = somewhere();
    let one = save(&place.path, [record("a")].into_iter(), &envelope(), 1 << 20).unwrap().bytes;
    let three = save(&place.path, some(), &envelope(), 1 << 20).unwrap().bytes;
    let each = (three - one) / 2;
    let check = |bytes_max, records, left_out| {
        let saved = save(&place.path, some(), &envelope(), bytes_max).unwrap();
        assert_eq!((saved.records, saved.left_out), (records, left_out), "{bytes_max} bytes");
        assert_eq!(saved.bytes, fs::metadata(&place.path).unwrap().len());
        assert!(saved.bytes <= bytes_max || records == 0);
    };
    check(three, 3, 0);
    check(three - 1, 2, 1);
    check(three - each, 2, 1);
    check(one, 1, 2);
    check(one - 1, 0, 3);
    check(0, 0, 3);
    // One that does not fit does not stand in the way of those after it, and one that is too long is none.
    let wide = Record { body: vec![b'x'; each as usize].into(), ..record("wide") };
    let endless = Record { body: vec![b'x'; 100_001].into(), ..record("endless") };
    let saved = save(&place.path, [wide, endless].into_iter().chain(some()), &envelope(), three).unwrap();
    assert_eq!((saved.records, saved.left_out), (2, 3));
    assert_eq!(loaded(&place, &envelope(), NOW), (keys("wide a"), String::new()));
}

/// Every file that breaks off gives what came before, and every changed byte is told or, in the record's number, harmless.
#[test]
fn a_damaged_file_gives_what_came_before_the_damage() {
    for envelope in [envelope(), with_key("a")] {
        let place = somewhere();
        let saved = save(&place.path, some(), &envelope, 1 << 20).unwrap();
        let whole = fs::read(&place.path).unwrap();
        let head = FRAME_BYTES as usize - LENGTH_BYTES;
        let each = (saved.bytes as usize - FRAME_BYTES as usize) / 3;
        let before = |at: usize| ["a", "b", "c"][..at.saturating_sub(head) / each].join(" ");
        // The file is read from where it was put each time: with its mode, and anew.
        let put = |bytes: &[u8]| {
            fs::write(&place.path, bytes).unwrap();
            fs::set_permissions(&place.path, Permissions::from_mode(0o600)).unwrap();
        };
        for at in 0..whole.len() {
            put(&whole[..at]);
            let (found, warning) = loaded(&place, &envelope, NOW);
            assert_eq!(found, keys(&before(at)), "{at} bytes");
            assert!(warning.starts_with("cache.bin: "), "{at} bytes: {warning:?}");
            let mut changed = whole.clone();
            changed[at] ^= 0x41;
            put(&changed);
            let (found, warning) = loaded(&place, &envelope, NOW);
            // Without encryption, nothing depends on the random bytes.
            let harmless = warning.is_empty() && (MAGIC.len() + 1..head).contains(&at);
            assert!(harmless || found == keys(&before(at)) || warning.contains("passed over"), "byte {at}: {found:?}");
            assert!(harmless || warning.starts_with("cache.bin: "), "byte {at}: {warning:?}");
        }
        put(&[whole.as_slice(), b"x"].concat());
        let expected = format!(
            "cache.bin: response 4, at byte {}: the file goes on after its end; the 3 before it that are of use are kept",
            whole.len() - LENGTH_BYTES
        );
        assert_eq!(loaded(&place, &envelope, NOW), (keys("a b c"), expected));
    }
}

#[test]
fn warnings_say_what_and_where() {
    let place = somewhere();
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        save(&place.path, some(), &envelope(), 1 << 20).unwrap();
        let mut bytes = fs::read(&place.path).unwrap();
        change(&mut bytes);
        fs::write(&place.path, bytes).unwrap();
        assert_eq!(loaded(&place, &envelope(), NOW).1, expected);
    };
    let kept = "before it that are of use are kept";
    check(&|_| {}, "");
    check(&|bytes| bytes.clear(), "cache.bin: is no file of stored responses; it is ignored");
    check(&|bytes| bytes[0] = b'P', "cache.bin: is no file of stored responses; it is ignored");
    let version = "cache.bin: is written in version 9 of the form, which is not known here; it is ignored";
    check(&|bytes| bytes[MAGIC.len()] = 9, version);
    assert!(place.path.exists(), "what is ignored is left alone");
    let first = FRAME_BYTES as usize - LENGTH_BYTES;
    let check_first = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        check(change, &format!("cache.bin: response 1, at byte {first}: {expected}; the 0 {kept}"));
    };
    check_first(&|bytes| bytes[first..first + 4].fill(0xff), "the file breaks off");
    check_first(&|bytes| bytes[first..first + 4].fill(0), "the file goes on after its end");
    check_first(&|bytes| bytes[first + 30] ^= 1, "its checksum does not match");
}

#[test]
fn encrypted_records_cannot_be_moved() {
    let (place, envelope) = (somewhere(), with_key("a"));
    let saved = save(&place.path, some(), &envelope, 1 << 20).unwrap();
    let mut bytes = fs::read(&place.path).unwrap();
    let head = FRAME_BYTES as usize - LENGTH_BYTES;
    let each = (saved.bytes as usize - FRAME_BYTES as usize) / 3;
    let second = bytes[head + each..head + 2 * each].to_vec();
    bytes[head + 2 * each..head + 3 * each].copy_from_slice(&second);
    fs::write(&place.path, bytes).unwrap();
    let (found, warning) = loaded(&place, &envelope, NOW);
    assert_eq!(found, keys("a b"));
    assert!(warning.contains("response 3") && warning.contains("moved"), "{warning}");
}

#[test]
fn what_cannot_be_opened_is_passed_over() {
    let place = somewhere();
    let check = |from: &Envelope, to: &Envelope, expected: &str| {
        save(&place.path, some(), from, 1 << 20).unwrap();
        let mut loaded = load(&place.path, to, NOW);
        assert_eq!(loaded.by_ref().count(), 0);
        let warning = loaded.warning().unwrap();
        assert!(warning.contains("cache.bin") && warning.contains(expected), "{warning}");
        assert_eq!((loaded.records(), loaded.passed_over()), (0, 3));
    };
    check(&with_key("2025"), &with_key("2026"), "the key \"2025\", which is not known here");
    check(&with_key("2025"), &envelope(), "the key \"2025\", which is not known here");
    check(&envelope(), &with_key("2026"), "response 1, at byte 34: it is not encrypted");
    let settings = |object_bytes_max| Settings { object_bytes_max, ..Settings::default() };
    check(&envelope(), &Envelope::new(&settings(5)), "longer than a stored response may be");
    // By so much that they are not even read.
    let long = Record { body: vec![b'x'; 3 << 20].into(), ..record("long") };
    let wide = Envelope::new(&Settings { compress_above_bytes: 1 << 50, ..settings(4 << 20) });
    save(&place.path, [record("a"), long, record("b")].into_iter(), &wide, 1 << 30).unwrap();
    let (found, warning) = loaded(&place, &envelope(), NOW);
    assert_eq!(found, keys("a b"));
    assert!(warning.contains("response 2") && warning.contains("passed over"), "{warning}");
}

#[test]
fn a_file_that_others_may_use_is_ignored() {
    let place = somewhere();
    save(&place.path, some(), &envelope(), 1 << 20).unwrap();
    for mode in [0o644, 0o620, 0o606, 0o640] {
        fs::set_permissions(&place.path, Permissions::from_mode(mode)).unwrap();
        let expected = format!("cache.bin: others may use it (mode {mode:o}, and not 600); it is ignored");
        assert_eq!(loaded(&place, &envelope(), NOW), (keys(""), expected));
    }
    fs::set_permissions(&place.path, Permissions::from_mode(0o600)).unwrap();
    // Only the superuser can give files away.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&place.path, Some(4711), None).unwrap();
        let expected = "cache.bin: belongs to the user 4711 and not to ours, 0; it is ignored".to_owned();
        assert_eq!(loaded(&place, &envelope(), NOW), (keys(""), expected));
        std::os::unix::fs::chown(&place.path, Some(0), None).unwrap();
    }
    let elsewhere = place.path.with_file_name("elsewhere");
    fs::rename(&place.path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &place.path).unwrap();
    let (found, warning) = loaded(&place, &envelope(), NOW);
    assert!(found.is_empty() && warning.contains("cannot be opened"), "{warning}");
    fs::remove_file(&place.path).unwrap();
    fs::create_dir(&place.path).unwrap();
    assert_eq!(loaded(&place, &envelope(), NOW).1, "cache.bin: is not a file; it is ignored");
    assert!(elsewhere.exists());
}
