//! The limit against a simulated origin that serves so many requests at once and lets the others wait.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::time;

fn route() -> Name {
    "simulated".parse().unwrap()
}

/// An origin with so many places, of which each takes so long.
struct Simulation {
    concurrency: Rc<Concurrency>,
    places: f64,
    service: Duration,
    now: Instant,
    /// Who is there, and since when.
    inside: Vec<(Instant, Place)>,
    refused: u32,
    /// What the last answers took.
    took: Vec<Duration>,
    most_inside: usize,
}

impl Simulation {
    fn new(settings: Settings, places: u32, service_ms: u64) -> Self {
        let (concurrency, service) = (Concurrency::new(&route(), settings), Duration::from_millis(service_ms));
        let places = f64::from(places);
        let (inside, took) = (Vec::new(), Vec::new());
        Self { concurrency, places, service, now: time::now(), inside, refused: 0, took, most_inside: 0 }
    }

    /// Lets time pass while so many requests come per second.
    fn run(&mut self, seconds: u64, requests_per_second: f64) {
        let step = Duration::from_millis(1);
        let (mut due, mut work, mut took) = (0.0, 0.0, Vec::new());
        self.most_inside = 0;
        for _ in 0..seconds * 1000 {
            self.now += step;
            due += requests_per_second / 1000.0;
            while due >= 1.0 {
                due -= 1.0;
                match self.concurrency.enter(self.now) {
                    Some(place) => self.inside.push((self.now, place)),
                    None => self.refused += 1,
                }
            }
            self.most_inside = self.most_inside.max(self.inside.len());
            // Answers leave in order, no faster than the places give them, and none before its service is over.
            work = (work + self.places / self.service.as_secs_f64() / 1000.0).min(self.places);
            while work >= 1.0
                && let Some((began, _)) = self.inside.first()
                && self.now - *began >= self.service
            {
                work -= 1.0;
                let (began, place) = self.inside.remove(0);
                took.push(self.now - began);
                place.leave(Outcome::Answered, began, self.now);
            }
        }
        self.took = took.split_off(took.len() / 2);
    }

    fn mean_ms(&self) -> u128 {
        self.took.iter().sum::<Duration>().as_millis() / self.took.len().max(1) as u128
    }
}

fn gradient() -> Settings {
    Settings { initial: 20, min: 4, max: 1_000, algorithm: Algorithm::Gradient { tolerance: 1.5 } }
}

fn aimd() -> Settings {
    Settings { algorithm: Algorithm::Aimd { latency: Duration::from_millis(30) }, ..gradient() }
}

#[test]
fn under_overload_the_limit_settles_near_what_the_origin_can_do() {
    for (settings, ms_max) in [(gradient(), 25), (aimd(), 35)] {
        // Twenty places of 10 ms each: 2000 requests a second are what it can do; three times as many come.
        let mut simulation = Simulation::new(settings, 20, 10);
        simulation.run(5, 1_500.0);
        let refused = simulation.refused;
        simulation.run(120, 6_000.0);
        assert!(simulation.mean_ms() <= ms_max, "{settings:?}: {} ms", simulation.mean_ms());
        let limit = simulation.concurrency.limit();
        assert!((20..=70).contains(&limit), "{settings:?}: {limit}");
        let answered = simulation.took.len() as f64 / 60.0;
        assert!(answered >= 1_900.0, "{settings:?}: {answered} a second of 2000 possible");
        assert!(refused < 500, "{settings:?}: {refused} were refused that could have been answered");
    }
}

#[test]
fn when_the_origin_gets_slow_less_is_let_through_and_later_as_much_as_before() {
    for settings in [gradient(), aimd()] {
        let mut simulation = Simulation::new(settings, 40, 10);
        simulation.run(20, 3_000.0);
        let before = simulation.concurrency.limit();
        // A tenth of its places is left: without a limit 2700 requests more would wait with every second.
        simulation.places = 4.0;
        simulation.run(20, 3_000.0);
        assert!(simulation.concurrency.limit() <= 16, "{settings:?}: {}", simulation.concurrency.limit());
        assert!(simulation.mean_ms() < 60, "{settings:?}: {} ms", simulation.mean_ms());
        simulation.places = 40.0;
        simulation.run(60, 3_000.0);
        let refused = simulation.refused;
        simulation.run(10, 3_000.0);
        assert!(simulation.concurrency.limit() >= 30, "{settings:?}: {before} {}", simulation.concurrency.limit());
        assert!(simulation.refused - refused < 300, "{settings:?}: {}", simulation.refused - refused);
    }
}

#[test]
fn a_light_load_is_never_refused_and_does_not_raise_the_limit() {
    for settings in [gradient(), aimd()] {
        let mut simulation = Simulation::new(settings, 20, 10);
        simulation.run(120, 300.0);
        assert_eq!(simulation.refused, 0);
        assert!((4..=20).contains(&simulation.concurrency.limit()), "{}", simulation.concurrency.limit());
    }
}

#[test]
fn failures_shrink_the_limit_to_its_minimum_and_no_further() {
    let concurrency = Concurrency::new(&route(), gradient());
    let mut now = time::now();
    for _ in 0..100 {
        now += Duration::from_millis(120);
        concurrency.enter(now).unwrap().leave(Outcome::Failed, now, now + Duration::from_millis(110));
    }
    assert_eq!(concurrency.limit(), 4);
}

#[test]
fn a_few_failures_among_many_answers_are_not_too_much_load() {
    let settings = Settings { max: 20, ..aimd() };
    let limit = |failures: u32| {
        let concurrency = Concurrency::new(&route(), settings);
        let mut now = time::now();
        for _ in 0..100 {
            now += Duration::from_millis(120);
            for number in 0..20 {
                let outcome = if number < failures { Outcome::Failed } else { Outcome::Answered };
                concurrency.enter(now).unwrap().leave(outcome, now, now + Duration::from_millis(5));
            }
        }
        concurrency.limit()
    };
    assert_eq!((limit(1), limit(20)), (20, 4));
}

#[test]
fn who_goes_away_makes_room_and_says_nothing() {
    let settings = Settings { initial: 1, min: 1, max: 1, ..gradient() };
    let concurrency = Concurrency::new(&route(), settings);
    let now = time::now();
    let place = concurrency.enter(now).unwrap();
    assert!(concurrency.enter(now).is_none());
    drop(place);
    assert!(concurrency.enter(now).is_some());
}

#[test]
fn operators_are_told_what_becomes_of_a_limit_while_somebody_has_it() {
    let route: Name = "told".parse().unwrap();
    let told = || standings().get(&route).cloned();
    assert_eq!(told(), None);
    let settings = Settings { initial: 2, min: 1, max: 2, ..gradient() };
    let [one, other] = [(); 2].map(|()| Concurrency::new(&route, settings));
    let now = time::now();
    let places = [(); 3].map(|()| one.enter(now));
    assert_eq!(told(), Some(Standing { limits: vec![2, 2], under_way: 2, refused: 1 }));
    drop(places);
    drop(other);
    assert_eq!(told(), Some(Standing { limits: vec![2], under_way: 0, refused: 1 }));
    drop(one);
    assert_eq!(told(), None);
}
