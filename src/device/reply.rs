//! What the driver answered, as data: each call with its arguments, its code and the fields read.

use super::code::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The first number of the format; a reader of another refuses.
const FORMAT: u32 = 1;

/// One call.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The function of NVML.
    pub call: String,
    /// Arguments; a GPU is the position at which this reply first names it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// What it returned.
    pub code: Code,
    /// What it wrote, by NVML's names.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// Answers of a driver, in the order of the questions.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// Number of the format.
    #[serde(rename = "slicewise-device-reply")]
    format: u32,
    /// Calls.
    pub calls: Vec<Call>,
}

/// Why a text is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// It does not read.
    #[error("not a saved reply: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version wrote it.
    #[error("format {0}; this version reads format {FORMAT}")]
    Format(u32),
}

impl ReplyError {
    /// Line and column, where they are known.
    #[must_use]
    pub fn place(&self) -> Option<(usize, usize)> {
        match self {
            ReplyError::Json(error) if 0 < error.line() => Some((error.line(), error.column())),
            _ => None,
        }
    }
}

impl Reply {
    /// No question yet.
    #[must_use]
    pub fn empty() -> Reply {
        Reply { format: FORMAT, calls: Vec::new() }
    }

    /// Reads a saved one.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Reply, ReplyError> {
        let reply: Reply = serde_json::from_str(text)?;
        if reply.format == FORMAT { Ok(reply) } else { Err(ReplyError::Format(reply.format)) }
    }

    /// The text to save: a call a line, so that two replies can be compared line by line.
    ///
    /// # Panics
    /// Never: calls are plain values.
    #[must_use]
    pub fn to_text(&self) -> String {
        let call = |c: &Call| serde_json::to_string(c).expect("plain values");
        let calls: Vec<String> = self.calls.iter().map(call).collect();
        format!("{{\"slicewise-device-reply\":{FORMAT},\"calls\":[\n{}\n]}}\n", calls.join(",\n"))
    }

    /// Takes down a call. Fields of one that failed mean nothing.
    pub(super) fn note(&mut self, call: &str, args: Value, code: Code, fields: Value) {
        let map = |value: Value| match value {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let fields = if code.is_success() { map(fields) } else { Map::new() };
        self.calls.push(Call { call: call.to_owned(), args: map(args), code, fields });
    }
}
