//! Flights on real threads: leaders that store, pass, fail and go away, and readers that wait no longer than they may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::flights::{Boarding, Flights, Landing};
use crate::time;

const KEYS: [&str; 3] = ["a", "b", "c"];
const THREADS: usize = 4;
const READERS: usize = 16;
const ROUNDS: usize = 40;
const LONGEST: Duration = Duration::from_millis(200);
/// What a machine that is busy adds to it.
const BUSY: Duration = Duration::from_secs(5);

/// A generator of numbers that look like chance (splitmix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

#[derive(Default)]
struct Counts {
    /// Who leads now, by key.
    leading: [AtomicUsize; KEYS.len()],
    landed: [AtomicUsize; 4],
}

async fn read(flights: &Flights, counts: &Counts, mut state: u64) {
    for _ in 0..ROUNDS {
        let key = next(&mut state) as usize % KEYS.len();
        match flights.board(KEYS[key], time::now()) {
            Boarding::Alone => tokio::task::yield_now().await,
            Boarding::Wait(wait) => {
                let started = time::now();
                let landing = wait.landed(LONGEST).await;
                let waited = time::now().saturating_duration_since(started);
                assert!(waited < LONGEST + BUSY, "{waited:?}");
                assert_ne!(landing, Landing::Underway);
                let kind = match landing {
                    Landing::Stored => 0,
                    Landing::Empty => 1,
                    Landing::Left | Landing::Underway => 2,
                };
                counts.landed[kind].fetch_add(1, Ordering::Relaxed);
            }
            Boarding::Lead(lead) => {
                assert_eq!(counts.leading[key].fetch_add(1, Ordering::SeqCst), 0, "two lead");
                for _ in 0..next(&mut state) % 4 {
                    tokio::task::yield_now().await;
                }
                if next(&mut state).is_multiple_of(8) {
                    tokio::time::sleep(Duration::from_micros(next(&mut state) % 3000)).await;
                }
                counts.leading[key].fetch_sub(1, Ordering::SeqCst);
                match next(&mut state) % 8 {
                    0 => lead.pass(time::now() + Duration::from_micros(next(&mut state) % 500)),
                    1 => lead.failed(),
                    2 => drop(lead),
                    // The task is dropped as it stands.
                    3 => {
                        let task = tokio::task::spawn_local(async move {
                            let _lead = lead;
                            std::future::pending::<()>().await;
                        });
                        task.abort();
                    }
                    _ => lead.stored(),
                }
            }
        }
    }
}

#[test]
fn nobody_waits_too_long_and_nothing_is_left_behind() {
    let (flights, counts) = (Flights::new(), Arc::new(Counts::default()));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (flights, counts) = (flights.clone(), Arc::clone(&counts));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let local = tokio::task::LocalSet::new();
                for reader in 0..READERS {
                    let (flights, counts) = (flights.clone(), Arc::clone(&counts));
                    local.spawn_local(async move { read(&flights, &counts, (thread * READERS + reader) as u64).await });
                }
                runtime.block_on(local);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    for key in KEYS {
        assert!(!flights.is_underway(key), "{key}");
    }
    assert_eq!(flights.count(), 0);
    let landed: usize = counts.landed.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    assert!(landed > 0, "nobody ever waited");
}

#[test]
fn who_waits_hears_how_it_ended() {
    let (flights, now) = (Flights::new(), time::now());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let check = |end: fn(super::Lead), expected| {
        let Boarding::Lead(lead) = flights.board("key", now) else { unreachable!() };
        let Boarding::Wait(wait) = flights.board("key", now) else { unreachable!() };
        end(lead);
        assert_eq!(runtime.block_on(wait.landed(LONGEST)), expected);
    };
    check(drop, Landing::Left);
    check(super::Lead::failed, Landing::Empty);
    check(super::Lead::stored, Landing::Stored);
    // A leader that never ends.
    let Boarding::Lead(_lead) = flights.board("key", now) else { unreachable!() };
    let Boarding::Wait(wait) = flights.board("key", now) else { unreachable!() };
    assert_eq!(runtime.block_on(wait.landed(Duration::from_millis(1))), Landing::Empty);
}
