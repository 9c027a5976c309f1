//! Where the relevance went: what reached the inputs, what was absorbed by which class, and by which nodes.

use super::bars::{Bar, Emphasis, chart as bar_chart};
use super::fragment::{Anchor, Fragment, Paint, Style};
use crate::color::Rgb;
use crate::data::{Ledger, LedgerNode};
use crate::text::{aligned, number, one_line, percent, shorten_middle};

/// Okabe and Ito (2008), *Color Universal Design*: distinguishable with every common colour-blindness.
pub(crate) const REACHED: Rgb = Rgb(0, 158, 115);
pub(crate) const CLASSES: [Rgb; 6] = [
    Rgb(230, 159, 0),
    Rgb(204, 121, 167),
    Rgb(86, 180, 233),
    Rgb(213, 94, 0),
    Rgb(0, 114, 178),
    Rgb(200, 190, 60),
];
const UNACCOUNTED: Rgb = Rgb(140, 146, 155);

/// A part of the seed.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    pub label: String,
    pub value: f64,
    pub color: Rgb,
}

/// The stacked bar with its parts, then the nodes that absorbed the most.
pub(crate) fn chart(ledger: &Ledger, width: f64, top: usize) -> Fragment {
    let shares = shares(ledger);
    let mut out = Fragment::new(width);
    if let Some(stacked) = stacked(ledger, &shares, width) {
        out.stack(0.0, stacked);
        out.grow(8.0);
    }
    out.stack(0.0, bar_chart(&share_bars(ledger, &shares), None, width));
    let nodes = node_bars(ledger, top);
    if !nodes.is_empty() {
        let mut title = Fragment::new(width);
        title.text(0.0, 13.0, Style::Note, Anchor::Start, &nodes_title(ledger, nodes.len()));
        title.grow(18.0);
        out.stack(10.0, title);
        out.stack(0.0, bar_chart(&nodes, None, width));
    }
    out
}

/// What the seed split into; a remainder is shown only if it is more than rounding.
pub(crate) fn shares(ledger: &Ledger) -> Vec<Share> {
    let mut shares =
        vec![Share { label: "reached the inputs".into(), value: ledger.reached, color: REACHED }];
    for (index, (class, value)) in ledger.absorbed.iter().enumerate() {
        shares.push(Share {
            label: format!("absorbed: {}", one_line(class)),
            value: *value,
            color: CLASSES[index % CLASSES.len()],
        });
    }
    if !ledger.balances() {
        let value = ledger.unaccounted();
        shares.push(Share { label: "not accounted for".into(), value, color: UNACCOUNTED });
    }
    shares
}

/// A bar per part of the seed.
pub(crate) fn share_bars(ledger: &Ledger, shares: &[Share]) -> Vec<Bar> {
    let values: Vec<f64> = shares.iter().map(|share| share.value).collect();
    let bar = |(share, text): (&Share, String)| Bar {
        label: share.label.clone(),
        note: String::new(),
        value: share.value,
        text,
        extra: ledger.share(share.value).map(percent).unwrap_or_default(),
        paint: Paint::Fixed(share.color),
        counter: 0.0,
        emphasis: Emphasis::None,
    };
    shares.iter().zip(aligned(&values, 4)).map(bar).collect()
}

/// A bar per node, in the colour of the class that took most there.
pub(crate) fn node_bars(ledger: &Ledger, top: usize) -> Vec<Bar> {
    let nodes = ledger.top_absorbers(top);
    let values: Vec<f64> = nodes.iter().map(|node| node.absorbed_total()).collect();
    let bar = |(node, text): (&LedgerNode, String)| Bar {
        label: shorten_middle(&one_line(&node.node), 34),
        note: one_line(&node.op),
        value: node.absorbed_total(),
        text,
        extra: ledger.share(node.absorbed_total()).map(percent).unwrap_or_default(),
        paint: Paint::Fixed(class_color(ledger, node.main_class())),
        counter: 0.0,
        emphasis: Emphasis::None,
    };
    nodes.into_iter().zip(aligned(&values, 4)).map(bar).collect()
}

/// What the node chart shows, and how much it leaves out.
pub(crate) fn nodes_title(ledger: &Ledger, shown: usize) -> String {
    let all = ledger.nodes.iter().filter(|node| node.absorbed_magnitude() > 0.0).count();
    match all.saturating_sub(shown) {
        0 => "Nodes that absorbed the most".to_string(),
        hidden => format!("Nodes that absorbed the most ({hidden} more absorbed something)"),
    }
}

/// Parts of one bar for the whole seed, summing to 1, if all have its sign. Opposite signs can't be stacked without lying
/// about lengths.
pub(crate) fn stacked_parts<'a>(ledger: &Ledger, shares: &'a [Share]) -> Option<Vec<(f64, &'a Share)>> {
    let parts: Vec<(f64, &Share)> = shares.iter().map(|share| (share.value / ledger.seed, share)).collect();
    let total: f64 = parts.iter().map(|(part, _)| part).sum();
    let drawable = parts.iter().all(|(part, _)| *part >= 0.0) && total.is_finite() && total > 0.0;
    drawable.then(|| parts.into_iter().map(|(part, share)| (part / total, share)).collect())
}

/// The stacked bar, where there is one.
fn stacked(ledger: &Ledger, shares: &[Share], width: f64) -> Option<Fragment> {
    let parts = stacked_parts(ledger, shares)?;
    let mut out = Fragment::new(width);
    let title = format!("The seed of {} was divided into", number(ledger.seed));
    out.text(0.0, 12.0, Style::Note, Anchor::Start, &title);
    let mut x = 0.0;
    for ((part, share), bar) in parts.iter().zip(share_bars(ledger, shares)) {
        let length = part * width;
        let paint = Paint::Fixed(share.color);
        out.rect_round(x, 18.0, (length - 1.0).max(0.0), 18.0, 0.0, paint, &bar.tooltip());
        x += length;
    }
    out.grow(38.0);
    Some(out)
}

/// Colour of a class wherever it is named.
fn class_color(ledger: &Ledger, class: Option<&str>) -> Rgb {
    let place = ledger.absorbed.iter().position(|(name, _)| Some(name.as_str()) == class);
    place.map_or(UNACCOUNTED, |index| CLASSES[index % CLASSES.len()])
}
