//! Flows and channels in every kind of output.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use exegesis_report::*;
use image::RgbImage;

fn stage(name: &str, arrived: f64, absorbed: f64) -> FlowStage {
    FlowStage {
        name: name.into(),
        about: "Conv, Relu".into(),
        arrived,
        absorbed: vec![("bias".into(), absorbed)],
        split: Some(FlowSplit { around: 0.75, through: 0.25 }),
    }
}

fn flow() -> Flow {
    Flow {
        channel: String::new(),
        seed: 1.0,
        reached: 0.5,
        classes: vec!["bias".into()],
        stages: vec![stage("layer.0", 0.75, 0.25), stage("layer.1", 1.0, 0.25)],
        maps: vec![FlowMap {
            title: "Per head".into(),
            column: "head".into(),
            columns: vec!["0".into(), "1".into()],
            rows: vec![("layer.0".into(), vec![0.1, 0.4])],
        }],
    }
}

/// Both channels on one side each, the attribution their difference.
fn with_channels(row: &mut RowReport) {
    let method = &mut row.methods[0];
    let own = method.attributions[0].clone();
    let channel = |name: &str, polarity, sign: f32| ChannelReport {
        name: name.into(),
        polarity,
        attributions: vec![Attribution {
            values: own.values.iter().map(|v| (v * sign).max(0.0)).collect(),
            ..own.clone()
        }],
        sum: 0.5,
        ledger: Some(common::ledger()),
    };
    method.channels =
        vec![channel("positive", Polarity::For, 1.0), channel("negative", Polarity::Against, -1.0)];
    method.ledger = None;
}

fn decode(png: &[u8]) -> RgbImage {
    image::load_from_memory(png).unwrap().to_rgb8()
}

fn count(picture: &RgbImage, color: color::Rgb) -> usize {
    picture.pixels().filter(|pixel| pixel.0 == [color.0, color.1, color.2]).count()
}

/// Catches a river of the wrong width: the stage at the target is fully wide, the input half as wide.
#[test]
fn the_river_is_as_wide_as_what_flows() {
    let (_, view, shape) = common::views().remove(1);
    let mut row = common::row(view, &shape, &[0.5, 0.0, -0.5]);
    row.methods[0].flows.push(flow());
    let picture = decode(&render_png(&row, &PngOptions::default()).unwrap());
    let green = [0, 158, 115];
    let widths: Vec<usize> = (0..picture.height())
        .map(|y| (0..picture.width()).filter(|x| picture.get_pixel(*x, y).0 == green).count())
        .collect();
    let widest = *widths.iter().max().unwrap();
    assert_eq!(widest, 300);
    // The row of the inputs is the first of the river.
    let first = widths.iter().position(|w| *w > 100).unwrap();
    assert_eq!(widths[first + 5], 150);
}

#[test]
fn every_output_shows_shares_splits_and_heads() {
    let (_, view, shape) = common::views().remove(1);
    let mut row = common::row(view, &shape, &[0.5, 0.0, -0.5]);
    row.methods[0].flows.push(flow());
    let svg = render_svg(&row, &SvgOptions::default()).unwrap();
    let page = render_html(&common::report(vec![row]));
    for text in [&svg, &page] {
        for needed in [
            "Flow of relevance through the model",
            "layer.1 (Conv, Relu): 100.0% arrived, 25.0% bias; 75.0% around, 25.0% through the layers",
            "layer.0, head 1: 40.0%",
            "absorbed: bias",
        ] {
            assert!(text.contains(needed), "{needed} is missing");
        }
    }
}

#[test]
fn odd_numbers_and_hostile_names_draw() {
    for odd in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
        let mut flow = flow();
        flow.seed = odd;
        flow.stages[0].arrived = odd;
        flow.stages[0].absorbed[0].1 = odd;
        flow.stages[1].split = Some(FlowSplit { around: odd, through: 1.0 });
        flow.stages[1].name = "'\"><script>".into();
        flow.maps[0].rows[0].1[0] = odd;
        let (_, view, shape) = common::views().remove(1);
        let mut row = common::row(view, &shape, &[0.5, 0.0, -0.5]);
        row.methods[0].flows.push(flow);
        assert!(!render_png(&row, &PngOptions::default()).unwrap().is_empty());
        let svg = render_svg(&row, &SvgOptions::default()).unwrap();
        assert!(!svg.contains("<script") && !svg.contains("=\"NaN") && !svg.contains("=\"inf"), "{svg}");
    }
}

/// Catches channels in each other's colours, and a kind of input that leaves them out.
#[test]
fn channels_are_drawn_side_by_side_in_their_colours() {
    let (red, blue) = (color::diverging(1.0), color::diverging(-1.0));
    for (kind, view, shape) in common::views() {
        let mut row = common::row(view, &shape, &[0.5, 0.0, -0.5]);
        with_channels(&mut row);
        let svg = render_svg(&row, &SvgOptions::default()).unwrap();
        let picture = decode(&render_png(&row, &PngOptions::default()).unwrap());
        assert!(count(&picture, red) > 500 && count(&picture, blue) > 500, "{kind}");
        let text = render_terminal(&common::report(vec![row.clone()]), &TerminalOptions::default());
        let page = render_html(&common::report(vec![row]));
        assert!(text.contains("positive: seed 2.5") && text.contains("negative: seed 2.5"), "{text}");
        for output in [&svg, &page] {
            let names = output.contains("positive: for the target")
                && output.contains("negative: for its alternatives");
            assert!(names, "{kind}");
        }
    }
}

/// The balance leaves totals aside: a channel a hundred times the other does not drown it.
#[test]
fn the_balance_shows_where_each_channel_lies() {
    let (_, view, shape) = common::views().remove(0);
    let mut row = common::row(view, &shape, &[50.0, 0.0, -0.5]);
    with_channels(&mut row);
    let picture = decode(&render_png(&row, &PngOptions::default()).unwrap());
    // Each value is a square of 112 pixels: blue in the negative channel and in the balance, but not in the difference.
    let blue = count(&picture, color::diverging(-1.0));
    assert!((2 * 112 * 112..3 * 112 * 112).contains(&blue), "{blue}");
}
