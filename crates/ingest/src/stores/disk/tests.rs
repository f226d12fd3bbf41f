//! The fence of a file and the path to it.

use super::*;

/// A folder of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("slipway-disk-{}", UploadId::new())))
    }

    /// The file of a new upload, open as a writer opens it.
    fn file(&self, id: UploadId) -> File {
        let path = path(&self.0, id);
        if !path.exists() {
            create(&path, id).unwrap();
        }
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn stored(file: &File, length: usize) -> Vec<u8> {
    let mut data = vec![0; length];
    file.read_exact_at(&mut data, HEADER_BYTES).unwrap();
    data
}

#[test]
fn late_bytes_of_an_older_writer_never_land() {
    let folder = Folder::new();
    let id = UploadId::new();
    let (old, new) = (folder.file(id), folder.file(id));
    let write = |file: &File, writer, at, data: &[u8]| {
        write_fenced(file, id, writer, ByteCount::from_u32(at), data).unwrap()
    };

    assert_eq!(write(&old, 1, 0, b"aaaa"), Written::Yes);
    assert_eq!(write(&new, 2, 2, b"bbbb"), Written::Yes);
    assert_eq!(write(&old, 1, 4, b"late"), Written::Superseded);
    assert_eq!(write(&new, 2, 6, b"cc"), Written::Yes);

    assert_eq!(stored(&new, 8), b"aabbbbcc");
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    let folder = Folder::new();
    let (id, other) = (UploadId::new(), UploadId::new());
    let file = folder.file(id);

    let error = write_fenced(&file, other, 1, ByteCount::ZERO, b"x").unwrap_err();

    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[test]
fn a_header_that_a_power_cut_left_as_zeros_is_written_again() {
    let folder = Folder::new();
    let id = UploadId::new();
    let file = folder.file(id);
    file.set_len(0).unwrap();

    assert_eq!(
        write_fenced(&file, id, 3, ByteCount::ZERO, b"x").unwrap(),
        Written::Yes
    );

    assert_eq!(newest_writer(&file, id).unwrap(), 3);
}

#[test]
fn a_file_that_is_gone_already_counts_as_removed() {
    let folder = Folder::new();
    let id = UploadId::new();
    let path = path(&folder.0, id);
    create(&path, id).unwrap();

    remove(&path).unwrap();
    remove(&path).unwrap();

    assert!(!path.exists());
}

#[test]
fn a_path_is_made_of_the_id_alone() {
    let id: UploadId = "0190a1b2-0000-7000-8000-0000000000ef".parse().unwrap();

    assert_eq!(
        path(Path::new("/files"), id),
        Path::new("/files/ef/0190a1b2-0000-7000-8000-0000000000ef")
    );
}
