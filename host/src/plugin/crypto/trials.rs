//! Passwords are tried here, beside the workers: a hash that is slow to try must not hold up everybody else's requests.
//!
//! Border: threads of its own and a queue; who asks waits without holding anything. Invariant: what waits is bounded, and each client's part of it, too;
//! the same password is not tried twice at the same moment.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::Password;

/// Trials that wait or run. At the usual cost one takes a twentieth of a second, so that nobody waits for much longer than one.
const JOBS_MAX: usize = 32;
/// Of them, how many one client may have.
const JOBS_OF_CLIENT_MAX: usize = 4;
/// Most threads. They take turns with the workers, and guessing must not get more of the machine than serving.
const THREADS_MAX: usize = 2;

/// So many trials wait that there is no room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// What is tried: a password as it was given, against one as it is kept.
#[derive(Clone)]
pub struct Pair {
    stored: Arc<Password>,
    given: Arc<[u8]>,
}

impl Pair {
    /// These two.
    pub fn new(stored: Arc<Password>, given: &[u8]) -> Self {
        Self { stored, given: given.into() }
    }

    /// Whether trying one is trying the other.
    pub fn is_same(&self, other: &Self) -> bool {
        self.stored.is_same(&other.stored) && self.given == other.given
    }

    /// Tries it here and now.
    pub fn is_right(&self) -> bool {
        self.stored.verify(&self.given)
    }
}

/// Tries passwords on threads of its own, which begin with the first of them and end with this.
#[derive(Default)]
pub struct Trials(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to do, or nothing ever again.
    news: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    running: Vec<Job>,
    threads: usize,
    /// Numbers jobs.
    next: u64,
    closed: bool,
}

struct Job {
    number: u64,
    pair: Pair,
    /// Who asked first.
    client: IpAddr,
    tell: Vec<oneshot::Sender<bool>>,
}

impl Trials {
    /// Has a password tried for this client. What it gives knows whether it is right once that is known.
    pub fn ask(&self, client: IpAddr, pair: Pair) -> Result<oneshot::Receiver<bool>, Busy> {
        let (tell, told) = oneshot::channel();
        let mut queue = self.0.locked();
        let Queue { waiting, running, .. } = &mut *queue;
        if let Some(same) = waiting.iter_mut().chain(running.iter_mut()).find(|job| job.pair.is_same(&pair)) {
            same.tell.push(tell);
            return Ok(told);
        }
        let all = waiting.len() + running.len();
        let of_client = waiting.iter().chain(running.iter()).filter(|job| job.client == client).count();
        if all >= JOBS_MAX || of_client >= JOBS_OF_CLIENT_MAX {
            return Err(Busy);
        }
        if queue.threads <= queue.running.len() && queue.threads < threads_max() {
            let shared = Arc::clone(&self.0);
            let begun = thread::Builder::new().name("passwords".into()).spawn(move || shared.work());
            queue.threads += usize::from(begun.is_ok());
            if queue.threads == 0 {
                return Err(Busy);
            }
        }
        let number = queue.next;
        queue.next += 1;
        queue.waiting.push_back(Job { number, pair, client, tell: vec![tell] });
        drop(queue);
        self.0.news.notify_one();
        Ok(told)
    }
}

impl Drop for Trials {
    fn drop(&mut self) {
        self.0.locked().closed = true;
        self.0.news.notify_all();
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut queue = self.locked();
        while !queue.closed {
            let Some(job) = queue.waiting.pop_front() else {
                queue = self.news.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            // Nobody waits for it any more.
            if job.tell.iter().all(oneshot::Sender::is_closed) {
                continue;
            }
            let (number, pair) = (job.number, job.pair.clone());
            queue.running.push(job);
            drop(queue);
            let is_right = pair.is_right();
            queue = self.locked();
            if let Some(at) = queue.running.iter().position(|job| job.number == number) {
                for tell in queue.running.swap_remove(at).tell {
                    // Who has gone away does not hear it.
                    let _ = tell.send(is_right);
                }
            }
        }
    }
}

/// One in a small machine.
fn threads_max() -> usize {
    thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, THREADS_MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn stored() -> Arc<Password> {
        Arc::new(Password::import(&Password::hash(b"open sesame").unwrap()).unwrap())
    }

    fn client(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[tokio::test]
    async fn right_and_wrong_are_told_to_all_who_asked() {
        let (trials, stored) = (Trials::default(), stored());
        let ask = |given: &[u8]| trials.ask(client(1), Pair::new(Arc::clone(&stored), given)).unwrap();
        let told = [ask(b"open sesame"), ask(b"guess"), ask(b"open sesame")];
        for (told, expected) in told.into_iter().zip([true, false, true]) {
            assert_eq!(told.await, Ok(expected));
        }
    }

    #[tokio::test]
    async fn what_waits_is_bounded_for_each_client_and_for_all() {
        let (trials, stored) = (Trials::default(), stored());
        // So that no thread begins, and nothing is done before all have asked.
        trials.0.locked().threads = usize::MAX;
        let ask = |who: u8, guess: u8| trials.ask(client(who), Pair::new(Arc::clone(&stored), &[guess]));
        let mut kept = Vec::new();
        for guess in 0..4 {
            kept.push(ask(1, guess).unwrap());
        }
        assert_eq!(ask(1, 9).err(), Some(Busy));
        assert!(ask(1, 0).is_ok(), "it is tried already");
        for who in 2..30 {
            kept.extend(ask(who, 100 + who).ok());
        }
        assert_eq!(kept.len(), JOBS_MAX);
        assert_eq!(ask(99, 200).err(), Some(Busy));
    }
}
