//! A table of files, hosts, and what OpenSSH would say.

use super::*;

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

fn key(line: &str) -> KeyData {
    let (kind, blob) = line.split_once(' ').unwrap();
    parse_key(kind, blob).unwrap()
}

fn hashed(name: &str) -> String {
    let salt = [7; 20];
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt).unwrap();
    mac.update(name.as_bytes());
    format!("|1|{}|{}", BASE64.encode(salt), BASE64.encode(mac.finalize().into_bytes()))
}

fn accepted(file: &str, host: &str) -> Vec<KeyData> {
    KnownHosts::parse(file).entries(&host.parse().unwrap()).accepted
}

#[test]
fn names_ports_wildcards_negations_and_hashes_match_as_openssh_has_them() {
    let hashed_plain = hashed("db.example.com");
    let hashed_port = hashed("[db.example.com]:2222");
    for (hosts, host, is_named) in [
        ("db.example.com", "db.example.com", true),
        ("db.example.com", "DB.example.com", true),
        ("DB.Example.com", "db.example.com", true),
        ("db.example.com", "db.example.org", false),
        ("db.example.com", "db.example.com:2222", false),
        ("[db.example.com]:2222", "db.example.com:2222", true),
        ("[db.example.com]:2222", "db.example.com", false),
        ("a,b,db.example.com", "db.example.com", true),
        ("203.0.113.7", "203.0.113.7", true),
        ("[2001:db8::7]:2222", "[2001:db8::7]:2222", true),
        ("2001:db8::7", "2001:db8::7", true),
        ("*.example.com", "db.example.com", true),
        ("*.example.com", "example.com", false),
        ("db?.example.com", "db1.example.com", true),
        ("db?.example.com", "db.example.com", false),
        ("*", "anything", true),
        ("*", "anything:2222", true),
        ("*.example.com,!db.example.com", "db.example.com", false),
        ("!db.example.com,*.example.com", "db.example.com", false),
        ("*.example.com,!db.example.com", "web.example.com", true),
        ("!db.example.com", "web.example.com", false),
        (hashed_plain.as_str(), "db.example.com", true),
        (hashed_plain.as_str(), "web.example.com", false),
        (hashed_plain.as_str(), "db.example.com:2222", false),
        (hashed_port.as_str(), "db.example.com:2222", true),
        ("|2|abc|def", "db.example.com", false),
        ("|1|notbase64!|x", "db.example.com", false),
    ] {
        let found = accepted(&format!("{hosts} {A} a comment\n"), host);
        assert_eq!(found, if is_named { vec![key(A)] } else { vec![] }, "{hosts} for {host}");
    }
}

#[test]
fn several_keys_of_one_host_are_all_accepted() {
    let file = format!("# two keys, while they are changed\nweb {A}\n\nweb,other {B}\n");
    assert_eq!(accepted(&file, "web"), [key(A), key(B)]);
}

#[test]
fn a_hashed_line_is_tried_until_it_is_found_out_and_found_ever_after() {
    let (web, db) = (hashed("web"), hashed("db"));
    let mut file = KnownHosts::parse(&format!("{web} {A}\n{db} {A}\n@revoked {web} {B}\n"));
    for _ in 0..2 {
        let found = file.entries(&"web".parse().unwrap());
        assert_eq!((found.accepted, found.revoked), (vec![key(A)], vec![key(B)]));
        assert_eq!(file.hashed.len(), 1, "only the other host's line is tried again");
    }
    assert_eq!(file.entries(&"mail".parse().unwrap()), Entries::default());
    assert_eq!(file.entries(&"db".parse().unwrap()).accepted, [key(A)]);
    assert!(file.hashed.is_empty());
}

#[test]
fn markers_are_told_apart() {
    let file = format!("@revoked * {A}\n@cert-authority *.example.com {B}\n@later web {A}\nweb {B}\n");
    let mut file = KnownHosts::parse(&file);
    let web = file.entries(&"web".parse().unwrap());
    assert_eq!((web.accepted, web.revoked, web.names_authority), (vec![key(B)], vec![key(A)], false));
    let db = file.entries(&"db.example.com".parse().unwrap());
    assert_eq!((db.accepted, db.revoked, db.names_authority), (vec![], vec![key(A)], true));
}

#[test]
fn lines_that_cannot_be_read_vouch_for_nothing() {
    let wrong_kind = A.replace("ssh-ed25519", "ssh-rsa");
    for line in [
        "web",
        "web ssh-ed25519",
        "web ssh-ed25519 AAAA",
        &format!("web {wrong_kind}"),
        "@revoked",
        "\u{0}\u{0}",
        "web ssh-ed25519 ???",
    ] {
        assert_eq!(accepted(&format!("{line}\n"), "web"), [], "{line}");
        // Nor do they hide the lines after them.
        assert_eq!(accepted(&format!("{line}\nweb {A}\n"), "web"), [key(A)], "{line}");
    }
}

#[test]
fn a_hostile_pattern_takes_no_time() {
    let pattern = "*a".repeat(200);
    assert!(!matches_pattern(pattern.as_bytes(), "a".repeat(150).as_bytes()));
    assert!(matches_pattern(b"**a*", b"bab"));
}
