//! Letters in a folder: one whole file each, whatever happens.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use lamplighter_core::{Mailbox, Moment};
use lamplighter_notify::{Letter, Post, SendError};

fn letter(message_id: &str, to: &str) -> Letter {
    Letter {
        message_id: message_id.to_owned(),
        in_reply_to: None,
        references: Vec::new(),
        to: to.parse().unwrap(),
        at: Moment::from_millis(1_767_321_000_123),
        subject: "subject".to_owned(),
        text: "text\n".to_owned(),
        html: "<p>text</p>".to_owned(),
    }
}

fn post(dir: &Path) -> Post {
    let from: Mailbox = "lamp@example.com".parse().unwrap();
    Post::folder(dir.to_owned(), &from).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_letter_sent_twice_is_one_file_and_another_recipient_has_another() {
    let dir = tempfile::tempdir().unwrap();
    let post = post(dir.path());
    let down = letter("prod.vps-001.17.down", "ada@example.com");
    post.send(&down).await.unwrap();
    let first = std::fs::read(dir.path().join(&names(dir.path())[0])).unwrap();
    post.send(&down).await.unwrap();
    assert_eq!(names(dir.path()), ["20260102T023000Z_prod.vps-001.17.down_ada=40example.com.eml"]);
    assert_eq!(std::fs::read(dir.path().join(&names(dir.path())[0])).unwrap(), first);
    post.send(&letter("prod.vps-001.17.down", "bob@example.com")).await.unwrap();
    assert_eq!(names(dir.path()).len(), 2);
}

#[tokio::test]
async fn two_writers_of_one_letter_leave_one_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let (post, down) = (post(dir.path()), letter("prod.vps-001.17.down", "ada@example.com"));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (post, down) = (post.clone(), down.clone());
        writers.spawn(async move { post.send(&down).await });
    }
    assert!(writers.join_all().await.iter().all(Result::is_ok));
    assert_eq!(names(dir.path()).len(), 1);
}

#[tokio::test]
async fn hostile_and_endless_names_stay_inside_the_folder_and_apart() {
    let dir = tempfile::tempdir().unwrap();
    let post = post(&dir.path().join("letters"));
    let long = format!("{}@example.com", "x/../".repeat(40));
    for to in [
        "../../etc/passwd@example.com",
        "$(id)|`x`&*@example.com",
        long.as_str(),
        &format!("y{}", &long[1..]),
    ] {
        if to.parse::<Mailbox>().is_ok() {
            // The mail library may find it unfit for an envelope; a file elsewhere is what must not be.
            let _ = post.send(&letter("prod.vps-001.17.down", to)).await;
        }
    }
    let id = "x".repeat(180);
    post.send(&letter(&id, "ada@example.com")).await.unwrap();
    post.send(&letter(&id, "bob@example.com")).await.unwrap();
    let names = names(&dir.path().join("letters"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(names.iter().filter(|name| name.contains(&id[..100])).count() == 2, "{names:?}");
    assert!(
        names.iter().all(|name| name.len() <= 255 && name.starts_with("2026") && name.ends_with(".eml")),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_delays_the_letter_and_fails_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let blocked = post(&file);
    for outcome in
        [blocked.send(&letter("prod.vps-001.17.down", "ada@example.com")).await, blocked.check().await]
    {
        assert!(matches!(&outcome, Err(SendError::Later(why)) if why.contains("a-file")), "{outcome:?}");
    }
    let open = post(dir.path());
    open.check().await.unwrap();
    assert_eq!(names(dir.path()), ["a-file"]);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_a_letter() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    post(dir.path()).send(&letter("prod.vps-001.17.down", "ada@example.com")).await.unwrap();
    let mode = std::fs::metadata(dir.path().join(&names(dir.path())[0])).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
