//! Sums for Prometheus, served on a port while a run goes on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ::load::Counts;
use ::load::conduct::Row;
use ::load::outcome::metrics::Sums;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

/// What is served.
pub struct Metrics {
    sums: Arc<Mutex<Sums>>,
}

impl Metrics {
    /// Begins to serve.
    ///
    /// # Errors
    ///
    /// A sentence if the port cannot be had.
    pub fn serve(at: SocketAddr) -> Result<Metrics, String> {
        let fail = |why: std::io::Error| format!("metrics cannot be served at {at}: {why}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fail)?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind(at)).map_err(fail)?;
        let sums = Arc::new(Mutex::new(Sums::default()));
        let shown = sums.clone();
        let page = move || {
            let text = shown.lock().unwrap_or_else(PoisonError::into_inner).text();
            async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text) }
        };
        let router = Router::new().route("/metrics", get(page));
        #[expect(clippy::disallowed_methods, reason = "metrics are served beside the run")]
        std::thread::spawn(move || {
            let served = runtime.block_on(async move { axum::serve(listener, router).await });
            if let Err(why) = served {
                eprintln!("lab: metrics are served no more: {why}");
            }
        });
        Ok(Metrics { sums })
    }

    /// A second is complete.
    pub fn second(&self, row: &Row, counts: &Counts) {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).add(row, counts);
    }
}
