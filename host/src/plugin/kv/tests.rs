//! The store against a plain map, against many threads, and against its limits.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::time;

const PLENTY: usize = 1 << 30;

fn namespace(quota_bytes: usize) -> Arc<Namespace> {
    Store::default().namespace(&"test".parse().unwrap(), quota_bytes)
}

fn text(bytes: Option<Bytes>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn namespaces_are_kept_apart_and_kept() {
    let store = Store::default();
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    let now = time::now();
    store.namespace(&a, PLENTY).set("k", "1".into(), None, now).unwrap();
    assert_eq!(store.namespace(&b, PLENTY).get("k", now), None);
    assert_eq!(text(store.namespace(&a, 0).get("k", now)).as_deref(), Some("1"), "as after a swap");
    assert_eq!(
        store.namespace(&a, 0).set("l", "1".into(), None, now),
        Err(KvError::Quota),
        "each handle has its quota"
    );
    store.namespace(&a, PLENTY).set("l", "1".into(), None, now).unwrap();
}

#[test]
fn entries_expire_on_the_instant_and_their_bytes_return() {
    let kv = namespace(PLENTY);
    let start = time::now();
    kv.set("k", "v".into(), Some(ms(100)), start).unwrap();
    assert_eq!(text(kv.get("k", start + ms(99))).as_deref(), Some("v"));
    assert!(kv.bytes() > 0);
    assert_eq!(kv.get("k", start + ms(100)), None);
    assert_eq!(kv.bytes(), 0);

    kv.set("k", "v".into(), Some(ms(1)), start).unwrap();
    assert!(!kv.delete("k", start + ms(1)), "there was nothing any more");
    assert_eq!(kv.bytes(), 0);

    kv.set("k", "v".into(), Some(ms(1)), start).unwrap();
    assert_eq!(kv.compare_and_swap("k", Some(b"v"), "w".into(), None, start + ms(1)), Ok(false));
    assert_eq!(kv.bytes(), 0, "met, therefore gone");
    kv.set("k", "v".into(), Some(Duration::MAX), start).unwrap();
    assert!(kv.get("k", start + ms(1 << 40)).is_some(), "too long to count is for ever");
}

#[test]
fn setting_again_replaces_the_time_to_live_and_incrementing_keeps_it() {
    let kv = namespace(PLENTY);
    let start = time::now();
    kv.set("k", "v".into(), Some(ms(10)), start).unwrap();
    kv.set("k", "v".into(), None, start).unwrap();
    assert!(kv.get("k", start + ms(1000)).is_some());

    assert_eq!(kv.increment("n", 1, Some(ms(10)), start), Ok(1));
    assert_eq!(kv.increment("n", 1, Some(ms(10)), start + ms(9)), Ok(2));
    assert_eq!(kv.increment("n", 1, Some(ms(10)), start + ms(10)), Ok(1), "a new window");
}

#[test]
fn increment_takes_numbers_only() {
    let kv = namespace(PLENTY);
    let now = time::now();
    for bad in ["", "x", "1.5", " 1", "9223372036854775808"] {
        kv.set("k", bad.into(), None, now).unwrap();
        assert_eq!(kv.increment("k", 1, None, now), Err(KvError::NotANumber), "{bad:?}");
        assert_eq!(text(kv.get("k", now)).as_deref(), Some(bad));
    }
    kv.set("k", Bytes::from_static(&[0xff]), None, now).unwrap();
    assert_eq!(kv.increment("k", 1, None, now), Err(KvError::NotANumber));
    kv.set("k", i64::MAX.to_string().into(), None, now).unwrap();
    assert_eq!(kv.increment("k", 1, None, now), Err(KvError::NotANumber));
    assert_eq!(kv.increment("k", i64::MIN, None, now), Ok(-1));
    assert_eq!(text(kv.get("k", now)).as_deref(), Some("-1"));
}

#[test]
fn sizes_are_limited() {
    let kv = namespace(PLENTY);
    let now = time::now();
    let key = "k".repeat(KEY_BYTES_MAX);
    kv.set(&key, vec![0; VALUE_BYTES_MAX].into(), None, now).unwrap();
    assert_eq!(kv.set(&format!("{key}k"), Bytes::new(), None, now), Err(KvError::TooLarge));
    assert_eq!(kv.set("k", vec![0; VALUE_BYTES_MAX + 1].into(), None, now), Err(KvError::TooLarge));
    assert_eq!(kv.increment(&format!("{key}k"), 1, None, now), Err(KvError::TooLarge));
    let cas = kv.compare_and_swap("k", None, vec![0; VALUE_BYTES_MAX + 1].into(), None, now);
    assert_eq!(cas, Err(KvError::TooLarge));
}

#[test]
fn the_quota_is_exact_and_expired_entries_make_room() {
    let one = cost("k0", b"0123456789");
    let kv = namespace(10 * one);
    let start = time::now();
    let value = || Bytes::from_static(b"0123456789");
    for index in 0..10 {
        kv.set(&format!("k{index}"), value(), (index < 5).then_some(ms(10)), start).unwrap();
    }
    assert_eq!(kv.bytes(), 10 * one);
    assert_eq!(kv.set("kx", value(), None, start), Err(KvError::Quota));
    assert_eq!(kv.increment("kx", 1, None, start), Err(KvError::Quota));
    assert_eq!(kv.set("k0", "01234567890".into(), None, start), Err(KvError::Quota));
    assert_eq!(text(kv.get("k0", start)).as_deref(), Some("0123456789"), "a refused write changes nothing");
    kv.set("k0", value(), Some(ms(10)), start).unwrap();

    kv.set("kx", value(), None, start + ms(10)).unwrap();
    assert_eq!(kv.bytes(), 6 * one);
    for index in 5..10 {
        assert!(kv.delete(&format!("k{index}"), start));
    }
    assert!(kv.delete("kx", start));
    assert_eq!(kv.bytes(), 0);
}

#[test]
fn large_namespaces_sweep_only_as_often_as_writes_pay() {
    const ENTRIES: usize = 20_000;
    let one = cost("00000", b"");
    let kv = namespace(ENTRIES * one);
    let start = time::now();
    for index in 0..ENTRIES {
        kv.set(&format!("{index:05}"), Bytes::new(), Some(ms(index as u64 + 1)), start).unwrap();
    }
    // One more expires with every write. Refusals until a sweep is paid for are what keeps it cheap.
    let attempts = 2_000;
    let taken = (0..attempts)
        .filter(|index| kv.set(&format!("x{index:04}"), Bytes::new(), None, start + ms(index + 1)).is_ok())
        .count();
    assert!(taken > 1_000, "{taken}");
    assert!(kv.bytes() <= ENTRIES * one);
}

#[test]
fn threads_that_increment_give_the_exact_sum() {
    const THREADS: usize = 8;
    const TIMES: usize = 5_000;
    let kv = namespace(PLENTY);
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..TIMES {
                    kv.increment("n", 1, None, time::now()).unwrap();
                }
            });
        }
    });
    assert_eq!(kv.increment("n", 0, None, time::now()), Ok((THREADS * TIMES) as i64));
}

#[test]
fn threads_that_compare_and_swap_give_the_exact_sum() {
    const THREADS: usize = 4;
    const TIMES: usize = 2_000;
    let kv = namespace(PLENTY);
    let add_one = || loop {
        let now = time::now();
        let present = kv.get("n", now);
        let number: usize = text(present.clone()).map_or(0, |text| text.parse().unwrap());
        let next = (number + 1).to_string();
        if kv.compare_and_swap("n", present.as_deref(), next.into(), None, now).unwrap() {
            return;
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..TIMES).for_each(|_| add_one()));
        }
    });
    assert_eq!(text(kv.get("n", time::now())), Some((THREADS * TIMES).to_string()));
}

#[test]
fn accounts_return_to_zero_after_threads_wrote_expired_swept_and_deleted() {
    let quota = 50 * cost("key-00", &[0; 100]);
    let kv = namespace(quota);
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let kv = &kv;
            scope.spawn(move || {
                for step in 0..5_000_u64 {
                    let now = time::now();
                    let key = format!("key-{:02}", (step * 7 + thread * 13) % 100);
                    match step % 5 {
                        0 | 1 => drop(kv.set(&key, vec![0; (step % 200) as usize].into(), Some(ms(step % 3)), now)),
                        2 => drop(kv.get(&key, now)),
                        3 => drop(kv.increment(&format!("n{key}"), 1, Some(ms(1)), now)),
                        _ => drop(kv.delete(&key, now)),
                    }
                    assert!(kv.bytes() <= quota);
                }
            });
        }
    });
    let now = time::now();
    for index in 0..100 {
        kv.delete(&format!("key-{index:02}"), now);
        kv.delete(&format!("nkey-{index:02}"), now);
    }
    assert_eq!(kv.shared.entries.len(), 0);
    assert_eq!(kv.bytes(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Get(u8),
    Set(u8, u8, Option<u8>),
    Delete(u8),
    Swap(u8, Option<u8>, u8, Option<u8>),
    Increment(u8, i8, Option<u8>),
    Wait(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (key, number, ttl) = (0..8_u8, any::<u8>(), proptest::option::of(0..20_u8));
    let step = prop_oneof![
        key.clone().prop_map(Step::Get),
        (key.clone(), number, ttl.clone()).prop_map(|(key, value, ttl)| Step::Set(key, value, ttl)),
        key.clone().prop_map(Step::Delete),
        (key.clone(), proptest::option::of(any::<u8>()), number, ttl.clone())
            .prop_map(|(key, old, new, ttl)| Step::Swap(key, old, new, ttl)),
        (key, any::<i8>(), ttl).prop_map(|(key, delta, ttl)| Step::Increment(key, delta, ttl)),
        (0..10_u8).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..200)
}

/// The store as a plain map: live entries only, and what they cost.
#[derive(Default)]
struct Model(BTreeMap<String, (String, Option<u64>)>);

impl Model {
    fn write(&mut self, key: &str, value: String, expires: Option<u64>, quota: usize) -> Result<(), KvError> {
        let others = self.0.iter().filter(|(known, _)| *known != key);
        let bytes: usize = others.map(|(key, (value, _))| cost(key, value.as_bytes())).sum();
        if bytes + cost(key, value.as_bytes()) > quota {
            return Err(KvError::Quota);
        }
        self.0.insert(key.to_owned(), (value, expires));
        Ok(())
    }

    fn value(&self, key: &str) -> Option<String> {
        self.0.get(key).map(|(value, _)| value.clone())
    }
}

proptest! {
    #[test]
    fn does_what_a_plain_map_does(steps in steps()) {
        let quota = 5 * cost("k0", b"100");
        let (kv, mut model) = (namespace(quota), Model::default());
        let (start, mut clock) = (time::now(), 0_u64);
        for step in steps {
            let now = start + ms(clock);
            let key = |key: u8| format!("k{key}");
            let expires = |ttl: Option<u8>| ttl.map(|ttl| clock + u64::from(ttl));
            let ttl_of = |ttl: Option<u8>| ttl.map(|ttl| ms(ttl.into()));
            model.0.retain(|_, (_, expires)| expires.is_none_or(|expires| expires > clock));
            match step {
                Step::Get(k) => prop_assert_eq!(text(kv.get(&key(k), now)), model.value(&key(k))),
                Step::Set(k, value, ttl) => {
                    let expected = model.write(&key(k), value.to_string(), expires(ttl), quota);
                    prop_assert_eq!(kv.set(&key(k), value.to_string().into(), ttl_of(ttl), now), expected);
                }
                Step::Delete(k) => prop_assert_eq!(kv.delete(&key(k), now), model.0.remove(&key(k)).is_some()),
                Step::Swap(k, old, new, ttl) => {
                    let old = old.map(|old| old.to_string());
                    let expected = if model.value(&key(k)) == old {
                        model.write(&key(k), new.to_string(), expires(ttl), quota).map(|()| true)
                    } else {
                        Ok(false)
                    };
                    let old = old.as_ref().map(|old| old.as_bytes());
                    let done = kv.compare_and_swap(&key(k), old, new.to_string().into(), ttl_of(ttl), now);
                    prop_assert_eq!(done, expected);
                }
                Step::Increment(k, delta, ttl) => {
                    let present = model.0.get(&key(k)).cloned();
                    let (number, expires) = present
                        .map_or((0, expires(ttl)), |(value, expires)| (value.parse::<i64>().unwrap(), expires));
                    let sum = number + i64::from(delta);
                    let expected = model.write(&key(k), sum.to_string(), expires, quota).map(|()| sum);
                    prop_assert_eq!(kv.increment(&key(k), delta.into(), ttl_of(ttl), now), expected);
                }
                Step::Wait(milliseconds) => clock += u64::from(milliseconds),
            }
            prop_assert!(kv.bytes() <= quota);
        }
        for k in 0..8 {
            kv.delete(&format!("k{k}"), start);
        }
        prop_assert_eq!(kv.bytes(), 0);
    }
}
