//! Host ranges: `web[01:10].example.com`, `db-[a:f]`, `n[0:20:5]`.

use super::super::MAX_HOSTS;

/// Every name that a pattern means; several ranges multiply.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let Some((before, rest)) = pattern.split_once('[') else { return Ok(vec![pattern.to_owned()]) };
    let wrong = || format!("`{}` is not a range of hosts such as `web[01:10]`", pattern.escape_debug());
    let (range, after) = rest.split_once(']').ok_or_else(wrong)?;
    if !range.contains(':') || range.contains("::") {
        // An IPv6 address in brackets is no range.
        return Ok(vec![pattern.to_owned()]);
    }
    let tails = expand(after)?;
    let middles = between(range).ok_or_else(wrong)?;
    if middles.len().saturating_mul(tails.len()) > MAX_HOSTS {
        return Err(format!("`{}` means more than {MAX_HOSTS} hosts", pattern.escape_debug()));
    }
    Ok(middles
        .iter()
        .flat_map(|middle| tails.iter().map(move |tail| format!("{before}{middle}{tail}")))
        .collect())
}

fn between(range: &str) -> Option<Vec<String>> {
    let mut parts = range.split(':');
    let (first, last, step) = (parts.next()?, parts.next()?, parts.next());
    let step: usize = step.map_or(Some(1), |step| step.parse().ok().filter(|step| *step > 0))?;
    if parts.next().is_some() {
        return None;
    }
    let first = if first.is_empty() { "0" } else { first };
    if let (Ok(from), Ok(to)) = (first.parse::<u32>(), last.parse::<u32>()) {
        // A leading nought says how wide the numbers are.
        let width = if first.starts_with('0') { first.len() } else { 0 };
        let few = usize::try_from(to.saturating_sub(from)).is_ok_and(|count| count / step < MAX_HOSTS);
        return (from <= to && few)
            .then(|| (from..=to).step_by(step).map(|number| format!("{number:0width$}")).collect());
    }
    let letter = |text: &str| text.parse::<char>().ok().filter(char::is_ascii_alphabetic);
    let (from, to) = (letter(first)?, letter(last)?);
    (from <= to).then(|| (from..=to).step_by(step).map(String::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_mean_every_host_between() {
        assert_eq!(expand("web").unwrap(), ["web"]);
        assert_eq!(expand("w[08:10].x").unwrap(), ["w08.x", "w09.x", "w10.x"]);
        assert_eq!(expand("w[8:10]").unwrap(), ["w8", "w9", "w10"]);
        assert_eq!(expand("n[0:20:10]").unwrap(), ["n0", "n10", "n20"]);
        assert_eq!(expand("db-[a:c]").unwrap(), ["db-a", "db-b", "db-c"]);
        assert_eq!(expand("[a:b][1:2]").unwrap(), ["a1", "a2", "b1", "b2"]);
        assert_eq!(expand("[2001:db8::7]").unwrap(), ["[2001:db8::7]"]);
        for bad in ["w[1:", "w[5:1]", "w[a:1]", "w[1:9:0]", "w[1:9999999]", "a[1:999][1:999]"] {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }
}
