//! Pictures: any bytes as a picture file give an input of the model's size, or an error.

use exegesis::{DType, Port};

use super::array_readers::read;

const ENDINGS: [&str; 6] = ["png", "jpg", "gif", "bmp", "webp", "ppm"];

/// The first byte chooses the ending and the layout that the model wants, the rest is the file.
pub(crate) fn run(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    let ending = ENDINGS[usize::from(*choice) % ENDINGS.len()];
    let shape = if choice & 0x40 == 0 {
        vec!["batch".into(), 3.into(), 16.into(), 20.into()]
    } else {
        vec![1.into(), 8.into(), 8.into(), 1.into()]
    };
    read(
        file,
        ending,
        &[Port { name: "image".into(), dtype: DType::F32, shape: Some(shape), optional: false }],
    );
}
