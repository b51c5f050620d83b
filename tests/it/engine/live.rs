//! The live view over HTTP, while a run is in progress.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use lucarne::{
    engine::{RunOptions, Stop, run},
    error::Error,
    query::Run,
    report::live::{LiveStatus, RunState, Server},
};
use serde_json::Value;
use tempfile::tempdir;

use super::stages::Recipe;

/// An answer: status, head in lower case, body.
struct Answer(u16, String, String);

fn ask_raw(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer(status, head.to_lowercase(), body.to_owned())
}

fn ask_for(address: SocketAddr, method: &str, path: &str, host: &str) -> Answer {
    ask_raw(address, &format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

fn get(address: SocketAddr, path: &str) -> String {
    let Answer(status, head, body) = ask_for(address, "GET", path, "localhost:1234");
    assert_eq!(status, 200, "{head}\n{body}");
    body
}

fn status(address: SocketAddr) -> Value {
    serde_json::from_str(&get(address, "/status.json")).unwrap()
}

/// Asks until the answer is as wanted.
fn wait_for(address: SocketAddr, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let news = status(address);
        if wanted(&news) {
            return news;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it never came to that: {news}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn local() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A server of nothing much.
fn served() -> Server {
    Server::start(local(), LiveStatus::new("nothing"), || Ok("<main>a page</main>".into())).unwrap()
}

#[test]
fn shows_a_run_while_it_works_while_it_waits_and_after_its_end() {
    let dir = tempdir().unwrap();
    let recipe = Recipe { endless: true, ..Recipe::default() };
    let all: u64 = 301;
    let board = LiveStatus::new("endless");
    let made = Arc::new(AtomicUsize::new(0));
    let page = {
        let (made, dir) = (made.clone(), dir.path().to_owned());
        move || {
            made.fetch_add(1, Ordering::SeqCst);
            let run = Run::open(&dir)?;
            let batches = run.query("select * from objects").map_err(|error| Error::data(error.to_string()))?;
            let rows: usize = batches.map(|batch| batch.unwrap().num_rows()).sum();
            Ok(format!("<!doctype html><main>{rows} objects</main>"))
        }
    };
    let server = Server::start(local(), board.clone(), page).unwrap();
    let at = server.address();
    let first = status(at);
    assert_eq!((first["state"].as_str(), first["counts"]["source"].as_u64()), (Some("running"), Some(0)));

    // The run stands still after its first commit until the gate opens.
    let (gate, closed) = channel::<()>();
    let stop = Stop::default();
    let running = {
        let (job, board, stop) = (recipe.job(Some(dir.path())), board.clone(), stop.clone());
        thread::spawn(move || {
            let outcome = run(job, &RunOptions::default(), &stop, &mut |status| {
                board.update(status);
                if status.commits >= 1 {
                    let _ = closed.recv();
                }
            });
            board.end(outcome.as_ref().err());
            outcome
        })
    };
    let early = wait_for(at, |news| news["commits"] == 1);
    let rows = early["counts"]["source"].as_u64().unwrap();
    assert!((100..all).contains(&rows), "{early}");
    assert_eq!(early["total"], 723);
    let labels: Vec<&str> = early["stages"].as_array().unwrap().iter().map(|s| s["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["source", "sum", "odd", "model", "windows", "objects"]);
    assert_eq!(early["stages"][0]["rows"], rows);
    assert_eq!(early["last_findings"][0]["message"], "window 0 is a third one");
    let queues = &early["queues"];
    assert_eq!((queues["unworked_bound"].as_u64(), queues["batches_bound"].as_u64()), (Some(2), Some(8)));
    assert!(queues["batches"].as_u64().unwrap() <= 8, "{queues}");

    // One making for one commit, however many ask.
    let kept = early["counts"]["written"].as_u64().unwrap();
    let expected = format!("<!doctype html><main>{kept} objects</main>");
    assert_eq!([get(at, "/"), get(at, "/")], [expected.clone(), expected]);
    assert_eq!(made.load(Ordering::SeqCst), 1);
    let metrics = get(at, "/metrics");
    for line in [
        format!("lucarne_rows_total{{result=\"read\"}} {rows}\n"),
        format!("lucarne_rows_total{{result=\"kept\"}} {kept}\n"),
        format!("lucarne_stage_rows_total{{family=\"source\",stage=\"source\"}} {rows}\n"),
        "lucarne_source_rows 723\n".into(),
        "lucarne_commits_total 1\n".into(),
        "lucarne_run_state{state=\"running\"} 1\n".into(),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }

    // A source that has nothing more to give for now: rows stand still, time does not.
    drop(gate);
    let idle = wait_for(at, |news| news["counts"]["source"] == all);
    wait_for(at, |news| news["updated_unix_seconds"].as_f64() > idle["updated_unix_seconds"].as_f64());
    stop.request();
    assert!(matches!(running.join().unwrap(), Err(Error::Interrupted)));
    let last = status(at);
    assert_eq!((last["state"].as_str(), last["counts"]["source"].as_u64()), (Some("interrupted"), Some(all)));
    assert_eq!(get(at, "/"), format!("<!doctype html><main>{} objects</main>", last["counts"]["written"]));
    server.wait_for_viewers(Duration::from_secs(600));
    drop(server);
    assert!(TcpStream::connect(at).is_err(), "the server still listens");
}

#[test]
fn there_is_nothing_but_three_paths_and_nothing_to_change() {
    let server = served();
    for path in [
        "/../run.json",
        "/../../etc/passwd",
        "/%2e%2e/",
        "/%2e%2e/run.json",
        "/..%2frun.json",
        "//etc/passwd",
        "//",
        "/./",
        "/run.json",
        "/_commits/0000000001.json",
        "/status.json/",
        "/status.json%00",
        "/metrics/../run.json",
        "/index.html",
        "http://localhost/run.json",
    ] {
        let Answer(status, _, body) = ask_for(server.address(), "GET", path, "localhost");
        assert_eq!((status, body.as_str()), (404, "not found\n"), "{path}");
    }
    for path in ["/", "/status.json", "/metrics"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let Answer(status, head, _) = ask_for(server.address(), method, path, "localhost");
            assert_eq!(status, 405, "{method} {path}");
            assert!(head.contains("allow: get,head"), "{head}");
        }
        let Answer(status, head, body) = ask_for(server.address(), "HEAD", path, "localhost");
        assert_eq!((status, body.as_str()), (200, ""), "{head}");
    }
    let Answer(status, ..) = ask_raw(server.address(), "GET ../run.json HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(status, 400);
}

#[test]
fn every_response_has_its_content_type_and_a_content_security_policy() {
    let server = served();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/status.json", "application/json; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/nothing", "text/plain; charset=utf-8"),
    ] {
        let Answer(_, head, _) = ask_for(server.address(), "GET", path, "127.0.0.1");
        for line in [
            &format!("content-type: {kind}"),
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "content-security-policy: default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ] {
            assert!(head.lines().any(|found| found == line), "{path}: no `{line}` in\n{head}");
        }
        assert_eq!(head.matches("content-type:").count(), 1, "{head}");
    }
}

#[test]
fn a_page_from_elsewhere_cannot_ask_under_its_own_name() {
    let server = served();
    for path in ["/", "/status.json", "/metrics", "/nothing"] {
        let Answer(status, head, body) = ask_for(server.address(), "GET", path, "example.org:8080");
        assert_eq!(status, 403, "{head}\n{body}");
        assert!(!body.contains("a page"));
    }
    let Answer(status, ..) = ask_raw(server.address(), "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(status, 403);
    let open = Server::start("0.0.0.0:0".parse().unwrap(), LiveStatus::new("open"), || Ok("a page".into())).unwrap();
    let at = SocketAddr::new(local().ip(), open.address().port());
    assert_eq!(ask_for(at, "GET", "/", "example.org").0, 200);
}

#[test]
fn numbers_do_not_wait_for_the_page_and_pages_are_made_one_at_a_time() {
    let (begun, beginning) = channel::<()>();
    let (gate, closed) = channel::<()>();
    let (made, closed, begun): (_, Mutex<Receiver<()>>, Mutex<Sender<()>>) =
        (Arc::new(AtomicUsize::new(0)), Mutex::new(closed), Mutex::new(begun));
    let count = made.clone();
    let server = Server::start(local(), LiveStatus::new("slow"), move || {
        count.fetch_add(1, Ordering::SeqCst);
        begun.lock().unwrap().send(()).unwrap();
        closed.lock().unwrap().recv().unwrap();
        Ok("slow".into())
    })
    .unwrap();
    let at = server.address();
    let readers = [(); 3].map(|()| thread::spawn(move || get(at, "/")));
    beginning.recv().unwrap();
    assert!(get(at, "/metrics").contains("lucarne_run_info"));
    assert_eq!(status(at)["run"], "slow");
    gate.send(()).unwrap();
    assert_eq!(readers.map(|reader| reader.join().unwrap()), ["slow", "slow", "slow"]);
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[test]
fn a_page_that_fails_to_render_shows_the_error_and_keeps_the_strip() {
    let board = LiveStatus::new("young & new");
    let server = Server::start(local(), board, || Err(Error::data("no run in <here>"))).unwrap();
    let page = get(server.address(), "/");
    assert!(page.contains("there is no page yet: no run in &#60;here&#62;"), "{page}");
    assert!(page.contains("<div id=\"live\"></div>") && page.contains("young &#38; new"), "{page}");
}

#[test]
fn a_server_stops_although_someone_holds_on_to_it() {
    let (gate, closed) = channel::<()>();
    let (begun, beginning) = channel::<()>();
    let (closed, begun) = (Mutex::new(closed), Mutex::new(begun));
    let server = Server::start(local(), LiveStatus::new("held"), move || {
        begun.lock().unwrap().send(()).unwrap();
        let _ = closed.lock().unwrap().recv();
        Ok(String::new())
    })
    .unwrap();
    let silent = TcpStream::connect(server.address()).unwrap();
    let mut half = TcpStream::connect(server.address()).unwrap();
    half.write_all(b"GET /status.json HTTP/1.1\r\nHo").unwrap();
    let mut waiting = TcpStream::connect(server.address()).unwrap();
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    beginning.recv().unwrap();
    drop(server);
    drop((gate, silent, half, waiting));
}

#[test]
fn reports_an_address_in_use_before_anything_else() {
    let server = served();
    let at = server.address();
    let error = Server::start(at, LiveStatus::new("second"), || Ok(String::new())).err().unwrap();
    assert!(matches!(error, Error::Environment { .. }));
    assert!(error.report().starts_with(&format!("cannot listen on `{at}`: ")), "{error}");
}

#[test]
fn a_run_with_an_address_in_use_changes_nothing_and_a_serving_run_prints_its_address() {
    let dir = tempdir().unwrap();
    let pipeline = dir.path().join("a.yaml");
    std::fs::write(
        &pipeline,
        "run: unused\nsource: { simulated: { count: 2, size: 16 } }\nsink: { objects: { parquet: {} } }\n",
    )
    .unwrap();
    let run_dir = dir.path().join("run");
    let start = |address: &str, quiet: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lucarne"));
        let output = command.arg("run").arg(&pipeline).arg("-o").arg(&run_dir).args(["--serve", address]).args(quiet);
        let output = output.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let taken = served();
    let (code, stderr) = start(&taken.address().port().to_string(), &[]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains(&format!("error (environment): cannot listen on `{}`: ", taken.address())), "{stderr}");
    assert!(!run_dir.exists());
    let (code, stderr) = start("localhost:0", &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.starts_with("serving http://127.0.0.1:") && !stderr.contains("warning"), "{stderr}");
    assert_eq!(start("0.0.0.0:0", &["--overwrite", "--quiet"]), (Some(0), String::new()));
    let (code, stderr) = start("0.0.0.0:0", &["--overwrite"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("\nwarning: anyone who can reach this machine can read the run at this address\n"),
        "{stderr}"
    );
}

#[test]
fn a_farewell_waits_for_no_one_where_no_one_has_asked() {
    let board = LiveStatus::new("alone");
    let server = Server::start(local(), board.clone(), || Ok(String::new())).unwrap();
    board.end(None);
    // If it waited, the test would not end.
    server.wait_for_viewers(Duration::from_secs(100_000));
    assert_eq!(board.snapshot().state, RunState::Finished);
}

#[test]
fn waits_until_all_viewers_have_the_final_page() {
    let board = LiveStatus::new("watched");
    let server = Server::start(local(), board.clone(), || Ok("the last page".into())).unwrap();
    let at = server.address();
    board.end(None);
    assert_eq!([status(at)["state"].clone(), status(at)["state"].clone()], ["finished", "finished"]);
    get(at, "/");
    let begun = Instant::now();
    let patience = Duration::from_secs(3);
    server.wait_for_viewers(patience);
    assert!(begun.elapsed() >= patience, "one is still without it");
    get(at, "/");
    // If it waited for more, the test would not end.
    server.wait_for_viewers(Duration::from_secs(100_000));
}
