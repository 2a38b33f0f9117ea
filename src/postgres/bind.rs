//! Parse and Bind gain the tenant's parameters behind the client's own.

use super::encode;
use super::wire::{self, Bind, Reader, WireError};
use crate::policy::TenantId;
use crate::sql::catalog::Catalog;
use crate::sql::catalogs::parameters;
use crate::sql::private::channel_value;
use crate::sql::rows::{self, oid};
use crate::sql::{OwnParameter, Prepared, Refusal};
use bytes::{BufMut, BytesMut};

const TEXT: u16 = 0;
const BINARY: u16 = 1;

/// The types to send in Parse: the client's, 0 for those it left out, then the tenant's. A parameter that is written into the
/// tenant column gets that column's type, so that the server reads from its bytes what [`check`] read. Errors: 42501 where the
/// client gives such a parameter a type whose text may mean another value, 54000 over 65,535 parameters, 0A000 for a type that the tenant may not name.
pub fn types(declared: &[u32], prepared: &Prepared, catalog: Option<&Catalog>) -> Result<Vec<u32>, Refusal> {
    let client = usize::from(prepared.client_params);
    if client + prepared.tenant_types.len() > usize::from(u16::MAX) {
        return Err(Refusal::with_state("54000", "too many parameters")
            .detail("One parameter more than the statement has is needed for the tenant; the protocol has room for 65535."));
    }
    if declared.len() > client {
        return Err(Refusal::not_understood("more parameter types than parameters"));
    }
    let takes = |oid: u32| catalog.map_or(oid == 0 || parameters::is_built_in(oid), |c| c.takes_parameters_of(oid));
    if !declared.iter().all(|oid| takes(*oid)) {
        return Err(Refusal::not_understood("a parameter declared as of this type is not supported")
            .hint("Leave its type out, and send it as text."));
    }
    let mut types = declared.to_vec();
    types.resize(client, 0);
    for own in &prepared.own {
        let slot = types.get_mut(usize::from(own.number).wrapping_sub(1)).ok_or_else(unreadable)?;
        match *slot {
            0 => *slot = own.type_oid,
            oid if agree(oid, own.type_oid) => {}
            _ => {
                return Err(Refusal::not_allowed(format!("parameter ${} must have the type of the tenant column", own.number)));
            }
        }
    }
    types.extend_from_slice(&prepared.tenant_types);
    Ok(types)
}

/// Checks a Bind against its statement as the server would, and the tenant's own values as the server cannot. `types` are those
/// that were sent in Parse. Errors: 08P01, 22023 in PostgreSQL's words; 42501 for another tenant's value.
pub fn check(bind: &Bind<'_>, prepared: &Prepared, types: &[u32], tenant: &TenantId) -> Result<(), Refusal> {
    let broken = |text: String| Err(Refusal::with_state("08P01", text));
    if bind.formats.len() > 1 && bind.formats.len() != usize::from(bind.count) {
        let (formats, count) = (bind.formats.len(), bind.count);
        return broken(format!("bind message has {formats} parameter formats but {count} parameters"));
    }
    if bind.count != prepared.client_params {
        let (name, count, wanted) = (bind.statement, bind.count, prepared.client_params);
        return broken(format!("bind message supplies {count} parameters, but prepared statement \"{name}\" requires {wanted}"));
    }
    if let Some(code) = bind.formats.iter().find(|c| **c > BINARY) {
        return Err(Refusal::with_state("22023", format!("unsupported format code: {code}")));
    }
    if prepared.own.is_empty() {
        return Ok(());
    }
    let mut values = Reader::new(bind.values);
    for index in 0..bind.count {
        let value = wire::value(&mut values).map_err(|_| unreadable())?;
        for own in prepared.own.iter().filter(|own| own.number == index + 1) {
            let oid = types.get(usize::from(index)).copied().unwrap_or(own.type_oid);
            if !is_own(value, format(bind, index), oid, tenant) {
                return Err(not_own(own));
            }
        }
    }
    Ok(())
}

/// Appends the Bind with the tenant's id, as text, for each of the statement's tenant types. Needs a Bind that passed [`check`].
pub fn write(out: &mut BytesMut, bind: &Bind<'_>, prepared: &Prepared, tenant: &TenantId) -> Result<(), WireError> {
    let added = vec![tenant.as_str().as_bytes(); prepared.tenant_types.len()];
    if prepared.channels.is_empty() {
        return put(out, bind, &added);
    }
    let values = with_channels(bind, prepared, tenant)?;
    put(out, &Bind { values: &values, ..bind.clone() }, &added)
}

/// The values, each channel's name become the tenant's own. What is no name the server refuses as it is.
fn with_channels(bind: &Bind<'_>, prepared: &Prepared, tenant: &TenantId) -> Result<BytesMut, WireError> {
    let (mut values, mut out) = (Reader::new(bind.values), BytesMut::with_capacity(bind.values.len() + 64));
    for index in 0..bind.count {
        let value = wire::value(&mut values)?;
        let name = value.filter(|_| prepared.channels.contains(&(index + 1)));
        let mapped = name.map(wire::utf8).transpose()?.map(|name| channel_value(tenant, name));
        match mapped.as_deref().map(str::as_bytes).or(value) {
            None => out.put_i32(-1),
            Some(value) => {
                out.put_i32(i32::try_from(value.len()).map_err(|_| WireError::Value)?);
                out.put_slice(value);
            }
        }
    }
    Ok(out)
}

/// Appends the Bind as it is.
pub fn write_plain(out: &mut BytesMut, bind: &Bind<'_>) -> Result<(), WireError> {
    put(out, bind, &[])
}

fn put(out: &mut BytesMut, bind: &Bind<'_>, added: &[&[u8]]) -> Result<(), WireError> {
    encode::message(out, b'B', |b| {
        encode::string(b, bind.portal.as_bytes())?;
        encode::string(b, bind.statement.as_bytes())?;
        formats(b, bind, added.len())?;
        encode::count(b, usize::from(bind.count) + added.len())?;
        b.put_slice(bind.values);
        for value in added {
            b.put_i32(i32::try_from(value.len()).map_err(|_| WireError::Value)?);
            b.put_slice(value);
        }
        b.put_slice(bind.results);
        Ok(())
    })
}

/// The three forms: no code (all text) and one text code hold for more parameters as they are; one binary code becomes one for
/// each; a code for each goes on with text.
fn formats(out: &mut BytesMut, bind: &Bind<'_>, added: usize) -> Result<(), WireError> {
    match bind.formats.as_slice() {
        [] => encode::count(out, 0),
        [TEXT] => {
            encode::count(out, 1)?;
            out.put_u16(TEXT);
            Ok(())
        }
        _ => {
            encode::count(out, usize::from(bind.count) + added)?;
            (0..bind.count).for_each(|index| out.put_u16(format(bind, index)));
            (0..added).for_each(|_| out.put_u16(TEXT));
            Ok(())
        }
    }
}

fn format(bind: &Bind<'_>, index: u16) -> u16 {
    match bind.formats.as_slice() {
        [] => TEXT,
        [all] => *all,
        each => each.get(usize::from(index)).copied().unwrap_or(TEXT),
    }
}

/// Does a value of the declared type, assigned to the column's, keep what its bytes say? `007` as an integer put into a text
/// column would not.
fn agree(declared: u32, column: u32) -> bool {
    let text = |o: u32| matches!(o, oid::TEXT | oid::VARCHAR | oid::UNKNOWN);
    let integer = |o: u32| matches!(o, oid::INT2 | oid::INT4 | oid::INT8);
    declared == column || (text(declared) && text(column)) || (integer(declared) && integer(column))
}

fn is_own(value: Option<&[u8]>, format: u16, type_oid: u32, tenant: &TenantId) -> bool {
    value.is_some_and(|value| rows::same(value, format, type_oid, tenant))
}

fn not_own(own: &OwnParameter) -> Refusal {
    Refusal::not_allowed("a row can only be written for this tenant")
        .detail(format!("Parameter ${} stands for the tenant column and has another value.", own.number))
}

fn unreadable() -> Refusal {
    Refusal::with_state("08P01", "invalid message format")
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;
