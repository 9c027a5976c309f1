//! Files bound to graph inputs: each input gets one or more pieces, in the order of the files.

use exegesis_report::InputView;
use exegesis_runtime::Port;

use super::csv::Table;
use super::{
    Arrays, Input, Kind, ReadOptions, Source, describe_ports, fit, image, kind, npy, npz, read_bytes,
    safetensors,
};
use crate::{Error, Preprocess, Remarks, Result};

/// What one file gave to one input.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub input: Input,
    pub row_names: Vec<String>,
}

/// The pieces of one input.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// Position among the graph's inputs.
    pub port: usize,
    pub pieces: Vec<Piece>,
}

/// Reads every source and gives what it holds to the inputs.
///
/// # Errors
/// As [`super::read`].
pub(crate) fn bind(
    ports: &[Port],
    sources: &[Source],
    options: &ReadOptions,
    remarks: &mut Remarks,
) -> Result<Vec<Bound>> {
    for source in sources {
        let Some(name) = &source.name else { continue };
        if !ports.iter().any(|port| port.name == *name) {
            return Err(Error::input(format!(
                "the model has no input \"{name}\"; its inputs are {}. Give NAME=FILE with one of these names.",
                describe_ports(ports)
            )));
        }
    }
    let mut bound: Vec<Bound> = (0..ports.len()).map(|port| Bound { port, pieces: Vec::new() }).collect();
    // Inputs that are named are not candidates for files that are not.
    let free: Vec<usize> = (0..ports.len())
        .filter(|i| !ports.get(*i).is_some_and(|p| p.optional))
        .filter(|i| !sources.iter().any(|s| s.name.as_deref() == ports.get(*i).map(|p| p.name.as_str())))
        .collect();
    let (texts, sources) = texts(sources, options)?;
    if !texts.is_empty() {
        let reader = options.reader.as_ref().ok_or_else(|| {
            Error::input(
                "a text is given, but no tokenizer to read it with. Give the model's tokenizer.json with --tokenizer FILE.",
            )
        })?;
        for own in reader.bind(ports, &free, &texts, remarks)? {
            if let Some(target) = bound.get_mut(own.port) {
                target.pieces.extend(own.pieces);
            }
        }
    }
    let free: Vec<usize> =
        free.into_iter().filter(|i| bound.get(*i).is_none_or(|b| b.pieces.is_empty())).collect();
    for source in sources {
        let shown = source.path.display().to_string();
        let candidates: Vec<&Port> = match &source.name {
            Some(name) => ports.iter().filter(|p| p.name == *name).collect(),
            None => free.iter().filter_map(|i| ports.get(*i)).collect(),
        };
        let pieces = read_source(source, &candidates, options, remarks).map_err(|e| match e.kind() {
            crate::ErrorKind::Input if !e.to_string().contains(&shown) => e.of(&shown),
            _ => e,
        })?;
        for piece in pieces {
            let found =
                bound.iter_mut().find(|b| ports.get(b.port).is_some_and(|p| p.name == piece.input.name));
            if let Some(target) = found {
                target.pieces.push(piece);
            }
        }
    }
    let files = "as NAME=FILE, or a .npz or .safetensors file with arrays of these names";
    check_complete(ports, &bound, files)?;
    bound.retain(|b| !b.pieces.is_empty());
    Ok(bound)
}

/// # Errors
/// An input that must be given and is not; `how` says how to give it.
pub(crate) fn check_complete(ports: &[Port], bound: &[Bound], how: &str) -> Result<()> {
    let missing: Vec<String> = bound
        .iter()
        .filter(|b| b.pieces.is_empty())
        .filter_map(|b| ports.get(b.port).filter(|p| !p.optional).map(|p| format!("\"{}\"", p.name)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::input(format!(
        "nothing is given for input {}; the model's inputs are {}. Give each {how}.",
        missing.join(", "),
        describe_ports(ports)
    )))
}

/// Texts, each with the name of its file if it has one, and the sources that are none.
#[allow(clippy::type_complexity)]
fn texts<'a>(
    sources: &'a [Source],
    options: &ReadOptions,
) -> Result<(Vec<(Option<String>, String)>, Vec<&'a Source>)> {
    let mut texts: Vec<(Option<String>, String)> =
        options.texts.iter().map(|text| (None, text.clone())).collect();
    let mut others = vec![];
    for source in sources {
        if kind(&source.path)? != Kind::Text {
            others.push(source);
            continue;
        }
        let bytes = read_bytes(&source.path)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Error::input(format!("\"{}\" is no text in UTF-8. Convert it first.", source.path.display()))
        })?;
        let file = source.path.file_name().map(|n| n.to_string_lossy().into_owned());
        texts.push((file, text.trim_start_matches('\u{feff}').trim_end().to_string()));
    }
    Ok((texts, others))
}

fn read_source(
    source: &Source,
    candidates: &[&Port],
    options: &ReadOptions,
    remarks: &mut Remarks,
) -> Result<Vec<Piece>> {
    let kind = kind(&source.path)?;
    let bytes = read_bytes(&source.path)?;
    let file = source.path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    match kind {
        Kind::Image => {
            let port = picture_port(candidates)?;
            let picture = image::decode(&bytes)?;
            let input = picture_input(port, &picture, options, remarks)?;
            Ok(vec![Piece { input, row_names: vec![file] }])
        }
        Kind::Npy => {
            let port = only(candidates, "an array without a name")?;
            let tensor = npy::read(&bytes)?;
            Ok(vec![array_piece(port, tensor, options, &file, remarks)?])
        }
        Kind::Npz | Kind::Safetensors => {
            let wanted = |name: &str| candidates.iter().any(|port| port.name == name);
            let read = |wanted: &dyn Fn(&str) -> bool| match kind {
                Kind::Npz => npz::read(&bytes, wanted),
                _ => safetensors::read(&bytes, wanted),
            };
            let Arrays { arrays, others } = read(&wanted)?;
            if !arrays.is_empty() {
                return arrays
                    .into_iter()
                    .filter_map(|(name, tensor)| {
                        let port = candidates.iter().find(|port| port.name == name)?;
                        Some(array_piece(port, tensor, options, &file, remarks))
                    })
                    .collect();
            }
            // A lone array can only be meant for a lone input, whatever it is called.
            match (candidates, others.as_slice()) {
                ([port], [_]) => {
                    let Arrays { arrays, .. } = read(&|_| true)?;
                    arrays
                        .into_iter()
                        .map(|(_, tensor)| array_piece(port, tensor, options, &file, remarks))
                        .collect()
                }
                _ => Err(Error::input(format!(
                    "none of the arrays {} is called like an input of the model: {}. Save the arrays under these names.",
                    others.iter().take(20).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", "),
                    describe(candidates)
                ))),
            }
        }
        // Texts are read together, see [`texts`].
        Kind::Text => Ok(vec![]),
        Kind::Csv | Kind::Parquet => {
            let table = Table::read(&source.path, &bytes, options)?;
            let row_names = table.row_names(&file);
            table
                .inputs(candidates, options)?
                .into_iter()
                .map(|mut input| {
                    let port = candidates.iter().find(|p| p.name == input.name);
                    if let Some(port) = port {
                        // Cells are text, so their conversion is reading, not a change to note.
                        input.tensor = fit::fit(port, input.tensor, &mut Remarks::default())?;
                    }
                    Ok(Piece { input, row_names: row_names.clone() })
                })
                .collect()
        }
    }
}

/// A picture as the input `port` takes it.
///
/// # Errors
/// A preprocessing that does not fit the input.
pub(crate) fn picture_input(
    port: &Port,
    picture: &::image::DynamicImage,
    options: &ReadOptions,
    remarks: &mut Remarks,
) -> Result<Input> {
    let shape = port.shape.clone().unwrap_or_default();
    let preprocess = match &options.preprocess {
        Some(preprocess) => preprocess.clone(),
        None => {
            remarks.warn(format!(
                "no preprocessing is known for input \"{}\": pixels are given as 0..255; say how the model was trained with \
                 --preprocess",
                port.name
            ));
            Preprocess::default()
        }
    };
    let placed = preprocess.apply(picture, &port.name, port.dtype, &shape)?;
    placed.notes.into_iter().for_each(|note| remarks.warn(note));
    Ok(Input { name: port.name.clone(), tensor: placed.tensor, views: vec![InputView::Image(placed.view)] })
}

/// An array as the input `port` takes it.
///
/// # Errors
/// Another type, rank or size, no elements, values that are not finite.
pub(crate) fn array_input(
    port: &Port,
    tensor: exegesis_graph::Tensor,
    remarks: &mut Remarks,
) -> Result<Input> {
    Ok(Input { name: port.name.clone(), tensor: fit::fit(port, tensor, remarks)?, views: Vec::new() })
}

/// One array of a file.
fn array_piece(
    port: &Port,
    tensor: exegesis_graph::Tensor,
    options: &ReadOptions,
    file: &str,
    remarks: &mut Remarks,
) -> Result<Piece> {
    let mut tensor = fit::fit(port, tensor, remarks)?;
    let mut first = 0;
    if let Some(rows) = options.rows.filter(|_| is_batched(port)) {
        first = rows.of(tensor.shape().first().copied().unwrap_or(0))?.start;
        tensor = rows.select(tensor)?;
    }
    let count = tensor.shape().first().copied().unwrap_or(1);
    let row_names = match (count, first) {
        (1, 0) => vec![file.to_string()],
        _ => (first..first + count).map(|row| format!("{file} row {row}")).collect(),
    };
    Ok(Piece { input: Input { name: port.name.clone(), tensor, views: Vec::new() }, row_names })
}

/// True if the leading axis of the input counts rows: its size is not fixed.
pub(crate) fn is_batched(port: &Port) -> bool {
    port.shape.as_ref().is_none_or(|shape| shape.first().is_some_and(|dim| dim.fixed().is_none()))
}

fn describe(candidates: &[&Port]) -> String {
    describe_ports(&candidates.iter().map(|p| (*p).clone()).collect::<Vec<_>>())
}

fn only<'a>(candidates: &[&'a Port], what: &str) -> Result<&'a Port> {
    match candidates {
        [one] => Ok(one),
        [] => Err(Error::input(format!("{what} is left over: every input has its own file. Leave it out."))),
        many => Err(Error::input(format!(
            "{what} could be for several inputs: {}. Say which with NAME=FILE.",
            describe(many)
        ))),
    }
}

/// The input that a picture is for: the one with axes for height and width.
pub(crate) fn picture_port<'a>(candidates: &[&'a Port]) -> Result<&'a Port> {
    let fits = |port: &&&Port| {
        let rank = port.shape.as_ref().map(Vec::len);
        matches!(rank, Some(3 | 4)) && (port.dtype.is_float() || port.dtype == exegesis_graph::DType::U8)
    };
    let four: Vec<&'a Port> = candidates
        .iter()
        .filter(|p| p.shape.as_ref().is_some_and(|s| s.len() == 4))
        .filter(fits)
        .copied()
        .collect();
    if four.len() == 1 {
        return only(&four, "the picture");
    }
    let fitting: Vec<&'a Port> = candidates.iter().filter(fits).copied().collect();
    if fitting.is_empty() {
        return Err(Error::input(format!(
            "no input of the model takes a picture; its inputs are {}. Give .npy, .npz, .safetensors or .csv.",
            describe(candidates)
        )));
    }
    only(&fitting, "the picture")
}
