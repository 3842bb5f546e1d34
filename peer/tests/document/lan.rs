//! The names of the local network.

use super::{DOCUMENT, metafile};
use cascade_peer::swarm_name;

#[test]
fn the_swarm_s_name_in_the_document_is_the_one_that_is_announced() {
    let name = swarm_name(&metafile().cascade_hash());
    assert!(DOCUMENT.contains(&format!("`{name}`")), "the document has another name than {name}");
    let instance = format!("```text lan-instance\n{name}-0000beef._cascade._tcp.local.\n```");
    assert!(DOCUMENT.contains(&instance), "{instance}");
}
