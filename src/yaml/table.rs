//! What may be written, as static tables: the one list of keys, words, ranges and defaults from
//! which files are read, complaints are worded and the schema is made.

/// A mapping with known keys.
#[derive(Debug)]
pub struct Object {
    /// Its name: the title in the schema, and how complaints call it.
    pub name: &'static str,
    /// What it describes.
    pub doc: &'static str,
    /// Its keys, in the order of the documentation.
    pub keys: &'static [Key],
}

/// A key of an [`Object`].
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// What it means.
    pub doc: &'static str,
    /// Whether it may be left out.
    pub presence: Presence,
}

/// What it means that a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// That is a mistake.
    Required,
    /// Nothing of the kind is wanted.
    Optional,
    /// The same as this YAML.
    Default(&'static str),
    /// Nothing: the key is another spelling of this one, and not both may be given.
    ShortFor(&'static str),
}

impl Object {
    /// The key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }

    /// The other spelling of a key, in either direction.
    #[must_use]
    pub fn twin(&self, name: &str) -> Option<&'static str> {
        self.keys.iter().find_map(|k| match k.presence {
            Presence::ShortFor(long) if k.name == name => Some(long),
            Presence::ShortFor(long) if long == name => Some(k.name),
            _ => None,
        })
    }
}

impl Key {
    /// A key that must be there.
    #[must_use]
    pub const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
        Key { name, kind, doc, presence: Presence::Required }
    }

    /// A key without which nothing of the kind is wanted.
    #[must_use]
    pub const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Key {
        Key { name, kind, doc, presence: Presence::Optional }
    }

    /// A key whose absence means the same as `default`, written in YAML.
    #[must_use]
    pub const fn default(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
        Key { name, kind, doc, presence: Presence::Default(default) }
    }

    /// Another spelling of the key `long`.
    #[must_use]
    pub const fn short_for(name: &'static str, kind: Kind, long: &'static str, doc: &'static str) -> Key {
        Key { name, kind, doc, presence: Presence::ShortFor(long) }
    }
}

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// Any text, also an empty one.
    Text,
    /// One line that is not empty.
    Line,
    /// A word for people that also heads a CSV column or names a file.
    Name,
    /// A file, with `${NAME}` for variables.
    Path,
    /// A duration; `positive` refuses 0.
    Span {
        /// Whether 0 is refused.
        positive: bool,
    },
    /// An amount of memory.
    Memory,
    /// An amount of CPU.
    Cpu,
    /// A whole number between the two, both included.
    Integer(i128, i128),
    /// A number.
    Number(Interval),
    /// One of several words or forms.
    Choice(&'static Choice),
    /// A list.
    List(&'static List),
    /// A list of just these items.
    Tuple(&'static [Kind]),
    /// A mapping with keys of the user's own.
    Map(&'static Kind),
    /// A mapping with known keys.
    Object(&'static Object),
    /// Part of an [`Object`], laid over another before it is read.
    Overlay(&'static Object),
    /// The first of these that has the shape of what was found: a scalar, a list or a mapping.
    Either(&'static [Kind]),
}

/// Equal items in any number.
#[derive(Debug)]
pub struct List {
    /// What each is.
    pub of: Kind,
    /// How several of them are called: `nodes`.
    pub name: &'static str,
    /// Whether there must be at least one.
    pub filled: bool,
}

/// One of several alternatives: a bare word (`whole`) or a mapping with one key (`{mig: […]}`).
#[derive(Debug)]
pub struct Choice {
    /// What is chosen, with its article: `a mode`.
    pub name: &'static str,
    /// What the choice is about.
    pub doc: &'static str,
    /// The alternatives.
    pub alternatives: &'static [Alternative],
}

/// An alternative of a [`Choice`].
#[derive(Debug)]
pub struct Alternative {
    /// The word.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Whether the word may stand alone.
    pub bare: bool,
    /// What may follow the word.
    pub value: Option<Kind>,
}

impl Alternative {
    /// A word that stands alone.
    #[must_use]
    pub const fn word(name: &'static str, doc: &'static str) -> Alternative {
        Alternative { name, doc, bare: true, value: None }
    }

    /// A word that is followed by a value.
    #[must_use]
    pub const fn with(name: &'static str, value: Kind, doc: &'static str) -> Alternative {
        Alternative { name, doc, bare: false, value: Some(value) }
    }

    /// A word that stands alone or is followed by a value.
    #[must_use]
    pub const fn may_have(name: &'static str, value: Kind, doc: &'static str) -> Alternative {
        Alternative { name, doc, bare: true, value: Some(value) }
    }
}

/// Which numbers are accepted. Infinite ends are open; infinity and NaN are never accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Least number.
    pub low: f64,
    /// Whether `low` itself is refused.
    pub low_open: bool,
    /// Greatest number.
    pub high: f64,
    /// Whether `high` itself is refused.
    pub high_open: bool,
}

impl Interval {
    /// Numbers from `low`.
    #[must_use]
    pub const fn at_least(low: f64) -> Interval {
        Interval { low, low_open: false, high: f64::INFINITY, high_open: true }
    }

    /// Numbers greater than `low`.
    #[must_use]
    pub const fn above(low: f64) -> Interval {
        Interval { low, low_open: true, high: f64::INFINITY, high_open: true }
    }

    /// Numbers up to `high`, which is included.
    #[must_use]
    pub const fn to(self, high: f64) -> Interval {
        Interval { high, high_open: false, ..self }
    }

    /// Numbers less than `high`.
    #[must_use]
    pub const fn below(self, high: f64) -> Interval {
        Interval { high, high_open: true, ..self }
    }

    /// Whether a number is accepted.
    #[must_use]
    pub fn contains(self, number: f64) -> bool {
        let above = if self.low_open { self.low < number } else { self.low <= number };
        let below = if self.high_open { number < self.high } else { number <= self.high };
        above && below && number.is_finite()
    }

    /// The interval in words: `above 0 and at most 1`.
    #[must_use]
    pub fn describe(self) -> String {
        let low = if self.low_open { "above" } else { "at least" };
        let high = if self.high_open { "below" } else { "at most" };
        match self.high.is_finite() {
            true => format!("{low} {} and {high} {}", self.low, self.high),
            false => format!("{low} {}", self.low),
        }
    }
}
