//! Accepts a bounded number of connections and closes idle ones, because the run needs its file descriptors.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep, sleep_until},
};

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionLimits {
    /// The most open connections; others wait to be accepted. A browser opens six.
    pub(super) connections: usize,
    /// A connection without reads and writes for this long is closed. Open pages poll every second.
    pub(super) idle: Duration,
    /// A connection this old is closed: a client that sends a byte now and then is not idle.
    pub(super) age: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { connections: 64, idle: Duration::from_secs(10), age: Duration::from_secs(300) }
    }
}

/// A listener with limits.
pub(super) struct LimitedListener {
    listener: TcpListener,
    limits: ConnectionLimits,
    permits: Arc<Semaphore>,
}

impl LimitedListener {
    pub(super) fn new(listener: TcpListener, limits: ConnectionLimits) -> Self {
        Self { listener, limits, permits: Arc::new(Semaphore::new(limits.connections)) }
    }
}

impl Listener for LimitedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // The semaphore is never closed.
            let permit = self.permits.clone().acquire_owned().await.ok();
            match self.listener.accept().await {
                Ok((stream, address)) => return (Connection::new(stream, self.limits, permit), address),
                // The client has left, or the process has too many open files.
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with a deadline.
pub(super) struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    age: Pin<Box<Sleep>>,
    limits: ConnectionLimits,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn new(stream: TcpStream, limits: ConnectionLimits, permit: Option<OwnedSemaphorePermit>) -> Self {
        let end = |after| Box::pin(sleep_until(Instant::now() + after));
        Self { stream, idle: end(limits.idle), age: end(limits.age), limits, _permit: permit }
    }

    /// Fails once a deadline has passed.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.idle.as_mut().poll(context).is_ready() || self.age.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    /// Extends the deadline of an idle connection.
    fn finish<T>(&mut self, done: io::Result<T>) -> Poll<io::Result<T>> {
        let deadline = Instant::now() + self.limits.idle;
        self.idle.as_mut().reset(deadline);
        Poll::Ready(done)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.wait(context),
            Poll::Ready(done) => self.finish(done),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => self.wait(context),
            Poll::Ready(done) => self.finish(done),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
        thread,
    };

    use axum::{Router, routing::get};

    use super::*;

    /// Serves `ok` with these limits until the process ends.
    fn serve(limits: ConnectionLimits) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                let routes = Router::new().route("/", get(|| async { "ok" }));
                axum::serve(LimitedListener::new(listener, limits), routes).await.expect("it never ends");
            });
        });
        address
    }

    fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream
    }

    #[test]
    fn idle_connections_are_closed_and_others_are_served_after_them() {
        let idle = Duration::from_millis(300);
        let address = serve(ConnectionLimits { connections: 4, idle, age: Duration::from_secs(60) });
        let mut silent: Vec<TcpStream> = (0..8).map(|_| connect(address)).collect();
        let begun = std::time::Instant::now();
        let mut last = connect(address);
        last.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
        let mut text = String::new();
        last.read_to_string(&mut text).expect("a response");
        assert!(text.ends_with("ok"), "{text}");
        // Eight silent ones came before it, four at a time.
        assert!(begun.elapsed() >= 2 * idle - Duration::from_millis(50), "{:?}", begun.elapsed());
        assert_eq!(silent[0].read(&mut [0]).ok(), Some(0), "a silent connection is closed");
    }

    #[test]
    fn a_connection_that_sends_a_byte_now_and_then_is_closed_at_its_age() {
        let limits =
            ConnectionLimits { connections: 4, idle: Duration::from_secs(60), age: Duration::from_millis(500) };
        let mut slow = connect(serve(limits));
        let closed = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(20));
            slow.write_all(b"G").is_err()
        });
        assert!(closed);
    }
}
