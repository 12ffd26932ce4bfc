//! Paths: which file a request means, and that it lies below the server's folder.

/// The file that a path means, or why it means none. A path that leaves the server's folder, in whatever
/// disguise, means none.
pub(crate) fn file_name(path: &str) -> Result<String, &'static str> {
    let decoded = decode(path).ok_or("a path that is no text")?;
    let name = decoded.strip_prefix('/').ok_or("a path without a beginning")?;
    if name.contains(['\\', '\0']) || name.chars().any(char::is_control) {
        return Err("a path that is no file's");
    }
    if name.split('/').any(|part| matches!(part, ".." | "." | "")) {
        return Err("a path that leaves the folder");
    }
    Ok(name.to_owned())
}

/// Takes the percent signs out of a path, once (RFC 3986 §2.1).
fn decode(path: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_means_one_file_below_the_folder_or_none() {
        assert_eq!(file_name("/000000000000.cfg").as_deref(), Ok("000000000000.cfg"));
        assert_eq!(file_name("/a%20b/c.cfg").as_deref(), Ok("a b/c.cfg"));
        for bad in [
            "/",
            "x",
            "/../x",
            "/a/../../x",
            "/%2e%2e/x",
            "/a//x",
            "/a%5c..%5cx",
            "/%00",
            "/%zz",
            "/%+1",
            "/%ff",
        ] {
            assert!(file_name(bad).is_err(), "{bad}");
        }
        assert_eq!(file_name("/%252e%252e/x").as_deref(), Ok("%2e%2e/x"), "percent signs are taken out once");
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic_or_leave_the_folder(path in any::<String>()) {
            if let Ok(name) = file_name(&path) {
                prop_assert!(name.split('/').all(|part| !part.is_empty() && part != ".."));
            }
        }
    }
}
