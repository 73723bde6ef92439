//! Distances of rows to centres, several centres at a time.

/// How many centres are compared at once: as many numbers as the compiler keeps in registers.
const LANES: usize = 8;

/// Centres, laid out so that the distances to several of them are computed side by side.
#[derive(Debug)]
pub(super) struct Centres {
    width: usize,
    /// By eight centres and column, the numbers of these centres. Those that fill up the last eight are nowhere.
    blocks: Vec<f64>,
}

/// The nearest centre of a row, and how far it and the next one are, squared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Nearest {
    pub centre: usize,
    pub distance: f64,
    pub next: f64,
}

impl Centres {
    /// Lays out centres that stand one after the other.
    pub(super) fn of(centres: &[f64], width: usize) -> Self {
        let count = centres.len() / width;
        let mut blocks = vec![f64::INFINITY; count.div_ceil(LANES) * LANES * width];
        for (at, centre) in centres.chunks_exact(width).enumerate() {
            for (column, value) in centre.iter().enumerate() {
                blocks[(at / LANES * width + column) * LANES + at % LANES] = *value;
            }
        }
        Centres { width, blocks }
    }

    /// The centre that is nearest to a row; of several the first.
    #[inline]
    pub(super) fn nearest(&self, row: &[f64]) -> Nearest {
        let mut found = Nearest { centre: 0, distance: f64::INFINITY, next: f64::INFINITY };
        for (block, centres) in self.blocks.chunks_exact(LANES * self.width).enumerate() {
            let distances = apart(row, centres);
            for (lane, distance) in distances.into_iter().enumerate() {
                if distance < found.distance {
                    found = Nearest { centre: block * LANES + lane, distance, next: found.distance };
                } else if distance < found.next {
                    found.next = distance;
                }
            }
        }
        found
    }

    /// The distances of a row to the first eight centres, squared.
    #[inline]
    pub(super) fn first(&self, row: &[f64]) -> [f64; LANES] {
        apart(row, &self.blocks[..LANES * self.width])
    }
}

#[inline]
fn apart(row: &[f64], centres: &[f64]) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for (value, of_column) in row.iter().zip(centres.chunks_exact(LANES)) {
        for (sum, centre) in sums.iter_mut().zip(of_column) {
            let difference = value - centre;
            *sum += difference * difference;
        }
    }
    sums
}

/// The distance of two rows, squared.
#[inline]
pub(super) fn between(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| (one - other) * (one - other)).sum()
}
