//! Did you mean?

/// Longest text that can be a slip of a name: no name is half as long.
const MAX_NAME_BYTES: usize = 64;

/// The known name that `written` is most likely a slip of, if any is near enough.
pub(super) fn nearest<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if written.len() > MAX_NAME_BYTES {
        return None;
    }
    // A third of the letters may be wrong: `adress` is near `address`, `host` is not near `user`.
    let most = (written.chars().count() / 3).max(1);
    let lower = written.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|name| (distance(&lower, name), name))
        .filter(|(slips, _)| *slips <= most)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// How many letters must be added, dropped, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let known = ["id", "address", "user", "key", "host_key", "check", "restart", "owner", "service"];
        for (written, meant) in [
            ("adress", Some("address")),
            ("hostkey", Some("host_key")),
            ("Host-Key", Some("host_key")),
            ("chekc", Some("check")),
            ("services", Some("service")),
            ("idd", Some("id")),
            ("password", None),
            ("x", None),
            ("", None),
            (&"u".repeat(10_000), None),
        ] {
            let shown = written.get(..20).unwrap_or(written);
            assert_eq!(nearest(written, known), meant, "{shown}");
        }
    }
}
