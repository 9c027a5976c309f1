//! Edges of pictures, against plain loops.
//!
//! What this would catch: a border that is an edge, a kernel on its side, channels that leak into each other.

mod common;

use common::explained::explained;
use common::{Random, array, assert_close};
use exegesis_attribute::{Method, Request, Target};
use exegesis_graph::op::ReduceKind;
use exegesis_graph::{Builder, DType, Dim, Graph};

const SIZE: [usize; 4] = [2, 3, 5, 4];

/// A model whose result is the mean per channel.
fn model(dims: [usize; 3], space: [usize; 2]) -> Graph {
    let mut graph = Graph::new("means");
    let shape = std::iter::once(Dim::symbol("batch")).chain(dims.map(Dim::Fixed)).collect();
    let x = graph.add_input("x", DType::F64, shape);
    let mut b = Builder::new(&mut graph, "net").unwrap();
    let means = b.reduce(ReduceKind::Mean, x, &space, false).unwrap();
    graph.outputs = vec![means];
    graph
}

/// `sqrt(gx^2 + gy^2)` with Sobel's kernels, the picture repeated beyond its border.
fn sobel(x: &[f64]) -> Vec<f64> {
    let [rows, channels, height, width] = SIZE;
    let mut out = vec![];
    for plane in 0..rows * channels {
        let at = |y: i64, x_: i64| {
            let (y, x_) = (y.clamp(0, height as i64 - 1), x_.clamp(0, width as i64 - 1));
            x[plane * height * width + y as usize * width + x_ as usize]
        };
        for y in 0..height as i64 {
            for c in 0..width as i64 {
                let (mut right, mut down) = (0.0, 0.0);
                for (d, weight) in [(-1, 1.0), (0, 2.0), (1, 1.0)] {
                    right += weight * (at(y + d, c + 1) - at(y + d, c - 1));
                    down += weight * (at(y + 1, c + d) - at(y - 1, c + d));
                }
                out.push(f64::hypot(right, down));
            }
        }
    }
    out
}

#[test]
fn edges_are_those_of_sobel() {
    let [rows, channels, height, width] = SIZE;
    let area = height * width;
    let data = Random::new(3).values(rows * channels * area, -1.0, 1.0);
    let request = Request { target: Target::Class(0), ..Request::new(Method::parse("edges").unwrap()) };
    let first = model([channels, height, width], [2, 3]);
    let feed = array(&[rows, channels, height, width], data.clone());
    let got = explained(&first, &request, &[("x".to_string(), feed)]).unwrap();
    assert_close("edges", &got.attribution().data, &sobel(&data), 1e-12, 1e-12);

    let last = model([height, width, channels], [1, 2]);
    let turn = |i: usize| {
        let (row, place, channel) = (i / (area * channels), i / channels % area, i % channels);
        (row * channels + channel) * area + place
    };
    let turned: Vec<f64> = (0..data.len()).map(|i| data[turn(i)]).collect();
    let feed = array(&[rows, height, width, channels], turned);
    let got = explained(&last, &request, &[("x".to_string(), feed)]).unwrap();
    let want = sobel(&data);
    let want: Vec<f64> = (0..data.len()).map(|i| want[turn(i)]).collect();
    assert_close("channels last", &got.attribution().data, &want, 1e-12, 1e-12);
}

#[test]
fn only_pictures_have_edges() {
    let mut graph = Graph::new("features");
    let x = graph.add_input("x", DType::F64, vec![Dim::symbol("batch"), Dim::Fixed(4)]);
    let mut b = Builder::new(&mut graph, "net").unwrap();
    let doubled = b.mul_scalar(x, 2.0).unwrap();
    graph.outputs = vec![doubled];
    let request = Request { target: Target::Class(0), ..Request::new(Method::parse("edges").unwrap()) };
    let error = explained(&graph, &request, &[]).err().unwrap();
    assert!(error.contains("is for pictures") && error.contains("\"x\""), "{error}");
}
