//! Runs a test under many schedules, and tests the channel that schedules use.
//!
//! `LUCARNE_SCHEDULES` is the number of schedules of each test (2,000 if it is not set). Half of them choose the next thread at
//! random after every operation; half are by PCT, which changes the priorities of threads at a few random operations and finds
//! errors that need one thread to wait long. The seeds are the same in every run, unless `SHUTTLE_RANDOM_SEED` is set. A test that
//! fails prints its schedule; `LUCARNE_REPLAY=<schedule>` runs that one alone.

use std::env;

use shuttle::{
    Config, MaxSteps, Runner,
    rand::{Rng, thread_rng},
    scheduler::{PctScheduler, RandomScheduler, ReplayScheduler},
};

/// Enough for Arrow without optimisation.
const STACK_BYTES: usize = 256 << 10;
/// More steps than any schedule of these tests needs, unless threads wait for each other in a loop.
const MAX_STEPS: usize = 50_000;
/// Threads change places by priority at this many operations of a PCT schedule, less one.
const PCT_DEPTH: usize = 4;

/// Runs a test under many schedules. It fails if a schedule panics, has a deadlock, or does not end.
pub(crate) fn explore(test: fn()) {
    let config = || {
        let mut config = Config::new();
        config.stack_size = STACK_BYTES;
        config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
        config.silence_warnings = true;
        config
    };
    if let Ok(schedule) = env::var("LUCARNE_REPLAY") {
        Runner::new(ReplayScheduler::new_from_encoded(&schedule), config()).run(test);
        return;
    }
    let schedules = env::var("LUCARNE_SCHEDULES").map_or(2_000, |text| text.parse().expect("a number of schedules"));
    let random = Runner::new(RandomScheduler::new_from_seed(1, schedules - schedules / 2), config()).run(test);
    let pct = Runner::new(PctScheduler::new_from_seed(2, PCT_DEPTH, schedules / 2), config()).run(test);
    assert_eq!(random + pct, schedules);
}

/// A number below `n`, drawn for the schedule.
pub(crate) fn below(n: usize) -> usize {
    thread_rng().gen_range(0..n)
}

/// True once in `n` draws.
pub(crate) fn one_in(n: usize) -> bool {
    below(n) == 0
}

/// Panics without a message on the terminal.
pub(crate) fn panic_quietly(message: &str) -> ! {
    std::panic::resume_unwind(Box::new(message.to_owned()))
}

/// Two senders and two receivers of a channel with room for one item: each item is received once, in the order of its sender; a
/// sender without receivers gets its item back, and what is queued then is dropped.
#[test]
fn a_channel_delivers_every_item_once_and_in_order() {
    use std::sync::Arc;

    use super::{channel::bounded, thread};

    const ITEMS: usize = 3;
    explore(|| {
        let (send, receive) = bounded::<(usize, usize, Arc<()>)>(1 + below(2));
        let token = Arc::new(());
        let most = below(2 * ITEMS);
        let senders: Vec<_> = (0..2)
            .map(|sender| {
                let (send, token) = (send.clone(), token.clone());
                thread::spawn(move || {
                    (0..ITEMS).take_while(|number| send.send((sender, *number, token.clone())).is_ok()).count()
                })
            })
            .collect();
        drop(send);
        let leaves_early = one_in(2);
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let receive = receive.clone();
                let most = if leaves_early { most / 2 } else { usize::MAX };
                thread::spawn(move || {
                    receive.take(most).map(|(sender, number, _)| (sender, number)).collect::<Vec<_>>()
                })
            })
            .collect();
        drop(receive);
        let received: Vec<_> = receivers.into_iter().map(|thread| thread.join().expect("a receiver")).collect();
        let sent: Vec<usize> = senders.into_iter().map(|thread| thread.join().expect("a sender")).collect();
        for items in &received {
            for sender in 0..2 {
                let numbers: Vec<usize> = items.iter().filter(|item| item.0 == sender).map(|item| item.1).collect();
                assert!(numbers.is_sorted_by(|a, b| a < b), "{received:?}");
            }
        }
        let mut all: Vec<_> = received.into_iter().flatten().collect();
        all.sort_unstable();
        all.dedup();
        if leaves_early {
            assert!(all.len() <= sent.iter().sum());
        } else {
            assert_eq!(all, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
        }
        assert_eq!(Arc::strong_count(&token), 1, "nothing is left in the channel");
    });
}
