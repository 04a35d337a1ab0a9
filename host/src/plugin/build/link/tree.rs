//! [`tree`]: a folder as what is in it.

use std::collections::BTreeMap;
use std::path::Path;

const FILES_MAX: usize = 20_000;
const DEPTH_MAX: usize = 32;

/// Every file below `path`, by its path with `/` between its steps; of a file, the file alone, under no name.
///
/// # Errors
/// What cannot be read, and more than a plugin has.
pub fn tree(path: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    if path.is_file() {
        files.insert(String::new(), std::fs::read(path)?);
        return Ok(files);
    }
    let mut open = vec![(path.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                open.push((entry.path(), format!("{name}/"), depth + 1));
            } else {
                files.insert(name, std::fs::read(entry.path())?);
            }
        }
        if files.len() > FILES_MAX || depth > DEPTH_MAX {
            return Err(std::io::Error::other("there is more in it than a plugin has"));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_files_by_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/c.py"), "c").unwrap();
        std::fs::write(folder.path().join("d.py"), "d").unwrap();
        let files: Vec<_> = tree(folder.path()).unwrap().into_iter().collect();
        assert_eq!(files, [("a/b/c.py".to_owned(), b"c".to_vec()), ("d.py".to_owned(), b"d".to_vec())]);
        assert_eq!(tree(&folder.path().join("d.py")).unwrap().into_values().collect::<Vec<_>>(), [b"d".to_vec()]);
        assert!(tree(&folder.path().join("e")).is_err());
    }
}
