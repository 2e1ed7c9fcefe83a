//! A service of this test's own that speaks as SES does: forms in, XML out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What was asked: the fields of the form.
pub(crate) type Asked = BTreeMap<String, String>;

/// The service: where it listens, and what it was asked.
pub(crate) struct QueryServer {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl QueryServer {
    /// Answers everything with this status and body.
    pub(crate) async fn start(status: u16, body: String) -> QueryServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, status, body.clone(), Arc::clone(&noted)));
            }
        });
        QueryServer { url, asked }
    }

    /// Answers everything with this error.
    pub(crate) async fn failing(status: u16, code: &str, message: &str) -> QueryServer {
        let error =
            format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
        QueryServer::start(
            status,
            format!("<ErrorResponse>{error}<RequestId>r-1</RequestId></ErrorResponse>"),
        )
        .await
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, status: u16, body: String, noted: Arc<Mutex<Vec<Asked>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(form) = form(&mut stream).await {
        noted.lock().unwrap().push(fields(&form));
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// The body of the next request on a connection.
async fn form(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut form = vec![0; length];
    stream.read_exact(&mut form).await.ok()?;
    Some(form)
}

fn fields(form: &[u8]) -> Asked {
    let form = std::str::from_utf8(form).unwrap();
    form.split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (plain(name), plain(value)))
        .collect()
}

/// Undoes the encoding of forms.
fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}
