//! GPU feature discovery writes labels through a folder of the node or through the API, each a privilege that a lab would have to
//! grant. On a real cluster the node is labelled when it is made; this program says so and waits.

use super::told_to_end;
use crate::host::{self, Host};

pub fn run(_: &Host) -> i32 {
    eprintln!("Starting OS watcher.\nLoading configuration. (simulated by Cordon, cordon.dev/simulated)");
    eprintln!("The node was labelled when the cluster was made; no labels to write. Waiting indefinitely.");
    host::block_on(told_to_end())
}
