//! How a function speaks to AWS: by the HTTP client that its checks of hosts use anyway. The SDK's own would bring a second
//! pool and HTTP/2 into each archive, a twelfth of it, and none of the services here is spoken to so.

use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

/// Longest a connection may take to come about. That of a whole call is limited by whoever makes it.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The client for all services, which it speaks to over one pool. Nothing is opened or read before the first call: a
/// process that starts has no time for certificates yet.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    SharedHttpClient::new(Shared(SharedHttpConnector::new(Connector::default())))
}

#[derive(Debug)]
struct Shared(SharedHttpConnector);

impl HttpClient for Shared {
    /// The settings would change the limit of connecting; nobody here sets it.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.0.clone()
    }
}

#[derive(Debug, Default)]
struct Connector(OnceLock<reqwest::Client>);

impl Connector {
    fn client(&self) -> Result<reqwest::Client, ConnectorError> {
        if let Some(client) = self.0.get() {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| ConnectorError::user(error.into()))?;
        Ok(self.0.get_or_init(|| client).clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.client();
        HttpConnectorFuture::new(async move { exchange(client?, request).await })
    }
}

/// Sends a request and takes in the whole answer: none is larger than what the table answers at once, a few megabytes.
async fn exchange(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (head, body) = request.into_parts();
    let body =
        body.bytes().map(<[u8]>::to_vec).ok_or_else(|| ConnectorError::user("a streamed request".into()))?;
    let request = reqwest::Request::try_from(http::Request::from_parts(head, body))
        .map_err(|error| ConnectorError::user(error.into()))?;
    let mut answer = client.execute(request).await.map_err(failed)?;
    let mut taken = http::Response::new(());
    *taken.status_mut() = answer.status();
    std::mem::swap(taken.headers_mut(), answer.headers_mut());
    let body = answer.bytes().await.map_err(failed)?;
    let taken = taken.map(|()| SdkBody::from(body));
    HttpResponse::try_from(taken).map_err(|error| ConnectorError::other(error.into(), None))
}

/// As the SDK's retries want to know it. An answer that broke off counts as one that never came.
fn failed(error: reqwest::Error) -> ConnectorError {
    let kind = if error.is_timeout() {
        ConnectorError::timeout
    } else if error.is_builder() {
        ConnectorError::user
    } else {
        ConnectorError::io
    };
    // The endpoint is in the configuration; the address of a request is not for the log.
    kind(error.without_url().into())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Asks a server that answers one request with `answer` and hangs up. Says what it was sent.
    async fn ask(answer: &'static str) -> (String, Result<HttpResponse, ConnectorError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/secret-path", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut sent = Vec::new();
            while !sent.ends_with(b"{\"a\":1}") {
                assert_ne!(stream.read_buf(&mut sent).await.unwrap(), 0, "the request broke off");
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(sent).unwrap()
        });
        let request =
            http::Request::post(url).header("x-amz-target", "T.Get").body(SdkBody::from("{\"a\":1}"));
        let answer = Connector::default().call(request.unwrap().try_into().unwrap()).await;
        (served.await.unwrap(), answer)
    }

    #[tokio::test]
    async fn a_request_arrives_as_it_is_and_so_does_its_answer() {
        let (sent, answer) =
            ask("HTTP/1.1 400 Bad Request\r\nx-amzn-requestid: 7\r\ncontent-length: 2\r\n\r\n{}").await;
        assert!(sent.starts_with("POST /secret-path HTTP/1.1\r\n"), "{sent}");
        assert!(sent.contains("x-amz-target: T.Get\r\n"), "{sent}");
        let answer = answer.unwrap();
        assert_eq!(answer.status().as_u16(), 400);
        assert_eq!(answer.headers().get("x-amzn-requestid"), Some("7"));
        assert_eq!(answer.body().bytes(), Some(b"{}".as_slice()));
    }

    #[tokio::test]
    async fn a_redirection_is_an_answer_and_not_followed() {
        let (_, answer) =
            ask("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(answer.unwrap().status().as_u16(), 302);
    }

    #[tokio::test]
    async fn what_broke_off_may_be_tried_again_and_says_no_address() {
        let broken = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\nhalf of it";
        for (answer, what) in [("", "no answer"), (broken, "half an answer")] {
            let error = ask(answer).await.1.unwrap_err();
            assert!(error.is_io(), "{what}: {error:?}");
            assert!(!format!("{error:?}").contains("secret-path"), "{error:?}");
        }
        let nobody = http::Request::post("http://127.0.0.1:1/").body(SdkBody::from("{}")).unwrap();
        let error = Connector::default().call(nobody.try_into().unwrap()).await.unwrap_err();
        assert!(error.is_io(), "nobody listens: {error:?}");
    }
}
