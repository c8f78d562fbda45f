//! The page that lists a folder.
//!
//! Shows what could be asked for and nothing else: hidden files, devices and links that lead out of the folder are left out.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use cap_std::fs::Dir;

use super::path;

/// Most names on a page.
const NAMES_MAX: usize = 4096;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;margin:2rem}td{padding:0 2rem 0 0}td+td{text-align:right}";

/// One line of the page.
struct Entry {
    name: Vec<u8>,
    is_folder: bool,
    bytes: u64,
}

/// The page for a folder. `url` is the path that was asked for, `below` the folder's own below the root.
pub(super) fn page(dir: &Dir, url: &str, below: &Path) -> io::Result<String> {
    let (entries, more) = entries(dir)?;
    let title = escaped(&path::shown(url));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Index of {title}</title><style>{STYLE}</style></head>\n<body><h1>Index of {title}</h1>\n<table>\n"
    );
    if below != Path::new(".") {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td></tr>\n");
    }
    for entry in &entries {
        let slash = if entry.is_folder { "/" } else { "" };
        let (link, name) = (encoded(&entry.name), escaped(&String::from_utf8_lossy(&entry.name)));
        let _ = write!(page, "<tr><td><a href=\"{link}{slash}\">{name}{slash}</a></td><td>");
        if !entry.is_folder {
            let _ = write!(page, "{}", entry.bytes);
        }
        page.push_str("</td></tr>\n");
    }
    page.push_str("</table>\n");
    if more {
        page.push_str("<p>There are more.</p>\n");
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

/// What is shown, folders first, by name; and whether there is more.
fn entries(dir: &Dir) -> io::Result<(Vec<Entry>, bool)> {
    let mut entries = Vec::new();
    for entry in dir.entries()? {
        let name = entry?.file_name();
        if !is_shown(&name) {
            continue;
        }
        // Follows links, as far as they stay within the folder.
        let Ok(metadata) = dir.metadata(&name) else { continue };
        if !metadata.is_dir() && !metadata.is_file() {
            continue;
        }
        if entries.len() == NAMES_MAX {
            return Ok((sorted(entries), true));
        }
        let (is_folder, bytes) = (metadata.is_dir(), metadata.len());
        entries.push(Entry { name: name.as_bytes().to_owned(), is_folder, bytes });
    }
    Ok((sorted(entries), false))
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by(|one, other| (!one.is_folder, &one.name).cmp(&(!other.is_folder, &other.name)));
    entries
}

/// Whether a name can be asked for, see `path`.
fn is_shown(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name == b".well-known" || (!name.starts_with(b".") && !name.contains(&b'\\'))
}

/// Percent-encodes all but the unreserved (RFC 3986 section 2.3), so that it is one segment of a relative reference.
fn encoded(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
    html
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn names_are_shown_and_linked_without_becoming_html() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in ["b.txt", "<script>&\"'.txt", ".hidden", "javascript:x", "ä b"] {
            fs::write(path.join(name), "12345").unwrap();
        }
        fs::create_dir(path.join("zoo")).unwrap();
        symlink("b.txt", path.join("within")).unwrap();
        symlink("/etc/passwd", path.join("outside")).unwrap();
        let dir = Dir::open_ambient_dir(path, cap_std::ambient_authority()).unwrap();
        let page = page(&dir, "/a%3Cb/", Path::new("a<b")).unwrap();
        let links: Vec<&str> = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let expected = ["../", "zoo/", "%3Cscript%3E%26%22%27.txt", "b.txt", "javascript%3Ax", "within", "%C3%A4%20b"];
        assert_eq!(links, expected);
        assert!(page.contains("Index of /a&lt;b/") && page.contains(">&lt;script&gt;&amp;&quot;&#39;.txt<"), "{page}");
        assert!(!page.contains("<script"), "{page}");
        assert!(!super::page(&dir, "/", Path::new(".")).unwrap().contains("../"));
    }
}
