//! A mail server that is away for a while delays letters, and loses none.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use lamplighter::demo::systemd::Nature;

use super::program::{Letter, PATIENCE};
use super::street::Street;

/// Takes every letter that comes to `listener`, until the test ends.
fn take_letters(listener: TcpListener) -> Receiver<Letter> {
    let (taken, letters) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let taken = taken.clone();
            std::thread::spawn(move || converse(&stream, &taken));
        }
    });
    letters
}

/// As much of SMTP as a letter needs. An end of the connection at any point is the client's business.
fn converse(stream: &TcpStream, taken: &Sender<Letter>) -> Option<()> {
    let mut say = stream;
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    say.write_all(b"220 mail.test ready\r\n").ok()?;
    while let Some(line) = lines.next() {
        let word = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer: &[u8] = match word.as_str() {
            "EHLO" => b"250-mail.test\r\n250 8BITMIME\r\n",
            "QUIT" => b"221 bye\r\n",
            "DATA" => {
                say.write_all(b"354 go on\r\n").ok()?;
                let body: Vec<String> = lines.by_ref().take_while(|line| line != ".").collect();
                // The test may be over.
                let _ = taken.send(Letter::read(&body.join("\r\n")));
                b"250 queued\r\n"
            }
            _ => b"250 ok\r\n",
        };
        say.write_all(answer).ok()?;
    }
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_away_delays_letters_and_loses_none() {
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mail = format!(
        "[mail]\nhost = '127.0.0.1'\nport = {}\nsecurity = 'plain'\nfrom = 'lamp@example.com'",
        place.port()
    );
    let street = Street::with(&mail, &[("web", Nature::Sound)]).await;
    let server = street.home.serve();
    street.home.wait_for_status(&server, "web", "healthy");
    street.host.systemd().crash("web");
    street.home.ask(&server, &["sweep"]);
    server.said.wait_for("web up after a restart");
    let refused = server.said.wait_for("mail server");
    assert!(refused.contains(&place.to_string()) || refused.contains("127.0.0.1"), "{refused}");
    // Whoever is away may be away longer than a life of the server.
    server.kill();
    let server = street.home.serve();
    let letters = take_letters(TcpListener::bind(place).unwrap());
    let first = letters.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{}", server.said.all().join("\n")));
    let second =
        letters.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{}", server.said.all().join("\n")));
    assert!(first.subject.contains("DOWN") && second.subject.contains("recovered"), "{first:?} {second:?}");
    assert_eq!(second.answers.as_deref(), Some(first.id.as_str()));
    assert_eq!(street.home.letters(), []);
}
