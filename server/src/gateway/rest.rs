//! What nobody has read of a request when its answer is ready. A client that is still sending might never see the answer, because
//! HTTP/2 resets the stream and HTTP/1.1 closes the connection: so the rest is read first, within bounds.

use bytes::Bytes;
use http::{Request, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use provision::Body;
use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tower_http::timeout::TimeoutBody;

/// Bytes that are still read of a body; a client that has more to say must live with a broken connection.
const MOST: usize = 32 << 20;

/// The body of a request that somebody else is reading.
#[derive(Debug)]
pub struct Rest(Arc<Mutex<Body>>);

#[derive(Debug)]
struct Lent(Arc<Mutex<Body>>);

/// The request, and its body for later, which may stand still for `pause`. An upgraded connection has no end to wait for.
pub fn keep(request: Request<Body>, pause: Duration) -> (Request<Body>, Option<Rest>) {
    if request.body().is_end_stream() || request.headers().contains_key(header::UPGRADE) {
        return (request, None);
    }
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(Body::new(TimeoutBody::new(pause, body))));
    (Request::from_parts(parts, Body::new(Lent(body.clone()))), Some(Rest(body)))
}

impl Rest {
    /// Ends where the body does, or breaks off, or was long enough.
    pub async fn drain(self) {
        let mut lent = Lent(self.0);
        let mut read = 0;
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut lent).poll_frame(context)).await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > MOST {
                return;
            }
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut *self.0.lock()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().size_hint()
    }
}
