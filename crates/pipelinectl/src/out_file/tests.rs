//! What can be written, what is left of it, and what is told of the rest.

use super::*;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn refused(path: &Path) -> String {
    let failure = check(path).unwrap_err();
    assert_eq!(failure.code, "BadInput");
    assert!(
        failure.message.contains(&path.display().to_string()),
        "{}",
        failure.message
    );
    failure.message
}

#[test]
fn what_cannot_be_written_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join("file"), "x").unwrap();
    assert!(refused(&root.join("absent/answer.txt")).contains("there is no folder"));
    assert!(refused(&root.join("file/answer.txt")).contains("there is no folder"));
    assert!(refused(root).contains("is a folder; name a file in it"));
    assert!(refused(Path::new("")).contains("names no file"));
    assert_eq!(names(root), ["file"], "nothing was made");
}

#[test]
fn looking_leaves_nothing_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old");
    fs::write(&old, "kept").unwrap();
    check(&folder.path().join("new")).unwrap();
    check(&old).unwrap();
    assert_eq!(names(folder.path()), ["old"]);
    assert_eq!(fs::read_to_string(old).unwrap(), "kept");
}

#[test]
fn a_file_is_there_when_it_is_whole_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("answer.txt");
    fs::write(&place, "old").unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&place, &link).unwrap();

    let mut file = OutFile::begin(&link).unwrap();
    file.write(b"ne").unwrap();
    assert_eq!(fs::read_to_string(&place).unwrap(), "old");
    file.write(b"w").unwrap();
    file.finish().unwrap();
    assert_eq!(fs::read_to_string(&place).unwrap(), "new");
    let rights = fs::metadata(&place).unwrap().permissions().mode();
    assert_eq!(rights & 0o777, 0o640, "the rights of the file stay");
    assert!(link.is_symlink());

    drop(OutFile::begin(&place).unwrap());
    assert_eq!(names(folder.path()), ["answer.txt", "link"]);
}

#[test]
fn a_new_file_has_the_rights_of_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, any) = (folder.path().join("ours"), folder.path().join("any"));
    write(&ours, b"x").unwrap();
    fs::write(&any, "x").unwrap();
    let rights = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(rights(ours), rights(any));
}

#[test]
fn what_breaks_off_at_the_end_is_no_mistake_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    let mut file = OutFile::begin(&below.join("answer.txt")).unwrap();
    file.write(b"x").unwrap();
    fs::remove_dir_all(&below).unwrap();
    let failure = file.finish().unwrap_err();
    assert_eq!(failure.code, "NotSaved");
    assert!(failure.message.contains("answer.txt"), "{}", failure.message);
}

#[test]
fn what_is_no_ordinary_file_is_written_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt as _;
    let device = Path::new("/dev/null");
    check(device).unwrap();
    write(device, b"x").unwrap();
    assert!(fs::metadata(device).unwrap().file_type().is_char_device());
}
