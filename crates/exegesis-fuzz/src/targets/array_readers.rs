//! Files of numbers: any bytes as `.npy`, `.npz`, `.safetensors` or `.csv` give arrays that fit, or an error.

use exegesis::{DType, Dim, Port, ReadOptions, Source, read_inputs};

const ENDINGS: [&str; 4] = ["npy", "npz", "safetensors", "csv"];

/// The first byte chooses the format and the element type, the rest is the file.
pub(crate) fn run(bytes: &[u8]) {
    let Some((choice, file)) = bytes.split_first() else { return };
    let ending = ENDINGS[usize::from(*choice) % ENDINGS.len()];
    let dtype = if choice & 4 == 0 { DType::F32 } else { DType::I64 };
    let port =
        |name: &str, shape: Vec<Dim>| Port { name: name.into(), dtype, shape: Some(shape), optional: false };
    let ports = [port("x", vec!["batch".into(), 3.into()])];
    read(file, ending, &ports);
    if choice & 8 != 0 {
        read(file, ending, &[port("a", vec!["n".into()]), port("b", vec!["n".into(), "m".into()])]);
    }
}

/// Reads `bytes` as a file and checks what comes out against `ports`.
pub(crate) fn read(bytes: &[u8], ending: &str, ports: &[Port]) {
    let Ok(file) = tempfile::Builder::new().suffix(&format!(".{ending}")).tempfile() else { return };
    if std::fs::write(file.path(), bytes).is_err() {
        return;
    }
    let sources = [Source { name: None, path: file.path().to_path_buf() }];
    let Ok(read) = read_inputs(ports, &sources, &ReadOptions::default()) else { return };
    assert!(!read.runs.is_empty(), "no error and no input either");
    for run in &read.runs {
        for entry in run.entries() {
            let port = ports.iter().find(|port| port.name == entry.name);
            let port = port.unwrap_or_else(|| unreachable!("an input that the graph does not have"));
            assert_eq!(entry.tensor.dtype(), port.dtype);
            assert!(!entry.tensor.shape().contains(&0), "an empty input was accepted");
            let finite = entry.tensor.to_f64().is_some_and(|v| v.iter().all(|x| x.is_finite()));
            assert!(finite, "an input that is not finite was accepted");
            if let Some(shape) = &port.shape {
                let fits = shape.len() == entry.tensor.rank()
                    && shape.iter().zip(entry.tensor.shape()).all(|(d, n)| d.fixed().is_none_or(|d| d == *n));
                assert!(fits, "{:?} was accepted for {shape:?}", entry.tensor.shape());
            }
        }
    }
}
