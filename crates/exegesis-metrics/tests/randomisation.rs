//! Maps of random models that are formulas, against values that follow by hand.

mod again;
mod common;

use again::Explained;
use common::{Formula, assert_value, judge, lin};
use exegesis_perturb::random::{RowKey, Stream};

const W: [f64; 4] = [4.0, -3.0, 2.0, 1.0];

#[test]
fn a_map_that_ignores_the_model_fails() {
    let mut subject = Explained::new(lin(), |_| W.to_vec());
    subject.randomised = Some((3, Box::new(|_, _| W.to_vec())));
    for metric in ["mprt", "mprt:order=bottom-up", "mprt:order=independent,parameters=normal", "smooth-mprt"]
    {
        assert_value(&judge(metric, &mut subject, &W), 1.0, 1e-12);
    }
    assert_value(&judge("efficient-mprt", &mut subject, &W), 0.0, 1e-12);
}

/// Catches stages that are asked in another order than they are told.
#[test]
fn stages_go_through_the_layers() {
    for (order, expected) in [
        ("top-down", [(0, true, false), (1, true, false), (2, true, false)]),
        ("bottom-up", [(2, true, true), (1, true, true), (0, true, true)]),
        ("independent", [(0, false, false), (1, false, false), (2, false, false)]),
    ] {
        let mut subject = Explained::new(lin(), |_| W.to_vec());
        let asked = std::rc::Rc::new(std::cell::RefCell::new(vec![]));
        let heard = std::rc::Rc::clone(&asked);
        subject.randomised = Some((
            3,
            Box::new(move |how, _| {
                heard.borrow_mut().push((how.layer, how.is_cumulative, how.is_bottom_up));
                // The deeper, the less alike: 1, 0.8, ... of four ranks.
                let mut map = W.map(f64::abs).to_vec();
                map.rotate_left(how.layer);
                map
            }),
        ));
        let outcome = judge(&format!("mprt:order={order}"), &mut subject, &W);
        assert_eq!(*asked.borrow(), expected, "{order}");
        assert_eq!(outcome.curves[0].at, [1.0 / 3.0, 2.0 / 3.0, 1.0]);
        assert_eq!(outcome.parts[0].0, format!("layer {}", expected[0].0));
        let layer_0 = outcome.parts.iter().find(|(name, _)| name == "layer 0").unwrap().1;
        assert_eq!(layer_0, 1.0);
    }
}

/// The signed rank correlation of a gradient with its shuffled self is 0 on average.
#[test]
fn shuffled_weights_of_a_linear_model_are_unlike_themselves() {
    let w: Vec<f64> = (0..40).map(|i| f64::from(i * i % 41) - 20.0).collect();
    let mut sum = 0.0;
    for seed in 0..200 {
        let own = w.clone();
        let mut subject = Explained::new(Formula::new(&[1.0; 40], &[0.0; 40], |_| 0.0), |_| vec![]);
        subject.randomised = Some((
            1,
            Box::new(move |_, _| {
                let mut shuffled = own.clone();
                Stream::new(RowKey { seed, row: 0 }, "test", 0).shuffle(&mut shuffled);
                shuffled
            }),
        ));
        sum += judge("mprt:signed=on", &mut subject, &w).value.unwrap();
    }
    // Standard deviation of one correlation 1/sqrt(39), of the mean of 200 .0113.
    assert!((sum / 200.0).abs() < 0.04, "{}", sum / 200.0);
}

#[test]
fn noise_of_zero_changes_nothing() {
    let map = |x: &[f64]| x.iter().zip(W).map(|(x, w)| w * x * x).collect::<Vec<f64>>();
    let mut subject = Explained::new(lin(), map);
    subject.randomised = Some((
        2,
        Box::new(|how, x| {
            x.iter()
                .rev()
                .map(|x| x * (how.layer as f64 + 1.5))
                .enumerate()
                .map(|(i, v)| v * i as f64)
                .collect()
        }),
    ));
    let clean = subject.clean();
    let plain = judge("mprt", &mut subject, &clean).value.unwrap();
    assert_value(&judge("smooth-mprt:noise=0", &mut subject, &clean), plain, 1e-12);
}

#[test]
fn the_entropy_of_a_random_map_should_rise() {
    let mut subject = Explained::new(lin(), |_| vec![]);
    subject.randomised = Some((
        5,
        Box::new(|how, _| {
            assert!(how.layer == 4 && how.is_cumulative && !how.is_bottom_up);
            vec![0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]
        }),
    ));
    assert_value(&judge("efficient-mprt", &mut subject, &[0.0, 0.0, 1.0, 1.0]), 1.0, 1e-12);
    assert_eq!(judge("efficient-mprt", &mut subject, &[2.0; 4]).value, None);
}

#[test]
fn two_classes_with_opposite_weights() {
    let mut subject = Explained::new(lin(), |_| W.to_vec());
    subject.for_class = Some((2, Box::new(|class| W.map(|w| if class == 1 { -w } else { w }).to_vec())));
    assert_value(&judge("random-logit", &mut subject, &W), -1.0, 1e-12);
    assert_value(&judge("random-logit:signed=off", &mut subject, &W), 1.0, 1e-12);
}

#[test]
fn other_classes_are_drawn_without_the_explained_one() {
    let mut subject = Explained::new(lin(), |_| W.to_vec());
    let seen = std::rc::Rc::new(std::cell::RefCell::new(vec![]));
    let heard = std::rc::Rc::clone(&seen);
    subject.for_class = Some((
        8,
        Box::new(move |class| {
            heard.borrow_mut().push(class);
            W.to_vec()
        }),
    ));
    assert_value(&judge("random-logit", &mut subject, &W), 1.0, 1e-12);
    let mut classes = seen.borrow().clone();
    classes.sort_unstable();
    classes.dedup();
    assert!(classes.len() == 5 && !classes.contains(&0), "{classes:?}");
}
