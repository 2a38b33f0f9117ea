//! Which settings a tenant may SET, SHOW, `set_config` and put into its startup message.

use super::Refusal;
use std::collections::BTreeSet;

/// Settings that change only how this session sees its own values, or its own limits.
const SAFE: &[&str] = &[
    "application_name",
    "backslash_quote",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_text_search_config",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "enable_bitmapscan",
    "enable_hashagg",
    "enable_hashjoin",
    "enable_indexonlyscan",
    "enable_indexscan",
    "enable_material",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_seqscan",
    "enable_sort",
    "escape_string_warning",
    "extra_float_digits",
    "from_collapse_limit",
    "geqo",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "join_collapse_limit",
    "lock_timeout",
    "plan_cache_mode",
    "quote_all_identifiers",
    // Off, it makes statements fail that row-level security would cut; it never shows more.
    "row_security",
    "standard_conforming_strings",
    "statement_timeout",
    "synchronize_seqscans",
    "synchronous_commit",
    "timezone",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    "transaction_timeout",
    "xmloption",
];

/// Safe settings that [`may_set`] keeps some values from.
const VALUES_MATTER: &[&str] = &[
    "client_encoding",
    "standard_conforming_strings",
    "client_min_messages",
    "default_text_search_config",
    "synchronize_seqscans",
    "default_transaction_deferrable",
    "transaction_deferrable",
];

/// Settings that may be read and not changed.
const READABLE: &[&str] = &[
    "integer_datetimes",
    "is_superuser",
    "max_identifier_length",
    "max_index_keys",
    "server_encoding",
    "server_version",
    "server_version_num",
    "search_path",
    "block_size",
    "lc_collate",
    "lc_ctype",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lc_messages",
    "default_table_access_method",
    "default_tablespace",
    "password_encryption",
];

/// What pg_dump asks since 2024 (CVE-2024-7348): nothing where pg_settings has no such row, and a tenant's has none.
pub const DUMP_GUARD: &str =
    "SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'";

/// May it be read? Names are compared without case.
pub fn may_show(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SAFE.contains(&name.as_str()) || READABLE.contains(&name.as_str())
}

/// Settings that the server shows to nobody but superusers and their like, so its own list may lack them.
const UNSEEN: &[&str] = &[
    "all",
    "config_file",
    "data_directory",
    "dynamic_library_path",
    "external_pid_file",
    "hba_file",
    "ident_file",
    "krb_server_keyfile",
    "local_preload_libraries",
    "log_directory",
    "log_filename",
    "primary_conninfo",
    "primary_slot_name",
    "promote_trigger_file",
    "restore_command",
    "role",
    "session_authorization",
    "session_preload_libraries",
    "shared_preload_libraries",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_key_file",
    "stats_temp_directory",
    "unix_socket_directories",
];

/// What a name that is not safe is refused with: one that the server does not have (`known` are its names) in the server's words.
pub fn refused(name: &str, known: &BTreeSet<String>, otherwise: &str) -> Refusal {
    let lower = name.to_ascii_lowercase();
    if known.is_empty() || known.contains(&lower) || UNSEEN.contains(&lower.as_str()) {
        return Refusal::not_allowed(format!("permission denied to {otherwise} \"{lower}\""));
    }
    Refusal::with_state("42704", format!("unrecognized configuration parameter \"{name}\""))
}

/// The names that may be read, in lower case.
pub fn readable() -> impl Iterator<Item = &'static str> {
    SAFE.iter().chain(READABLE).copied()
}

/// May it be set to a value that is known only when the statement runs? Not where the wall keeps some values from it.
pub fn may_set_any(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SAFE.contains(&name.as_str()) && !VALUES_MATTER.contains(&name.as_str())
}

/// May it be set to this value? `value` is None for DEFAULT and RESET. Errors: 42501 with the reason.
pub fn may_set(name: &str, value: Option<&str>) -> Result<(), Refusal> {
    let name = name.to_ascii_lowercase();
    if !SAFE.contains(&name.as_str()) {
        return Err(Refusal::not_allowed(format!("permission denied to set parameter \"{name}\"")));
    }
    let Some(value) = value else { return Ok(()) };
    let value = value.to_ascii_lowercase();
    let pinned = match name.as_str() {
        "client_encoding" => !matches!(value.as_str(), "utf8" | "utf-8" | "unicode"),
        "standard_conforming_strings" => !matches!(value.as_str(), "on" | "true" | "yes" | "1" | "t" | "y"),
        // At `log` and below the server would send what it writes into its log: statements as the wall has rewritten them, and plans.
        "client_min_messages" => !matches!(value.as_str(), "notice" | "warning" | "error"),
        // A scan would begin where another session's is (syncscan.c), which pg_dump turns off; a transaction would wait for those of others.
        "synchronize_seqscans" | "default_transaction_deferrable" | "transaction_deferrable" => {
            !matches!(value.as_str(), "off" | "false" | "no" | "0" | "f" | "n")
        }
        // The server would say whether the schema is there.
        "default_text_search_config" => value.contains('.') && !value.starts_with("pg_catalog."),
        _ => false,
    };
    if pinned {
        let reason = match name.as_str() {
            "client_min_messages" => "The server would send what it writes into its log.",
            "default_transaction_deferrable" | "transaction_deferrable" => "A transaction would wait for those of other sessions.",
            "synchronize_seqscans" => "A scan would begin where another session's is.",
            "default_text_search_config" => "Name a configuration without a schema, or one of pg_catalog.",
            _ => "The wall reads statements by this setting and keeps it fixed.",
        };
        return Err(Refusal::not_allowed(format!("parameter \"{name}\" cannot be set to this value")).detail(reason));
    }
    Ok(())
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
