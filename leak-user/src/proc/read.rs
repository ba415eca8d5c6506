//! How files and links of `/proc` are read: always bounded, always as text that is untrusted.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Bytes read of a file that the kernel keeps short (stat, status, limits, ...).
pub(super) const SHORT: u64 = 64 * 1024;

/// The first `limit` bytes of a file, `None` where it cannot be read.
pub(super) fn read_start(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The same as text; bytes that are not UTF-8 are replaced.
pub(super) fn read_text(path: &Path, limit: u64) -> Option<String> {
    read_start(path, limit).map(into_text)
}

/// A whole file as one number.
pub(super) fn read_number(path: &Path) -> Option<u64> {
    read_text(path, 64)?.trim().parse().ok()
}

/// Bytes as text, without a copy where they are UTF-8.
pub(super) fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The target of a symbolic link as text.
pub(super) fn link_text(path: &Path) -> io::Result<String> {
    use std::os::unix::ffi::OsStringExt;
    let target = std::fs::read_link(path)?;
    Ok(into_text(target.into_os_string().into_vec()))
}

/// The names in a directory that are numbers. Entries that vanish are left out.
pub(super) fn numbers_in(directory: &Path) -> io::Result<impl Iterator<Item = u32> + use<>> {
    Ok(std::fs::read_dir(directory)?
        .map_while(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// The rest of the line that begins with a name, without the space around it: of
/// `status` and `meminfo` with the colon (`Uid:`), of `memory.stat` with the space.
pub(super) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

/// A field like `VmSize:     1024 kB`, in bytes.
pub(super) fn bytes_field(text: &str, name: &str) -> Option<u64> {
    let kibibytes: u64 = field(text, name)?.split(' ').next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The number in a link like `socket:[4711]`, where it is of that kind.
pub(super) fn number_in_link(link: &str, kind: &str) -> Option<u64> {
    let number = link.strip_prefix(kind)?.strip_prefix(":[")?;
    number.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_the_beginning_of_their_line() {
        let text = "Name:\tx\nVmSize:\t    1024 kB\nUid:\t7\t8\n";
        assert_eq!(field(text, "Uid:"), Some("7\t8"));
        assert_eq!(bytes_field(text, "VmSize:"), Some(1 << 20));
        assert_eq!(bytes_field(text, "Name:"), None);
        assert_eq!(field(text, "Size:"), None);
    }

    #[test]
    fn a_link_has_a_number_if_it_is_of_the_kind() {
        assert_eq!(number_in_link("socket:[4711]", "socket"), Some(4711));
        for link in [
            "pipe:[4711]",
            "socket:4711",
            "socket:[x]",
            "socket:[4711",
            "",
        ] {
            assert_eq!(number_in_link(link, "socket"), None, "{link}");
        }
    }
}
