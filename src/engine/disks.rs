//! What the engines of this process have put on disk, and taking it away when the process ends.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::runtime_env::RuntimeEnv;

/// The disks that the engines of this process spill to: a run that a signal stops drops nothing, and its files must go all the same.
static DISKS: Mutex<Vec<Weak<DiskManager>>> = Mutex::new(Vec::new());

/// Remembers the disk of an engine.
pub(super) fn watch(runtime: &RuntimeEnv) {
    let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    disks.retain(|disk| disk.strong_count() > 0);
    disks.push(Arc::downgrade(&runtime.disk_manager));
}

/// Removes what all engines of this process have put on disk. Only for one that is about to end.
pub fn remove_spilled() {
    let disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    for disk in disks.iter().filter_map(Weak::upgrade) {
        // A run that goes on meanwhile writes no more, and may still make a file where one was removed.
        let _ = disk.set_max_temp_directory_size(0);
        for folder in disk.temp_dir_paths() {
            let _ = std::fs::remove_dir_all(&folder).or_else(|_| std::fs::remove_dir_all(&folder));
        }
    }
}
