//! Command lines that are plain enough to be answered without a shell: words, quotes and `;`, nothing that expands.

use super::systemd::{Answer, Systemd};

/// Answers `line` in this process if it is a list of looks: `systemctl is-active`, `systemctl show`, `journalctl`,
/// `docker inspect`, `cat /proc/uptime`. `None` means that only a real shell can say what it does.
pub(super) fn answer(systemd: &Systemd, line: &str) -> Option<Answer> {
    let commands = split(line)?;
    let mut whole = Answer::default();
    for words in &commands {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answer = match words.as_slice() {
            ["cat", "/proc/uptime"] => Answer::said(systemd.uptime_line(), 0),
            ["true"] => Answer::default(),
            words => systemd.look(words)?,
        };
        whole.stdout += &answer.stdout;
        whole.stderr += &answer.stderr;
        whole.status = answer.status;
    }
    Some(whole)
}

/// Splits a line into commands and words; `None` if any part of it means more than itself.
fn split(line: &str) -> Option<Vec<Vec<String>>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        quoted => word.push(quoted),
                    }
                }
            }
            ' ' | ';' | '\n' => {
                commands.last_mut()?.extend(word.take());
                if c != ' ' {
                    commands.push(Vec::new());
                }
            }
            c if c.is_ascii_alphanumeric() || "-_./,:@=%+".contains(c) => {
                word.get_or_insert_default().push(c)
            }
            _ => return None,
        }
    }
    commands.last_mut()?.extend(word.take());
    for words in &mut commands {
        // `env LC_ALL=C systemctl …`: the pretend systemd knows no other language. `exec` changes nothing here either.
        let says_nothing = |word: &String| {
            word == "exec" || word == "env" || word.starts_with("LC_ALL=") || word.starts_with("LANG=")
        };
        while words.len() > 1 && words.first().is_some_and(says_nothing) {
            words.remove(0);
        }
    }
    commands.retain(|words| !words.is_empty());
    Some(commands).filter(|commands| !commands.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::systemd::Nature;
    use super::*;

    #[test]
    fn plain_looks_need_no_shell() {
        let systemd = Systemd::new();
        systemd.add("web", Nature::Sound);
        for line in [
            "systemctl is-active web",
            "LC_ALL=C systemctl is-active 'web'",
            "env LC_ALL=C systemctl is-active 'web.service'",
            "LC_ALL=C exec systemctl is-active -- 'web'",
        ] {
            assert_eq!(answer(&systemd, line), Some(Answer::said("active\n".to_owned(), 0)), "{line}");
        }
        let look = "systemctl show -p LoadState,ActiveState 'web'; cat /proc/uptime; journalctl -u 'web' -n 10 --no-pager -o cat";
        let seen = answer(&systemd, look).unwrap();
        assert!(
            seen.stdout.starts_with("LoadState=loaded\nActiveState=active\n")
                && seen.stdout.ends_with("Started.\n"),
            "{seen:?}"
        );
    }

    #[test]
    fn whatever_means_more_than_itself_goes_to_a_shell() {
        let systemd = Systemd::new();
        systemd.add("web", Nature::Sound);
        for line in [
            "systemctl is-active $UNIT",
            "systemctl is-active web | cat",
            "systemctl is-active web && true",
            "systemctl restart web",
            "systemctl is-active \"web\"",
            "systemctl is-active web > /dev/null",
            "systemctl is-active `id`",
            "systemctl is-active 'web",
            "rm -rf x",
            "",
        ] {
            assert_eq!(answer(&systemd, line), None, "{line}");
        }
    }
}
