//! The resequencer between workers and a consumer.

use crate::{
    engine::resequencer::Resequencer,
    sync::{
        channel::{bounded, unbounded},
        schedules::{below, explore},
        thread,
    },
};

/// Workers take numbered items from one channel and put them into another in any order; they come out in order, each once.
#[test]
fn items_come_out_in_order_and_once_for_any_workers() {
    explore(|| {
        let (items, workers) = (below(7) as u64, 1 + below(3));
        let (give, work) = bounded(1 + below(2));
        let (send, done) = unbounded();
        let threads: Vec<_> = (0..workers)
            .map(|_| {
                let (work, send) = (work.clone(), send.clone());
                thread::spawn(move || work.map(|number: u64| send.send((number, number))).all(|sent| sent.is_ok()))
            })
            .collect();
        drop((work, send));
        let source = thread::spawn(move || (0..items).all(|number| give.send(number).is_ok()));
        let mut order = Resequencer::new();
        let mut out = Vec::new();
        for (number, item) in done {
            order.put(number, item);
            out.extend(std::iter::from_fn(|| order.take()));
            assert!(out.len() + order.early() <= items as usize);
        }
        assert!(out.iter().copied().eq(0..items), "{out:?}");
        assert_eq!(order.early(), 0);
        assert!(source.join().expect("no panic"));
        assert!(threads.into_iter().all(|thread| thread.join().expect("no panic")));
    });
}
