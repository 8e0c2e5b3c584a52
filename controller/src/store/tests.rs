//! What is written is there again; what cannot be read is left alone.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;

use samspill_model::plan::Generation;
use tempfile::TempDir;

use super::*;
use crate::fixtures;

fn open(folder: &TempDir) -> Result<(Store, Stored), OpenStoreError> {
    Store::open(folder.path(), || Ok::<_, Infallible>("authority".to_owned()))
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("controller.redb")
}

#[test]
fn everything_is_there_again() {
    let folder = TempDir::new().unwrap();
    let (store, stored) = open(&folder).unwrap();
    assert_eq!((stored.intent, stored.plan.generation), (None, Generation(0)));
    assert_eq!(std::fs::metadata(file(&folder)).unwrap().permissions().mode() & 0o777, 0o600);

    let intent = fixtures::intent("invoicing", 2);
    let overrides = Overrides::from([(WorkloadName::new("craterate", "invoicing"), 5)]);
    let spent = SpentTokens::from([("token".to_owned(), "request".to_owned())]);
    let plan = Plan { generation: Generation(7), ..Plan::default() };
    store.put_intent(&intent).unwrap();
    store.put_overrides(&overrides).unwrap();
    store.put_spent(&spent).unwrap();
    store.put_plan(&plan).unwrap();
    drop(store);

    let (store, stored) = Store::open(folder.path(), || Err("a second authority")).unwrap();
    assert_eq!(stored.ca_pem, "authority");
    assert_eq!((stored.intent, &stored.overrides), (Some(intent.clone()), &overrides));
    assert_eq!((stored.spent, stored.plan), (spent, plan));

    store.put_intent(&intent).unwrap();
    drop(store);
    assert_eq!(open(&folder).unwrap().1.overrides, Overrides::new(), "the files win over what was scaled");
}

#[test]
fn one_controller_at_a_time() {
    let folder = TempDir::new().unwrap();
    let first = open(&folder).unwrap();
    let error = open(&folder).unwrap_err();
    assert!(matches!(error, OpenStoreError::InUse(_)), "{error}");
    drop(first);
    open(&folder).unwrap();
}

#[test]
fn a_newer_store_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let (store, _stored) = open(&folder).unwrap();
    // A newer one may also have turned everything else around.
    store.write(&[(KEY_SCHEMA, json(&(SCHEMA + 1))), (KEY_CA, b"another format".to_vec())]).unwrap();
    drop(store);
    let before = std::fs::read(file(&folder)).unwrap();
    let error = open(&folder).unwrap_err();
    assert!(matches!(error, OpenStoreError::Newer { found: 2, known: 1, .. }), "{error}");
    assert!(std::fs::read(file(&folder)).unwrap() == before, "the file was changed");
}

#[test]
fn a_damaged_store_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let (store, _stored) = open(&folder).unwrap();
    store.put_intent(&fixtures::intent("invoicing", 2)).unwrap();
    drop(store);
    let whole = std::fs::read(file(&folder)).unwrap();

    let refused = |bytes: &[u8], what: &str| {
        std::fs::write(file(&folder), bytes).unwrap();
        let error = open(&folder).err().unwrap_or_else(|| panic!("opened although {what}"));
        assert!(matches!(error, OpenStoreError::Corrupt { .. }), "{what}: {error}");
        assert!(std::fs::read(file(&folder)).unwrap() == bytes, "the file was changed, which was: {what}");
    };
    refused(b"", "empty");
    refused(b"apiVersion: v1", "another file");
    refused(&whole[..whole.len() / 2], "cut off");
    let authority = whole.windows(9).rposition(|bytes| bytes == b"authority").unwrap();
    let mut flipped = whole.clone();
    flipped[authority] ^= 1;
    refused(&flipped, "one bit in the authority is wrong");

    std::fs::write(file(&folder), &whole).unwrap();
    open(&folder).unwrap();
}

#[test]
fn a_value_that_cannot_be_read_is_named() {
    let folder = TempDir::new().unwrap();
    let (store, _stored) = open(&folder).unwrap();
    store.write(&[(KEY_PLAN, b"{}".to_vec())]).unwrap();
    drop(store);
    let error = open(&folder).unwrap_err().to_string();
    assert!(error.contains("its `plan` cannot be read (missing field `generation`"), "{error}");
}

#[test]
fn zz_adhoc() {
    let folder = TempDir::new().unwrap();
    let (store, _stored) = open(&folder).unwrap();
    store.put_intent(&fixtures::intent("invoicing", 2)).unwrap();
    drop(store);
    let whole = std::fs::read(file(&folder)).unwrap();
    println!("size {}", whole.len());
    let (mut ok, mut refused, mut panicked, mut changed) = (0, 0, Vec::new(), Vec::new());
    let offsets = (0..16384).chain((16384..whole.len()).step_by(401));
    std::panic::set_hook(Box::new(|_| {}));
    for offset in offsets {
        let mut flipped = whole.clone();
        flipped[offset] ^= 1 << (offset % 8);
        std::fs::write(file(&folder), &flipped).unwrap();
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| open(&folder).map(|(_, s)| s))) {
            Err(_) => panicked.push(offset),
            Ok(Ok(stored)) => { ok += 1; assert_eq!(stored.ca_pem, "authority"); assert!(stored.intent == Some(fixtures::intent("invoicing", 2)), "{offset}"); }
            Ok(Err(_)) => { refused += 1; if std::fs::read(file(&folder)).unwrap() != flipped { changed.push(offset); } }
        }
    }
    println!("ok {ok} refused {refused} panicked {panicked:?} changed {changed:?}");
}
