//! Queries over a small run, as far as planning: a valid query may take any time to run.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use super::{
    FuzzTarget,
    scratch::Scratch,
    seeds::{files, texts},
};
use crate::{
    pipeline::Pipeline,
    query::{QueryError, Run},
};

/// The stack of the thread that queries, as that of the command `query`.
const STACK_BYTES: usize = 256 << 20;

pub(super) const QUERY: FuzzTarget = FuzzTarget {
    name: "sql",
    run: query,
    seeds: || {
        let mut seeds = texts(&[
            "select label, count(*) as n from objects group by label order by n desc limit 3",
            "select object_id, l2_distance(image, image), array_argmax(image) from objects where _row > 2",
            "with a as (select * from objects) select a.label from a join objects b on a.object_id = b.object_id",
            "select mmd2(image, label = 'spiral'), energy_distance(r, label = 'merger'), js_distance(r, r, 50) from objects",
            "create table t as select 1; drop table objects",
            "explain select case when 1 = 1 then interval '1 day' else null end",
        ]);
        seeds.extend(files(&["tests/queries", "pipelines"], &[".sql"]));
        seeds
    },
    words: &[
        "select ",
        "from ",
        "where ",
        "group by ",
        "order by ",
        "limit ",
        "union all ",
        "with ",
        "over (",
        "partition by ",
        "cast(",
        " as ",
        "case when ",
        "objects",
        "rejects",
        "object_id",
        "label",
        "image",
        "mmd2(",
        "energy_distance(",
        "js_distance(",
        "l2_distance(",
        "array_argmax(",
        "'",
        "\"",
        ";",
        "--",
        "/*",
        "((((",
        "null",
        "1e400",
        "information_schema.",
        "not ",
        "- -",
        "[1]",
        "interval '1 day'",
    ],
    max_bytes: 1 << 10,
    mutations: 1_500,
};

/// Hands queries to the thread that holds the run, and ends it when dropped.
struct QueryThread {
    queries: Option<SyncSender<String>>,
    answers: Receiver<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for QueryThread {
    fn drop(&mut self) {
        self.queries = None;
        // Its panics were answers.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn query(bytes: &[u8]) {
    thread_local! {
        static THREAD: QueryThread = start();
    }
    let Ok(sql) = std::str::from_utf8(bytes) else { return };
    THREAD.with(|QueryThread { queries, answers, .. }| {
        queries.as_ref().expect("open until it is dropped").send(sql.to_owned()).expect("the thread waits");
        assert!(answers.recv().expect("an answer"), "panicked at `{sql}`");
    });
}

fn start() -> QueryThread {
    let (queries, next) = sync_channel::<String>(0);
    let (answer, answers) = sync_channel(0);
    let work = move || {
        let folder = Scratch::new("sql");
        let yaml = "source: { simulated: { count: 5, size: 8 } }\nsink: { objects: { parquet: { images: [image] } } }";
        Pipeline::from_yaml(yaml).run(folder.path("run")).expect("a run");
        let run = Run::open(&folder.path("run")).expect("the run");
        for sql in next {
            let outcome = catch_unwind(AssertUnwindSafe(|| match run.query(&sql) {
                Ok(rows) => drop(rows.schema()),
                Err(QueryError::Sql(message)) => assert!(!message.is_empty()),
                Err(error) => panic!("{error:?}"),
            }));
            if answer.send(outcome.is_ok()).is_err() {
                break;
            }
        }
    };
    let thread = thread::Builder::new().name("fuzz-query".into()).stack_size(STACK_BYTES).spawn(work);
    QueryThread { queries: Some(queries), answers, thread: Some(thread.expect("a thread")) }
}
