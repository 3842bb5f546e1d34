//! Which names and which link targets are taken.

use crate::error::Fault;
use crate::limits::{MAX_COMPONENT_LEN, MAX_TARGET_LEN};
use cascade_format::name::{Deception, deception};

/// Checks one component of a path.
pub(crate) fn check_component(name: &str) -> Result<(), Fault> {
    match name {
        "" => return Err(Fault::Empty),
        "." => return Err(Fault::Dot),
        ".." => return Err(Fault::DotDot),
        _ => {}
    }
    if name.len() > MAX_COMPONENT_LEN {
        return Err(Fault::ComponentTooLong(name.len()));
    }
    if name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(());
    }
    name.chars().try_for_each(|character| match deception(character) {
        None => Ok(()),
        Some(_) if character == '\0' => Err(Fault::Zero),
        Some(Deception::Control) => Err(Fault::Control(character)),
        Some(Deception::Direction) => Err(Fault::Direction(character)),
        Some(Deception::Invisible) => Err(Fault::Invisible(character)),
    })
}

/// Checks the target of a link that is `depth` folders below the shared one.
///
/// `..` is taken only at the start, where it leads through the folders that the link is in. These are no links,
/// for nothing stands below a link. Behind a name it could lead anywhere, for the name may be a link itself. So
/// each link begins at a folder inside and goes up no further than to the shared folder, then only down, and
/// through other such links: a chain of them cannot leave either.
pub(crate) fn check_target(target: &str, depth: usize) -> Result<(), Fault> {
    if target.is_empty() {
        return Err(Fault::NoTarget);
    }
    if target.len() > MAX_TARGET_LEN {
        return Err(Fault::TargetTooLong(target.len()));
    }
    if let Some(character) = target.chars().find(|character| deception(*character).is_some()) {
        return Err(Fault::TargetCharacter(character));
    }
    if target.starts_with('/') {
        return Err(Fault::TargetAbsolute);
    }
    let (mut up, mut down) = (0, false);
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if down => return Err(Fault::TargetClimbs),
            ".." => up += 1,
            _ => down = true,
        }
    }
    if up > depth { Err(Fault::TargetLeaves) } else { Ok(()) }
}

/// Whether a symbolic link at `path` may have this target: for those who walk a tree and leave out the others.
///
/// # Errors
/// What is wrong with the target.
pub fn check_link(path: &str, target: &str) -> Result<(), Fault> {
    check_target(target, path.bytes().filter(|byte| *byte == b'/').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_of_a_link_is_that_of_its_path() {
        assert_eq!(check_link("a/b", "../c"), Ok(()));
        assert_eq!(check_link("a", "../c"), Err(Fault::TargetLeaves));
    }

    #[test]
    fn a_component_is_checked() {
        for name in
            ["a", "a b", "...", "..a", ".hidden", "-rf", "a\\b", "C:", "ä", "日本", "👍", &"n".repeat(255)]
        {
            assert_eq!(check_component(name), Ok(()), "{name:?}");
        }
        for (name, fault) in [
            ("", Fault::Empty),
            (".", Fault::Dot),
            ("..", Fault::DotDot),
            ("a\0", Fault::Zero),
            ("a\nb", Fault::Control('\n')),
            ("\u{7f}", Fault::Control('\u{7f}')),
            ("\u{9b}2J", Fault::Control('\u{9b}')),
            ("\u{2028}", Fault::Control('\u{2028}')),
            ("\u{202e}gpj.exe", Fault::Direction('\u{202e}')),
            ("a\u{200b}", Fault::Invisible('\u{200b}')),
            ("\u{feff}a", Fault::Invisible('\u{feff}')),
            (&"n".repeat(256), Fault::ComponentTooLong(256)),
            (&"ä".repeat(128), Fault::ComponentTooLong(256)),
        ] {
            assert_eq!(check_component(name), Err(fault), "{name:?}");
        }
    }

    #[test]
    fn a_target_stays_inside() {
        for (target, depth) in [
            ("a", 0),
            ("a/b/", 0),
            ("./a//./b", 0),
            (".", 0),
            ("..", 1),
            ("../..", 2),
            ("../a", 1),
            ("./../a/...", 1),
            (&"t".repeat(4095), 0),
        ] {
            assert_eq!(check_target(target, depth), Ok(()), "{target:?} {depth}");
        }
        for (target, depth, fault) in [
            ("", 0, Fault::NoTarget),
            ("/etc/passwd", 9, Fault::TargetAbsolute),
            ("//a", 9, Fault::TargetAbsolute),
            ("..", 0, Fault::TargetLeaves),
            ("../../a", 1, Fault::TargetLeaves),
            (".//..", 0, Fault::TargetLeaves),
            ("a/..", 9, Fault::TargetClimbs),
            ("../a/../b", 9, Fault::TargetClimbs),
            ("a\0b", 9, Fault::TargetCharacter('\0')),
            ("a\u{202e}b", 9, Fault::TargetCharacter('\u{202e}')),
            (&"t".repeat(4096), 9, Fault::TargetTooLong(4096)),
        ] {
            assert_eq!(check_target(target, depth), Err(fault), "{target:?} {depth}");
        }
    }
}
