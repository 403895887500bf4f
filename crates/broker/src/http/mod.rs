//! The HTTP listener (`naru.http.listener`): `/metrics`, `/livez`, `/readyz`.
//!
//! Runs on a thread of its own, so that a scrape never delays a request. A port that is taken is
//! a warning with the reason, never a broker that does not start.

mod cluster_series;
mod scrape;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::oneshot;

use crate::node::Node;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The listening socket of the HTTP side.
pub(crate) fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = StdListener::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The thread that serves HTTP.
#[derive(Debug)]
pub(crate) struct HttpThread {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl HttpThread {
    /// Ends it. Done last when the node stops: until then `/readyz` says that it is stopping.
    pub(crate) fn stop(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        // A panic has been printed by its hook.
        let _ = self.thread.join();
    }
}

/// Serves until it is stopped.
pub(crate) fn start(node: &Arc<Node>, socket: StdListener) -> io::Result<HttpThread> {
    let node = Arc::clone(node);
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = runtime.and_then(|runtime| runtime.block_on(serve(node, socket, stopped)));
        if let Err(error) = served {
            tracing::error!(%error, "the HTTP listener ended");
        }
    })?;
    Ok(HttpThread { thread, stop })
}

async fn serve(
    node: Arc<Node>,
    socket: StdListener,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(node);
    let listener = tokio::net::TcpListener::from_std(socket)?;
    tokio::select! {
        served = axum::serve(listener, routes) => served,
        _ = stopped => Ok(()),
    }
}

async fn metrics(State(node): State<Arc<Node>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], scrape::scrape(&node))
}

async fn ready(State(node): State<Arc<Node>>) -> impl IntoResponse {
    match node.not_ready_because() {
        None => (StatusCode::OK, "{\"status\":\"ready\"}\n".to_owned()),
        Some(reason) => {
            let body = format!("{{\"status\":\"not ready\",\"reason\":{reason:?}}}\n");
            (StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }
}
