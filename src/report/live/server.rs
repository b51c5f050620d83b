//! The server: a thread of its own, three paths, no files.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, State as Shared},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Mutex, watch},
    task::spawn_blocking,
    time::timeout,
};

use super::{Board, State, hosts, metrics};
use crate::{
    error::{Error, Result},
    report::page,
};

/// How long answers under way may take when the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// An open page has asked within so long a time: it asks every second, and later where it is busy.
const OPEN: Duration = Duration::from_secs(5);

/// So long after the end all open pages have asked.
const ROUND: Duration = Duration::from_millis(1500);

/// What every answer says of itself: it is never kept, never guessed at, and loads nothing from elsewhere.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
];

/// Serves a board and a page until it is dropped.
pub struct Server {
    address: SocketAddr,
    view: Arc<View>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What is served.
struct View {
    board: Board,
    page: Box<dyn Fn() -> Result<String> + Send + Sync>,
    /// The page as it was made last, and as of when. Whoever makes it holds the lock.
    made: Mutex<Option<(Edition, Bytes)>>,
    /// The server can be reached from this machine alone.
    is_loopback: bool,
    readers: Readers,
}

/// Commits, and how the run stands.
type Edition = (u64, State);

/// What open pages have been told.
#[derive(Default)]
struct Readers {
    asked: std::sync::Mutex<Option<Instant>>,
    /// How many were told that the run has ended: a page does not ask again after that.
    told: AtomicUsize,
    /// How many had the last page.
    served: AtomicUsize,
}

impl Server {
    /// Binds the address at once and serves it on a thread of its own. `page` gives the page below the strip; it is called
    /// when someone wants the page and there was a commit since the last call, and never twice at a time.
    ///
    /// # Errors
    /// [`Error::Environment`] when the address cannot be bound.
    pub fn start(
        address: SocketAddr,
        board: Board,
        page: impl Fn() -> Result<String> + Send + Sync + 'static,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| Error::environment(format!("cannot listen on `{address}`: {error}"));
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(listener) }).map_err(failed)?;
        let view = Arc::new(View {
            board,
            page: Box::new(page),
            made: Mutex::new(None),
            is_loopback: hosts::is_loopback(&address),
            readers: Readers::default(),
        });
        let (stop, stopped) = watch::channel(());
        let routes = routes(view.clone());
        let serve = move || serve(runtime, listener, routes, stopped);
        let thread = thread::Builder::new().name("lucarne-server".into()).spawn(serve).map_err(failed)?;
        Ok(Self { address, view, stop: Some(stop), thread: Some(thread) })
    }

    /// The address that it listens on, with the port that it was given.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets open pages see how the run ended, for so long at most, and as long as the last page is in the making; where none
    /// is open it waits for nothing. To be called when the board has been told of the end.
    pub fn farewell(&self, patience: Duration) {
        let begun = Instant::now();
        let View { readers, made, .. } = &*self.view;
        while readers.are_there() && !(begun.elapsed() >= ROUND && readers.have_the_last_page()) {
            if begun.elapsed() >= patience && made.try_lock().is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A server that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}

impl Readers {
    fn are_there(&self) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        self.told.load(Ordering::Acquire) > 0 || asked.is_some_and(|asked| asked.elapsed() < OPEN)
    }

    fn have_the_last_page(&self) -> bool {
        let told = self.told.load(Ordering::Acquire);
        told > 0 && self.served.load(Ordering::Acquire) >= told
    }

    fn told(&self, state: State) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if state != State::Running {
            self.told.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl View {
    /// The page, made anew where it has to be.
    async fn page(self: Arc<Self>) -> Bytes {
        let mut made = self.made.lock().await;
        let edition = self.board.edition();
        let page = match made.as_ref().filter(|(known, _)| *known == edition) {
            Some((_, page)) => page.clone(),
            None => {
                let view = self.clone();
                match spawn_blocking(move || (view.page)()).await {
                    Ok(Ok(page)) => made.insert((edition, page.into())).1.clone(),
                    Ok(Err(error)) => self.empty_page(&format!("there is no page yet: {error}")),
                    Err(_) => self.empty_page("the page could not be made: this is a bug of lucarne, please report it"),
                }
            }
        };
        if edition.1 != State::Running {
            self.readers.served.fetch_add(1, Ordering::AcqRel);
        }
        page
    }

    fn empty_page(&self, note: &str) -> Bytes {
        let page = page::empty(&self.board.snapshot().run, note);
        page.unwrap_or_else(|error| format!("the page cannot be written: {error}")).into()
    }
}

/// Serves until `stopped` has no sender any more, and a little longer for answers under way.
fn serve(runtime: Runtime, listener: tokio::net::TcpListener, routes: Router, stopped: watch::Receiver<()>) {
    let wait = |mut stopped: watch::Receiver<()>| async move { while stopped.changed().await.is_ok() {} };
    runtime.block_on(async {
        let serving = axum::serve(listener, routes).with_graceful_shutdown(wait(stopped.clone()));
        let serving = tokio::spawn(serving.into_future());
        wait(stopped).await;
        // Connections that take longer are cut.
        let _ = timeout(GRACE, serving).await;
    });
    // A page that is being made is of use to nobody now.
    runtime.shutdown_background();
}

fn routes(view: Arc<View>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/status.json", get(status))
        .route("/metrics", get(scrape))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing here\n") })
        .layer(middleware::from_fn_with_state(view.clone(), guard))
        .with_state(view)
}

/// Lets in who may come in, and puts the headers on every answer.
async fn guard(Shared(view): Shared<Arc<View>>, request: Request, next: Next) -> Response {
    let mut response = if view.is_loopback && !hosts::names_loopback(request.uri(), request.headers()) {
        (StatusCode::FORBIDDEN, "this server answers to the names of this machine alone\n").into_response()
    } else {
        next.run(request).await
    };
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn page(Shared(view): Shared<Arc<View>>) -> Response {
    // On a task of its own: it comes to its end even if whoever asked has gone away.
    match tokio::spawn(async move { view.page().await }).await {
        Ok(page) => Html(page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn status(Shared(view): Shared<Arc<View>>) -> Response {
    let snapshot = view.board.snapshot();
    view.readers.told(snapshot.state);
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], Json(snapshot)).into_response()
}

async fn scrape(Shared(view): Shared<Arc<View>>) -> Response {
    match metrics::text(view.board.snapshot()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
