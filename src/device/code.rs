//! What a return code of NVML means for whoever asked: one table, in the context of the call.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A return code of NVML. A function that the library lacks counts as FUNCTION_NOT_FOUND.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Code(pub u32);

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One of many that may not exist, such as a profile by its enum.
    Enumerate,
    /// Something that must be there.
    Read,
    /// A change that takes nothing up: the mode, a destruction.
    Change,
    /// A creation.
    Create,
}

/// What to do about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It worked.
    Done,
    /// There is no such thing: go on with the next.
    Absent,
    /// No room on this GPU: the answer to the question of feasibility.
    Infeasible,
    /// Somebody uses it.
    Busy,
    /// A mode waits for a reset.
    NeedsReset,
    /// Whoever calls may not.
    Denied,
    /// This GPU, driver or library cannot.
    Unsupported,
    /// It may work a moment later.
    Transient,
    /// Anything else.
    Fatal,
}

impl Class {
    /// As people say it.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Class::Done => "done",
            Class::Absent => "not there",
            Class::Infeasible => "no room for it on this GPU",
            Class::Busy => "somebody is using it",
            Class::NeedsReset => "the GPU must be reset first",
            Class::Denied => "not permitted: be root, or hold the MIG capability files",
            Class::Unsupported => "this GPU or driver cannot do it",
            Class::Transient => "the driver was not ready",
            Class::Fatal => "the driver failed",
        }
    }
}

impl Code {
    /// It worked.
    pub const SUCCESS: Code = Code(0);
    /// The library has no such function.
    pub const FUNCTION_NOT_FOUND: Code = Code(13);
    /// The GPU fell off the bus.
    pub const GPU_IS_LOST: Code = Code(15);
    /// A mode waits for a reset.
    pub const RESET_REQUIRED: Code = Code(16);
    /// Library and kernel module are of different drivers.
    pub const LIB_RM_VERSION_MISMATCH: Code = Code(18);
    /// There is no such thing.
    pub const NOT_FOUND: Code = Code(6);
    /// The array was too short.
    pub const INSUFFICIENT_SIZE: Code = Code(7);
    /// The argument means nothing: when enumerating, perhaps the end.
    pub const INVALID_ARGUMENT: Code = Code(2);

    /// Whether it worked.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Code::SUCCESS
    }

    /// Whether no further call on the GPU makes sense.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Code::GPU_IS_LOST | Code::LIB_RM_VERSION_MISMATCH)
    }

    /// Its class for a call of this kind.
    #[must_use]
    pub fn class(self, asked: Asked) -> Class {
        match (self.0, asked) {
            (0, _) => Class::Done,
            (2 | 6, Asked::Enumerate) => Class::Absent,
            (23, Asked::Create) => Class::Infeasible,
            (19, _) => Class::Busy,
            (16, _) => Class::NeedsReset,
            (4 | 17, _) => Class::Denied,
            (3 | 13 | 25 | 26 | 30, _) => Class::Unsupported,
            (7 | 10 | 27 | 29 | 999, _) => Class::Transient,
            _ => Class::Fatal,
        }
    }

    /// NVML's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            0 => "SUCCESS",
            1 => "UNINITIALIZED",
            2 => "INVALID_ARGUMENT",
            3 => "NOT_SUPPORTED",
            4 => "NO_PERMISSION",
            5 => "ALREADY_INITIALIZED",
            6 => "NOT_FOUND",
            7 => "INSUFFICIENT_SIZE",
            8 => "INSUFFICIENT_POWER",
            9 => "DRIVER_NOT_LOADED",
            10 => "TIMEOUT",
            11 => "IRQ_ISSUE",
            12 => "LIBRARY_NOT_FOUND",
            13 => "FUNCTION_NOT_FOUND",
            14 => "CORRUPTED_INFOROM",
            15 => "GPU_IS_LOST",
            16 => "RESET_REQUIRED",
            17 => "OPERATING_SYSTEM",
            18 => "LIB_RM_VERSION_MISMATCH",
            19 => "IN_USE",
            20 => "MEMORY",
            21 => "NO_DATA",
            22 => "VGPU_ECC_NOT_SUPPORTED",
            23 => "INSUFFICIENT_RESOURCES",
            24 => "FREQ_NOT_SUPPORTED",
            25 => "ARGUMENT_VERSION_MISMATCH",
            26 => "DEPRECATED",
            27 => "NOT_READY",
            28 => "GPU_NOT_FOUND",
            29 => "INVALID_STATE",
            30 => "RESET_TYPE_NOT_SUPPORTED",
            999 => "UNKNOWN",
            _ => "a code that this version does not know",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.name())
    }
}

/// A call that did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} returned {code}: {}", .code.class(*.asked).describe())]
pub struct Failed {
    /// The function of NVML.
    pub call: &'static str,
    /// What it was for.
    pub asked: Asked,
    /// What it returned.
    pub code: Code,
}

impl Failed {
    /// Its class.
    #[must_use]
    pub fn class(self) -> Class {
        self.code.class(self.asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code in every context, as a table to read.
    #[test]
    fn every_code_has_its_class() {
        let of = |class: Class, asked: Asked| -> Vec<u32> {
            (0..=31).chain([999]).filter(|c| Code(*c).class(asked) == class).collect()
        };
        for asked in [Asked::Enumerate, Asked::Read, Asked::Change, Asked::Create] {
            assert_eq!(of(Class::Done, asked), [0]);
            assert_eq!(of(Class::Busy, asked), [19]);
            assert_eq!(of(Class::NeedsReset, asked), [16]);
            assert_eq!(of(Class::Denied, asked), [4, 17]);
            assert_eq!(of(Class::Unsupported, asked), [3, 13, 25, 26, 30]);
            assert_eq!(of(Class::Transient, asked), [7, 10, 27, 29, 999]);
        }
        let fatal = [1, 2, 5, 6, 8, 9, 11, 12, 14, 15, 18, 20, 21, 22, 23, 24, 28, 31];
        assert_eq!(of(Class::Fatal, Asked::Read), fatal);
        assert_eq!(of(Class::Fatal, Asked::Change), fatal);
        assert_eq!(of(Class::Infeasible, Asked::Create), [23]);
        assert_eq!(of(Class::Absent, Asked::Enumerate), [2, 6]);
        assert_eq!(of(Class::Absent, Asked::Read), [0; 0]);
    }
}
