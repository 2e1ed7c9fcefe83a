//! Reads one table of a file as a Rust type, key by key, so that every bad key is told and not only the first.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeOwned, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::problem::{Complaints, Whose};
use super::wording;

/// A table, with where everything in it stands.
pub(crate) type Table<'i> = DeTable<'i>;

/// How a type is read from a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    /// An acceptable value of each required key, as TOML: a key is judged alone, with these in the others' places.
    pub(crate) required: &'static str,
    /// Keys that are read elsewhere, as they are no part of the type.
    pub(crate) besides: &'static [&'static str],
}

/// Reads `table` as a `T`, telling every key that is unknown, of the wrong kind, or missing.
///
/// `None` if anything is wrong with it. Keys in `known_bad` were told before and are not told again.
pub(crate) fn read_section<T: DeserializeOwned>(
    section: Section,
    table: &Spanned<Table<'_>>,
    known_bad: &BTreeSet<String>,
    whose: &Whose,
    complaints: &mut Complaints<'_>,
) -> Option<T> {
    let mut own = table.get_ref().clone();
    for key in section.besides {
        own.remove(*key);
    }
    let own = Spanned::new(table.span(), own);
    let bad = bad_keys::<T>(section, &own, known_bad, whose, complaints);
    let mut whole = bad.is_empty() && known_bad.is_empty();
    for key in stand_ins(section).keys() {
        let key = key.get_ref().as_ref();
        if !own.get_ref().contains_key(key) && !known_bad.contains(key) {
            complaints.add(&table.span(), whose, format!("key `{key}` is missing"), None);
            whole = false;
        }
    }
    if !whole {
        return None;
    }
    match deserialize::<T>(&own) {
        Ok(value) => Some(value),
        Err(error) => {
            let (what, hint) = wording::of_message(error.message());
            complaints.add(&error.span().unwrap_or(own.span()), whose, what, hint);
            None
        }
    }
}

/// Tells each key of `table` that is bad by itself, and returns their names.
pub(crate) fn bad_keys<T: DeserializeOwned>(
    section: Section,
    table: &Spanned<Table<'_>>,
    told: &BTreeSet<String>,
    whose: &Whose,
    complaints: &mut Complaints<'_>,
) -> BTreeSet<String> {
    let mut bad = BTreeSet::new();
    if told.is_empty()
        && stand_ins(section).keys().all(|key| table.get_ref().contains_key(key.get_ref().as_ref()))
    {
        // Nearly every table is good; only a bad one is taken apart.
        if deserialize::<T>(table).is_ok() {
            return bad;
        }
    }
    let known: Vec<&str> = keys_of::<T>().iter().chain(section.besides).copied().collect();
    for (key, value) in table.get_ref() {
        let name = key.get_ref().as_ref();
        if section.besides.contains(&name) || told.contains(name) {
            continue;
        }
        if !known.contains(&name) {
            let (what, hint) = wording::unknown_key(name, &known);
            complaints.add(&key.span(), whose, what, hint);
            bad.insert(name.to_owned());
            continue;
        }
        let mut alone = stand_ins(section);
        alone.insert(key.clone(), value.clone());
        if let Err(error) = deserialize::<T>(&Spanned::new(value.span(), alone)) {
            let (what, hint) = wording::of_message(error.message());
            complaints.add(&within(error.span(), &value.span()), whose, format!("`{name}`: {what}"), hint);
            bad.insert(name.to_owned());
        }
    }
    bad
}

/// A key's value as the tables it holds, if it is a list of tables.
pub(crate) fn as_tables<'v, 'i>(
    value: &'v Spanned<DeValue<'i>>,
) -> Option<Vec<(Range<usize>, &'v Table<'i>)>> {
    let items = value.get_ref().as_array()?;
    items.iter().map(|item| Some((item.span(), item.get_ref().as_table()?))).collect()
}

fn within(span: Option<Range<usize>>, value: &Range<usize>) -> Range<usize> {
    match span {
        Some(span) if value.contains(&span.start) => span,
        Some(_) | None => value.clone(),
    }
}

fn deserialize<T: DeserializeOwned>(table: &Spanned<Table<'_>>) -> Result<T, toml::de::Error> {
    let value = DeValue::Table(table.get_ref().clone());
    T::deserialize(ValueDeserializer::from(Spanned::new(table.span(), value)))
}

fn stand_ins(section: Section) -> Table<'static> {
    DeTable::parse(section.required).map(Spanned::into_inner).unwrap_or_default()
}

/// The keys that a struct takes, as its own deserialiser names them: a list kept by hand would one day lack one.
pub(crate) fn keys_of<T: DeserializeOwned>() -> &'static [&'static str] {
    match T::deserialize(AskKeys) {
        Err(Asked(keys)) => keys,
        Ok(_) => &[],
    }
}

struct AskKeys;

#[derive(Debug)]
struct Asked(&'static [&'static str]);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("asked for its keys")
    }
}

impl std::error::Error for Asked {}

impl serde::de::Error for Asked {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Asked(&[])
    }
}

impl<'de> serde::Deserializer<'de> for AskKeys {
    type Error = Asked;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        Err(Asked(keys))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        Err(Asked(&[]))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_names_its_own_keys() {
        let keys = keys_of::<lamplighter_core::settings::Settings>();
        assert!(keys.contains(&"every") && keys.contains(&"admins"), "{keys:?}");
        assert!(keys_of::<String>().is_empty());
    }
}
