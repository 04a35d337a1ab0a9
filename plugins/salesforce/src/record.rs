//! The records a message asks to write: `{"records": [{"type", "externalIdField", "externalId", "fields"}]}`.

use lockgate_sdk::{Failure, Field};
use serde_json::{Map, Value};

/// Salesforce takes 25 subrequests in one composite request
/// (<https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_composite.htm>).
const RECORDS_MAX: usize = 25;

/// One record to upsert.
pub struct Record<'a> {
    pub kind: &'a str,
    pub external_id_field: &'a str,
    pub external_id: &'a str,
    pub fields: &'a Map<String, Value>,
}

/// Reads and checks the records of a message.
///
/// # Errors
///
/// Permanent: `required-field-missing`, `field-type-wrong`, `record-invalid`, `reference-in-text`, each with the pointer;
/// `too-many-records`.
pub fn read(document: &Value) -> Result<Vec<Record<'_>>, Failure> {
    let root = Field::root(document);
    let list = root.object()?.ok_or_else(|| root.wrong("an object"))?.at("records");
    let items = list.required(list.objects()?)?;
    if items.len() > RECORDS_MAX {
        let detail = format!("{} records, and one composite request takes {RECORDS_MAX}: more cannot be written all or none", items.len());
        return Err(Failure::permanent("too-many-records", detail));
    }
    items.iter().map(record).collect()
}

fn record<'a>(item: &Field<'a>) -> Result<Record<'a>, Failure> {
    let external_id = item.at("externalId");
    let fields = item.at("fields");
    fields.required(fields.object()?)?;
    let record = Record {
        kind: api_name(&item.at("type"))?,
        external_id_field: api_name(&item.at("externalIdField"))?,
        external_id: external_id.required(external_id.text()?)?,
        fields: fields.value().and_then(Value::as_object).ok_or_else(|| fields.wrong("an object"))?,
    };
    if record.external_id.is_empty() {
        return Err(invalid(&external_id, "is empty, and would address every record without one"));
    }
    for name in [record.external_id_field, "Id"] {
        if record.fields.keys().any(|field| field.eq_ignore_ascii_case(name)) {
            return Err(invalid(&fields.at(name), "is what the record is found by, and cannot be written as a field too"));
        }
    }
    record.fields.iter().try_for_each(|(name, value)| refuse_references(&fields.at(name), value))?;
    Ok(record)
}

/// Names go into a URL, so only what Salesforce allows in API names: a letter, then letters, digits and underscores.
fn api_name<'a>(field: &Field<'a>) -> Result<&'a str, Failure> {
    let name = field.required(field.text()?)?;
    let fits = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits { Ok(name) } else { Err(invalid(field, "is no Salesforce API name")) }
}

/// A composite request replaces `@{reference.field}` wherever it stands, and has no way to say it is meant as text. Text from
/// outside must neither be replaced nor read another record, so it is refused.
fn refuse_references(field: &Field<'_>, value: &Value) -> Result<(), Failure> {
    match value {
        Value::String(text) if text.contains("@{") => {
            let detail = format!("{} contains `@{{`, which Salesforce would replace as a reference to another record", field.pointer());
            Err(Failure::permanent("reference-in-text", detail))
        }
        Value::Object(members) => members.iter().try_for_each(|(name, value)| refuse_references(&field.at(name), value)),
        Value::Array(items) => items.iter().try_for_each(|item| refuse_references(field, item)),
        _ => Ok(()),
    }
}

fn invalid(field: &Field<'_>, why: &str) -> Failure {
    Failure::permanent("record-invalid", format!("{} {why}", field.pointer()))
}
