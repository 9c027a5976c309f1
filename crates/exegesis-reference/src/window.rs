//! Geometry of sliding windows, shared by convolutions and pools.

use exegesis_graph::op::AutoPad;
use exegesis_graph::{Error, Result};

use crate::array::{count, for_each_index, offset, size, strides};

/// Attributes that place windows, as they stand in the operator.
pub(crate) struct Placement<'a> {
    pub auto_pad: AutoPad,
    pub ceil_mode: bool,
    pub dilations: &'a [i64],
    pub pads: &'a [i64],
    pub strides: &'a [i64],
}

/// Windows along one axis: cell `k` of window `o` is at input position `o * stride + k * dilation - pad_begin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AxisWindows {
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub pad_begin: usize,
    pub pad_end: usize,
}

impl AxisWindows {
    /// Cells that a kernel spans.
    pub fn extent(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// Position of a cell in the padded input.
    pub fn padded(&self, window: usize, cell: usize) -> usize {
        window * self.stride + cell * self.dilation
    }

    /// Position of a cell in the input, if it is not padding.
    pub fn position(&self, window: usize, cell: usize) -> Option<usize> {
        self.padded(window, cell).checked_sub(self.pad_begin).filter(|i| *i < self.input)
    }

    /// True if a cell is in the input or in the padding that the attributes ask for (`ceil_mode` windows may go beyond).
    pub fn within_padding(&self, window: usize, cell: usize) -> bool {
        self.padded(window, cell) < self.input + self.pad_begin + self.pad_end
    }
}

/// One value per axis, or `default` for all when none is given.
pub(crate) fn per_axis(
    list: &[i64],
    rank: usize,
    default: usize,
    least: usize,
    name: &str,
) -> Result<Vec<usize>> {
    if list.is_empty() {
        return Ok(vec![default; rank]);
    }
    let values: Vec<usize> = list.iter().map(|v| size(*v, name)).collect::<Result<_>>()?;
    // Far beyond any window, and small enough that positions can't overflow.
    if values.len() != rank || values.iter().any(|v| *v < least || *v > 1 << 30) {
        return Err(Error::malformed(format!("`{name}` is {list:?} for {rank} spatial axes")));
    }
    Ok(values)
}

impl Placement<'_> {
    /// Windows of `kernel` over the spatial sizes `input`.
    pub fn windows(&self, input: &[usize], kernel: &[usize]) -> Result<Vec<AxisWindows>> {
        let rank = input.len();
        if kernel.len() != rank || kernel.contains(&0) {
            return Err(Error::malformed(format!("the kernel {kernel:?} does not fit the sizes {input:?}")));
        }
        let stride = per_axis(self.strides, rank, 1, 1, "strides")?;
        let dilation = per_axis(self.dilations, rank, 1, 1, "dilations")?;
        let pads = per_axis(self.pads, 2 * rank, 0, 0, "pads")?;
        (0..rank)
            .map(|i| {
                let mut axis = AxisWindows {
                    input: input[i],
                    output: 0,
                    kernel: kernel[i],
                    stride: stride[i],
                    dilation: dilation[i],
                    pad_begin: 0,
                    pad_end: 0,
                };
                match self.auto_pad {
                    AutoPad::NotSet => (axis.pad_begin, axis.pad_end) = (pads[i], pads[rank + i]),
                    AutoPad::Valid => {}
                    AutoPad::SameUpper | AutoPad::SameLower => {
                        axis.output = input[i].div_ceil(axis.stride);
                        let needed = axis.output.saturating_sub(1) * axis.stride + axis.extent();
                        let total = needed.saturating_sub(input[i]);
                        let (small, large) = (total / 2, total - total / 2);
                        (axis.pad_begin, axis.pad_end) =
                            if self.auto_pad == AutoPad::SameUpper { (small, large) } else { (large, small) };
                        return Ok(axis);
                    }
                }
                let padded = input[i] + axis.pad_begin + axis.pad_end;
                let room = padded.checked_sub(axis.extent()).ok_or_else(|| {
                    Error::malformed(format!(
                        "a window of {} does not fit a padded axis of {padded}",
                        axis.extent()
                    ))
                })?;
                axis.output = room / axis.stride + 1;
                // With `ceil_mode` a last, partial window counts if it starts inside the input or the left padding.
                let partial = room % axis.stride != 0;
                if self.ceil_mode && partial && axis.output * axis.stride < input[i] + axis.pad_begin {
                    axis.output += 1;
                }
                Ok(axis)
            })
            .collect()
    }
}

/// A cell of a window that lies in the input: its position in the kernel and in the spatial part of the input.
#[derive(Clone, Copy)]
pub(crate) struct Tap {
    pub kernel: usize,
    pub input: usize,
}

/// For every window, in row-major order, its taps in kernel order.
pub(crate) fn taps(axes: &[AxisWindows]) -> Result<Vec<Vec<Tap>>> {
    let output: Vec<usize> = axes.iter().map(|a| a.output).collect();
    let kernel: Vec<usize> = axes.iter().map(|a| a.kernel).collect();
    let input: Vec<usize> = axes.iter().map(|a| a.input).collect();
    let input_strides = strides(&input);
    let mut windows = Vec::with_capacity(count(&output)?);
    count(&kernel)?;
    for_each_index(&output, |window| {
        let mut list = vec![];
        let mut number = 0;
        for_each_index(&kernel, |cell| {
            let position: Option<Vec<usize>> =
                axes.iter().zip(window.iter().zip(cell)).map(|(a, (w, c))| a.position(*w, *c)).collect();
            if let Some(position) = position {
                list.push(Tap { kernel: number, input: offset(&position, &input_strides) });
            }
            number += 1;
        });
        windows.push(list);
    });
    Ok(windows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(auto_pad: AutoPad, ceil_mode: bool, pads: &[i64], stride: i64) -> Placement<'_> {
        // Leaked once per call of a test: a placement borrows its lists.
        let strides: &'static [i64] = Box::leak(vec![stride].into_boxed_slice());
        Placement { auto_pad, ceil_mode, dilations: &[], pads, strides }
    }

    #[test]
    fn same_padding_puts_the_odd_cell_where_it_says() {
        let upper = place(AutoPad::SameUpper, false, &[], 2).windows(&[5], &[2]).unwrap()[0];
        assert_eq!((upper.output, upper.pad_begin, upper.pad_end), (3, 0, 1));
        let lower = place(AutoPad::SameLower, false, &[], 2).windows(&[5], &[2]).unwrap()[0];
        assert_eq!((lower.output, lower.pad_begin, lower.pad_end), (3, 1, 0));
    }

    #[test]
    fn partial_windows_start_inside() {
        let ceil = |input, pads: &'static [i64]| {
            place(AutoPad::NotSet, true, pads, 2).windows(&[input], &[2]).unwrap()[0].output
        };
        assert_eq!(ceil(5, &[]), 3);
        // The third window would start in the right padding.
        assert_eq!(ceil(4, &[0, 1]), 2);
        assert!(place(AutoPad::NotSet, false, &[], 1).windows(&[1], &[2]).is_err());
        assert!(place(AutoPad::NotSet, false, &[], 0).windows(&[1], &[1]).is_err());
    }
}
