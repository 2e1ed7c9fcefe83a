//! Reads an OpenSSH client configuration as OpenSSH does: the first value found for a host holds.

use std::path::{Path, PathBuf};

use lamplighter_core::name::HostAddress;
use lamplighter_core::spec::Transport;

use super::{Found, Harvest, MAX_HOSTS, MAX_IMPORT_BYTES, expand};

/// Files that include files: as deep as OpenSSH allows.
const MAX_INCLUDE_DEPTH: usize = 16;
/// Files read in all.
const MAX_FILES: usize = 256;

/// The lines under one `Host`, or those before the first.
#[derive(Debug)]
struct Block {
    patterns: Vec<String>,
    settings: Vec<(String, String)>,
}

/// Reads it; `home` is what `~` means.
pub(super) fn read(text: &str, file: &Path, home: &Path) -> Harvest {
    let mut harvest = Harvest::default();
    let mut blocks = vec![Block { patterns: vec!["*".to_owned()], settings: Vec::new() }];
    let mut files = 1;
    read_blocks(text, file, home, 0, &mut files, &mut blocks, &mut harvest.notes);
    let mut names: Vec<&str> = Vec::new();
    let mut wildcards = 0;
    for pattern in blocks.iter().skip(1).flat_map(|block| &block.patterns) {
        if pattern.contains(['*', '?']) || pattern.starts_with('!') {
            wildcards += 1;
        } else if !names.contains(&pattern.as_str()) && names.len() < MAX_HOSTS {
            names.push(pattern);
        }
    }
    if wildcards > 0 {
        harvest.notes.push(format!(
            "{wildcards} `Host` patterns with wildcards name no host of their own; their settings were used"
        ));
    }
    let found: Vec<Result<Found, String>> = names.iter().map(|name| host(name, &blocks, home)).collect();
    for found in found {
        match found {
            Ok(found) => harvest.hosts.push(found),
            Err(note) => harvest.notes.push(note),
        }
    }
    harvest
}

fn read_blocks(
    text: &str,
    file: &Path,
    home: &Path,
    depth: usize,
    files: &mut usize,
    blocks: &mut Vec<Block>,
    notes: &mut Vec<String>,
) {
    for (number, line) in text.lines().enumerate() {
        let Some((keyword, value)) = setting(line) else { continue };
        match keyword.as_str() {
            "host" => blocks.push(Block { patterns: words(&value), settings: Vec::new() }),
            "match" => {
                if value.trim().eq_ignore_ascii_case("all") {
                    blocks.push(Block { patterns: vec!["*".to_owned()], settings: Vec::new() });
                } else {
                    notes.push(format!(
                        "line {} of `{}`: `Match` is skipped with all that is under it",
                        number + 1,
                        file.display()
                    ));
                    blocks.push(Block { patterns: Vec::new(), settings: Vec::new() });
                }
            }
            "include" => {
                // Included lines belong to the block they are included in; a `Host` in them ends with the file.
                let patterns = blocks.last().map(|block| block.patterns.clone()).unwrap_or_default();
                for path in words(&value).iter().flat_map(|written| included(written, home)) {
                    *files += 1;
                    if depth == MAX_INCLUDE_DEPTH || *files > MAX_FILES {
                        notes.push(format!("`{}` is not included: too many files", path.display()));
                        break;
                    }
                    let small = std::fs::metadata(&path).is_ok_and(|meta| meta.len() <= MAX_IMPORT_BYTES);
                    match std::fs::read_to_string(&path) {
                        Ok(text) if small => read_blocks(&text, &path, home, depth + 1, files, blocks, notes),
                        Ok(_) | Err(_) => notes.push(format!("`{}` could not be included", path.display())),
                    }
                }
                blocks.push(Block { patterns, settings: Vec::new() });
            }
            _ => {
                if let Some(block) = blocks.last_mut() {
                    block.settings.push((keyword, value));
                }
            }
        }
    }
}

/// `Keyword value` or `Keyword=value`, the keyword in lower case.
fn setting(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let value = rest.trim_start().strip_prefix('=').unwrap_or(rest).trim();
    Some((keyword.to_ascii_lowercase(), value.to_owned()))
}

/// Words, quoted or not.
fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in value.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The files an `Include` means; only the last part of a path may have wildcards.
fn included(written: &str, home: &Path) -> Vec<PathBuf> {
    let path = expand(written, home, &home.join(".ssh"));
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return Vec::new();
    };
    if !name.contains(['*', '?']) {
        return vec![path];
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_FILES);
    let fits = |entry: &std::fs::DirEntry| fits(&name, &entry.file_name().to_string_lossy());
    let mut paths: Vec<PathBuf> = entries.filter(fits).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn host(name: &str, blocks: &[Block], home: &Path) -> Result<Found, String> {
    let first = |keyword: &str| {
        let meant = blocks.iter().filter(|block| block_fits(&block.patterns, name));
        let mut values = meant.flat_map(|block| &block.settings).filter(|(key, _)| key == keyword);
        values.next().map(|(_, value)| value.as_str())
    };
    let left_out = |why: &str| Err(format!("`{}` is left out: {why}", name.escape_debug()));
    for (keyword, words) in [
        ("proxyjump", "it is reached through another host (`ProxyJump`)"),
        ("proxycommand", "it is reached by a `ProxyCommand`"),
    ] {
        if first(keyword).is_some_and(|value| !value.eq_ignore_ascii_case("none")) {
            return left_out(words);
        }
    }
    let host = first("hostname").unwrap_or("%h").replace("%h", name).replace("%%", "%");
    let port = match first("port").map(str::parse::<u16>) {
        None => HostAddress::SSH_PORT,
        Some(Ok(port)) => port,
        Some(Err(_)) => return left_out("its port is no number"),
    };
    let user = first("user").map(str::to_owned);
    let path = |keyword: &str| -> Option<PathBuf> {
        let written = first(keyword).and_then(|value| words(value).into_iter().next())?;
        if written.eq_ignore_ascii_case("none") || written == "/dev/null" {
            return None;
        }
        let home_text = home.to_string_lossy();
        let tokens = [
            ("%d", home_text.as_ref()),
            ("%h", host.as_str()),
            ("%n", name),
            ("%r", user.as_deref().unwrap_or("root")),
            ("%%", "%"),
        ];
        let written = tokens.iter().fold(written, |text, (token, meaning)| text.replace(token, meaning));
        // OpenSSH takes such paths relative to the folder it was started in, which is seldom meant: `~/.ssh` is.
        Some(expand(&written, home, &home.join(".ssh")))
    };
    let (key, known_hosts) = (path("identityfile"), path("userknownhostsfile"));
    Ok(Found {
        name: name.to_owned(),
        host,
        port,
        user,
        key,
        known_hosts,
        app: None,
        transport: Transport::Ssh,
    })
}

/// True if a `Host` line means `name`: some pattern fits and no negated one does.
fn block_fits(patterns: &[String], name: &str) -> bool {
    let refused =
        patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(|pattern| fits(pattern, name));
    !refused && patterns.iter().any(|pattern| !pattern.starts_with('!') && fits(pattern, name))
}

/// Whether `name` fits a pattern of `*` and `?`. Takes time in proportion to both lengths, whatever they hold.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let mut reached: Vec<bool> = (0..=name.len()).map(|at| at == 0).collect();
    for c in pattern {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match c {
                '*' => reached[at] || (at > 0 && next[at - 1]),
                '?' => at > 0 && reached[at - 1],
                c => at > 0 && reached[at - 1] && name[at - 1] == c,
            };
        }
        reached = next;
    }
    reached[name.len()]
}
