//! Which notices pass, by the places that wrote them.

use super::*;

fn told(severity: &str, state: &str, file: &str, routine: &str) -> Fate {
    let all = [(b'S', "WARNUNG"), (b'V', severity), (b'C', state), (b'M', "x"), (b'F', file), (b'R', routine)];
    let fields: Vec<(u8, &[u8])> = all.iter().filter(|(_, t)| !t.is_empty()).map(|(code, t)| (*code, t.as_bytes())).collect();
    fate(&fields)
}

#[test]
fn what_the_text_and_the_catalog_decide_is_told() {
    for (severity, state, file, routine) in [
        ("WARNING", "25P01", "xact.c", "EndTransactionBlock"),
        ("WARNING", "25001", "xact.c", "BeginTransactionBlock"),
        ("NOTICE", "42P07", "parse_utilcmd.c", "transformCreateStmt"),
        ("NOTICE", "00000", "tablecmds.c", "DropErrorMsgNonExistent"),
        ("NOTICE", "00000", "dependency.c", "reportDependentObjects"),
        ("WARNING", "22023", "date.c", "anytime_typmod_check"),
        ("WARNING", "01000", "lock.c", "LockRelease"),
        ("INFO", "00000", "pl_exec.c", "exec_stmt_raise"),
        ("WARNING", "P0001", "pl_exec.c", "exec_stmt_raise"),
        ("WARNING", "57P02", "postgres.c", "quickdie"),
    ] {
        assert_eq!(told(severity, state, file, routine), Fate::Told, "{file} {routine}");
    }
}

#[test]
fn what_comes_as_rows_are_read_and_what_is_not_known_is_not() {
    for (state, file, routine) in [
        ("01000", "pg_locale.c", "pg_newlocale_from_collation"),
        ("01000", "pg_locale_icu.c", "create_pg_locale_icu"),
        ("54000", "ts_parse.c", "parsetext"),
        ("00000", "tsquery.c", "parse_tsquery"),
        ("00000", "tsquery_cleanup.c", "cleanup_tsquery_stopwords"),
        ("01000", "xml.c", "xml_errorHandler"),
        ("01000", "async.c", "asyncQueueFillWarning"),
        ("01000", "varsup.c", "GetNewTransactionId"),
        ("XX001", "bufmgr.c", "ReadBuffer_common"),
        ("01000", "xact.c", "AbortTransaction"),
        ("01000", "lock.c", "RemoveLocalLock"),
        ("00000", "auto_explain.c", "explain_ExecutorEnd"),
        ("00000", "lwgeom_functions.c", "ST_Area"),
        ("25P01", "", ""),
    ] {
        assert_eq!(told("WARNING", state, file, routine), Fate::Withheld(format!("{file}: {routine}").into()));
    }
}

#[test]
fn lines_of_the_log_are_none_whoever_writes_them() {
    for severity in ["LOG", "DEBUG", "DEBUG1", "", "PANIC"] {
        assert_eq!(told(severity, "00000", "pl_exec.c", "exec_stmt_raise"), Fate::Logged, "{severity}");
    }
}
