//! Permits keep their bounds and wake every thread that can continue.

use std::sync::Arc;

use crate::{
    engine::permits::Permits,
    sync::{
        channel::unbounded,
        schedules::{below, explore, one_in},
        thread,
    },
};

const MAX_BYTES: usize = 10;

/// Two or three threads take permits of any size, some larger than the bound, change them, and return them, while the permits may
/// be closed at any time.
#[test]
fn permits_keep_their_bounds_and_are_all_returned() {
    explore(|| {
        let max_batches = 1 + below(2);
        let permits = Permits::new(MAX_BYTES, max_batches);
        let grows = one_in(2);
        let closes = one_in(2);
        let check = move |permits: &Permits| {
            let (batches, bytes) = permits.used();
            assert!(batches <= max_batches, "{batches} batches");
            assert!(grows || bytes <= MAX_BYTES || batches == 1, "{bytes} bytes in {batches} batches");
        };
        let threads: Vec<_> = (0..2 + below(2))
            .map(|_| {
                let permits = permits.clone();
                thread::spawn(move || {
                    for _ in 0..2 {
                        let bytes = below(MAX_BYTES + 4);
                        let Some(mut permit) = permits.acquire(bytes) else {
                            assert!(closes, "a permit is refused only after `close`");
                            assert!(permits.acquire(0).is_none(), "`close` is final");
                            return;
                        };
                        check(&permits);
                        if one_in(2) {
                            permit.resize(if grows { bytes + below(8) } else { below(bytes + 1) });
                            check(&permits);
                        }
                    }
                })
            })
            .collect();
        if closes {
            permits.close();
        }
        check(&permits);
        threads.into_iter().for_each(|thread| thread.join().expect("a thread with permits"));
        assert_eq!(permits.used(), (0, 0));
        assert_eq!(Arc::strong_count(&permits), 1);
    });
}

/// Two threads wait, and only one of them fits after a batch shrinks or is dropped: it is the one that continues.
#[test]
fn room_wakes_the_thread_that_fits() {
    explore(|| {
        let permits = Permits::new(MAX_BYTES, 3);
        let first = permits.acquire(4).expect("a permit");
        let mut second = permits.acquire(MAX_BYTES - 4).expect("a permit");
        let (send, mut admitted) = unbounded();
        let threads = [9, 3].map(|bytes| {
            let (permits, send) = (permits.clone(), send.clone());
            thread::spawn(move || {
                let permit = permits.acquire(bytes).expect("a permit");
                assert!(send.send((bytes, permit)).is_ok());
            })
        });
        drop(send);
        let shrunk = if one_in(2) {
            second.resize(1);
            Some(second)
        } else {
            drop(second);
            None
        };
        let (bytes, permit) = admitted.next().expect("a permit");
        let shrunk_batches = usize::from(shrunk.is_some());
        assert_eq!((bytes, permits.used()), (3, (2 + shrunk_batches, 7 + shrunk_batches)));
        drop((first, shrunk, permit));
        assert!(admitted.next().is_some_and(|(bytes, _)| bytes == 9));
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(permits.used(), (0, 0));
    });
}
