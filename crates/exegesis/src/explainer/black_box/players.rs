//! Which cells of an input are players: what kind of input it is, and what suits it and the method.

use exegesis_graph::Tensor;
use exegesis_perturb as perturb;
use exegesis_perturb::{FROZEN, Layout, Places, PlayerKind, Players, Slic, slic};
use exegesis_report as report;
use exegesis_report::{ImageView, InputView};

use super::scorer::{Scorer, numbers};
use crate::explainer::Explainer;
use crate::picture::{picture, view};
use crate::{Error, Input, Result};

/// What an explained input is.
pub(super) enum Kind {
    /// Pixels with channels, and the picture as a reader sees it.
    Picture(ImageView),
    /// Steps with channels.
    Series,
    /// Numbers without an order.
    Table,
    /// Token ids.
    Tokens,
}

/// An explained input of the row at hand.
pub(super) struct Seen {
    pub name: String,
    pub kind: Kind,
    /// Sizes of the row, without the batch axis.
    pub shape: Vec<usize>,
    /// Pixels or steps; of tables and tokens every cell is one.
    pub places: Places,
}

/// The players that were chosen.
pub(super) struct Chosen {
    pub players: Players,
    pub seen: Vec<Seen>,
    /// True if a player may have several cells of one channel, so that regions have a mean.
    pub are_regions: bool,
    /// What was chosen, in words.
    pub notes: Vec<String>,
}

/// The players of the row at hand: what the user chose, else what suits input and method.
///
/// # Errors
/// Players that do not fit the input.
pub(super) fn players(
    explainer: &Explainer,
    method: &perturb::Method,
    scorer: &Scorer<'_>,
) -> Result<Chosen> {
    let seen: Vec<Seen> = (0..scorer.own().len()).map(|index| see(scorer, index)).collect::<Result<_>>()?;
    let several = seen.len() > 1;
    if explainer.settings.players == PlayerKind::Groups {
        return groups(explainer, seen);
    }
    let mut next = 0u32;
    let (mut of_cells, mut notes) = (vec![], vec![]);
    let mut layout = Layout::Unordered;
    let mut are_regions = true;
    for input in &seen {
        let wanted = match explainer.settings.players {
            PlayerKind::Auto => suited(method, input, several),
            given => given,
        };
        let (cells, own, count) = of_input(input, wanted)?;
        are_regions &= matches!(wanted, PlayerKind::Superpixel(_) | PlayerKind::Patch(_));
        notes.push(format!("players of \"{}\": {}", input.name, describe(wanted, input)));
        of_cells.push(cells.into_iter().map(|p| if p == FROZEN { p } else { p + next }).collect());
        next += count;
        // Windows slide over single places; whatever is larger is taken out as it is.
        let is_whole = matches!(method, perturb::Method::Occlusion(_))
            && !matches!(wanted, PlayerKind::Pixel | PlayerKind::Window(1) | PlayerKind::Token);
        layout = if several || is_whole { Layout::Unordered } else { own };
    }
    let players = Players::new(of_cells, layout).map_err(|e| Error::usage(format!("{e}.")))?;
    Ok(Chosen { players, seen, are_regions, notes })
}

/// What kind of input it is, and where its cells are.
fn see(scorer: &Scorer<'_>, index: usize) -> Result<Seen> {
    let missing = || Error::input("there is no input to explain.");
    let (name, tensor) = scorer.own().get(index).ok_or_else(missing)?;
    let is_tokens = scorer.names().get(index).is_some_and(|(_, is_tokens)| *is_tokens);
    let given = scorer.inputs().get(name).ok_or_else(missing)?;
    let mut shape = tensor.shape().get(1..).unwrap_or_default().to_vec();
    // An input that is explained as a whole keeps its batch axis.
    if tensor.rank() > given.tensor.rank() && shape.first() == Some(&1) && shape.len() > 1 {
        shape.remove(0);
    }
    while shape.len() > 3 && shape[0] == 1 {
        shape.remove(0);
    }
    if shape.is_empty() {
        shape.push(1);
    }
    let mut with_batch = vec![1];
    with_batch.extend(&shape);
    let row = Tensor::new(with_batch, tensor.data().clone())?;
    let views = given.views.get(scorer.row()).cloned().into_iter().collect();
    let (drawn, layout) = view(&Input { name: name.clone(), tensor: row, views }, 0, 1);
    let rank = shape.len();
    let grid = match layout {
        report::Layout::ChannelsLast if rank == 3 => [0, 1],
        _ => [rank.saturating_sub(2), rank - 1],
    };
    let step = match layout {
        report::Layout::ChannelsLast if rank == 2 => 0,
        _ => rank - 1,
    };
    let (kind, along) = match drawn {
        _ if is_tokens => (Kind::Tokens, vec![rank - 1]),
        InputView::Columns { .. } => (Kind::Table, vec![rank - 1]),
        InputView::Image(image) if rank >= 2 => {
            let is_placed = shape[grid[0]] == image.height && shape[grid[1]] == image.width;
            let image = if is_placed { image } else { gray(&numbers(tensor), &shape, &grid)? };
            (Kind::Picture(image), grid.to_vec())
        }
        InputView::Series { .. } => (Kind::Series, vec![step]),
        _ if rank >= 3 => (Kind::Picture(gray(&numbers(tensor), &shape, &grid)?), grid.to_vec()),
        _ if rank == 2 && tensor.dtype().is_float() => (Kind::Series, vec![step]),
        _ => (Kind::Table, vec![rank - 1]),
    };
    let places = Places::new(shape.clone(), &along).map_err(|e| Error::usage(format!("{e}.")))?;
    Ok(Seen { name: name.clone(), kind, shape, places })
}

/// The mean over channels as a grey picture.
fn gray(values: &[f64], shape: &[usize], grid: &[usize]) -> Result<ImageView> {
    let places = Places::new(shape.to_vec(), grid).map_err(|e| Error::usage(format!("{e}.")))?;
    let [height, width] = places.grid();
    let mut mean = vec![0.0f32; height * width];
    for (cell, value) in values.iter().enumerate() {
        mean[places.place(cell)] += *value as f32 / places.channels().max(1) as f32;
    }
    match picture(&mean, 1, height, width, report::Layout::ChannelsFirst) {
        InputView::Image(image) => Ok(image),
        _ => Err(Error::input("an input of several axes can't be seen as a picture.")),
    }
}

/// Most players for which every coalition is asked for.
const FEW: usize = 12;
/// Most players of a series by default.
const SPANS: usize = 28;
/// Super-pixels by default.
const SUPERPIXELS: usize = 50;

/// The players that suit an input and a method.
fn suited(method: &perturb::Method, input: &Seen, several: bool) -> PlayerKind {
    let is_exact = matches!(method, perturb::Method::Shapley(_));
    let is_fine = matches!(method, perturb::Method::Occlusion(_) | perturb::Method::Rise(_)) && !several;
    match &input.kind {
        Kind::Picture(_) if is_fine => PlayerKind::Pixel,
        Kind::Picture(_) if matches!(method, perturb::Method::Lime(_)) => PlayerKind::Superpixel(SUPERPIXELS),
        Kind::Picture(_) => PlayerKind::Patch(patch(input.places.grid(), is_exact)),
        Kind::Series if is_fine => PlayerKind::Window(1),
        Kind::Series => {
            let most = if is_exact { FEW } else { SPANS };
            PlayerKind::Window(input.places.count().div_ceil(most).max(1))
        }
        Kind::Table => PlayerKind::Column,
        Kind::Tokens => PlayerKind::Token,
    }
}

/// The side of patches so that there are 49 to 64 of them (9 to 12 where every coalition is asked for): one that divides both
/// sides of the picture, if there is one.
fn patch([rows, columns]: [usize; 2], is_exact: bool) -> usize {
    let (least, most) = if is_exact { (9, FEW) } else { (49, 64) };
    let count = |side: usize| rows.div_ceil(side) * columns.div_ceil(side);
    let longest = rows.max(columns).max(1);
    let even = (1..=longest)
        .rev()
        .find(|side| rows % side == 0 && columns % side == 0 && (least..=most).contains(&count(*side)));
    even.or_else(|| (1..=longest).find(|side| count(*side) <= most)).unwrap_or(1)
}

/// Player of each cell, how they lie, and how many there are.
fn of_input(input: &Seen, wanted: PlayerKind) -> Result<(Vec<u32>, Layout, u32)> {
    let refused = |what: &str| {
        Err(Error::usage(format!(
            "--players {wanted} is for {what}, and the input \"{}\" of shape {:?} is none. Leave it out, or choose {}.",
            input.name,
            input.shape,
            fitting(input)
        )))
    };
    let cells = input.places.cells();
    let placed = |places: &Places, kind: PlayerKind| {
        let (of_place, layout) = places.players(kind).map_err(|e| Error::usage(format!("{e}.")))?;
        let count = of_place.iter().max().map_or(0, |p| p + 1);
        Ok((places.of_cells(&of_place), layout, count))
    };
    match (wanted, &input.kind) {
        // Texts of which all is tokens are read elsewhere; here they stand beside arrays of numbers, position by position.
        (PlayerKind::Token, Kind::Tokens) => placed(&input.places, PlayerKind::Window(1)),
        (PlayerKind::Token | PlayerKind::Word, _) => refused("texts"),
        (_, Kind::Tokens) => refused("arrays of numbers"),
        (PlayerKind::Column, Kind::Picture(_)) => refused("tables and series"),
        (PlayerKind::Column, _) => Ok(((0..cells as u32).collect(), Layout::Unordered, cells as u32)),
        (PlayerKind::Window(_), Kind::Series) => placed(&input.places, wanted),
        (PlayerKind::Window(_), Kind::Table) if input.shape.len() == 1 => placed(&input.places, wanted),
        (PlayerKind::Window(_), _) => refused("series"),
        (PlayerKind::Pixel | PlayerKind::Patch(_), Kind::Picture(_)) => placed(&input.places, wanted),
        (PlayerKind::Pixel | PlayerKind::Patch(_), Kind::Series) if input.shape.len() == 2 => {
            placed(&as_picture(input)?, wanted)
        }
        (PlayerKind::Superpixel(segments), Kind::Picture(image)) => {
            let grid = input.places.grid();
            let of_place = slic(&colours(image), grid, Slic { segments, ..Slic::default() });
            let count = of_place.iter().max().map_or(0, |p| p + 1);
            let middles = input.places.middles(&of_place, count as usize);
            Ok((input.places.of_cells(&of_place), Layout::Regions(middles), count))
        }
        _ => refused("pictures"),
    }
}

/// An array of two axes as a grey picture.
fn as_picture(input: &Seen) -> Result<Places> {
    Places::new(input.shape.clone(), &[0, 1]).map_err(|e| Error::usage(format!("{e}.")))
}

/// Red, green and blue of each pixel, of a picture.
pub(super) fn colours_of(input: &Seen) -> Option<Vec<[f64; 3]>> {
    match &input.kind {
        Kind::Picture(image) => Some(colours(image)),
        _ => None,
    }
}

/// Red, green and blue of each pixel.
fn colours(image: &ImageView) -> Vec<[f64; 3]> {
    let channels = image.channels.max(1);
    let pixel = |samples: &[u8]| [0, 1, 2].map(|c: usize| f64::from(samples[c.min(channels - 1)]));
    image.pixels.chunks_exact(channels).map(pixel).collect()
}

fn fitting(input: &Seen) -> &'static str {
    match input.kind {
        Kind::Picture(_) => "pixel, patch:SIDE or superpixel:COUNT",
        Kind::Series => "window:LENGTH or column",
        Kind::Table => "column",
        Kind::Tokens => "token",
    }
}

fn describe(kind: PlayerKind, input: &Seen) -> String {
    let grid = input.places.grid();
    match kind {
        PlayerKind::Pixel => format!("the {} x {} pixels", grid[0], grid[1]),
        PlayerKind::Patch(side) => format!("patches of {side} x {side}"),
        PlayerKind::Superpixel(count) => format!("about {count} super-pixels (SLIC)"),
        PlayerKind::Window(1) => format!("its {} steps", input.places.count()),
        PlayerKind::Window(length) => format!("spans of {length} of its {} steps", input.places.count()),
        PlayerKind::Column => "its columns".to_string(),
        PlayerKind::Token => "its tokens".to_string(),
        PlayerKind::Word => "its words".to_string(),
        PlayerKind::Auto | PlayerKind::Groups => "the given groups".to_string(),
    }
}

/// Players as the user numbered them.
fn groups(explainer: &Explainer, seen: Vec<Seen>) -> Result<Chosen> {
    let none = || Error::usage("no groups are given for the players. Give --players FILE.");
    let given = explainer.settings.groups.as_ref().ok_or_else(none)?;
    let mut of_cells = vec![];
    let mut of_places = vec![];
    for input in &seen {
        let array = given.get(&input.name).ok_or_else(none)?;
        let values = array.tensor.to_i64().ok_or_else(|| {
            Error::input(format!(
                "the groups of \"{}\" are no whole numbers. Save them as int64.",
                input.name
            ))
        })?;
        let mut own = array.tensor.shape().to_vec();
        while own.len() > 1 && own.len() > input.shape.len() && own[0] == 1 {
            own.remove(0);
        }
        let [rows, columns] = input.places.grid();
        let of_place = match input.places.is_series() {
            true => own == [columns],
            false => own == [rows, columns],
        };
        if own != input.shape && !of_place {
            let per_place = match input.places.is_series() {
                _ if input.places.channels() == 1 => String::new(),
                true => format!(", or {:?} for all channels alike", [columns]),
                false => format!(", or {:?} for all channels alike", [rows, columns]),
            };
            return Err(Error::input(format!(
                "the groups of \"{}\" have the shape {:?}, and its rows {:?}. Give a number per cell{per_place}.",
                input.name,
                array.tensor.shape(),
                input.shape
            )));
        }
        let player = |value: &i64| match *value {
            -1 => Ok(FROZEN),
            value => u32::try_from(value).ok().filter(|p| *p != FROZEN).ok_or_else(|| {
                Error::input(format!(
                    "the groups of \"{}\" hold {value}. Number them from 0 without gaps; -1 always stays.",
                    input.name
                ))
            }),
        };
        let numbers: Vec<u32> = values.iter().map(player).collect::<Result<_>>()?;
        if own == input.shape {
            of_places.push(None);
            of_cells.push(numbers);
        } else {
            of_cells.push(input.places.of_cells(&numbers));
            of_places.push(Some(numbers));
        }
    }
    let mut players = Players::new(of_cells, Layout::Unordered).map_err(|e| Error::input(format!("{e}.")))?;
    if let ([input], [of_place]) = (seen.as_slice(), of_places.as_slice())
        && matches!(input.kind, Kind::Picture(_))
    {
        let of_place = of_place.clone().unwrap_or_else(|| {
            let mut first = vec![FROZEN; input.places.count()];
            for (cell, player) in players.of_cells(0).iter().enumerate() {
                first[input.places.place(cell)] = *player;
            }
            first
        });
        players.layout = Layout::Regions(input.places.middles(&of_place, players.count()));
    }
    let notes = vec![format!("players: {} given groups", players.count())];
    Ok(Chosen { players, seen, are_regions: false, notes })
}

#[cfg(test)]
mod tests {
    use super::patch;

    #[test]
    fn patches_divide_the_picture_where_they_can() {
        assert_eq!((patch([224, 224], false), patch([224, 224], true)), (32, 75));
        assert_eq!((patch([28, 28], false), patch([28, 28], true)), (4, 10));
        assert_eq!(patch([1, 1], false), 1);
        for sides in [[299, 299], [33, 500], [5, 7], [640, 480]] {
            for (is_exact, most) in [(false, 64), (true, 16)] {
                let side = patch(sides, is_exact);
                let count = sides[0].div_ceil(side) * sides[1].div_ceil(side);
                assert!(count <= most && count * 4 >= most.min(sides[0] * sides[1]), "{sides:?}: {count}");
            }
        }
    }
}
