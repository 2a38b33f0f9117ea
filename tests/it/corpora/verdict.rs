//! What becomes of one statement: what PostgreSQL says of it, what the wall says, and what PostgreSQL says of what the wall would send.

use super::derive;
use super::ground::{Ground, Said};
use super::statements::Corpus;
use partywall::sql::Refusal;
use partywall::sql::private::Declared;
use partywall::sql::rows::RowType;

/// What becomes of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// PostgreSQL itself refuses it in this schema.
    Invalid(String),
    /// Sent, and proved; `alone`: without the second opinion.
    Accepted { alone: bool },
    /// The wall refuses it.
    Refused(String),
    /// What would be sent is refused, or has other columns.
    Broken(String),
}

/// Judges one statement as the wall does: for the extended protocol, and for the simple one where it has no parameters.
pub fn verdict(ground: &mut Ground, corpus: &Corpus, index: usize) -> Verdict {
    let sql = &corpus.statements[index].sql;
    let columns = match ground.in_private(corpus, index) {
        Said::Fine(columns) => Some(columns),
        // A driver says the types that cannot be told from the text.
        Said::Not(error) if error.code == "42P18" => None,
        Said::Not(error) => return Verdict::Invalid(format!("{} {}", error.code, error.message)),
    };
    ground.path_again();
    let judge = ground.judge();
    let tenant = derive::tenant(&judge);
    let prepared = match judge.extended_for(sql, Declared::default(), &tenant, &ground.temps) {
        Ok(prepared) => prepared,
        Err(refusal) => return Verdict::Refused(reason(&refusal) + &ground.kind_of(&refusal.message)),
    };
    let types = [vec![0; prepared.client_params.into()], prepared.tenant_types.clone()].concat();
    let mut alone = prepared.assurance.alone;
    let mut sent = vec![(prepared.outgoing.as_str().to_owned(), types, prepared.assurance.clone())];
    if prepared.client_params == 0 {
        match judge.simple_for(sql, &tenant, &ground.temps) {
            Ok(script) => {
                alone |= script.assurance.alone;
                sent.push((script.outgoing.as_str().to_owned(), Vec::new(), script.assurance.clone()));
            }
            Err(refusal) => return Verdict::Refused(reason(&refusal)),
        }
    }
    for (text, types, assurance) in sent {
        match (told(ground.in_shared(&text, &types), assurance.row_types(0)), &columns) {
            (Said::Not(error), Some(_)) => return Verdict::Broken(format!("{} {} in {text}", error.code, error.message)),
            (Said::Fine(got), Some(wanted)) if !same(&got, wanted) => {
                return Verdict::Broken(format!("other columns: {got:?} for {wanted:?} in {text}"));
            }
            _ => {}
        }
    }
    Verdict::Accepted { alone }
}

/// What the client is told: whole rows by the number of their table's row type, which is a user's (0).
fn told(said: Said, row_types: &[RowType]) -> Said {
    let Said::Fine(mut columns) = said else { return said };
    for row in row_types {
        let record = columns.get_mut(row.place).filter(|c| c.1 == 2249);
        record.into_iter().for_each(|column| column.1 = 0);
    }
    Said::Fine(columns)
}

/// Access lists are shown as texts (aclitem as text, and its array).
fn same(got: &[(String, u32)], wanted: &[(String, u32)]) -> bool {
    let shown = |oid: u32| match oid {
        1033 => 25,
        1034 => 1009,
        other => other,
    };
    got.len() == wanted.len() && got.iter().zip(wanted).all(|(g, w)| g.0 == w.0 && g.1 == shown(w.1))
}

fn reason(refusal: &Refusal) -> String {
    let detail = refusal.detail.as_ref().map(|d| format!(" ({d})")).unwrap_or_default();
    format!("{} {}{detail}", refusal.sqlstate, refusal.message)
}
