//! A client for the few requests of sign-in. It follows no redirects: a token goes to the address that was configured, or nowhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use oauth2::http::header::{HeaderValue, USER_AGENT};
use oauth2::http::{Request, Response};
use oauth2::{HttpRequest, HttpResponse};

/// GitHub answers within a second; a person waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// The largest answer that is read; a repository's is some kilobytes.
const LARGEST: usize = 1 << 20;

#[derive(Clone)]
pub struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

#[derive(Debug, thiserror::Error)]
pub enum HttpFault {
    #[error("it can't be reached: {0}")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("its answer broke off: {0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
    #[error("it did not answer within {} s", PATIENCE.as_secs())]
    Slow,
    #[error("this machine's TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Http {
    pub fn new() -> Result<Self, HttpFault> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = match HttpsConnectorBuilder::new().with_provider_and_native_roots(provider.clone()) {
            Ok(tls) => tls,
            Err(error) => {
                // a GitHub of one's own may be at http://, and does not need them
                tracing::warn!(
                    "this machine has no certificate authorities, so that no https:// address can be trusted: {error}"
                );
                let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
                let nobody = rustls::RootCertStore::empty();
                HttpsConnectorBuilder::new().with_tls_config(tls.with_root_certificates(nobody).with_no_client_auth())
            }
        };
        let connector = tls.https_or_http().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let (mut head, body) = request.into_parts();
        // GitHub refuses requests that don't say whose they are
        head.headers.insert(USER_AGENT, HeaderValue::from_static(concat!("snowgate/", env!("CARGO_PKG_VERSION"))));
        let request = Request::from_parts(head, Full::new(Bytes::from(body)));
        let exchange = async {
            let (head, body) = self.0.request(request).await?.into_parts();
            let body = Limited::new(body, LARGEST).collect().await.map_err(HttpFault::Broken)?;
            Ok(Response::from_parts(head, body.to_bytes().to_vec()))
        };
        tokio::time::timeout(PATIENCE, exchange).await.unwrap_or(Err(HttpFault::Slow))
    }
}
