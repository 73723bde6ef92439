use std::path::Path;

use crate::support::{package, segmill};

/// The made part of the committed sample is what the generator makes, byte for byte.
#[test]
fn the_generator_reproduces_the_sample() {
    let folder = tempfile::tempdir().unwrap();
    let orders = "examples/data/orders/online_retail.parquet";
    let output = segmill(package(), &["generate", folder.path().to_str().unwrap(), "--orders", orders, "--seed", "42"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut compared = 0;
    for kind in ["crm", "web", "email", "suppression", "survey"] {
        let made = folder.path().join(kind);
        let committed = package().join("examples/data").join(kind);
        assert_eq!(names(&made), names(&committed));
        for name in names(&made) {
            let (made, committed) = (std::fs::read(made.join(&name)).unwrap(), std::fs::read(committed.join(&name)).unwrap());
            assert!(made == committed, "{kind}/{name} differs from what the generator makes");
            compared += 1;
        }
    }
    assert_eq!(compared, 29);
}

/// What the README says of the size of the committed data.
#[test]
fn the_sample_stays_small() {
    let mut bytes = 0;
    for kind in ["orders", "crm", "web", "email", "suppression", "survey"] {
        let folder = package().join("examples/data").join(kind);
        bytes += names(&folder).iter().map(|name| folder.join(name).metadata().unwrap().len()).sum::<u64>();
    }
    assert!(bytes < 15 * 1024 * 1024, "{bytes} bytes");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
