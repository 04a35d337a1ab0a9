//! What is sealed is kept as it is.

use crate::message_store::sqlite::SealedEntry;
use crate::message_store::suite::world::{OnDisk, START, Subject};

fn entry(kind: &str, name: &str, sealed: &[u8]) -> SealedEntry {
    SealedEntry { kind: kind.to_owned(), name: name.to_owned(), sealed: sealed.to_vec(), written_at: START }
}

#[tokio::test]
async fn the_last_row_of_each_name_is_there_after_a_crash_and_what_was_removed_is_not() {
    let mut disk = OnDisk::open();
    let sealed = disk.sqlite().sealed();
    assert_eq!(sealed.all().await.unwrap(), []);
    for row in
        [entry("secret", "crm.password", &[1]), entry("token", "crm", &[2]), entry("token", "crm", &[3]), entry("token", "erp", &[4])]
    {
        sealed.put(row).await.unwrap();
    }
    sealed.remove("token".to_owned(), "erp".to_owned()).await.unwrap();
    sealed.remove("token".to_owned(), "never-there".to_owned()).await.unwrap();
    drop(sealed);
    disk.crash().await;
    let sealed = disk.sqlite().sealed();
    assert_eq!(sealed.all().await.unwrap(), [entry("secret", "crm.password", &[1]), entry("token", "crm", &[3])]);
    sealed.remove_all().await.unwrap();
    assert_eq!(sealed.all().await.unwrap(), []);
}
