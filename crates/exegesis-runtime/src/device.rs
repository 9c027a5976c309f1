//! Where a program runs.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// Where a program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this number, through CUDA. Only ONNX Runtime has it.
    Cuda(u32),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    /// Reads `cpu`, `cuda` (the first GPU) or `cuda:N`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let number = match text.split_once(':') {
            None if text == "cpu" => return Ok(Self::Cpu),
            None if text == "cuda" => return Ok(Self::Cuda(0)),
            // ONNX Runtime counts devices in 31 bits.
            Some(("cuda", number)) => number.parse().ok().filter(|n| i32::try_from(*n).is_ok()),
            _ => None,
        };
        number.map(Self::Cuda).ok_or_else(|| {
            Error::new(
                ErrorKind::NotBuilt,
                format!("there is no device `{text}`; use `cpu`, `cuda` or `cuda:N`"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_written() {
        for (text, device) in [("cpu", Device::Cpu), ("cuda:0", Device::Cuda(0)), ("cuda:3", Device::Cuda(3))]
        {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        for bad in ["", "gpu", "cuda:", "cuda:-1", "cuda:4294967295", "cpu:1", "CUDA"] {
            assert_eq!(bad.parse::<Device>().unwrap_err().kind(), ErrorKind::NotBuilt, "{bad}");
        }
    }
}
