//! Reading: any bytes give a model or an error; a model can be prepared, written and read again.

use exegesis_graph::onnx::{read_bytes, write_bytes};
use exegesis_graph::passes;
use exegesis_runtime::RtenRuntime;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(model) = read_bytes(bytes, None) else { return };
    if let Ok(written) = write_bytes(&model.graph) {
        assert!(
            read_bytes(&written, None).is_ok(),
            "a written model is refused: {:?}",
            read_bytes(&written, None)
        );
    }
    let mut prepared = model.graph;
    if passes::prepare(&mut prepared, &RtenRuntime, &mut |_, _| {}).is_ok() {
        assert_eq!(prepared.validate(&[]), Ok(()), "a prepared graph is not well-formed");
    }
}
