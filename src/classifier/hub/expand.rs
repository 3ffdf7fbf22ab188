//! `~` and `$NAME` in paths, as Python expands them.

/// The path with a home for `~` and values for `$NAME` and `${NAME}`. A name that is not set stays as it is.
pub fn expand(path: &str, variable: &dyn Fn(&str) -> Option<String>, home: Option<&str>) -> String {
    variables(&with_home(path, home), variable)
}

fn with_home(path: &str, home: Option<&str>) -> String {
    match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            let whole = format!("{}{rest}", home.trim_end_matches('/'));
            if whole.is_empty() { "/".to_owned() } else { whole }
        }
        _ => path.to_owned(),
    }
}

fn variables(path: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, end) = match after.strip_prefix('{') {
            Some(inner) => inner.split_once('}').map_or(("", 0), |(name, _)| (name, name.len() + 2)),
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => expanded.push_str(&value),
            None => expanded.extend(["$", &after[..end]]),
        }
        rest = &after[end..];
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_does() {
        let variable = |name: &str| match name {
            "A" => Some("/a".to_owned()),
            "B_2" => Some("$A".to_owned()),
            _ => None,
        };
        for (path, expected) in [
            ("~", "/home/me"),
            ("~/x", "/home/me/x"),
            ("~you/x", "~you/x"),
            ("x/~", "x/~"),
            ("$A/x", "/a/x"),
            ("${A}x", "/ax"),
            ("$Ax", "$Ax"),
            ("${A", "${A"),
            ("${}", "${}"),
            ("$", "$"),
            ("$B_2/$C-$A", "$A/$C-/a"),
        ] {
            assert_eq!(expand(path, &variable, Some("/home/me/")), expected, "{path}");
        }
        assert_eq!(expand("~", &variable, Some("/")), "/");
        assert_eq!(expand("~/x", &variable, None), "~/x");
    }
}
