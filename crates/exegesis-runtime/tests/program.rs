//! The contract of programs: checks of inputs, types at the boundary, outputs that are inputs, threads, folding.

mod runtimes;

use exegesis_graph::op::{self, Binary, Unary};
use exegesis_graph::{DType, Dim, Evaluator, Graph, Tensor};
use exegesis_runtime::{ErrorKind, LoadOptions, Prepack, RtenRuntime, Runtime, by_name};

/// `y = x + bias` over `[batch, 3]`, `ids` are int64 `[batch]` and returned doubled.
fn sample() -> Graph {
    let mut graph = Graph::new("sample");
    let x = graph.add_input("x", DType::F32, vec!["batch".into(), Dim::Fixed(3)]);
    let ids = graph.add_input("ids", DType::I64, vec!["batch".into()]);
    let bias = graph.add_constant("bias", Tensor::vector(vec![1.0f32, 2.0, 3.0]));
    let y = graph.add_op("add", Binary::Add, &[x, bias]);
    let twice = graph.add_op("double", Binary::Add, &[ids, ids]);
    graph.rename_value(y, "y");
    graph.rename_value(twice, "twice");
    graph.outputs = vec![y, twice];
    graph
}

fn load(graph: Graph) -> exegesis_runtime::Program {
    RtenRuntime.load(graph, &LoadOptions::default()).unwrap()
}

fn load_on(at: &dyn Runtime, graph: Graph) -> exegesis_runtime::Program {
    at.load(graph, &LoadOptions::default()).unwrap()
}

fn rows(n: usize) -> Tensor {
    Tensor::new([n, 3], vec![0.5f32; 3 * n]).unwrap()
}

#[test]
fn runs_named_outputs_with_declared_types() {
    for at in runtimes::all() {
        let at = at.as_ref();
        let program = load_on(at, sample());
        assert!(program.runtime().starts_with(at.name()), "{}", program.runtime());
        assert_eq!(program.inputs()[1].dtype, DType::I64);
        let narrows = program.notes().iter().any(|note| note.contains("ids") && note.contains("int64"));
        assert_eq!(narrows, at.name() == "rten", "{:?}", program.notes());
        let (x, ids) = (rows(2), Tensor::vector(vec![3i64, -4]));
        let found = program.run(&[("ids", &ids), ("x", &x)], &["twice", "y", "twice"]).unwrap();
        assert_eq!(found[0], Tensor::vector(vec![6i64, -8]));
        assert_eq!(found[1].as_f32().unwrap(), [1.5, 2.5, 3.5, 1.5, 2.5, 3.5]);
        assert_eq!(found[0], found[2]);
    }
}

#[test]
fn says_what_is_wrong_with_an_input() {
    for at in runtimes::all() {
        let at = at.as_ref();
        let program = load_on(at, sample());
        let (x, ids) = (rows(2), Tensor::vector(vec![3i64, 4]));
        let fails = |inputs: &[(&str, &Tensor)], words: &[&str]| {
            let error = program.run(inputs, &["y"]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input, "{error}");
            for word in words {
                assert!(error.to_string().contains(word), "\"{error}\" should say {word}");
            }
        };
        fails(&[("x", &x)], &["\"ids\"", "missing", "int64 [batch]"]);
        fails(&[("x", &x), ("ids", &ids), ("z", &x)], &["\"z\"", "float32 [batch, 3]"]);
        fails(&[("x", &x), ("x", &x), ("ids", &ids)], &["twice"]);
        fails(&[("x", &rows(3)), ("ids", &ids)], &["`batch` is 3", "2 at axis 0"]);
        fails(&[("x", &rows(0)), ("ids", &ids)], &["empty"]);
        fails(&[("x", &Tensor::vector(vec![1.0f32])), ("ids", &ids)], &["2 axes, not 1"]);
        fails(&[("x", &Tensor::new([2, 4], vec![0.0f32; 8]).unwrap()), ("ids", &ids)], &["size 3, not 4"]);
        fails(
            &[("x", &Tensor::new([1, 3], vec![0.0, f32::NAN, 0.0]).unwrap()), ("ids", &ids)],
            &["NaN", "position 1"],
        );
        fails(&[("x", &x), ("ids", &x)], &["must be int64", "float32"]);
        if at.name() == "rten" {
            let wide = Tensor::vector(vec![0i64, 1 << 40]);
            fails(&[("x", &x), ("ids", &wide)], &["\"ids\"", "1099511627776"]);
        }
        let huge = Tensor::new([2, 3], vec![1e300f64; 6]).unwrap();
        fails(&[("x", &huge), ("ids", &ids)], &["\"x\"", "does not fit float32"]);
        let error = program.run(&[("x", &x), ("ids", &ids)], &["nothing"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Output);
    }
}

#[test]
fn widths_convert() {
    for at in runtimes::all() {
        let at = at.as_ref();
        let program = load_on(at, sample());
        let x = Tensor::new([2, 3], vec![0.5f64; 6]).unwrap();
        let ids = Tensor::vector(vec![3u8, 4]);
        let found = program.run(&[("x", &x), ("ids", &ids)], &["twice"]).unwrap();
        assert_eq!(found[0], Tensor::vector(vec![6i64, 8]));
    }
}

#[test]
fn outputs_may_be_inputs_and_constants_and_repeat() {
    for at in runtimes::all() {
        let at = at.as_ref();
        let mut graph = Graph::new("returned");
        let x = graph.add_input("x", DType::F32, vec![Dim::Fixed(2)]);
        let c = graph.add_constant("c", Tensor::vector(vec![7i64, 8]));
        let flag = graph.add_op("is_negative", Binary::Less, &[x, x]);
        graph.outputs = vec![x, c, flag, flag];
        let program = load_on(at, graph);
        let x = Tensor::vector(vec![1.0f32, 2.0]);
        let found = program.run_all(&[("x", &x)]).unwrap();
        assert_eq!(found[0], x);
        assert_eq!(found[1], Tensor::vector(vec![7i64, 8]));
        assert_eq!(found[2], Tensor::vector(vec![false, false]));
        assert_eq!(found[3], found[2]);
    }
}

#[test]
fn inputs_with_a_default_may_be_left_out() {
    for at in runtimes::all() {
        let at = at.as_ref();
        let mut graph = sample();
        let ids = graph.inputs[1];
        graph.value_mut(ids).constant = Some(Tensor::vector(vec![5i64, 6]).into());
        let program = load_on(at, graph);
        assert!(program.inputs()[1].optional);
        let x = rows(2);
        assert_eq!(program.run(&[("x", &x)], &["twice"]).unwrap()[0], Tensor::vector(vec![10i64, 12]));
        let ids = Tensor::vector(vec![1i64, 2]);
        let found = program.run(&[("x", &x), ("ids", &ids)], &["twice"]).unwrap();
        assert_eq!(found[0], Tensor::vector(vec![2i64, 4]));
    }
}

#[test]
fn wide_floats_are_narrowed_and_noted() {
    let mut graph = Graph::new("wide");
    let x = graph.add_input("x", DType::F64, vec![Dim::Fixed(2)]);
    let half = graph.add_constant("half", Tensor::vector(vec![0.5f64, 0.25]));
    let y = graph.add_op("mul", Binary::Mul, &[x, half]);
    graph.outputs = vec![y];
    let program = load(graph.clone());
    assert!(program.notes().iter().any(|note| note.contains("float64")), "{:?}", program.notes());
    let found = program.run_all(&[("x", &Tensor::vector(vec![3.0f64, 8.0]))]).unwrap();
    assert_eq!(found[0], Tensor::vector(vec![1.5f64, 2.0]));
    let half = graph.find_value("half").unwrap();
    graph.set_constant(half, Tensor::vector(vec![1e300f64, 1.0]));
    let error = RtenRuntime.load(graph, &LoadOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::Unsupported, Some("mul")), "{error}");
}

#[test]
fn integers_that_do_not_fit_are_refused_by_name() {
    let mut graph = Graph::new("long");
    let x = graph.add_input("x", DType::I64, vec![Dim::Fixed(1)]);
    let c = graph.add_constant("big", Tensor::vector(vec![1i64 << 40]));
    let y = graph.add_op("compare", Binary::Less, &[x, c]);
    graph.outputs = vec![y];
    let error = RtenRuntime.load(graph, &LoadOptions::default()).unwrap_err();
    assert_eq!(error.node(), Some("compare"));
    assert!(error.to_string().contains("big") && error.to_string().contains("1099511627776"), "{error}");
}

#[test]
fn all_refused_nodes_are_named() {
    let mut graph = Graph::new("refused");
    let x = graph.add_input("x", DType::F32, vec![Dim::Fixed(3), Dim::Fixed(3)]);
    let a = graph.add_op("first", op::Unique::default(), &[x]);
    let b = graph.add_op("second", op::Einsum { equation: "ii->i".into() }, &[x]);
    graph.outputs = vec![a, b];
    let error = RtenRuntime.load(graph, &LoadOptions::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("\"first\"") && text.contains("\"second\"") && text.contains("2 nodes"), "{text}");
}

#[test]
fn threads_and_packing_do_not_change_results() {
    let x = rows(2);
    let ids = Tensor::vector(vec![3i64, 4]);
    for threads in [None, std::num::NonZeroUsize::new(1)] {
        for prepack in [Prepack::Never, Prepack::Always] {
            for at in runtimes::all() {
                let program = at.load(sample(), &LoadOptions { threads, prepack }).unwrap();
                let found = program.run(&[("x", &x), ("ids", &ids)], &["y"]).unwrap();
                assert_eq!(found[0].as_f32().unwrap()[..3], [1.5, 2.5, 3.5]);
            }
        }
    }
}

#[test]
fn runtimes_by_name() {
    assert_eq!(by_name("rten").unwrap().name(), "rten");
    assert!(["rten", "onnxruntime"].contains(&by_name("auto").unwrap().name()));
    #[cfg(not(feature = "onnxruntime"))]
    assert!(by_name("onnxruntime").err().unwrap().to_string().contains("not built"));
    assert_eq!(by_name("other").err().unwrap().kind(), ErrorKind::NotBuilt);
}

/// A process has one ONNX Runtime; what is asked for in vain is said.
#[test]
#[cfg(feature = "onnxruntime")]
fn a_library_must_be_there_and_the_only_one() {
    use exegesis_runtime::{Device, OnnxRuntime, RuntimeChoice};
    let Some(runtime) = runtimes::onnxruntime() else { return };
    assert!(runtime.path().is_absolute(), "{}", runtime.path().display());
    assert!(runtime.version().split('.').nth(1).is_some_and(|minor| minor.parse::<u32>().unwrap() >= 17));
    let folder = std::env::temp_dir().join(format!("exegesis-library-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let other = folder.join("libonnxruntime.so");
    std::fs::copy(runtime.path(), &other).unwrap();
    let refused = |path: &std::path::Path| OnnxRuntime::new(Some(path), Device::Cpu).unwrap_err();
    let error = refused(&other);
    assert_eq!(error.kind(), ErrorKind::NotBuilt);
    assert!(
        error.to_string().contains("loaded from")
            && error.to_string().contains(&*runtime.path().to_string_lossy()),
        "{error}"
    );
    assert!(refused(&folder.join("absent.so")).to_string().contains("absent.so"));
    std::fs::remove_dir_all(&folder).unwrap();
    let rten =
        RuntimeChoice { name: "rten".to_string(), device: Device::Cuda(1), ..RuntimeChoice::default() };
    let error = rten.open().err().unwrap().to_string();
    assert!(error.contains("`cuda:1`") && error.contains("`onnxruntime`"), "{error}");
    assert!(
        exegesis_runtime::runtimes(None)
            .iter()
            .any(|info| info.name == "onnxruntime" && info.version.is_some())
    );
}

/// A GPU that is not there: the program runs on the CPU, gives what it gives there, and says so.
#[test]
#[cfg(feature = "onnxruntime")]
fn a_gpu_that_is_absent_is_told() {
    use exegesis_runtime::{Device, OnnxRuntime};
    let Some(cpu) = runtimes::onnxruntime() else { return };
    let gpu = OnnxRuntime::new(None, Device::Cuda(0)).unwrap();
    let program = gpu.load(sample(), &LoadOptions::default()).unwrap();
    if program.device() == Device::Cuda(0) {
        eprintln!("skipped: there is a GPU");
        return;
    }
    assert_eq!(program.device(), Device::Cpu);
    let [warning] = program.warnings() else { panic!("{:?}", program.warnings()) };
    assert!(warning.contains("`cuda:0` is not used") && warning.contains("CPU"), "{warning}");
    let (x, ids) = (rows(2), Tensor::vector(vec![3i64, 4]));
    let found = program.run(&[("x", &x), ("ids", &ids)], &["y"]).unwrap();
    assert_eq!(found, load_on(&cpu, sample()).run(&[("x", &x), ("ids", &ids)], &["y"]).unwrap());
}

/// float64 and 64-bit integers stay what they are: nothing is rounded, and nothing overflows.
#[test]
#[cfg(feature = "onnxruntime")]
fn onnxruntime_narrows_nothing() {
    let Some(runtime) = runtimes::onnxruntime() else { return };
    let mut graph = Graph::new("wide");
    let x = graph.add_input("x", DType::F64, vec![Dim::Fixed(1)]);
    let i = graph.add_input("i", DType::I64, vec![Dim::Fixed(1)]);
    let tiny = graph.add_constant("tiny", Tensor::vector(vec![1e-12f64]));
    let y = graph.add_op("add", Binary::Add, &[x, tiny]);
    let j = graph.add_op("mul", Binary::Mul, &[i, i]);
    graph.outputs = vec![y, j];
    let program = load_on(&runtime, graph);
    assert!(program.notes().is_empty(), "{:?}", program.notes());
    let (x, i) = (Tensor::vector(vec![1.0f64]), Tensor::vector(vec![1i64 << 31]));
    let found = program.run_all(&[("x", &x), ("i", &i)]).unwrap();
    assert_eq!(found, [Tensor::vector(vec![1.0 + 1e-12f64]), Tensor::vector(vec![1i64 << 62])]);
}

/// The processor can't divide the smallest number by -1: ONNX Runtime would end the process.
#[test]
fn divisions_that_the_processor_can_not_do_end_no_process() {
    for at in runtimes::all() {
        let mut graph = Graph::new("division");
        let x = graph.add_input("x", DType::I32, vec!["n".into()]);
        let d = graph.add_input("d", DType::I32, vec!["n".into()]);
        let quotient = graph.add_op("quotient", Binary::Div, &[x, d]);
        let remainder = graph.add_op("remainder", op::Mod { fmod: false }, &[x, d]);
        graph.outputs = vec![quotient, remainder];
        let program = load_on(at.as_ref(), graph);
        let run = |x: Vec<i32>, d: Vec<i32>| {
            program.run_all(&[("x", &Tensor::vector(x)), ("d", &Tensor::vector(d))])
        };
        let found = run(vec![7, -7, 7, i32::MAX], vec![2, 2, -2, -1]).unwrap();
        assert_eq!(found[0], Tensor::vector(vec![3i32, -3, -3, -i32::MAX]));
        assert_eq!(found[1], Tensor::vector(vec![1i32, 1, -1, 0]), "{}", at.name());
        // Whatever it gives, it does not end the process.
        let _ = run(vec![i32::MIN], vec![-1]);
        assert_eq!(run(vec![1], vec![0]).unwrap_err().kind(), ErrorKind::Execution, "{}", at.name());
    }
}

#[test]
fn folds_constants_but_never_to_a_wrong_number() {
    let fold = |values: Vec<i64>, kind: Binary| {
        let mut graph = Graph::new("fold");
        let a = graph.add_constant("a", Tensor::vector(values));
        let b = graph.add_constant("b", Tensor::vector(vec![100_000i64]));
        let y = graph.add_op("node", kind, &[a, b]);
        graph.value_mut(y).dtype = Some(DType::I64);
        graph.outputs = vec![y];
        RtenRuntime.evaluate(&graph)
    };
    assert_eq!(fold(vec![3, 4], Binary::Add).unwrap(), [Tensor::vector(vec![100_003i64, 100_004])]);
    assert_eq!(fold(vec![3, 4], Binary::Mul).unwrap(), [Tensor::vector(vec![300_000i64, 400_000])]);
    fold(vec![100_000], Binary::Mul).expect_err("the product needs more than 32 bits");
    fold(vec![1 << 40], Binary::Add).expect_err("the constant needs more than 32 bits");
    let mut graph = Graph::new("wide");
    let a = graph.add_constant("a", Tensor::vector(vec![0.1f64]));
    let y = graph.add_op("node", Unary::Sqrt, &[a]);
    graph.value_mut(y).dtype = Some(DType::F64);
    graph.outputs = vec![y];
    RtenRuntime.evaluate(&graph).expect_err("float64 would be rounded");
}
