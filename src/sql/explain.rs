//! What becomes of a statement and why, for people: each addition as the verifier proved it, with the policy's line.

use super::private::Private;
use super::verify::{self, Hold};
use super::{Judge, Refusal};
use crate::policy::{TableRule, TenantId};

/// A statement as it would be sent, with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The text that would be sent as a simple query.
    pub rewritten: String,
    /// One for each reference to a listed relation and each further addition.
    pub reasons: Vec<Reason>,
}

/// Why a part stands in the text that is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `guard`, `guarded subquery`, `tenant column`, `own value`, `upsert`, `fence`, `advisory lock`, `shared`, `own`
    pub kind: &'static str,
    /// What it is for: `public.orders AS o`.
    pub subject: String,
    /// In a sentence.
    pub text: String,
    /// `policies/shop.yaml:12`
    pub policy: Option<String>,
    /// 1-based character position in the client's text.
    pub position: Option<u32>,
}

impl Judge {
    /// Explains a simple query of this tenant. Errors: the refusal that a client would get.
    pub fn explain(&self, sql: &str, tenant: &TenantId) -> Result<Explanation, Refusal> {
        let private = Private { tenant: Some(tenant.clone()), ..Private::default() };
        let judged = self.judge(sql, None, &private, false)?;
        judged.statements.iter().try_for_each(|s| s.fits(tenant))?;
        let first = judged.first;
        let proof = verify::verify_for(sql, judged.template.as_str(), &self.catalog, first, &private)
            .map_err(|d| Refusal::not_understood("statement could not be proved to stay within the tenant").detail(d.to_string()))?;
        let mut reasons: Vec<Reason> = proof.held.iter().map(|held| self.reason(held, sql, tenant)).collect();
        reasons.extend(self.catalog.relations.values().filter_map(|relation| {
            let name = format!("{}.{}", relation.schema, relation.name);
            let shared = relation.rule == TableRule::SharedRead && proof.relations.contains(&name);
            let policy = Some(format!("{}:{}", relation.place.file, relation.place.line));
            let text = "every tenant reads the same rows".into();
            shared.then_some(Reason { kind: "shared", subject: name, text, policy, position: None })
        }));
        reasons.extend(self.catalog.relations.values().filter(|r| r.is_own()).filter_map(|relation| {
            let name = format!("{}.{}", relation.schema, relation.name);
            let policy = (relation.place.line > 0).then(|| format!("{}:{}", relation.place.file, relation.place.line));
            let text = "the whole of it is this tenant's, in its own place".into();
            proof.relations.contains(&name).then_some(Reason { kind: "own", subject: name, text, policy, position: None })
        }));
        Ok(Explanation { rewritten: judged.template.filled(tenant.as_str()).as_str().to_owned(), reasons })
    }

    fn reason(&self, held: &verify::Held, sql: &str, tenant: &TenantId) -> Reason {
        let name = held.relation.split_once('.').map(|(schema, name)| (schema.to_owned(), name.to_owned()));
        let relation = name.and_then(|key| self.catalog.relations.get(&key));
        let column = match relation.map(|r| &r.rule) {
            Some(TableRule::Scoped { column, .. }) => column.as_str(),
            Some(TableRule::Through(_)) => "parent",
            _ => "the tenant column",
        };
        let (kind, text) = match held.hold {
            Hold::Filter => ("guard", format!("only rows whose {column} is '{}'", tenant.as_str())),
            Hold::Wrapped => (
                "guarded subquery",
                format!("only rows whose {column} is '{}'; no filter of this join could hold the guard", tenant.as_str()),
            ),
            Hold::Inserted => ("tenant column", format!("{column} of every new row is '{}'", tenant.as_str())),
            Hold::Own => ("own value", format!("the statement writes {column} itself; '{}' is the only value it may", tenant.as_str())),
            Hold::Linked => ("parent", "what the row refers to must be the tenant's own".into()),
            Hold::Upsert => ("upsert", "a conflict with a row that is another's fails".into()),
            Hold::Lock => ("advisory lock", "its key is a digest with the tenant in it, so no other tenant's lock is the same".into()),
            Hold::Fence => ("fence", "this can fail on a row and quote it, so it runs only where the guard holds".into()),
        };
        let renamed = relation.is_some_and(|r| r.name != held.reference) && !held.reference.is_empty();
        let subject = if renamed { format!("{} AS {}", held.relation, held.reference) } else { held.relation.clone() };
        let policy = relation.map(|r| format!("{}:{}", r.place.file, r.place.line));
        let position = held.client.and_then(|at| sql.get(..at)).and_then(|before| u32::try_from(before.chars().count() + 1).ok());
        Reason { kind, subject, text, policy, position }
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
