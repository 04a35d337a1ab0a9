//! Writing files where nothing is: [`Files`] gathers what is to be there, and [`Files::write`] writes what is not. Nothing that exists is
//! overwritten, and a folder is there whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::Made;
use crate::problem::{Code, Problem};

/// One thing that is to be there.
#[derive(Debug)]
enum Part {
    File(PathBuf, Vec<u8>),
    /// With its files, by their paths in it.
    Folder(PathBuf, Vec<(String, Vec<u8>)>),
    /// What several plugins share: that it is there already is nothing to tell.
    Shared(Box<Part>),
    /// A file that is there, and what it is to be instead of `before`.
    Change(PathBuf, String, String),
}

/// What is to be in a workspace, in the order in which it is written. Paths are relative to it.
#[derive(Debug, Default)]
pub struct Files(Vec<Part>);

impl Files {
    pub fn file(&mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        self.0.push(Part::File(path.into(), content.into()));
    }

    pub fn folder(&mut self, path: impl Into<PathBuf>, files: Vec<(String, Vec<u8>)>) {
        self.0.push(Part::Folder(path.into(), files));
    }

    /// A file for all plugins of a language.
    pub fn shared_file(&mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        self.0.push(Part::Shared(Box::new(Part::File(path.into(), content.into()))));
    }

    /// A folder for all plugins of a language.
    pub fn shared_folder(&mut self, path: impl Into<PathBuf>, files: Vec<(String, Vec<u8>)>) {
        self.0.push(Part::Shared(Box::new(Part::Folder(path.into(), files))));
    }

    /// A file of the user's that gets something added.
    pub fn change(&mut self, path: impl Into<PathBuf>, before: String, after: String) {
        self.0.push(Part::Change(path.into(), before, after));
    }

    /// Writes what is not there into `workspace`.
    ///
    /// # Errors
    /// What cannot be written; what was written before it stays.
    pub fn write(self, workspace: &Path) -> Result<Made, Problem> {
        let mut made = Made { workspace: workspace.to_owned(), ..Made::default() };
        self.0.into_iter().try_for_each(|part| part.write(workspace, &mut made))?;
        Ok(made)
    }
}

impl Part {
    fn path(&self) -> &Path {
        match self {
            Self::File(path, _) | Self::Folder(path, _) | Self::Change(path, ..) => path,
            Self::Shared(part) => part.path(),
        }
    }

    fn write(self, workspace: &Path, made: &mut Made) -> Result<(), Problem> {
        let path = self.path().to_owned();
        let whole = workspace.join(&path);
        let is_there = whole.symlink_metadata().is_ok();
        let told = |error: std::io::Error| unwritable(&whole, &error);
        match self {
            Self::Shared(_) if is_there => {}
            Self::Shared(part) => part.write(workspace, made)?,
            Self::File(..) | Self::Folder(..) if is_there => made.kept.push(path),
            Self::File(_, content) => {
                write_file(&whole, &content).map_err(told)?;
                made.written.push(path);
            }
            Self::Folder(_, files) => {
                write_folder(&whole, &files).map_err(told)?;
                made.written.push(path);
            }
            Self::Change(_, before, after) => {
                change_file(&whole, &before, &after).map_err(told)?;
                made.changed.push(path);
            }
        }
        Ok(())
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Code::FileUnreadable, format!("{} cannot be written: {error}", path.display()))
        .fix("make the workspace's folder writable, or name another")
}

fn write_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    std::fs::File::create_new(path)?.write_all(content)
}

/// All files of `folder`, under another name first.
pub fn write_folder(folder: &Path, files: &[(String, Vec<u8>)]) -> std::io::Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)?;
    let partial = tempfile::Builder::new().prefix(".lockgate-new-").tempdir_in(parent)?;
    for (name, content) in files {
        write_file(&partial.path().join(name), content)?;
    }
    use std::os::unix::fs::PermissionsExt;
    // Temporary folders are private; this one is committed and shared.
    std::fs::set_permissions(partial.path(), std::fs::Permissions::from_mode(0o755))?;
    // A folder takes the place of an empty one, and of nothing else.
    std::fs::rename(partial.path(), folder)
}

fn change_file(path: &Path, before: &str, after: &str) -> std::io::Result<()> {
    if std::fs::read_to_string(path)? != before {
        return Err(std::io::Error::other("it was changed meanwhile"));
    }
    let mut file = tempfile::Builder::new().prefix(".lockgate-new-").tempfile_in(path.parent().unwrap_or(path))?;
    file.write_all(after.as_bytes())?;
    file.as_file().set_permissions(std::fs::metadata(path)?.permissions())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overwrites_nothing_and_says_what_it_kept() {
        let folder = tempfile::tempdir().unwrap();
        let write = || {
            let mut files = Files::default();
            files.file("a/one", "new");
            files.folder("b", vec![("deep/two".into(), b"new".to_vec())]);
            files.file("three", "new");
            files.shared_file("four", "new");
            files.write(folder.path()).unwrap()
        };
        std::fs::write(folder.path().join("three"), "mine").unwrap();
        let made = write();
        assert_eq!((made.written, made.kept), (vec!["a/one".into(), "b".into(), "four".into()], vec!["three".into()]));
        std::fs::write(folder.path().join("b/deep/two"), "mine").unwrap();
        assert_eq!(write().kept.len(), 3);
        let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
        assert_eq!((read("a/one").as_str(), read("b/deep/two").as_str(), read("three").as_str()), ("new", "mine", "mine"));
        let entries = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(entries, 4, "something was left behind");
    }

    #[test]
    fn changes_no_file_that_is_another_by_now() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "two").unwrap();
        let mut files = Files::default();
        files.change("a", "one".into(), "three".into());
        let problem = files.write(folder.path()).unwrap_err();
        assert!(problem.message.contains("changed meanwhile"), "{problem}");
    }
}
