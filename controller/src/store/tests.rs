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
fn a_failed_write_is_not_the_last_one() {
    let folder = TempDir::new().unwrap();
    let (store, _stored) = open(&folder).unwrap();
    // As after a full disk: redb refuses everything until it is opened again.
    drop(store.database.lock().unwrap().take());
    let plan = Plan { generation: Generation(2), ..Plan::default() };
    store.put_plan(&plan).unwrap();
    drop(store);
    assert_eq!(open(&folder).unwrap().1.plan, plan);
}

#[test]
fn one_controller_at_a_time() {
    let folder = TempDir::new().unwrap();
    let first = open(&folder).unwrap();
    let error = open(&folder).unwrap_err();
    assert!(matches!(error, OpenStoreError::InUse(_)), "{error}");
    assert!(!crate::RunError::from(error).is_lasting(), "that one may be ending");
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
    assert!(crate::RunError::from(error).is_lasting());
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

    // Wherever it is damaged, it is either refused, or was not damaged where it matters.
    for offset in (0..whole.len()).step_by(997) {
        let mut flipped = whole.clone();
        flipped[offset] ^= 1;
        std::fs::write(file(&folder), &flipped).unwrap();
        match open(&folder) {
            Ok((_store, stored)) => assert_eq!((&*stored.ca_pem, stored.intent.is_some()), ("authority", true)),
            Err(_refused) => assert!(std::fs::read(file(&folder)).unwrap() == flipped, "byte {offset}: it was changed"),
        }
    }

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
