//! Letters as mail: what is on the wire, whatever somebody put into a notice.

use super::*;

/// The letter as a file of a folder: the bytes that a server would get, too.
async fn posted(letter: &Letter) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let post = Post::folder(dir.path().join("letters"), &"lamp@mail.example.com".parse().unwrap()).unwrap();
    post.send(letter).await.unwrap();
    let file = std::fs::read_dir(dir.path().join("letters")).unwrap().next().unwrap().unwrap();
    std::fs::read(file.path()).unwrap()
}

fn parse(bytes: &[u8]) -> Message<'_> {
    MessageParser::default().parse(bytes).unwrap()
}

#[tokio::test]
async fn a_posted_letter_is_good_mail_and_reads_back_as_written() {
    let letter = letter(&prod(), &recovered(), &ada(), &place());
    let bytes = posted(&letter).await;
    let mail = parse(&bytes);
    assert_eq!(mail.message_id().unwrap(), "prod.vps-001.19.recovered@mail.example.com");
    assert_eq!(mail.in_reply_to().as_text().unwrap(), "prod.vps-001.17.down@mail.example.com");
    let references: Vec<&str> =
        mail.references().as_text_list().unwrap().iter().map(|id| id.as_ref()).collect();
    assert_eq!(references, ["prod.vps-001.17@mail.example.com", "prod.vps-001.17.down@mail.example.com"]);
    assert_eq!(mail.subject().unwrap(), letter.subject);
    assert_eq!(mail.date().unwrap().to_rfc3339(), "2026-01-02T02:30:12Z");
    assert_eq!(mail.from().unwrap().first().unwrap().address().unwrap(), "lamp@mail.example.com");
    assert_eq!(mail.to().unwrap().first().unwrap().address().unwrap(), "ada@example.com");
    assert_eq!(mail.header_raw("Auto-Submitted").unwrap().trim(), "auto-generated");
    let kind = mail.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("alternative")));
    assert_eq!((mail.text_body_count(), mail.html_body_count(), mail.attachment_count()), (1, 1, 0));
    assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n"), letter.text);
    assert_eq!(mail.body_html(0).unwrap().replace("\r\n", "\n"), letter.html);
}

#[tokio::test]
async fn other_alphabets_arrive_and_every_byte_on_the_wire_is_ascii() {
    let notice = Notice { because: "down: Gerät aus, 電源断, мёртв 🔥".to_owned(), ..down() };
    let letter = letter(&prod(), &notice, &ada(), &place());
    let bytes = posted(&letter).await;
    assert!(bytes.is_ascii());
    assert!(
        bytes
            .split(|byte| *byte == b'\n')
            .all(|line| line.len() <= 998 && line.last().is_none_or(|last| *last == b'\r'))
    );
    let mail = parse(&bytes);
    assert_eq!(mail.subject().unwrap(), "[prod] vps-001 is DOWN: Gerät aus, 電源断, мёртв 🔥");
    assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n"), letter.text);
}

/// A notice in which every free text is `text`.
fn hostile(text: &str) -> Notice {
    Notice {
        because: text.to_owned(),
        tried: vec![text.to_owned(); 50],
        next: text.to_owned(),
        evidence: Some(text.to_owned()),
        ..down()
    }
}

#[tokio::test]
async fn hostile_text_forges_no_header_no_part_and_no_tag() {
    let innocent = letter(&prod(), &down(), &ada(), &place());
    let innocent_bytes = posted(&innocent).await;
    let names =
        |mail: &Message<'_>| mail.headers().iter().map(|header| header.name().to_owned()).collect::<Vec<_>>();
    let expected = names(&parse(&innocent_bytes));
    for text in [
        "</script></pre><script>alert(1)</script><img src=x onerror=alert(1)>",
        "x\r\nBcc: eve@example.net\r\n\r\nhello",
        "x\nBcc: eve@example.net",
        "x\rBcc: eve@example.net",
        "x\u{2028}Bcc: eve@example.net\u{85}To: eve@example.net",
        "\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}31m",
        "gpj.\u{202e}exe\u{2066}\u{200b}",
        "\r\n.\r\nMAIL FROM:<eve@example.net>",
        "=?utf-8?q?=0d=0aBcc:_eve=40example.net?=",
        "--=_lamplighter_00000000000000000000000000000000--\nContent-Type: text/html\n\n<b>forged</b>",
    ] {
        for letter in [
            letter(&prod(), &hostile(text), &ada(), &place()),
            digest(&prod(), &vec![hostile(text); 12], &ada(), &place()),
        ] {
            let bytes = posted(&letter).await;
            let mail = parse(&bytes);
            assert!(names(&mail).iter().all(|name| expected.contains(name)), "{text:?}: {:?}", names(&mail));
            assert_eq!(
                (mail.text_body_count(), mail.html_body_count(), mail.attachment_count()),
                (1, 1, 0),
                "{text:?}"
            );
            assert_eq!(mail.to().unwrap().iter().count(), 1, "{text:?}");
            assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n"), letter.text, "{text:?}");
            for forged in ["<script", "<img", "<b>", "onerror=alert(1)>"] {
                assert!(!letter.html.contains(forged), "{text:?}: {}", letter.html);
            }
            let unseen = |c: char| {
                (c.is_control() && c != '\n')
                    || ('\u{200b}'..='\u{200f}').contains(&c)
                    || ('\u{202a}'..='\u{2069}').contains(&c)
            };
            for part in [&letter.subject, &letter.text, &letter.html] {
                assert!(!part.contains(unseen), "{text:?}: {part:?}");
            }
            assert!(!letter.subject.contains('\n'));
        }
    }
}

#[tokio::test]
async fn a_line_of_ten_megabytes_makes_a_small_letter() {
    let letter = letter(&prod(), &hostile(&"x".repeat(10_000_000)), &ada(), &place());
    assert!(letter.subject.chars().count() <= 141 && posted(&letter).await.len() < 64_000);
}

#[test]
fn letters_fetch_nothing() {
    for letter in
        [letter(&prod(), &breaker_open(), &ada(), &place()), digest(&prod(), &many(12), &ada(), &place())]
    {
        let html = letter.html.to_ascii_lowercase();
        for fetched in ["<img", "<link", "<script", "<iframe", "url(", "@import", " src="] {
            assert!(!html.contains(fetched), "{fetched}");
        }
    }
}
