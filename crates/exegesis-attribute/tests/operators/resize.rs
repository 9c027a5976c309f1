//! Resampling of planes.

use exegesis_graph::ValueId;
use exegesis_graph::op::{self, AspectPolicy, CoordinateMode, NearestMode, ResizeMode};

use super::{Case, case};
use crate::common::Net;

fn resize(net: &mut Net, op: op::Resize, scales: Option<&[f32]>, sizes: Option<&[i64]>) -> ValueId {
    let x = net.activation(&[0, 2, 4, 5]);
    let scales = scales.map(|s| {
        let tensor = exegesis_graph::Tensor::vector(s.to_vec());
        net.graph.add_constant("scales", tensor)
    });
    let sizes = sizes.map(|s| net.ints(s));
    net.op_with(op, vec![Some(x), None, scales, sizes], 1)[0]
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    let coordinates = [
        CoordinateMode::HalfPixel,
        CoordinateMode::HalfPixelSymmetric,
        CoordinateMode::PytorchHalfPixel,
        CoordinateMode::AlignCorners,
        CoordinateMode::Asymmetric,
        CoordinateMode::TfHalfPixelForNn,
    ];
    let axes = Some(vec![2, 3]);
    for coordinate_transformation_mode in coordinates {
        for mode in [ResizeMode::Nearest, ResizeMode::Linear, ResizeMode::Cubic] {
            let plain =
                op::Resize { coordinate_transformation_mode, mode, axes: axes.clone(), ..Default::default() };
            for scales in [[2.0f32, 2.0], [0.6, 1.7], [3.0, 0.5], [1.0, 1.4], [1.1, 0.9]] {
                let op = plain.clone();
                let name =
                    format!("{} {} by {scales:?}", mode.as_str(), coordinate_transformation_mode.as_str());
                cases.push(case(name, move |net| resize(net, op.clone(), Some(&scales), None)).rounds(1));
            }
            for sizes in [[8i64, 10], [3, 7], [1, 1], [4, 9]] {
                let op = plain.clone();
                let name =
                    format!("{} {} to {sizes:?}", mode.as_str(), coordinate_transformation_mode.as_str());
                cases.push(case(name, move |net| resize(net, op.clone(), None, Some(&sizes))).rounds(1));
            }
        }
    }
    for nearest_mode in NearestMode::ALL {
        let op = op::Resize { nearest_mode: *nearest_mode, axes: axes.clone(), ..Default::default() };
        let name = format!("nearest, {}", nearest_mode.as_str());
        cases.push(case(name, move |net| resize(net, op.clone(), Some(&[2.5, 0.7]), None)));
    }
    cases.push(case("nearest by a third", |net| {
        let op = op::Resize {
            coordinate_transformation_mode: CoordinateMode::Asymmetric,
            nearest_mode: NearestMode::Floor,
            ..Default::default()
        };
        let x = net.activation(&[0, 1, 6, 9]);
        let third = net
            .graph
            .add_constant("scales", exegesis_graph::Tensor::vector(vec![1.0, 1.0, 1.0f32 / 3.0, 1.0 / 3.0]));
        net.op_with(op, vec![Some(x), None, Some(third)], 1)[0]
    }));
    for (policy, sizes) in [(AspectPolicy::NotLarger, [7i64, 8]), (AspectPolicy::NotSmaller, [7, 8])] {
        let op = op::Resize {
            keep_aspect_ratio_policy: policy,
            mode: ResizeMode::Linear,
            axes: axes.clone(),
            ..Default::default()
        };
        cases.push(case(policy.as_str(), move |net| resize(net, op.clone(), None, Some(&sizes))));
    }
    for exclude_outside in [false, true] {
        let op = op::Resize {
            mode: ResizeMode::Cubic,
            cubic_coeff_a: -0.5,
            exclude_outside,
            axes: axes.clone(),
            ..Default::default()
        };
        let name = format!("cubic, exclude_outside {exclude_outside}");
        cases.push(case(name, move |net| resize(net, op.clone(), Some(&[1.5, 2.0]), None)));
    }
    for mode in [ResizeMode::Linear, ResizeMode::Cubic] {
        for exclude_outside in [false, true] {
            for scales in [[0.5f32, 0.6], [0.3, 1.7], [1.0, 0.75]] {
                let op = op::Resize {
                    antialias: true,
                    mode,
                    exclude_outside,
                    axes: axes.clone(),
                    ..Default::default()
                };
                let name = format!(
                    "{} with antialias by {scales:?}, exclude_outside {exclude_outside}",
                    mode.as_str()
                );
                cases.push(case(name, move |net| resize(net, op.clone(), Some(&scales), None)).rounds(1));
            }
        }
        let op = op::Resize { antialias: true, mode, axes: axes.clone(), ..Default::default() };
        let name = format!("{} with antialias to a size", mode.as_str());
        cases.push(case(name, move |net| resize(net, op.clone(), None, Some(&[2, 9]))));
    }
    cases.push(case("all axes, four scales", |net| {
        let op = op::Resize { mode: ResizeMode::Linear, ..Default::default() };
        resize(net, op, Some(&[1.0, 1.0, 2.0, 1.5]), None)
    }));
    cases.push(case("channels last", |net| {
        let op = op::Resize { mode: ResizeMode::Linear, axes: Some(vec![-3, -2]), ..Default::default() };
        resize(net, op, Some(&[2.0, 1.5]), None)
    }));
    cases
}

/// Parts of planes, and what is outside of them.
pub fn regions() -> Vec<Case> {
    let mut cases = vec![];
    for mode in [ResizeMode::Nearest, ResizeMode::Linear, ResizeMode::Cubic] {
        for region in
            [[0.2f32, 0.1, 0.8, 0.7], [0.0, 0.0, 1.0, 1.0], [-0.3, 0.4, 0.9, 1.5], [0.9, 0.8, 0.1, 0.2]]
        {
            for sizes in [[3i64, 4], [4, 5], [1, 7]] {
                let op = op::Resize {
                    coordinate_transformation_mode: CoordinateMode::TfCropAndResize,
                    extrapolation_value: 3.0,
                    mode,
                    axes: Some(vec![2, 3]),
                    ..Default::default()
                };
                let name = format!("{} of the region {region:?} to {sizes:?}", mode.as_str());
                cases.push(case(name, move |net| {
                    let x = net.activation(&[0, 2, 4, 5]);
                    let region =
                        net.graph.add_constant("region", exegesis_graph::Tensor::vector(region.to_vec()));
                    let sizes = net.ints(&sizes);
                    net.op_with(op.clone(), vec![Some(x), Some(region), None, Some(sizes)], 1)[0]
                }));
            }
        }
    }
    cases
}
