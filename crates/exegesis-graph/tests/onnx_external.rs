//! Weights in a file beside the model: written, found, shared, and never read from anywhere else.

mod onnx_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use exegesis_graph::ErrorKind::{self, Io, Malformed, TooLarge};
use exegesis_graph::onnx::{read_bytes, read_file, write_split};
use exegesis_graph::op::Binary;
use exegesis_graph::{DType, Dim, Graph, Tensor};
use onnx_support::{Message, describe, graph, message, model, node, value};

/// A folder of its own that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("exegesis-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn weights_graph() -> Graph {
    let mut graph = Graph::new("g");
    let x = graph.add_input("x", DType::F32, vec![Dim::Fixed(32)]);
    let shared = Arc::new(Tensor::vector((0..32).map(|i| i as f32).collect::<Vec<_>>()));
    let a = graph.add_constant("a", Arc::clone(&shared));
    let b = graph.add_constant("b", shared);
    let c = graph.add_constant("c", Tensor::vector(vec![-1.0f32; 32]));
    let small = graph.add_constant("small", Tensor::scalar(2.0f32));
    let mut sum = x;
    for (i, constant) in [a, b, c, small].into_iter().enumerate() {
        sum = graph.add_op(&format!("add{i}"), Binary::Add, &[sum, constant]);
    }
    graph.outputs.push(sum);
    graph
}

/// Would catch weights written twice, unaligned, or small ones moved out.
#[test]
fn split_models_are_read_again() {
    let folder = Folder::new("split");
    let original = weights_graph();
    let split = write_split(&original, "weights.bin", 64).unwrap();
    assert_eq!(split.weights.len(), 256, "two tensors of 128 bytes at multiples of 64");
    let path = folder.write("model.onnx", &split.model);
    let missing = read_file(&path).unwrap_err();
    assert_eq!(missing.kind(), Io);
    assert!(missing.to_string().contains("\"weights.bin\""), "{missing}");
    folder.write("weights.bin", &split.weights);
    let copy = read_file(&path).unwrap().graph;
    assert_eq!(describe(&original), describe(&copy));
    let constant = |name: &str| copy.constant(copy.find_value(name).unwrap()).unwrap();
    assert!(Arc::ptr_eq(constant("a"), constant("b")), "a region of the file is held once");
    assert_eq!(describe(&read_bytes(&split.model, Some(&folder.0)).unwrap().graph), describe(&original));
    // The relative path of a file in the current folder has no parent to speak of.
    assert_eq!(read_bytes(&split.model, None).unwrap_err().kind(), Io);
}

#[test]
fn data_files_have_plain_names() {
    for name in ["", "/tmp/w", "../w", "a/../../w", ".", "c:\\w"] {
        assert!(write_split(&weights_graph(), name, 1).is_err(), "{name:?} was accepted");
    }
}

/// `y = x + w` with `w` of two floats in `location`.
fn file(location: &str, offset: &str, length: Option<&str>) -> Message {
    let entry = |key: &str, text: &str| message().text(1, key).text(2, text);
    let mut w = message().text(8, "w").int(2, 1).int(1, 2).int(14, 1);
    w = w.with(13, &entry("location", location)).with(13, &entry("offset", offset));
    if let Some(length) = length {
        w = w.with(13, &entry("length", length));
    }
    let dims = [Some(2)];
    let g = graph(&[node("Add", &["x", "w"], &["y"])], &[value("x", &dims)], &[value("y", &dims)]);
    model(&g.with(5, &w), 18)
}

#[track_caller]
fn refused(folder: &Path, file: &Message, kind: ErrorKind, about: &str) {
    let error = read_bytes(&file.0, Some(folder)).expect_err("the file was read");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(about), "\"{error}\" does not mention \"{about}\"");
}

#[test]
fn regions_outside_the_file() {
    let folder = Folder::new("regions");
    folder.write("w", &[0; 16]);
    read_bytes(&file("w", "8", Some("8")).0, Some(&folder.0)).unwrap();
    read_bytes(&file("w", "8", None).0, Some(&folder.0)).unwrap();
    read_bytes(&file("./w", "0", Some("8")).0, Some(&folder.0)).unwrap();
    refused(&folder.0, &file("w", "9", Some("8")), Malformed, "has only 16");
    refused(&folder.0, &file("w", "18446744073709551615", Some("8")), Malformed, "has only 16");
    refused(&folder.0, &file("w", "0", Some("4")), Malformed, "needs 8 bytes");
    refused(&folder.0, &file("w", "0", Some("18446744073709551615")), Malformed, "needs 8 bytes");
    refused(&folder.0, &file("w", "-8", Some("8")), Malformed, "offset");
    refused(&folder.0, &file("w", "0", Some("many")), Malformed, "length");
    refused(&folder.0, &file("", "0", Some("8")), Malformed, "not said where");
    refused(&folder.0, &file("ghost", "0", Some("8")), Io, "\"ghost\"");
}

/// Overlapping regions could make a small file ask for any amount of memory.
#[test]
fn overlapping_regions() {
    let folder = Folder::new("overlap");
    folder.write("w", &[0; 16]);
    let entry = |key: &str, text: String| message().text(1, key).text(2, &text);
    let tensors = (0..3).map(|i| {
        let head = message().text(8, &format!("w{i}")).int(2, 2).int(1, 8).int(14, 1);
        head.with(13, &entry("location", "w".into())).with(13, &entry("offset", i.to_string()))
    });
    let g = tensors.fold(graph(&[], &[], &[]), |g, t| g.with(5, &t));
    refused(&folder.0, &model(&g, 18), TooLarge, "overlap");
}

#[test]
fn paths_out_of_the_folder() {
    let outside = Folder::new("outside");
    outside.write("secret", &[0; 8]);
    outside.write("model/w", &[0; 8]);
    let folder = outside.0.join("model");
    read_bytes(&file("w", "0", None).0, Some(&folder)).unwrap();
    let absolute = outside.0.join("secret");
    for location in [
        "../secret",
        "a/../../secret",
        "..",
        "/etc/hostname",
        "a\\w",
        "C:w",
        "w\0",
        absolute.to_str().unwrap(),
    ] {
        refused(&folder, &file(location, "0", None), Malformed, "not a path below");
    }
    refused(&folder, &file(".", "0", None), Malformed, "not a file");
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder() {
    use std::os::unix::fs::symlink;
    let outside = Folder::new("links");
    outside.write("secret", &[0; 8]);
    outside.write("model/real", &[0; 8]);
    let folder = outside.0.join("model");
    symlink(outside.0.join("secret"), folder.join("out")).unwrap();
    symlink(folder.join("real"), folder.join("inside")).unwrap();
    symlink(&outside.0, folder.join("up")).unwrap();
    refused(&folder, &file("out", "0", None), Malformed, "link out of");
    refused(&folder, &file("up/secret", "0", None), Malformed, "link out of");
    read_bytes(&file("inside", "0", None).0, Some(&folder)).unwrap();

    // Download caches keep the model and its data as links into one folder of blobs.
    let cache = Folder::new("cache");
    cache.write("blobs/1", &file("w", "0", None).0);
    cache.write("blobs/2", &[0; 8]);
    cache.write("snapshot/x", &[]);
    symlink("../blobs/1", cache.0.join("snapshot/model.onnx")).unwrap();
    symlink("../blobs/2", cache.0.join("snapshot/w")).unwrap();
    read_file(&cache.0.join("snapshot/model.onnx")).unwrap();
}
