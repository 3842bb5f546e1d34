use super::super::inspect::Described;
use super::super::told::How;
use super::*;
use crate::ground::Stamp;
use crate::session::engine::Stop;
use crate::store::Records;
use cascade_format::Layout;
use cascade_hash::Sha256Stream;
use std::fs::{self, File};

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A file of three blocks of 256 KiB, which sleeps.
async fn sleeping(folder: &Path, paranoid: bool) -> (Arc<Awake>, Engine, CascadeHash) {
    let (bytes, layout) = (vec![7; 3 << 18], Layout::new(3 << 18, 256 << 10).unwrap());
    let (path, data) = (folder.join("film.bin.cascade"), folder.join("film.bin"));
    let head = [*b"CASCADE1", [0; 8], layout.length().to_be_bytes(), layout.block_size().to_be_bytes()];
    let hashes = bytes.chunks(256 << 10).flat_map(Sha256Stream::digest);
    let whole = Sha256Stream::digest(&bytes);
    fs::write(&path, head.concat().into_iter().chain(whole).chain(hashes).collect::<Vec<u8>>()).unwrap();
    fs::write(&data, &bytes).unwrap();
    let hash = MetafileOnDisk::open(&path).unwrap().cascade_hash();
    let stamp = Stamp::of(&File::open(&data).unwrap()).unwrap();
    let engine = Engine::new(None, true, Records::in_folder(folder), Stop::default()).unwrap();
    let engine = Engine { paranoid, ..engine };
    let (report, _) = mpsc::channel(16);
    let awake = Awake::start(&engine, Handles::new(16), report);
    engine.catalog.set_sleepers(Arc::<Awake>::clone(&awake));
    let described = Described { hash, layout, was_complete: true };
    awake.put(path.into(), Checked { described, have: None, stamp, how: How::Known });
    (awake, engine, hash)
}

async fn woken(engine: &Engine, name: &CascadeHash) -> Arc<Served> {
    let begin = clock::now();
    loop {
        match engine.catalog.find(name) {
            Lookup::Served(served) => return served,
            Lookup::Opening => tokio::time::sleep(Duration::from_millis(2)).await,
            other @ (Lookup::NotNow | Lookup::Unknown) => panic!("{other:?}"),
        }
        assert!(begin.elapsed() < PATIENCE, "it is not woken");
    }
}

#[tokio::test]
async fn a_file_is_woken_by_the_name_of_its_slices_and_put_away_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let (awake, engine, hash) = sleeping(folder.path(), false).await;
    let name = slices::name(&hash);
    let served = woken(&engine, &name).await;
    assert!(served.is_sliced() && served.asked() > 0);
    let whole = woken(&engine, &hash).await;
    assert!(!whole.is_sliced() && Arc::ptr_eq(whole.slices().unwrap(), &served));
    drop(whole);
    awake.put_away_unused(Duration::ZERO);
    assert!(engine.catalog.get(&name).is_some(), "somebody holds its slices");
    drop(served);
    awake.put_away_unused(Duration::ZERO);
    assert!(engine.catalog.get(&name).is_none() && engine.catalog.get(&hash).is_none());
    assert_eq!(awake.asleep(), 1);

    drop(woken(&engine, &name).await);
    awake.withdraw(&hash, false);
    assert!(matches!(engine.catalog.find(&name), Lookup::Unknown));
    assert!(matches!(engine.catalog.find(&hash), Lookup::Unknown));
    assert!(awake.slices().is_empty());
}

#[tokio::test]
async fn where_each_block_is_hashed_slices_are_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let (_awake, engine, hash) = sleeping(folder.path(), true).await;
    let name = slices::name(&hash);
    assert!(matches!(engine.catalog.find(&name), Lookup::Unknown));
    assert!(woken(&engine, &hash).await.slices().is_none());
    assert!(matches!(engine.catalog.find(&name), Lookup::Unknown));
}
