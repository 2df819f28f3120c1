//! A Kubernetes client inside the process: requests go to the router itself, no socket, no TLS.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures::future::BoxFuture;
use http::Request;
use tower::{Service, ServiceExt};

use super::front::Origin;
use crate::user::User;

/// The router, asked by one user.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) router: Router,
    pub(crate) user: User,
}

impl Local {
    /// A client that acts as this user.
    pub(crate) fn client(router: Router, user: User) -> kube::Client {
        kube::Client::new(Self { router, user }, "default")
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
        let mut request = request.map(Body::new);
        request
            .extensions_mut()
            .insert(Origin::Local(self.user.clone()));
        Box::pin(self.router.clone().oneshot(request))
    }
}
