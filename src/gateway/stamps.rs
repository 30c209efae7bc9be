//! Whether files have changed since they were last looked at.
//!
//! Files are looked at again and again instead of asking the operating system to tell: that works for every file
//! system, for the symbolic links that Kubernetes exchanges, and for files that are not there yet, and costs some
//! microseconds a file.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// A file that changed so lately may change again without a later time: that of some file systems has no finer steps.
const FRESH: Duration = Duration::from_secs(2);

/// Files as they were when they were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps(BTreeMap<PathBuf, Option<Stamp>>);

/// What differs when a file, or where a link leads, has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// File system, file, and when anything about it changed: tools that keep the time of modification cannot keep it.
    identity: (u64, u64, i64, i64),
}

impl Stamps {
    /// Looks at everything in a folder, and at other files.
    pub(super) fn of<'p>(folder: &Path, others: impl IntoIterator<Item = &'p PathBuf>) -> Self {
        let inside = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        Stamps::look(inside.chain(others.into_iter().cloned()))
    }

    /// Looks at these files.
    pub(super) fn of_files<'p>(files: impl IntoIterator<Item = &'p PathBuf>) -> Self {
        Stamps::look(files.into_iter().cloned())
    }

    fn look(files: impl Iterator<Item = PathBuf>) -> Self {
        Stamps(files.map(|path| (stamp(&path), path)).map(|(stamp, path)| (path, stamp)).collect())
    }

    /// True if one of them changed so lately that a later change may not show.
    pub(super) fn are_fresh(&self) -> bool {
        let now = now();
        let lately = |time: SystemTime| match now.duration_since(time) {
            Ok(past) => past < FRESH,
            Err(ahead) => ahead.duration() < FRESH,
        };
        self.0.values().flatten().any(|stamp| stamp.times().any(lately))
    }
}

impl Stamp {
    fn times(&self) -> impl Iterator<Item = SystemTime> {
        let changed =
            u64::try_from(self.identity.2).ok().map(|secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs));
        self.modified.into_iter().chain(changed)
    }
}

/// Links are followed: what counts is the file that would be read.
fn stamp(path: &Path) -> Option<Stamp> {
    let data = fs::metadata(path).ok()?;
    Some(Stamp { length: data.len(), modified: data.modified().ok(), identity: identity(&data) })
}

#[cfg(unix)]
fn identity(data: &Metadata) -> (u64, u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (data.dev(), data.ino(), data.ctime(), data.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64, i64, i64) {
    (0, 0, 0, 0)
}

fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_even_if_length_and_time_stay() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (file, other) = (folder.path().join("a"), folder.path().join("b"));
        let nowhere = folder.path().join("nowhere");
        let look = || Stamps::of(folder.path(), [&nowhere]);
        fs::write(&file, "1").expect("the folder can be written to");
        let first = look();
        assert_eq!(first, look());
        assert!(first.are_fresh(), "it was only just written");
        let time = fs::metadata(&file).and_then(|data| data.modified()).expect("it has one");
        fs::write(&other, "2").expect("the folder can be written to");
        fs::File::options().write(true).open(&other).and_then(|file| file.set_modified(time)).expect("it can be set");
        fs::rename(&other, &file).expect("the folder can be written to");
        let second = look();
        assert_ne!(first, second, "another file came in its place");
        fs::write(&nowhere, "3").expect("the folder can be written to");
        assert_ne!(second, look(), "a file that was missing is there");
    }

    #[test]
    fn an_old_file_is_not_fresh_and_neither_is_one_from_the_future() {
        let hour = Duration::from_secs(3600);
        for time in [now() - hour, now() + hour] {
            let stamp = Stamp { length: 1, modified: Some(time), identity: (0, 0, 0, 0) };
            assert!(!Stamps([(PathBuf::from("a"), Some(stamp))].into()).are_fresh());
        }
    }
}
