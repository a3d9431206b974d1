//! From items that fit their table to a caller's own types.

use super::{Key, Node, Object};
use crate::units::{Mib, MilliCpu, Span};
use std::ops::Range;
use std::rc::Rc;

/// A value that was held against its kind, and where it is written.
#[derive(Debug)]
pub struct Item {
    /// Bytes of the source; for a default, those of the mapping that leaves it out.
    pub at: Range<usize>,
    /// What it is.
    pub value: Value,
}

/// A value of some [`super::Kind`].
#[derive(Debug)]
pub enum Value {
    /// Not what was expected; already complained about.
    Bad,
    /// A truth value.
    Bool(bool),
    /// A text, line, name or path.
    Text(String),
    /// A duration.
    Span(Span),
    /// Memory.
    Memory(Mib),
    /// CPU.
    Cpu(MilliCpu),
    /// A whole number.
    Integer(i128),
    /// A number.
    Number(f64),
    /// An alternative of a choice by its word, with what follows it.
    Choice(&'static str, Option<Box<Item>>),
    /// Items of a list or tuple.
    List(Vec<Item>),
    /// Entries of a mapping with the user's keys: key, its place, value.
    Map(Vec<(Rc<str>, Range<usize>, Item)>),
    /// A mapping with known keys.
    Record(Record),
    /// Part of an object, as written.
    Overlay(Rc<Node>),
}

/// A mapping with known keys: every key of its table, present or not.
#[derive(Debug)]
pub struct Record {
    object: &'static Object,
    at: Range<usize>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    key: &'static Key,
    at: Option<Range<usize>>,
    item: Option<Item>,
    taken: bool,
}

impl Record {
    pub(super) fn new(object: &'static Object, at: Range<usize>) -> Record {
        Record { object, at, fields: Vec::with_capacity(object.keys.len()) }
    }

    /// Adds the next key of the table. `at` is where it is written, if it is.
    pub(super) fn push(&mut self, key: &'static Key, at: Option<Range<usize>>, item: Option<Item>) {
        self.fields.push(Field { key, at, item, taken: false });
    }

    fn field(&self, key: &str) -> usize {
        let name = self.object.name;
        self.fields
            .iter()
            .position(|f| f.key.name == key)
            .unwrap_or_else(|| panic!("`{key}` is in the table of {name}"))
    }

    /// Takes the value of a key as written or by default; `None` if it is bad, or missing where it
    /// must not be.
    ///
    /// # Panics
    /// If the key is not in the table, or taken twice.
    pub fn take<T: Lower<C>, C>(&mut self, key: &str, context: &mut C) -> Option<T> {
        self.optional(key, context)?
    }

    /// Takes the value of a key that may be left out without a default: `Some(None)` then.
    ///
    /// # Panics
    /// If the key is not in the table, or taken twice.
    pub fn optional<T: Lower<C>, C>(&mut self, key: &str, context: &mut C) -> Option<Option<T>> {
        let index = self.field(key);
        let field = &mut self.fields[index];
        assert!(!field.taken, "`{key}` is taken once");
        field.taken = true;
        match field.item.take() {
            Some(item) => T::lower(item, context).map(Some),
            None => Some(None),
        }
    }

    /// Where the value of a key is written; the whole mapping if it is left out.
    ///
    /// # Panics
    /// If the key is not in the table.
    #[must_use]
    pub fn place(&self, key: &str) -> Range<usize> {
        self.fields[self.field(key)].at.clone().unwrap_or_else(|| self.at.clone())
    }

    /// Whether a key is written.
    ///
    /// # Panics
    /// If the key is not in the table.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.fields[self.field(key)].at.is_some()
    }
}

/// Lowers a mapping with known keys. `None` if it is bad.
///
/// # Panics
/// If `lower` makes a value without having taken every key: a key that means nothing would
/// otherwise stay in the table.
pub fn record<T>(item: Item, lower: impl FnOnce(&mut Record) -> Option<T>) -> Option<T> {
    let mut record = match item.value {
        Value::Record(record) => record,
        Value::Bad => return None,
        other => panic!("a record by its table, not {other:?}"),
    };
    let made = lower(&mut record)?;
    if let Some(left) = record.fields.iter().find(|f| !f.taken) {
        panic!("`{}` of {} is taken", left.key.name, record.object.name);
    }
    Some(made)
}

/// A type that is made from an [`Item`]. `C` is what is needed to check it, and gathers complaints.
pub trait Lower<C>: Sized {
    /// Makes a value, or complains and makes none.
    ///
    /// # Panics
    /// If the item is of another kind than this type is made from: a mistake in a table.
    fn lower(item: Item, context: &mut C) -> Option<Self>;
}

/// Implements [`Lower`] for a type that is a kind of [`Value`] as it stands.
macro_rules! plain {
    ($($variant:ident => $type:ty),+ $(,)?) => {$(
        impl<C> Lower<C> for $type {
            fn lower(item: Item, _: &mut C) -> Option<Self> {
                match item.value {
                    Value::$variant(value) => Some(value),
                    Value::Bad => None,
                    other => panic!("{} by its table, not {other:?}", stringify!($variant)),
                }
            }
        }
    )+};
}

plain! {
    Bool => bool,
    Text => String,
    Span => Span,
    Memory => Mib,
    Cpu => MilliCpu,
    Number => f64,
    Overlay => Rc<Node>,
}

/// Implements [`Lower`] for integers, whose tables keep to their range.
macro_rules! integers {
    ($($type:ty),+) => {$(
        impl<C> Lower<C> for $type {
            fn lower(item: Item, _: &mut C) -> Option<Self> {
                match item.value {
                    Value::Integer(value) => Some(value.try_into().expect("the table's range fits the type")),
                    Value::Bad => None,
                    other => panic!("an integer by its table, not {other:?}"),
                }
            }
        }
    )+};
}

integers!(u16, u32, u64, i32);

impl<C> Lower<C> for Item {
    fn lower(item: Item, _: &mut C) -> Option<Self> {
        match item.value {
            Value::Bad => None,
            _ => Some(item),
        }
    }
}

impl<T: Lower<C>, C> Lower<C> for Vec<T> {
    /// All items are lowered, so that all complain, before a bad one makes the list bad.
    fn lower(item: Item, context: &mut C) -> Option<Self> {
        match item.value {
            Value::List(items) => {
                let made: Vec<Option<T>> = items.into_iter().map(|i| T::lower(i, context)).collect();
                made.into_iter().collect()
            }
            Value::Bad => None,
            other => panic!("a list by its table, not {other:?}"),
        }
    }
}
