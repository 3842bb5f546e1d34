//! What the user gives in order to name a shared file: a `.cascade` file, or a link.

use super::{CliError, address};
use crate::metafile::{MetafileOnDisk, SUFFIX};
use crate::session::Fetch;
use cascade_format::CascadeHash;
use cascade_format::link::{Link, LinkError, is_meant};
use clap::Arg;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Digits of the hash in the name of a file whose link has none.
const NAME_DIGITS: usize = 16;

/// A `.cascade` file, or a link.
#[derive(Debug, Clone)]
pub(super) enum Given {
    File(PathBuf),
    Link(Box<Link>),
}

impl Given {
    /// Reads an argument. A file whose name begins like a link is named with `./` in front.
    ///
    /// # Errors
    /// It is a link, and damaged.
    pub(super) fn read(argument: &OsStr) -> Result<Self, CliError> {
        match argument.to_str() {
            Some(text) if is_meant(text) => match text.parse() {
                Ok(link) => Ok(Self::Link(Box::new(link))),
                Err(error) => Err(CliError::usage(format!("{error}; copy it again, whole and in quotes"))),
            },
            _ => Ok(Self::File(argument.into())),
        }
    }

    /// Reads all of them.
    pub(super) fn read_all(arguments: &[OsString]) -> Result<Vec<Self>, CliError> {
        arguments.iter().map(|argument| Self::read(argument)).collect()
    }
}

/// Trackers as a user names them.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Trackers {
    /// Tracker to ask and to register with, in addition to those of links; may be given several times [default:
    /// 127.0.0.1:8888 if no other tracker or peer is named]
    #[arg(short, long = "tracker", value_name = "HOST:PORT", env = "CASCADE_TRACKER", value_delimiter = ',',
          value_parser = address::host_port)]
    trackers: Vec<String>,
}

impl Trackers {
    /// Those for a `.cascade` file: the named ones, else one on this machine.
    pub(super) fn for_file(&self) -> Vec<String> {
        if self.trackers.is_empty() { vec![super::DEFAULT_TRACKER.to_owned()] } else { self.trackers.clone() }
    }

    /// Those that were named, and no other.
    pub(super) fn named(&self) -> &[String] {
        &self.trackers
    }

    /// Those for a link: its own and the named ones. Without any, and without `peers`, one on this machine.
    fn for_link(&self, link: &Link, peers: &[String]) -> Vec<String> {
        let mut trackers: Vec<String> = link.trackers().iter().map(ToString::to_string).collect();
        trackers.extend(
            self.trackers.iter().filter(|named| !trackers.contains(named)).cloned().collect::<Vec<_>>(),
        );
        if trackers.is_empty() && peers.is_empty() { self.for_file() } else { trackers }
    }
}

/// What `--tracker` means where it is only written into a link.
pub(super) fn named_in_link(tracker: Arg) -> Arg {
    let tracker = tracker.value_parser(address::in_link);
    tracker.help("Tracker to name in the link; may be given several times [default: none]")
}

/// What `--tracker` means where nothing is registered.
pub(super) fn asked(tracker: Arg) -> Arg {
    tracker.help(
        "Tracker to ask, in addition to those of a link; may be given several times [default: 127.0.0.1:8888 if no other \
         tracker or peer is named]",
    )
}

/// Whom to ask about a shared file.
#[derive(Debug, Clone)]
pub(super) struct Contacts {
    pub(super) trackers: Vec<String>,
    pub(super) peers: Vec<String>,
}

impl Contacts {
    /// Those of a link, and those that were named besides.
    pub(super) fn of_link(link: &Link, trackers: &Trackers, named: &[String]) -> Self {
        let mut peers: Vec<String> = link.peers().iter().map(ToString::to_string).collect();
        peers.extend(named.iter().filter(|named| !peers.contains(named)).cloned().collect::<Vec<_>>());
        Self { trackers: trackers.for_link(link, &peers), peers }
    }
}

/// The name that the data file of a link gets: one that is safe.
pub(super) fn data_name(link: &Link) -> String {
    let digits = || link.cascade_hash().to_string().chars().take(NAME_DIGITS).collect::<String>();
    link.name().map_or_else(|| format!("cascade-{}", digits()), ToOwned::to_owned)
}

/// `DATA.cascade`: where the `.cascade` file of a data file or folder belongs.
pub(super) fn metafile_path(data: &Path) -> PathBuf {
    with_ending(&named(data), &format!(".{SUFFIX}"))
}

/// The path with `ending` behind the name.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The path in a form that ends with a name. A folder may be written with a slash behind it, or be called `.`.
fn named(path: &Path) -> PathBuf {
    match path.file_name() {
        Some(name) => path.with_file_name(name),
        None => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
    }
}

/// The name of a data file or folder, whatever form its path has.
pub(super) fn data_file_name(data: &Path) -> String {
    file_name(&named(data)).to_string_lossy().into_owned()
}

/// The order to fetch the `.cascade` file of a link to where it belongs beside the data.
pub(super) fn fetch(cascade_hash: CascadeHash, data: &Path, contacts: &Contacts) -> Fetch {
    let Contacts { trackers, peers } = contacts.clone();
    Fetch {
        cascade_hash,
        out: metafile_path(data),
        trackers,
        peers,
        no_wait: false,
        lan: false,
        aside: false,
    }
}

/// Opens a `.cascade` file.
pub(super) fn open(file: &Path) -> Result<MetafileOnDisk, CliError> {
    MetafileOnDisk::open(file).map_err(|error| CliError::failed(error.to_string()))
}

/// A user gives the last part of a path, whatever it is.
pub(super) fn file_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or(path.as_os_str())
}

/// The link of a `.cascade` file, with the data's name if it can be in a link.
pub(super) fn link_of(metafile: &MetafileOnDisk, name: Option<&str>) -> Result<Link, LinkError> {
    let mut link = Link::new(metafile.cascade_hash());
    let data = metafile.data_path().ok();
    let name = name
        .map(ToOwned::to_owned)
        .or_else(|| Some(file_name(data.as_deref()?).to_string_lossy().into_owned()));
    name.map_or(Ok(()), |name| link.set_name(&name))?;
    link.set_length(metafile.layout().length())?;
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "7f86d42dc67f91df9f2e86df49f95e3da8cd074fabf99abaf696bb07f0a15105";

    fn link(rest: &str) -> Link {
        format!("cascade:{HASH}{rest}").parse().unwrap()
    }

    #[test]
    fn links_and_files_are_told_apart() {
        let read = |text: &str| Given::read(OsStr::new(text));
        assert!(matches!(read("film.mkv.cascade"), Ok(Given::File(_))));
        assert!(matches!(read("./cascade:x"), Ok(Given::File(_))));
        assert!(matches!(read(&format!(" <CASCADE:{HASH}> ")), Ok(Given::Link(_))));
        assert!(read("cascade:x").unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn a_link_without_a_name_gets_one() {
        assert_eq!(data_name(&link("")), "cascade-7f86d42dc67f91df");
        assert_eq!(data_name(&link("?name=../x")), "_._x");
        assert_eq!(metafile_path(Path::new("a/x")), Path::new("a/x.cascade"));
    }

    #[test]
    fn a_folder_has_its_name_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().canonicalize().unwrap().join("photos");
        std::fs::create_dir_all(inner.join("sub")).unwrap();
        for way in [inner.clone(), inner.join(""), inner.join("."), inner.join("../photos/.")] {
            assert_eq!(data_file_name(&way), "photos");
            assert_eq!(metafile_path(&way).canonicalize().ok(), None);
            assert_eq!(metafile_path(&way).file_name(), Some(OsStr::new("photos.cascade")));
        }
        assert_eq!(metafile_path(&inner.join("sub/..")), inner.parent().unwrap().join("photos.cascade"));
    }

    #[test]
    fn whom_a_link_leads_to() {
        let named = Trackers { trackers: vec!["b:2".into(), "a:1".into()] };
        let contacts =
            Contacts::of_link(&link("?tracker=a:1&peer=c:3"), &named, &["c:3".into(), "d:4".into()]);
        assert_eq!(
            (contacts.trackers, contacts.peers),
            (vec!["a:1".into(), "b:2".into()], vec!["c:3".into(), "d:4".into()])
        );
        let none = Trackers { trackers: Vec::new() };
        assert_eq!(Contacts::of_link(&link(""), &none, &[]).trackers, [super::super::DEFAULT_TRACKER]);
        assert!(Contacts::of_link(&link("?peer=c:3"), &none, &[]).trackers.is_empty());
    }
}
