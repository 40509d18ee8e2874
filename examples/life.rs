//! Conway's game of life on a torus of nodes, a block of 8 × 8 cells on each.
//!
//! A token is a block: 64 cells in one word, so in one frame. A firing takes the blocks around it and its own, which all
//! come back to it by feedback channels, and makes the next generation of its block. Two gliders fly over the corners where
//! four blocks meet, once around the torus.
//!
//! `cargo run --locked -p tidelock-examples --bin life`

use std::error::Error;
use tidelock::prelude::*;

/// Blocks along each side of the board.
const BLOCKS: usize = 3;
/// Cells along each side of the board.
const CELLS: usize = 8 * BLOCKS;
/// A glider moves by one cell in four generations: now it is back where it was.
const GENERATIONS: usize = 4 * CELLS;

/// Two gliders, which fly to the right and down.
fn alive_at_first(x: usize, y: usize) -> bool {
    const GLIDER: [(usize, usize); 5] = [(1, 0), (2, 1), (0, 2), (1, 2), (2, 2)];
    GLIDER.iter().any(|&(dx, dy)| (x, y) == (4 + dx, 4 + dy) || (x, y) == (17 + dx, 9 + dy))
}

/// Makes the next generation of a block of nine, in reading order; the one in the middle is its own.
struct Block;

impl Actor for Block {
    type State = ();
    type Inputs = [Rate<u64, 1>; 9];
    type Outputs = Rate<u64, 1>;

    fn fire(&self, (): &mut (), blocks: [&[u64; 1]; 9], next: &mut [u64; 1]) {
        let cell = |x: usize, y: usize| blocks[y / 8 * 3 + x / 8][0] >> (y % 8 * 8 + x % 8) & 1;
        for (x, y) in (0..64).map(|i| (8 + i % 8, 8 + i / 8)) {
            let square: u64 = (0..9).map(|i| cell(x + i % 3 - 1, y + i / 3 - 1)).sum();
            let alive = square == 3 || (square == 4 && cell(x, y) == 1);
            next[0] |= u64::from(alive) << ((y - 8) * 8 + x - 8);
        }
    }
}

/// The application: every block feeds its neighbours and itself, and is recorded.
fn life() -> Result<App, BuildError> {
    let mut app = AppBuilder::new("life");
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for i in 0..BLOCKS * BLOCKS {
        let block = app.actor(format!("block{i}"), Block, ()).on(NodeId(i as u32)).exec(8);
        let cells = block.outputs.share(); // One output, ten channels.
        app.record(format!("cells{i}"), cells).on(NodeId(i as u32));
        inputs.push(block.inputs);
        outputs.push(cells);
    }
    for (i, inputs) in inputs.into_iter().enumerate() {
        for (k, input) in inputs.into_iter().enumerate() {
            let x = (i % BLOCKS + BLOCKS + k % 3 - 1) % BLOCKS;
            let y = (i / BLOCKS + BLOCKS + k / 3 - 1) % BLOCKS;
            // The initial token is generation 0. Without it no block could ever be the first to fire.
            let first =
                (0..64).filter(|c| alive_at_first(8 * x + c % 8, 8 * y + c / 8)).fold(0, |word, c| word | 1 << c);
            app.connect_with(outputs[y * BLOCKS + x], input, InitialTokens::repeat(first, 1));
        }
    }
    app.build()
}

type Board = Vec<Vec<bool>>;

/// A board from the cells that live.
fn board(alive: impl Fn(usize, usize) -> bool) -> Board {
    (0..CELLS).map(|y| (0..CELLS).map(|x| alive(x, y)).collect()).collect()
}

/// The next generation of a board in one piece.
fn next_board(old: &Board) -> Board {
    board(|x, y| {
        let near = |i: usize| old[(y + CELLS + i / 3 - 1) % CELLS][(x + CELLS + i % 3 - 1) % CELLS];
        matches!(((0..9).filter(|&i| near(i)).count(), old[y][x]), (3, _) | (4, true))
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let machine = Machine::torus([BLOCKS as u32, BLOCKS as u32]).latency(2);
    let compiled = compile(&life()?, &machine, &Options::default())?;
    println!("{}", compiled.report());
    let run = compiled.run(Iterations(GENERATIONS as u64))?;

    // Generation g ≥ 1 of block i is token g − 1 of channel `cells<i>`.
    let blocks = (0..BLOCKS * BLOCKS)
        .map(|i| run.channel(&format!("cells{i}")).values())
        .collect::<Result<Vec<Vec<u64>>, _>>()?;
    let in_blocks = |g: usize| board(|x, y| blocks[y / 8 * BLOCKS + x / 8][g - 1] >> (y % 8 * 8 + x % 8) & 1 == 1);
    for g in [1, GENERATIONS / 4] {
        println!("\ngeneration {g}");
        for row in in_blocks(g) {
            println!("{}", row.iter().map(|&alive| if alive { "██" } else { "· " }).collect::<String>());
        }
    }

    let mut in_one_piece = board(alive_at_first);
    for g in 1..=GENERATIONS {
        in_one_piece = next_board(&in_one_piece);
        assert_eq!(in_blocks(g), in_one_piece, "generation {g}");
    }
    assert_eq!(in_one_piece, board(alive_at_first), "once around the torus");
    Ok(())
}

#[test]
fn blocks_equal_the_board_in_one_piece() -> Result<(), Box<dyn Error>> {
    main()
}
