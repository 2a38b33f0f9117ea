"""docs/COMPATIBILITY.md from a run's results."""

HEAD = """# Drivers

Made by `make drivers`; not written by hand. Each driver's program (`tests/drivers/`) ran on a private server and then, unchanged, as
two tenants at once through the wall, with the same ids and names. A column passes where every line that it printed is the same, and holds what
`tests/drivers/expected.txt` (`redis/*.txt`) demands; `rows` and `keys`: what the shared server holds for each tenant afterwards is what the
private one holds, a third tenant's, which has the same ids and names, is untouched, and no session saw a value of another. Numbers refer to
the notes below each table. In no registry that this run draws on, so not run: Npgsql, pgx 5, go-redis, Jedis, Lettuce, current Hibernate.
"""
TITLES = {"postgres": "PostgreSQL", "redis": "Redis: clients", "redis-users": "Redis: what is built on it", "identity": "Identity"}
INTRODUCTIONS = {
    "identity": "`named`: each of two tenants gets its own data; `refused`: a certificate of another authority, another password, or no header gets "
                "nothing; `later`: nothing said after the start changes who it is.",
}
SAID = {"postgres": {"options": "startup parameter", "listener": "listener"}, "redis": {"options": "AUTH"}, "redis-users": {"options": "AUTH"}}
CELLS = {"pass": "pass", "fail": "**fail**", "none": "–"}


def page(results, columns):
    parts = [HEAD]
    for kind, group in results.items():
        names, notes = columns[kind], []
        lines = [f"| driver | version | tenant by | {' | '.join(names)} |", "|" + "---|" * (len(names) + 3)]
        for result in group:
            driver = result.driver
            language = driver.get("language")
            title = f"{driver['name']} ({language})" if language else driver["name"]
            if result.state == "not available":
                notes.append(f"{driver['name']}: not available here: {result.why[0]}")
                lines.append(f"| {title} | not available [{len(notes)}] | | {' | '.join('' for _ in names)} |")
                continue
            marks = {}
            for why in [*result.why, *driver.get("notes", [])]:
                why = " ".join(why.split())
                notes.append(f"{driver['name']}, {why if len(why) < 300 else why[:300] + ' …'}")
                marks.setdefault(why.split(":")[0], []).append(f"[{len(notes)}]")
            cells = [" ".join([CELLS[result.columns[name]], *marks.pop(name, [])]) for name in names]
            rest = " ".join(mark for some in marks.values() for mark in some)
            by = driver.get("by") or SAID[kind][driver.get("tenant", "options")]
            by += ", column hidden" if driver.get("hidden") else ""
            lines.append(f"| {title} | {result.version} | {' '.join([by, rest]).strip()} | {' | '.join(cells)} |")
        introduction = INTRODUCTIONS[kind] + "\n\n" if kind in INTRODUCTIONS else ""
        parts.append(f"## {TITLES[kind]}\n\n{introduction}" + "\n".join(lines) + "\n")
        parts.append("".join(f"{n}. {note}\n" for n, note in enumerate(notes, 1)))
    return "\n".join(part for part in parts if part)
