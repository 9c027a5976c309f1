//! Options of class activation maps, by the names that they have on the command line.

use exegesis_catalogue::Options;
use exegesis_catalogue::Result;
use exegesis_catalogue::{MethodInfo, ParameterInfo};

/// Options of class activation maps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cam {
    /// Node whose output is the map of features; `None` finds the last one with spatial axes.
    pub layer: Option<String>,
}

impl Options for Cam {
    const PARAMETERS: &'static [ParameterInfo] = &[ParameterInfo {
        name: "layer",
        default: "auto",
        values: "auto, or the name of a node",
        doc: "Map of features. auto is the last one: what is pooled or flattened, or, where a class token is read, what the \
              last attention reads; of a segmentation, what the last layer with weights reads.",
    }];

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        if key == "layer" {
            self.layer = (value != "auto").then(|| value.to_string());
        }
        Ok(())
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        vec![("layer", self.layer.clone().unwrap_or("auto".to_string()))]
    }
}

/// `grad-cam`.
pub const GRAD_CAM: MethodInfo = MethodInfo {
    name: "grad-cam",
    summary: "Channels of the last map of features, weighted by the mean gradient of the score on each, summed, and cut at \
              zero: where the evidence for the target lies, at the resolution of that map. It is scaled up to the input.",
    formula: "A = upsample( relu( sum_c mean_hw(df/dF_c) * F_c ) )",
    cost: "forward + part of 1 forward",
    misleads: "The map is coarse (7 x 7 for many networks) and the smooth picture hides it. It says where, not what, shows \
               nothing that speaks against, and is 0 where nothing speaks for the target. Of layers with fine maps (a \
               segmentation's last) one mean weight per channel says little: take layer-cam, or name a coarser layer.",
    citation: "Selvaraju et al. (2017), arXiv 1610.02391",
    parameters: Cam::PARAMETERS,
};

/// `grad-cam-plus-plus`.
pub const GRAD_CAM_PLUS_PLUS: MethodInfo = MethodInfo {
    name: "grad-cam-plus-plus",
    summary: "Grad-CAM with weights per place, so that several objects of one class count fully.",
    formula: "w_c = sum_hw alpha relu(g), alpha = g^2 / (2 g^2 + S_c g^3), S_c = relu(sum_hw F_c), \
              A = upsample( relu( sum_c w_c F_c ) )",
    cost: "forward + part of 1 forward",
    misleads: "As Grad-CAM. The formula is for features that are not negative, as behind a ReLU.",
    citation: "Chattopadhay et al. (2018), arXiv 1710.11063",
    parameters: Cam::PARAMETERS,
};

/// `layer-cam`.
pub const LAYER_CAM: MethodInfo = MethodInfo {
    name: "layer-cam",
    summary: "Every place of every channel weighted by its own positive gradient: finer than Grad-CAM in early layers.",
    formula: "A = upsample( relu( sum_c relu(df/dF_c) * F_c ) )",
    cost: "forward + part of 1 forward",
    misleads: "As Grad-CAM; in early layers it inherits the noise of the gradient.",
    citation: "Jiang et al. (2021), LayerCAM, IEEE TIP 30",
    parameters: Cam::PARAMETERS,
};
