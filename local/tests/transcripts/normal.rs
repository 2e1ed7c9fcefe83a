//! What differs between two plays of one script, replaced by what it is.

/// The text with times, ages, ports and hashes of plans replaced, and services that settled side by side in order.
pub(crate) fn normal(text: &str) -> String {
    let lines: Vec<String> = text.lines().filter(|line| !is_a_step(line)).map(normal_line).collect();
    let mut sorted = Vec::with_capacity(lines.len());
    let mut side_by_side = Vec::new();
    for line in lines {
        if line.starts_with("hh:mm:ss  vps-") {
            side_by_side.push(line);
            continue;
        }
        side_by_side.sort();
        sorted.append(&mut side_by_side);
        sorted.push(line);
    }
    side_by_side.sort();
    sorted.append(&mut side_by_side);
    sorted.iter().map(|line| format!("{line}\n")).collect()
}

/// A step that a watch has seen: which ones it sees is a matter of luck.
fn is_a_step(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let clock = words.next().is_some_and(is_clock);
    clock && words.nth(1) == Some("updating")
}

fn normal_line(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let mut out: Vec<String> = Vec::new();
    let mut has_moved = false;
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if let Some(length) = duration(words.get(at..).unwrap_or_default())
            && is_of_the_moment(out.last(), words.get(at + length))
        {
            let last = words.get(at + length - 1).copied().unwrap_or_default();
            let mark = last.strip_prefix(|c: char| c.is_ascii_alphabetic()).map_or("", |_| tail(last));
            out.push(format!("SOME TIME{mark}"));
            at += length;
            has_moved = true;
            continue;
        }
        let replaced = normal_word(word);
        has_moved |= replaced != *word;
        out.push(replaced);
        at += 1;
    }
    let joined = out.join(" ").replace("just now", "SOME TIME ago");
    if has_moved || joined.contains("SOME TIME") { narrowed(&joined) } else { joined }
}

/// Columns are as wide as what stood in them.
fn narrowed(line: &str) -> String {
    let indent: String = line.chars().take_while(|c| *c == ' ').collect();
    let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    format!("{indent}{}", cells.join("  "))
}

/// How many words a duration takes: `12 s`, `2 min 10 s`.
fn duration(words: &[&str]) -> Option<usize> {
    let is_number = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_digit());
    let is_unit =
        |word: &&str| ["ms", "s", "min", "h", "days"].contains(&word.trim_end_matches([',', ';', ')']));
    let pair = |at: usize| words.get(at).is_some_and(is_number) && words.get(at + 1).is_some_and(is_unit);
    match (pair(0), pair(2)) {
        (true, true) => Some(4),
        (true, false) => Some(2),
        (false, _) => None,
    }
}

fn tail(unit: &str) -> &str {
    unit.trim_start_matches(|c: char| c.is_ascii_alphabetic())
}

/// True if the duration is one that passes while the script is played.
fn is_of_the_moment(before: Option<&String>, after: Option<&&str>) -> bool {
    before.is_some_and(|word| ["after", "another", "within"].contains(&word.as_str()))
        || after.is_some_and(|word| word.starts_with("ago") || word.starts_with("more"))
}

fn normal_word(word: &str) -> String {
    let core = word.trim_end_matches([',', ';', '.', ')', '`', '"']);
    let rest = word.strip_prefix(core).unwrap_or_default();
    let core = match core {
        clock if is_clock(clock) => "hh:mm:ss",
        time if time.len() >= 20 && time.ends_with('Z') && time.get(10..11) == Some("T") => "TIME",
        hash if hash.len() == 32 && hash.chars().all(|c| c.is_ascii_hexdigit()) => "HASH",
        age if is_age(age) => "AGE",
        address if address.starts_with("127.0.0.1:") => "127.0.0.1:PORT",
        other => other,
    };
    format!("{core}{rest}")
}

/// `12s`, `3min`: how long a service has its status.
fn is_age(word: &str) -> bool {
    let digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
    digits.len() < word.len() && ["s", "min", "h", "d"].contains(&digits)
}

fn is_clock(word: &str) -> bool {
    word.len() == 8
        && word.char_indices().all(|(at, c)| if at == 2 || at == 5 { c == ':' } else { c.is_ascii_digit() })
}

#[test]
fn only_what_passes_is_replaced() {
    for (said, expected) in [
        ("started  06:23:09 UTC, 22 s ago, by admin", "started  hh:mm:ss UTC, SOME TIME ago, by admin"),
        (
            "ended    06:23:31 UTC, just now, after 2 min 10 s",
            "ended  hh:mm:ss UTC, SOME TIME ago, after SOME TIME",
        ),
        ("shop-1  completed  9/9  22 s ago      by admin", "shop-1  completed  9/9  SOME TIME ago  by admin"),
        ("watched for another 3 s; then", "watched for another SOME TIME; then"),
        ("vps-001  healthy  12s  shop@f8cd700", "vps-001  healthy  AGE  shop@f8cd700"),
        ("soak     at least 5 s after each stage", "soak     at least 5 s after each stage"),
        ("its breaker is open since 2026-11-22T06:22:04.511Z", "its breaker is open since TIME"),
    ] {
        assert_eq!(normal_line(said), expected);
    }
    let steps = "06:11:37  vps-008       updating     restart\n06:11:38  vps-008       success      a → b\n";
    assert_eq!(normal(steps), "hh:mm:ss  vps-008  success  a → b\n");
}
