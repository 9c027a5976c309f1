//! PNG files are decoded again and their pixels checked.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use exegesis_report::*;
use image::RgbImage;

fn decode(png: &[u8]) -> RgbImage {
    image::load_from_memory(png).unwrap().to_rgb8()
}

/// How many pixels have exactly this colour.
fn count(picture: &RgbImage, color: [u8; 3]) -> usize {
    picture.pixels().filter(|pixel| pixel.0 == color).count()
}

fn rgb(color: color::Rgb) -> [u8; 3] {
    [color.0, color.1, color.2]
}

#[test]
fn heat_map_is_red_for_positive_blue_for_negative_neutral_for_zero() {
    let (_, view, shape) = common::views().remove(0);
    let row = common::row(view, &shape, &[0.5, 0.0, -0.5]);
    let picture = decode(&render_png(&row, &PngOptions::default()).unwrap());
    // A 3x1 picture is enlarged by 112 to 336 pixels; each value is a square of that side.
    for position in [1.0, 0.0, -1.0] {
        let seen = count(&picture, rgb(color::diverging(position)));
        assert!(seen >= 112 * 112, "{seen} pixels at position {position}");
    }
    assert!(count(&picture, [0, 0, 0]) >= 112 * 112, "the input's black pixel is missing");
}

#[test]
fn several_methods_stand_side_by_side() {
    let (_, view, shape) = common::views().remove(0);
    let mut row = common::row(view, &shape, &[0.5, 0.0, -0.5]);
    let single = decode(&render_png(&row, &PngOptions::default()).unwrap());
    let mut second = row.methods[0].clone();
    second.name = "smoothgrad".into();
    second.polarity = Polarity::Unsigned;
    row.methods.extend([second.clone(), second]);
    let several = decode(&render_png(&row, &PngOptions::default()).unwrap());
    assert!(several.dimensions().0 > single.dimensions().0);
    assert!(count(&several, rgb(color::sequential(1.0))) >= 4 * 112 * 112);
}

/// Catches methods that are left out of the table of many, and rows of pictures that grow without end.
#[test]
fn many_methods_are_broken_into_rows() {
    let positive = rgb(color::diverging(1.0));
    for (name, view, shape) in common::views() {
        let mut row = common::row(view, &shape, &[0.5, 0.0, -0.5]);
        let method = row.methods[0].clone();
        let mut sizes = vec![];
        let mut seen = vec![];
        for methods in [6, 12, 18] {
            row.methods = vec![method.clone(); methods];
            let picture = decode(&render_png(&row, &PngOptions::default()).unwrap());
            sizes.push(picture.dimensions());
            seen.push(count(&picture, positive));
        }
        assert!(seen[0] > 0 && seen[1] > seen[0] && seen[2] > seen[1], "{name}: {seen:?}");
        assert!(sizes.iter().all(|(width, _)| *width < 3000), "{name}: {sizes:?}");
    }
}

#[test]
fn every_kind_of_input_draws_every_odd_attribution() {
    let odd: [[f32; 3]; 6] = [
        [0.0; 3],
        [1.0; 3],
        [f32::NAN; 3],
        [f32::INFINITY, f32::NEG_INFINITY, 1.0],
        [f32::MAX, f32::MIN, f32::MAX],
        [f32::MIN_POSITIVE, 0.0, -1e-45],
    ];
    for (name, view, shape) in common::views() {
        for values in odd {
            for polarity in [Polarity::Signed, Polarity::Unsigned] {
                let mut row = common::row(view.clone(), &shape, &values);
                let method = &mut row.methods[0];
                method.polarity = polarity;
                method.sum = f64::from(values[0]);
                method.expected = Some(0.0);
                method.gap = Some(f64::NAN);
                method.ledger = Some(Ledger {
                    seed: 0.0,
                    reached: f64::NAN,
                    absorbed: vec![("bias".into(), f64::INFINITY)],
                    nodes: vec![LedgerNode {
                        absorbed: vec![("bias".into(), f64::NAN)],
                        ..Default::default()
                    }],
                });
                assert!(decode(&render_png(&row, &PngOptions::default()).unwrap()).width() > 100);
                let svg = render_svg(&row, &SvgOptions::default()).unwrap();
                let report = common::report(vec![row]);
                let page = render_html(&report);
                for text in [&svg, &page] {
                    assert!(!text.contains("NaN") && !text.contains("=\"inf"), "{name} {values:?}: {text}");
                }
                assert!(!render_terminal(&report, &TerminalOptions::default()).is_empty());
            }
        }
    }
}

#[test]
fn nothing_to_draw_is_an_error_with_a_kind() {
    let (_, view, shape) = common::views().remove(0);
    let cases = [
        (common::row(view.clone(), &shape, &[]), ErrorKind::Empty),
        (common::row(view.clone(), &[4], &[1.0; 3]), ErrorKind::Mismatch),
        (common::row(view.clone(), &[0], &[]), ErrorKind::Empty),
        (common::row(InputView::Image(ImageView::default()), &shape, &[1.0, 2.0, 3.0]), ErrorKind::Empty),
        (common::row(InputView::Tokens { ids: vec![], texts: None }, &[3], &[1.0; 3]), ErrorKind::Empty),
        (
            common::row(InputView::Tokens { ids: vec![1; 4], texts: None }, &[3], &[1.0; 3]),
            ErrorKind::Mismatch,
        ),
        (RowReport::default(), ErrorKind::Empty),
    ];
    for (row, expected) in cases {
        let png = render_png(&row, &PngOptions::default()).unwrap_err().kind();
        let svg = render_svg(&row, &SvgOptions::default()).unwrap_err().kind();
        assert_eq!((png, svg), (expected, expected));
        // The page still comes out, with the error in its place.
        render_html(&common::report(vec![row]));
    }
}

#[test]
fn hostile_sizes_are_refused_without_allocating() {
    let image = ImageView { width: usize::MAX / 2, height: 7, channels: 3, pixels: vec![0; 9] };
    let row = common::row(InputView::Image(image), &[1, 1, 3], &[1.0, 2.0, 3.0]);
    assert!(render_png(&row, &PngOptions::default()).is_err());
    assert!(render_svg(&row, &SvgOptions::default()).is_err());
    let series = InputView::Series { channels: vec!["a".into(); 3], length: usize::MAX, values: vec![] };
    let row = common::row(series, &[3], &[1.0; 3]);
    assert!(render_png(&row, &PngOptions::default()).is_err());
    let thin = ImageView { width: 1, height: 40_000, channels: 1, pixels: vec![9; 40_000] };
    let row = common::row(InputView::Image(thin), &[1, 40_000, 1], &[1.0; 40_000]);
    assert!(!render_png(&row, &PngOptions::default()).unwrap().is_empty());
}
