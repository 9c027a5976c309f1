//! Colour maps that survive colour-blindness and grey printing.
//!
//! Both maps are built from published anchor colours (C. Brewer, ColorBrewer 2.0, <https://colorbrewer2.org>, Apache-2.0),
//! interpolated in Oklab (B. Ottosson, 2020, <https://bottosson.github.io/posts/oklab/>), where equal steps look about
//! equal. ColorBrewer lists both schemes as safe for colour-blind readers:
//!
//! * signed: `RdBu`, red for positive, blue for negative, near white for zero. The lightness of the two arms differs a
//!   little in the original; here each pair of anchors gets its mean lightness, so that `+v` and `-v` weigh the same.
//! * unsigned: `BuPu`, near white for zero to dark purple, lightness falling all the way. Its hue is in neither arm of
//!   the signed map, so the two kinds of picture cannot be mistaken for each other.

use std::sync::LazyLock;

use crate::data::Polarity;

/// An sRGB colour, 8 bits per channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// `#rrggbb`.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Lightness in Oklab, `0..=1`.
    pub fn lightness(self) -> f64 {
        Oklab::from_rgb(self).l
    }

    /// Mixes `share` (`0..=1`) of `over` onto this colour, in sRGB as browsers do.
    pub fn blend(self, over: Rgb, share: f64) -> Rgb {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as u8;
        Rgb(mix(self.0, over.0), mix(self.1, over.1), mix(self.2, over.2))
    }
}

/// From zero to strongly positive.
const POSITIVE: [Rgb; 5] =
    [Rgb(247, 247, 247), Rgb(253, 219, 199), Rgb(244, 165, 130), Rgb(214, 96, 77), Rgb(178, 24, 43)];
/// From zero to strongly negative.
const NEGATIVE: [Rgb; 5] =
    [Rgb(247, 247, 247), Rgb(209, 229, 240), Rgb(146, 197, 222), Rgb(67, 147, 195), Rgb(33, 102, 172)];
/// From zero to strong. The last anchor of the scheme is left out: it is nearly black and swallows detail.
const SEQUENTIAL: [Rgb; 8] = [
    Rgb(247, 252, 253),
    Rgb(224, 236, 244),
    Rgb(191, 211, 230),
    Rgb(158, 188, 218),
    Rgb(140, 150, 198),
    Rgb(140, 107, 177),
    Rgb(136, 65, 157),
    Rgb(129, 15, 124),
];

/// Colour of a position on the diverging map: `-1` blue, `0` near white, `1` red. Outside is clamped, NaN is zero.
///
/// ```
/// use exegesis_report::color::{Rgb, diverging};
/// assert_eq!(diverging(0.0), Rgb(247, 247, 247));
/// let Rgb(red, _, blue) = diverging(1.0);
/// assert!(red > blue);
/// ```
pub fn diverging(position: f64) -> Rgb {
    let position = if position.is_nan() { 0.0 } else { position.clamp(-1.0, 1.0) };
    let Maps { positive, negative, .. } = &*MAPS;
    let (arm, other) = if position < 0.0 { (negative, positive) } else { (positive, negative) };
    let mut color = interpolate(arm, position.abs());
    color.l = (color.l + interpolate(other, position.abs()).l) / 2.0;
    color.to_rgb()
}

/// Colour of a position on the sequential map: `0` near white, `1` dark purple. Outside is clamped, NaN is zero.
pub fn sequential(position: f64) -> Rgb {
    interpolate(&MAPS.sequential, if position.is_nan() { 0.0 } else { position.clamp(0.0, 1.0) }).to_rgb()
}

/// The map that suits the polarity.
pub fn map(polarity: Polarity, position: f64) -> Rgb {
    match polarity {
        Polarity::Signed => diverging(position),
        Polarity::Unsigned => sequential(position),
        Polarity::For => diverging(position.max(0.0)),
        Polarity::Against => diverging(-position.max(0.0)),
    }
}

/// The strong colour of a position's side, for bars and for overlays whose opacity carries the magnitude.
pub fn strong(polarity: Polarity, position: f64) -> Rgb {
    match polarity {
        Polarity::Signed if position < 0.0 => STRONG[0],
        Polarity::Signed | Polarity::For => STRONG[1],
        Polarity::Unsigned => STRONG[2],
        Polarity::Against => STRONG[0],
    }
}

/// The anchors in Oklab, converted once: a picture asks for a colour per pixel.
struct Maps {
    positive: [Oklab; 5],
    negative: [Oklab; 5],
    sequential: [Oklab; 8],
}

static MAPS: LazyLock<Maps> = LazyLock::new(|| Maps {
    positive: POSITIVE.map(Oklab::from_rgb),
    negative: NEGATIVE.map(Oklab::from_rgb),
    sequential: SEQUENTIAL.map(Oklab::from_rgb),
});

/// The ends of the maps: negative, positive, unsigned.
static STRONG: LazyLock<[Rgb; 3]> = LazyLock::new(|| [diverging(-1.0), diverging(1.0), sequential(1.0)]);

/// Piecewise linear in Oklab; `position` in `0..=1`.
fn interpolate(anchors: &[Oklab], position: f64) -> Oklab {
    let last = anchors.len() - 1;
    let place = position * last as f64;
    let index = (place as usize).min(last.saturating_sub(1));
    let share = place - index as f64;
    let (a, b) = (anchors[index], anchors[index + 1]);
    Oklab { l: a.l + (b.l - a.l) * share, a: a.a + (b.a - a.a) * share, b: a.b + (b.b - a.b) * share }
}

/// A colour in Oklab: lightness, green-red, blue-yellow.
#[derive(Debug, Clone, Copy)]
struct Oklab {
    l: f64,
    a: f64,
    b: f64,
}

impl Oklab {
    /// Ottosson's matrices, from linear sRGB.
    fn from_rgb(Rgb(r, g, b): Rgb) -> Self {
        let (r, g, b) = (to_linear(r), to_linear(g), to_linear(b));
        let l = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b).cbrt();
        let m = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b).cbrt();
        let s = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b).cbrt();
        Self {
            l: 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
            a: 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
            b: 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s,
        }
    }

    /// Back to sRGB; channels outside the gamut are clipped.
    fn to_rgb(self) -> Rgb {
        let l = (self.l + 0.3963377774 * self.a + 0.2158037573 * self.b).powi(3);
        let m = (self.l - 0.1055613458 * self.a - 0.0638541728 * self.b).powi(3);
        let s = (self.l - 0.0894841775 * self.a - 1.2914855480 * self.b).powi(3);
        Rgb(
            from_linear(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
            from_linear(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
            from_linear(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s),
        )
    }
}

/// sRGB transfer function (IEC 61966-2-1), decoded.
fn to_linear(channel: u8) -> f64 {
    let c = f64::from(channel) / 255.0;
    if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
}

/// sRGB transfer function, encoded and rounded.
fn from_linear(c: f64) -> u8 {
    let c = c.clamp(0.0, 1.0);
    let encoded = if c <= 0.0031308 { c * 12.92 } else { 1.055 * c.powf(1.0 / 2.4) - 0.055 };
    (encoded * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding to 8 bits moves Oklab lightness by about this much.
    const ROUNDING: f64 = 0.004;

    #[test]
    fn diverging_lightness_is_symmetric_and_falls_outwards() {
        for step in 0..=100 {
            let t = f64::from(step) / 100.0;
            let (plus, minus) = (diverging(t).lightness(), diverging(-t).lightness());
            assert!((plus - minus).abs() < 2.0 * ROUNDING, "at {t}: {plus} against {minus}");
            if step > 0 {
                assert!(diverging(t - 0.01).lightness() >= plus - ROUNDING);
            }
        }
        assert!(diverging(1.0).lightness() < 0.6);
    }

    #[test]
    fn sequential_lightness_falls() {
        let lightness: Vec<f64> = (0..=50).map(|i| sequential(f64::from(i) / 50.0).lightness()).collect();
        assert!(lightness.windows(2).all(|w| w[1] < w[0] + ROUNDING / 2.0), "{lightness:?}");
        assert!(lightness[0] - lightness[50] > 0.4);
    }

    #[test]
    fn oklab_round_trip() {
        for color in POSITIVE.iter().chain(&NEGATIVE).chain(&SEQUENTIAL) {
            assert_eq!(Oklab::from_rgb(*color).to_rgb(), *color);
        }
    }

    /// Deuteranopes confuse colours along red-green; the arms must stay apart in blue-yellow.
    #[test]
    fn arms_differ_along_the_axis_that_red_green_blindness_keeps() {
        let (plus, minus) = (Oklab::from_rgb(diverging(0.7)), Oklab::from_rgb(diverging(-0.7)));
        assert!(plus.b - minus.b > 0.1, "{plus:?} {minus:?}");
    }

    #[test]
    fn odd_positions_are_safe() {
        assert_eq!(diverging(f64::NAN), diverging(0.0));
        assert_eq!(sequential(f64::INFINITY), sequential(1.0));
        assert_eq!(Rgb(1, 2, 3).blend(Rgb(9, 9, 9), f64::NAN), Rgb(1, 2, 3));
    }
}
