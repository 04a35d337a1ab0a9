//! Open dead letters, counted when they come ([`came`]) and go ([`went`]), by fingerprint and by integration: what people look at
//! first must not cost more the worse things stand.

use super::failure::Done;
use super::outcome::Died;
use super::writing::Writing;

/// One more.
pub(super) fn came(writing: &Writing<'_>, integration: &str, died: &Died<'_>) -> Done<()> {
    writing
        .connection
        .prepare_cached(
            "INSERT INTO dead_letter_group (fingerprint, integration, class, code, open) VALUES (?1, ?2, ?3, ?4, 1)
             ON CONFLICT (fingerprint) DO UPDATE SET open = open + 1",
        )?
        .execute((died.fingerprint, integration, died.class.as_str(), died.code))?;
    writing
        .connection
        .prepare_cached(
            "INSERT INTO dead_letter_count (integration, open) VALUES (?1, 1)
             ON CONFLICT (integration) DO UPDATE SET open = open + 1",
        )?
        .execute([integration])?;
    Ok(())
}

/// One less. What has none any more is forgotten.
pub(super) fn went(writing: &Writing<'_>, integration: &str, fingerprint: &str) -> Done<()> {
    let statements = [
        ("UPDATE dead_letter_group SET open = open - 1 WHERE fingerprint = ?1", fingerprint),
        ("DELETE FROM dead_letter_group WHERE fingerprint = ?1 AND open <= 0", fingerprint),
        ("UPDATE dead_letter_count SET open = open - 1 WHERE integration = ?1", integration),
        ("DELETE FROM dead_letter_count WHERE integration = ?1 AND open <= 0", integration),
    ];
    for (sql, which) in statements {
        writing.connection.prepare_cached(sql)?.execute([which])?;
    }
    Ok(())
}
