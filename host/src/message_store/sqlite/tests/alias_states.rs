//! What is kept of aliases.

use crate::message_store::suite::world::{OnDisk, START, Subject};

fn state(alias: &str, text: &str) -> (String, String) {
    (alias.to_owned(), text.to_owned())
}

#[tokio::test]
async fn the_last_state_of_each_alias_is_there_after_a_crash_and_one_that_is_gone_is_forgotten() {
    let mut disk = OnDisk::open();
    assert_eq!(disk.sqlite().alias_states().all().await.unwrap(), []);
    disk.sqlite().alias_states().put(vec![state("crm", "1"), state("erp", "2")], START).await.unwrap();
    disk.sqlite().alias_states().put(vec![state("crm", "3")], START).await.unwrap();
    disk.crash().await;
    let states = disk.sqlite().alias_states();
    assert_eq!(states.all().await.unwrap(), [state("crm", "3"), state("erp", "2")]);
    states.forget(vec!["erp".to_owned(), "never-there".to_owned()]).await.unwrap();
    assert_eq!(states.all().await.unwrap(), [state("crm", "3")]);
}
