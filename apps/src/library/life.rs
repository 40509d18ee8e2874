//! Conway's game of life on a torus of blocks: one actor per block, which trades borders with eight neighbours.
//!
//! Token n of a border channel shows generation n: the initial token shows generation 0. A firing takes the borders
//! around its block, computes the next generation and sends its own new borders.
//! Source of the rules: Gardner, "Mathematical Games", Scientific American 223(4), 1970.

use crate::prelude::*;

/// Where the neighbours lie, in reading order; the opposite of direction k is direction 7 − k.
const DIRECTIONS: [(isize, isize); 8] = [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)];

/// The cells (x, y) of a glider, which moves one cell right and one down in four generations.
pub const GLIDER: [(usize, usize); 5] = [(1, 0), (2, 1), (0, 2), (1, 2), (2, 2)];

/// A board of `width` × `height` blocks of `SIDE` × `SIDE` cells (1 to 64), whose edges are joined.
///
/// `alive(x, y)` is generation 0. One iteration is one generation; channel `cells x,y` records the rows of block (x, y)
/// from generation 1 on, each row a word whose bit c is the cell in column c.
///
/// ```
/// use tidelock::library::{GLIDER, life};
///
/// let app = life::<8>(4, 4, |x, y| GLIDER.contains(&(x, y)))?;
/// assert_eq!(app.actors().len(), 2 * 4 * 4);
/// # Ok::<(), tidelock::prelude::BuildError>(())
/// ```
///
/// # Errors
/// [`BuildError::App`] if there is no block.
pub fn life<const SIDE: usize>(
    width: usize,
    height: usize,
    alive: impl Fn(usize, usize) -> bool,
) -> Result<App, BuildError> {
    const { assert!(1 <= SIDE && SIDE <= 64, "a row of a block is one word") };
    let mut app = AppBuilder::new("life");
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for (x, y) in blocks(width, height) {
        let row = |r| (0..SIDE).fold(0, |row, c| row | u64::from(alive(x * SIDE + c, y * SIDE + r)) << c);
        let rows: [u64; SIDE] = std::array::from_fn(row);
        let block = app.actor(format!("block {x},{y}"), Block::<SIDE>, rows);
        let (sent, cells) = block.outputs;
        app.record(format!("cells {x},{y}"), cells);
        inputs.push(block.inputs);
        outputs.push((sent.map(Output::share), borders(&rows)));
    }
    for ((x, y), inputs) in blocks(width, height).zip(inputs) {
        for (k, input) in inputs.into_iter().enumerate() {
            let (dx, dy) = DIRECTIONS[k];
            let from = (x as isize + dx).rem_euclid(width as isize)
                + (y as isize + dy).rem_euclid(height as isize) * width as isize;
            let (sent, first) = &outputs[from as usize];
            app.connect_with(sent[7 - k], input, InitialTokens::repeat(first[7 - k], 1));
        }
    }
    app.build()
}

/// All blocks, row by row.
fn blocks(width: usize, height: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)))
}

/// A block's state is its rows, from the top.
struct Block<const SIDE: usize>;

impl<const SIDE: usize> Actor for Block<SIDE> {
    type State = [u64; SIDE];
    /// The neighbours' borders that touch this block, by direction.
    type Inputs = [Rate<u64, 1>; 8];
    /// This block's borders, by direction, and all its rows.
    type Outputs = ([Rate<u64, 1>; 8], Rate<[u64; SIDE], 1>);

    fn fire(
        &self,
        rows: &mut [u64; SIDE],
        around: [&[u64; 1]; 8],
        (sent, cells): ([&mut [u64; 1]; 8], &mut [[u64; SIDE]; 1]),
    ) {
        let next = generation(rows, around.map(|border| border[0]));
        *rows = next;
        cells[0] = next;
        for (sent, border) in sent.into_iter().zip(borders(&next)) {
            sent[0] = border;
        }
    }
}

/// The cells of a block that its neighbour in each direction touches: a corner, a row, or a column (bit r is row r).
fn borders<const SIDE: usize>(rows: &[u64; SIDE]) -> [u64; 8] {
    let column = |c: usize| rows.iter().rev().fold(0, |column, row| column << 1 | (row >> c & 1));
    let (top, bottom, last) = (rows[0], rows[SIDE - 1], SIDE - 1);
    [top & 1, top, top >> last & 1, column(0), column(last), bottom & 1, bottom, bottom >> last & 1]
}

/// The next generation of a block with these cells around it.
fn generation<const SIDE: usize>(rows: &[u64; SIDE], around: [u64; 8]) -> [u64; SIDE] {
    // A row with one cell more at each end, from the left at bit 0.
    let widen =
        |left: u64, row: u64, right: u64| u128::from(left) | u128::from(row) << 1 | u128::from(right) << (SIDE + 1);
    let [top_left, top, top_right, left, right, bottom_left, bottom, bottom_right] = around;
    let wide = |r: usize| match r {
        0 => widen(top_left, top, top_right),
        r if r <= SIDE => widen(left >> (r - 1) & 1, rows[r - 1], right >> (r - 1) & 1),
        _ => widen(bottom_left, bottom, bottom_right),
    };
    std::array::from_fn(|r| {
        let three = [wide(r), wide(r + 1), wide(r + 2)];
        (0..SIDE).fold(0, |row, c| {
            let square: u32 = three.iter().map(|wide| (wide >> c & 0b111).count_ones()).sum();
            let alive = rows[r] >> c & 1 == 1;
            row | u64::from(square == 3 || (square == 4 && alive)) << c
        })
    })
}
