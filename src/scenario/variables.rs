//! `${NAME}` and `${NAME:-default}` in the paths of files, so that one scenario serves machines
//! that keep their traces elsewhere. `$${` stands for `${` itself.

use std::collections::BTreeMap;

/// Why a path cannot be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A variable has no value.
    Unset(String),
    /// What follows `${` is no variable.
    Malformed,
}

/// A path with its variables replaced.
pub(super) fn substitute(path: &str, variables: &BTreeMap<String, String>) -> Result<String, Refused> {
    let (mut out, mut rest) = (String::new(), path);
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let (inside, after) = rest[at + 2..].split_once('}').ok_or(Refused::Malformed)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            return Err(Refused::Malformed);
        }
        // As in a shell, `:-` also stands in for an empty value.
        let value = variables.get(name).map(String::as_str);
        let value = match default {
            Some(default) => value.filter(|v| !v.is_empty()).or(Some(default)),
            None => value,
        };
        out.push_str(value.ok_or_else(|| Refused::Unset(name.to_owned()))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The text that [`substitute`] makes into `path`.
pub(super) fn escape(path: &str) -> String {
    path.replace("${", "$${")
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn variables_are_replaced() {
        let variables =
            BTreeMap::from([("DIR", "/data"), ("E", "")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        for (path, expected) in [
            ("a.csv", Ok("a.csv")),
            ("${DIR}/a.csv", Ok("/data/a.csv")),
            ("${X:-../t}/${DIR}", Ok("../t//data")),
            ("${E:-x}${E}", Ok("x")),
            ("$${DIR}$", Ok("${DIR}$")),
            ("$$${DIR}", Ok("$${DIR}")),
            ("a${X}", Err(Refused::Unset("X".to_owned()))),
            ("${", Err(Refused::Malformed)),
            ("${}", Err(Refused::Malformed)),
            ("${1}", Err(Refused::Malformed)),
            ("${a b:-c}", Err(Refused::Malformed)),
        ] {
            assert_eq!(substitute(path, &variables), expected.map(str::to_owned), "{path}");
        }
    }

    proptest! {
        #[test]
        fn escapes_are_undone(path in "[${}a]{0,12}") {
            prop_assert_eq!(substitute(&escape(&path), &BTreeMap::new()), Ok(path));
        }
    }
}
