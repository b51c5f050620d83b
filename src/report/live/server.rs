//! The HTTP server: a dedicated thread, three paths, no files.

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
    extract::{Request, State},
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

use super::{
    LiveStatus, RunState, host_check,
    listener::{ConnectionLimits, LimitedListener},
    metrics,
    status::PageRevision,
};
use crate::{
    error::{Error, Result},
    report::page,
};

/// How long pending responses may take when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// A page that has not polled for this long is closed. Open pages poll every second, or later if the browser is busy.
const VIEWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Within this time after the end of the run every open page has polled.
const POLL_ROUND: Duration = Duration::from_millis(1500);

/// Headers of every response: no caching, no content sniffing, nothing loaded from other origins.
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

/// Serves a status and a page until it is dropped.
pub struct Server {
    address: SocketAddr,
    view: Arc<LiveView>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the server serves.
struct LiveView {
    status: LiveStatus,
    render: Box<dyn Fn() -> Result<String> + Send + Sync>,
    /// The last rendered page. The lock is held while a page is rendered, so that only one is rendered at a time.
    cached: Mutex<Option<CachedPage>>,
    /// Whether the server can be reached from this machine only.
    is_loopback: bool,
    viewers: Viewers,
}

struct CachedPage {
    revision: PageRevision,
    html: Bytes,
}

/// The open pages, judged by their requests.
#[derive(Default)]
struct Viewers {
    last_poll: std::sync::Mutex<Option<Instant>>,
    /// How many have polled the final status. A page does not poll again after that.
    notified: AtomicUsize,
    /// How many times the final page was served.
    served: AtomicUsize,
}

impl Server {
    /// Binds the address and serves it on a dedicated thread. `render` renders the page below the strip. It is called on a request
    /// for the page if there was a commit since its last call, and never concurrently.
    ///
    /// # Errors
    /// [`Error::Environment`] when the address cannot be bound.
    pub fn start(
        address: SocketAddr,
        status: LiveStatus,
        render: impl Fn() -> Result<String> + Send + Sync + 'static,
    ) -> Result<Self> {
        let failed =
            |error: std::io::Error| Error::environment(format!("cannot listen on `{address}`")).caused_by(error);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(listener) }).map_err(failed)?;
        let view = Arc::new(LiveView {
            status,
            render: Box::new(render),
            cached: Mutex::new(None),
            is_loopback: host_check::is_loopback(&address),
            viewers: Viewers::default(),
        });
        let (stop, stopped) = watch::channel(());
        let routes = routes(view.clone());
        let serve = move || serve(runtime, listener, routes, stopped);
        let thread = thread::Builder::new().name("lucarne-server".into()).spawn(serve).map_err(failed)?;
        Ok(Self { address, view, stop: Some(stop), thread: Some(thread) })
    }

    /// The address that it listens on, with the actual port.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until all open pages have shown the end of the run, at most about `timeout`, or longer while the final page is being
    /// rendered. Returns at once if no page is open. Call it after [`LiveStatus::end`].
    pub fn wait_for_viewers(&self, timeout: Duration) {
        let started = Instant::now();
        let LiveView { viewers, cached, .. } = &*self.view;
        while viewers.any() && !(started.elapsed() >= POLL_ROUND && viewers.have_final_page()) {
            if started.elapsed() >= timeout && cached.try_lock().is_ok() {
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
            // A panic of the server must not end the run.
            let _ = thread.join();
        }
    }
}

impl Viewers {
    fn any(&self) -> bool {
        let last_poll = *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner);
        self.notified.load(Ordering::Acquire) > 0 || last_poll.is_some_and(|last| last.elapsed() < VIEWER_TIMEOUT)
    }

    fn have_final_page(&self) -> bool {
        let notified = self.notified.load(Ordering::Acquire);
        notified > 0 && self.served.load(Ordering::Acquire) >= notified
    }

    fn record_poll(&self, state: RunState) {
        *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if state != RunState::Running {
            self.notified.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl LiveView {
    /// The page of the current revision, rendered if necessary.
    async fn page(self: Arc<Self>) -> Bytes {
        let mut cached = self.cached.lock().await;
        let revision = self.status.page_revision();
        let html = match cached.as_ref().filter(|page| page.revision == revision) {
            Some(page) => page.html.clone(),
            None => {
                let view = self.clone();
                match spawn_blocking(move || (view.render)()).await {
                    Ok(Ok(page)) => cached.insert(CachedPage { revision, html: page.into() }).html.clone(),
                    Ok(Err(error)) => self.empty_page(&format!("there is no page yet: {}", error.report())),
                    Err(_) => {
                        self.empty_page("the page cannot be rendered: this is a bug in lucarne, please report it")
                    }
                }
            }
        };
        if revision.state != RunState::Running {
            self.viewers.served.fetch_add(1, Ordering::AcqRel);
        }
        html
    }

    fn empty_page(&self, note: &str) -> Bytes {
        let page = page::render_empty(&self.status.snapshot().run, note);
        page.unwrap_or_else(|error| error.report()).into()
    }
}

/// Serves until the sender of `stopped` is dropped, and then a little longer for pending responses.
fn serve(runtime: Runtime, listener: tokio::net::TcpListener, routes: Router, stopped: watch::Receiver<()>) {
    let wait = |mut stopped: watch::Receiver<()>| async move { while stopped.changed().await.is_ok() {} };
    runtime.block_on(async {
        let serving = axum::serve(LimitedListener::new(listener, ConnectionLimits::default()), routes)
            .with_graceful_shutdown(wait(stopped.clone()));
        let serving = tokio::spawn(serving.into_future());
        wait(stopped).await;
        // Slower connections are dropped.
        let _ = timeout(SHUTDOWN_GRACE, serving).await;
    });
    // Do not wait for a page that is still being rendered.
    runtime.shutdown_background();
}

fn routes(view: Arc<LiveView>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/status.json", get(status))
        .route("/metrics", get(scrape))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .layer(middleware::from_fn_with_state(view.clone(), guard))
        .with_state(view)
}

/// Rejects requests for other host names and adds the headers to every response.
async fn guard(State(view): State<Arc<LiveView>>, request: Request, next: Next) -> Response {
    let mut response = if view.is_loopback && !host_check::names_loopback(request.uri(), request.headers()) {
        (StatusCode::FORBIDDEN, "requests must use a host name of the loopback interface\n").into_response()
    } else {
        next.run(request).await
    };
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn page(State(view): State<Arc<LiveView>>) -> Response {
    // A separate task finishes even if the client disconnects, so that the page is cached.
    match tokio::spawn(async move { view.page().await }).await {
        Ok(page) => Html(page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn status(State(view): State<Arc<LiveView>>) -> Response {
    let snapshot = view.status.snapshot();
    view.viewers.record_poll(snapshot.state);
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], Json(snapshot)).into_response()
}

async fn scrape(State(view): State<Arc<LiveView>>) -> Response {
    match metrics::text(view.status.snapshot()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", error.report())).into_response(),
    }
}
