//! The coefficients of operators over windows, listed one by one from their definitions.

use super::{flat, for_each_index};

/// `weight * x[cell]` is a term of `y[unit]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tap {
    pub unit: usize,
    pub cell: usize,
    pub weight: f64,
}

/// Where windows stand along each spatial axis.
#[derive(Clone, Debug)]
pub struct Geometry {
    pub kernel: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    /// Padding in front and behind.
    pub pads: [Vec<usize>; 2],
    pub groups: usize,
}

impl Geometry {
    /// Extent of a window along axis `i`.
    pub fn extent(&self, i: usize) -> usize {
        self.dilations[i] * (self.kernel[i] - 1) + 1
    }

    /// Sizes of the output of windows over `spatial`.
    pub fn windows(&self, spatial: &[usize]) -> Vec<usize> {
        let size = |i: usize| {
            (spatial[i] + self.pads[0][i] + self.pads[1][i] - self.extent(i)) / self.strides[i] + 1
        };
        (0..spatial.len()).map(size).collect()
    }

    /// Sizes of the output of the transposed operator.
    pub fn transposed(&self, spatial: &[usize]) -> Vec<usize> {
        let size = |i: usize| {
            self.strides[i] * (spatial[i] - 1) + self.extent(i) - self.pads[0][i] - self.pads[1][i]
        };
        (0..spatial.len()).map(size).collect()
    }

    /// The cell that tap `k` of window `o` reads, unless it is padding.
    fn cell(&self, spatial: &[usize], o: &[usize], k: &[usize]) -> Option<Vec<usize>> {
        let cell = |i: usize| {
            let padded = o[i] * self.strides[i] + k[i] * self.dilations[i];
            padded.checked_sub(self.pads[0][i]).filter(|cell| *cell < spatial[i])
        };
        (0..spatial.len()).map(cell).collect()
    }
}

/// Convolution of `x` of shape `[batch, channels, spatial...]` by `w [outputs, channels / groups, kernel...]`.
pub fn convolution(geometry: &Geometry, x: &[usize], w: &[f64], outputs: usize) -> Vec<Tap> {
    let spatial = &x[2..];
    let (per_group, out_per_group) = (x[1] / geometry.groups, outputs / geometry.groups);
    let y = [&[x[0], outputs], geometry.windows(spatial).as_slice()].concat();
    let kernel = [&[outputs, per_group], geometry.kernel.as_slice()].concat();
    let mut taps = vec![];
    for_each_index(&y, |unit, index| {
        for_each_index(&kernel[1..], |_, tap| {
            if let Some(cell) = geometry.cell(spatial, &index[2..], &tap[1..]) {
                let channel = index[1] / out_per_group * per_group + tap[0];
                let cell = flat(x, &[&[index[0], channel], cell.as_slice()].concat());
                let weight = w[flat(&kernel, &[&[index[1]], tap].concat())];
                taps.push(Tap { unit, cell, weight });
            }
        });
    });
    taps
}

/// Transposed convolution of `x` by `w [channels, outputs / groups, kernel...]`.
pub fn transposed_convolution(geometry: &Geometry, x: &[usize], w: &[f64], outputs: usize) -> Vec<Tap> {
    let (per_group, out_per_group) = (x[1] / geometry.groups, outputs / geometry.groups);
    let spatial = geometry.transposed(&x[2..]);
    let y = [&[x[0], outputs], spatial.as_slice()].concat();
    let kernel = [&[x[1], out_per_group], geometry.kernel.as_slice()].concat();
    let mut taps = vec![];
    for_each_index(x, |cell, index| {
        for_each_index(&kernel[1..], |_, tap| {
            if let Some(place) = geometry.cell(&spatial, &index[2..], &tap[1..]) {
                let channel = index[1] / per_group * out_per_group + tap[0];
                let unit = flat(&y, &[&[index[0], channel], place.as_slice()].concat());
                let weight = w[flat(&kernel, &[&[index[1]], tap].concat())];
                taps.push(Tap { unit, cell, weight });
            }
        });
    });
    taps
}

/// Average over windows; padding is not counted.
pub fn average(geometry: &Geometry, x: &[usize]) -> Vec<Tap> {
    let spatial = &x[2..];
    let y = [&x[..2], geometry.windows(spatial).as_slice()].concat();
    let mut taps = vec![];
    for_each_index(&y, |unit, index| {
        let mut cells = vec![];
        for_each_index(&geometry.kernel, |_, tap| {
            if let Some(cell) = geometry.cell(spatial, &index[2..], tap) {
                cells.push(flat(x, &[&index[..2], cell.as_slice()].concat()));
            }
        });
        let weight = 1.0 / cells.len() as f64;
        taps.extend(cells.into_iter().map(|cell| Tap { unit, cell, weight }));
    });
    taps
}

/// Linear interpolation of the spatial axes to `sizes` with half-pixel centres: an output cell is at
/// `(o + 1/2) size_in / size_out - 1/2`, clamped to the plane.
pub fn interpolation(x: &[usize], sizes: &[usize]) -> Vec<Tap> {
    let spatial = &x[2..];
    let y = [&x[..2], sizes].concat();
    let corners = vec![2; spatial.len()];
    let mut taps = vec![];
    for_each_index(&y, |unit, index| {
        for_each_index(&corners, |_, corner| {
            let (mut cell, mut weight) = (index[..2].to_vec(), 1.0);
            for (i, upper) in corner.iter().enumerate() {
                let last = (spatial[i] - 1) as f64;
                let at = (index[2 + i] as f64 + 0.5) * spatial[i] as f64 / sizes[i] as f64 - 0.5;
                let at = at.clamp(0.0, last);
                let fraction = at - at.floor();
                weight *= if *upper == 1 { fraction } else { 1.0 - fraction };
                cell.push((at.floor() as usize + upper).min(spatial[i] - 1));
            }
            if weight > 0.0 {
                taps.push(Tap { unit, cell: flat(x, &cell), weight });
            }
        });
    });
    taps
}
