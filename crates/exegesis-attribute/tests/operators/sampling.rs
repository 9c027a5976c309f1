//! Sampling at positions: GridSample, RoiAlign.

use exegesis_graph::ValueId;
use exegesis_graph::op;

use super::{Case, case};
use crate::common::{BATCH, Net};

/// Normalised coordinates in and around the image, away from where a tap changes.
fn positions(
    net: &mut Net,
    points: &[usize],
    spatial: &[usize],
    align_corners: bool,
) -> (Vec<usize>, Vec<f64>) {
    let shape: Vec<usize> = [&[BATCH], points, &[spatial.len()]].concat();
    let count: usize = shape.iter().product();
    let mut data = vec![];
    while data.len() < count {
        // The last spatial axis has the first coordinate.
        let size = spatial[spatial.len() - 1 - data.len() % spatial.len()] as f64;
        let v = net.random.between(-1.7, 1.7);
        let at = if align_corners { (v + 1.0) / 2.0 * (size - 1.0) } else { (v + 1.0) / 2.0 * size - 0.5 };
        if size == 1.0 || ((2.0 * at).round() - 2.0 * at).abs() > 0.04 {
            data.push(v);
        }
    }
    (shape, data)
}

fn grid_sample(
    net: &mut Net,
    op: op::GridSample,
    [points, spatial]: [&[usize]; 2],
    [x_varies, grid_varies]: [bool; 2],
) -> ValueId {
    let image = [&[BATCH, 2], spatial].concat();
    let x = match x_varies {
        true => net.activation(&[&[0, 2], spatial].concat()),
        false => net.weight(&image),
    };
    let (shape, data) = positions(net, points, spatial, op.align_corners);
    let grid = match grid_varies {
        true => net.input(&[&[0], &shape[1..]].concat(), data),
        false => net.constant(&shape, data),
    };
    net.op(op, &[x, grid])
}

fn roi_align(net: &mut Net, op: op::RoiAlign, varying: [bool; 2], dtype: &str) -> ValueId {
    let data = net.random.distinct(BATCH * 2 * 5 * 6);
    let x = match varying[0] {
        true => net.input(&[0, 2, 5, 6], data),
        false => net.constant(&[BATCH, 2, 5, 6], data),
    };
    // Inside, across the border, shorter than a cell, far outside.
    let corners: Vec<f64> = vec![
        0.43, 0.71, 4.17, 3.39, //
        -1.31, 2.31, 8.87, 9.23, //
        2.13, 2.27, 2.41, 2.83, //
        20.1, 20.3, 23.7, 24.9,
    ];
    let scaled = corners.iter().map(|c| c / f64::from(op.spatial_scale)).collect();
    let rois = match varying[1] {
        true => net.input(&[4, 4], scaled),
        false => net.constant(&[4, 4], scaled),
    };
    let owners = match dtype {
        "int32" => {
            let tensor = exegesis_graph::Tensor::new(vec![4], vec![1i32, 0, 1, 0]).unwrap();
            net.graph.add_constant("owners", tensor)
        }
        _ => net.int_tensor(&[4], &[1, 0, 1, 0]),
    };
    net.op(op, &[x, rois, owners])
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for mode in ["nearest", "bilinear", "bicubic"] {
        for padding_mode in ["zeros", "border", "reflection"] {
            for align_corners in [false, true] {
                for varying in [[true, true], [true, false], [false, true]] {
                    let op = op::GridSample {
                        align_corners,
                        mode: mode.to_string(),
                        padding_mode: padding_mode.to_string(),
                    };
                    cases.push(case(format!("{op:?} varying {varying:?}"), move |net| {
                        grid_sample(net, op.clone(), [&[3, 4], &[3, 5]], varying)
                    }));
                }
            }
        }
    }
    for mode in ["nearest", "linear", "cubic"] {
        let op = op::GridSample { mode: mode.to_string(), ..Default::default() };
        cases.push(case(format!("GridSample, {mode}, of lines"), {
            let op = op.clone();
            move |net| grid_sample(net, op.clone(), [&[6], &[4]], [true, true])
        }));
        cases.push(
            case(format!("GridSample, {mode}, of volumes"), move |net| {
                grid_sample(net, op.clone(), [&[2, 1, 3], &[3, 2, 4]], [true, true])
            })
            .rounds(1),
        );
    }
    cases.push(case("GridSample of an image of one cell, aligned corners, mirrored", |net| {
        let op = op::GridSample {
            align_corners: true,
            padding_mode: "reflection".to_string(),
            ..Default::default()
        };
        grid_sample(net, op, [&[2, 2], &[1, 3]], [true, true])
    }));
    for mode in ["avg", "max"] {
        for coordinates in ["half_pixel", "output_half_pixel"] {
            for sampling_ratio in [1, 2, 3] {
                for varying in [[true, false], [true, true], [false, true]] {
                    let op = op::RoiAlign {
                        coordinate_transformation_mode: coordinates.to_string(),
                        mode: mode.to_string(),
                        output_height: 2,
                        output_width: 3,
                        sampling_ratio,
                        spatial_scale: 0.5,
                    };
                    let dtype = if sampling_ratio == 1 { "int32" } else { "int64" };
                    cases.push(
                        case(format!("{op:?} varying {varying:?}"), move |net| {
                            roi_align(net, op.clone(), varying, dtype)
                        })
                        .rounds(1),
                    );
                }
            }
        }
    }
    cases
}
