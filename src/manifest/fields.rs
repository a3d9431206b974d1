//! Fields of Kubernetes objects: read by name, unknown ones left alone, wrong types complained about.
//!
//! Real objects have hundreds of fields that concern others, so nothing here refuses one. A field
//! without a value (`null`, or nothing after the colon) is an absent one, as to the API server.

use super::Located;
use super::moment::Moment;
use super::quantity::Quantity;
use crate::yaml::{Entry, Node, Problem, Shape};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The value of a field, unless it is absent.
pub(super) fn field<'n>(node: &'n Node, key: &str) -> Option<&'n Rc<Node>> {
    node.get(key).map(|e| &e.value).filter(|v| !v.is_null())
}

/// The value at the end of a path of fields.
pub(super) fn path<'n>(node: &'n Node, keys: &[&str]) -> Option<&'n Rc<Node>> {
    let (last, before) = keys.split_last()?;
    let mut at = node;
    for key in before {
        at = field(at, key)?;
    }
    field(at, last)
}

/// A text without a complaint about anything else.
pub(super) fn word<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    match &field(node, key)?.shape {
        Shape::Text { text, .. } => Some(text),
        _ => None,
    }
}

/// Reads values and gathers what is wrong with them.
pub(super) struct Reader<'p> {
    pub(super) problems: &'p mut Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn complain(&mut self, at: &Node, key: &str, expected: &str) {
        let message = format!("`{key}`: expected {expected}, found {}", at.describe());
        self.problems.push(Problem::new("bad-value", &at.at, message));
    }

    /// The entries of a mapping.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Entry] {
        let Some(value) = field(node, key) else { return &[] };
        match value.entries() {
            Some(entries) => entries,
            None => {
                self.complain(value, key, "a mapping");
                &[]
            }
        }
    }

    /// A mapping.
    pub(super) fn mapping<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n Rc<Node>> {
        let value = field(node, key)?;
        if value.entries().is_none() {
            self.complain(value, key, "a mapping");
            return None;
        }
        Some(value)
    }

    /// The items of a list.
    pub(super) fn items<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Rc<Node>] {
        let Some(value) = field(node, key) else { return &[] };
        match &value.shape {
            Shape::List(items) => items,
            _ => {
                self.complain(value, key, "a list");
                &[]
            }
        }
    }

    /// The items of a list of mappings; others are complained about.
    pub(super) fn mappings<'n>(&mut self, node: &'n Node, key: &str) -> Vec<&'n Rc<Node>> {
        let items = self.items(node, key);
        let is_mapping = |item: &&Rc<Node>| {
            let fits = item.entries().is_some();
            if !fits {
                self.complain(item, key, "a list of mappings");
            }
            fits
        };
        items.iter().filter(is_mapping).collect()
    }

    /// A text that Kubernetes takes for one: `true` and `4` without quotes are not.
    pub(super) fn string(&mut self, value: &Node, key: &str) -> Option<Located<String>> {
        match &value.shape {
            Shape::Text { text, plain } if !plain || !is_other(text) => {
                Some(Located::new(&value.at, text.clone()))
            }
            Shape::Text { text, .. } => {
                let message = format!("`{key}`: expected a text, found `{text}`");
                let problem = Problem::new("bad-value", &value.at, message);
                self.problems.push(problem.help(format!("quote it: \"{text}\"")));
                Some(Located::new(&value.at, text.clone()))
            }
            _ => {
                self.complain(value, key, "a text");
                None
            }
        }
    }

    /// A field that is a text.
    pub(super) fn text(&mut self, node: &Node, key: &str) -> Option<Located<String>> {
        let value = field(node, key)?;
        self.string(value, key)
    }

    /// The texts of a list.
    pub(super) fn texts(&mut self, node: &Node, key: &str) -> Vec<String> {
        let items = self.items(node, key);
        items.iter().filter_map(|item| self.string(item, key)).map(|t| t.value).collect()
    }

    /// A mapping of texts.
    pub(super) fn text_map(&mut self, node: &Node, key: &str) -> BTreeMap<String, Located<String>> {
        let mut map = BTreeMap::new();
        for entry in self.entries(node, key) {
            let text = match entry.value.is_null() {
                true => Some(Located::new(&entry.at, String::new())),
                false => self.string(&entry.value, &entry.key),
            };
            map.extend(text.map(|t| (entry.key.to_string(), t)));
        }
        map
    }

    /// A mapping of quantities, each at the place of its key and value.
    pub(super) fn quantities(&mut self, node: &Node, key: &str) -> BTreeMap<String, Located<Quantity>> {
        let mut map = BTreeMap::new();
        for entry in self.entries(node, key) {
            let written = match &entry.value.shape {
                Shape::Text { text, .. } => Quantity::parse(text),
                _ => None,
            };
            match written {
                Some(quantity) if quantity.is_negative() => {
                    let message = format!("`{}`: an amount must not be negative", entry.key);
                    self.problems.push(Problem::new("out-of-range", &entry.value.at, message));
                }
                Some(quantity) => {
                    let at = entry.at.start..entry.value.at.end.max(entry.at.end);
                    map.insert(entry.key.to_string(), Located::new(&at, quantity));
                }
                None => {
                    let expected = "a quantity such as `2`, `500m` or `8Gi`";
                    self.complain(&entry.value, &entry.key, expected);
                }
            }
        }
        map
    }

    pub(super) fn truth(&mut self, node: &Node, key: &str) -> Option<bool> {
        let value = field(node, key)?;
        match &value.shape {
            Shape::Text { text, plain: true } if text == "true" => Some(true),
            Shape::Text { text, plain: true } if text == "false" => Some(false),
            _ => {
                self.complain(value, key, "`true` or `false`");
                None
            }
        }
    }

    /// A whole number between two, both included.
    pub(super) fn integer(
        &mut self,
        node: &Node,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let value = field(node, key)?;
        let number = match &value.shape {
            Shape::Text { text, plain: true } => text.parse::<i64>().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => Some(number),
            Some(number) => {
                let (low, high) = range.into_inner();
                let message = format!("`{key}`: `{number}` is out of range; it must be {low} to {high}");
                self.problems.push(Problem::new("out-of-range", &value.at, message));
                None
            }
            None => {
                self.complain(value, key, "a whole number");
                None
            }
        }
    }

    pub(super) fn moment(&mut self, node: &Node, key: &str) -> Option<Moment> {
        let value = field(node, key)?;
        let moment = match &value.shape {
            Shape::Text { text, .. } => Moment::parse(text),
            _ => None,
        };
        if moment.is_none() {
            self.complain(value, key, "a moment such as `2026-05-01T10:00:00Z`");
        }
        moment
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&mut self, node: &Node, key: &str, words: &[(&str, T)]) -> Option<T> {
        let value = field(node, key)?;
        let found = match &value.shape {
            Shape::Text { text, .. } => words.iter().find(|(word, _)| word == text),
            _ => None,
        };
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message =
                format!("`{key}`: expected one of {}, found {}", names.join(", "), value.describe());
            let problem = Problem::new("bad-value", &value.at, message);
            self.problems.push(match &value.shape {
                Shape::Text { text, .. } => match crate::diag::nearest(text, names) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem,
                },
                _ => problem,
            });
        }
        found.map(|(_, value)| *value)
    }
}

/// Whether kubectl's YAML takes an unquoted scalar for a truth value or a number.
fn is_other(text: &str) -> bool {
    const TRUTHS: [&str; 10] = ["true", "false", "yes", "no", "on", "off", "y", "n", "~", "null"];
    let number = || {
        let digits = text.trim_start_matches(['-', '+']);
        let begins = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        begins
            && (digits.parse::<f64>().is_ok()
                || (digits.starts_with("0x") && i64::from_str_radix(&digits[2..], 16).is_ok()))
    };
    TRUTHS.contains(&text.to_ascii_lowercase().as_str()) || number()
}
