//! Markers: files that other programs leave beside the data, such as Spark's `_SUCCESS` and `.crc`, hidden files, and folders of either kind.

use object_store::path::Path;

use super::File;

/// The files that a location's wildcards match.
#[derive(Debug, Default)]
pub struct Found {
    /// The files, in order of path.
    pub files: Vec<File>,
    /// How many more are markers, which are not read.
    pub markers: u64,
}

/// Tells markers from the data that they lie beside.
pub struct Markers {
    /// How many folders the location names before its first wildcard.
    fixed: usize,
    /// The beginnings of a name that the location does not ask for itself.
    begin_with: Vec<char>,
}

impl Markers {
    /// For a location whose first wildcard stands at an offset. A location like `_old/*.csv` or `exports/_*.csv` asks for such names itself.
    pub fn beside(location: &str, wildcard: usize) -> Self {
        let fixed = location[..wildcard].split('/').count() - 1;
        let asked = |mark: &char| location.split('/').skip(fixed).any(|part| part.starts_with(*mark));
        Markers { fixed, begin_with: ['_', '.'].into_iter().filter(|mark| !asked(mark)).collect() }
    }

    /// Whether a file that matches the location is a marker, or lies in a folder of them.
    pub fn include(&self, path: &Path) -> bool {
        self.include_path(path.as_ref())
    }

    /// As [`Markers::include`], of a path that the store has no form for.
    pub fn include_path(&self, path: &str) -> bool {
        let marked = |part: &str| part.starts_with(self.begin_with.as_slice());
        path.split('/').skip(self.fixed).any(marked) || path.ends_with(".crc")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_location_asks_for_by_name_is_data() {
        for (location, path, is_marker) in [
            ("_in/*/*", "_in/day/part-0", false),
            ("in/*/*", "in/day/_SUCCESS", true),
            ("in/*/*", "in/day/.part-0.crc", true),
            ("in/**/*.csv", "in/_temporary/0/a.csv", true),
            ("in/**/*.csv", "in/day/.hidden/a.csv", true),
            ("in/**/*.csv", "in/day/a_b.csv", false),
            ("in/_*.csv", "in/_a.csv", false),
            ("in/_*/*.csv", "in/_a/.b.csv", true),
            ("in/*", "in/a.crc", true),
        ] {
            let markers = Markers::beside(location, location.find('*').unwrap());
            assert_eq!(markers.include(&Path::from(path)), is_marker, "{location} {path}");
        }
    }
}
