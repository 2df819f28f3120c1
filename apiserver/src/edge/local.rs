//! A Kubernetes client inside the process: requests go to the front itself, no socket, no TLS.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Request;
use tower::Service;

use super::front::{Front, Origin};
use crate::user::User;

/// The API, asked by one user.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    front: Front,
    origin: Arc<Origin>,
}

impl Local {
    /// A client that acts as this user.
    pub(crate) fn client(front: Front, user: User) -> kube::Client {
        let origin = Arc::new(Origin::Local(user));
        kube::Client::new(Self { front, origin }, "default")
    }
}

impl Service<Request<kube::client::Body>> for Local {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let front = self.front.clone();
        let answer = front.answer(Arc::clone(&self.origin), request.map(Body::new));
        Box::pin(answer.map(Ok))
    }
}
