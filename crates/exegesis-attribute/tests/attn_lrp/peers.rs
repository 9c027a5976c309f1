//! AttnLRP and CP-LRP beside what LXT found (`testdata/peers/lxt/README.md`), in f64.
//!
//! What this would catch: the rules and our plain programs misunderstanding the method in the same way.

use std::path::Path;

use exegesis_attribute::{Method, Request, Target, explain};
use exegesis_graph::{onnx, passes};
use exegesis_reference::{Array, Reference, run};

use crate::common::{assert_close, npz};

#[test]
fn relevance_is_what_the_outside_tool_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/peers/lxt");
    let mut recorded = 0;
    for network in ["bert", "llama"] {
        let case = npz::read(&folder.join(format!("{network}.npz")));
        for (key, want) in &case {
            let Some(method) = key.strip_prefix("relevance/") else { continue };
            let mut graph = onnx::read_file(&folder.join(format!("{network}.onnx"))).unwrap().graph;
            passes::prepare(&mut graph, &Reference, &mut |_, _| ()).unwrap();
            let request = Request { target: Target::Input, ..Request::new(Method::parse(method).unwrap()) };
            let explained = explain(graph, &request, &mut |_, _| ()).unwrap();
            let feeds: [(&str, Array); 2] =
                [("input_ids", case["input/input_ids"].clone()), ("target", case["target"].clone())];
            let values = run(&explained.graph, &feeds).unwrap();
            let what = format!("{network}, {method}");
            let logits = (&values["logits"].data, &case["output/logits"].data);
            assert_close(&what, logits.0, logits.1, 1e-5, 0.0);
            let got = &values[&explained.attributions[0].output];
            assert_eq!(got.shape, want.shape, "{what}");
            assert_close(&what, &got.data, &want.data, 1e-5, 0.0);
            recorded += 1;
        }
    }
    assert_eq!(recorded, 3);
}
