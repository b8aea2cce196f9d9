"""The tables of the database, and how those of an older version become those of this one."""

import sqlite3

APPLICATION_ID = 0x45446967  # "EDig": what file(1) and PRAGMA application_id tell it by

# One step a version; a new file takes all of them. A step that was released is never changed again.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "INSERT INTO about VALUES ('identity', lower(hex(randomblob(8))))",
        "CREATE TABLE boots (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        """CREATE TABLE readings (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            time INTEGER, -- milliseconds since 1970, NULL while the clock was not known
            boot INTEGER NOT NULL REFERENCES boots,
            monotonic REAL NOT NULL, -- seconds since that boot
            event TEXT NOT NULL, -- 'reading', 'heartbeat'
            record TEXT NOT NULL -- JSON
        )""",
        "CREATE INDEX readings_by_time ON readings (time) WHERE time IS NOT NULL",
        "CREATE INDEX readings_without_time ON readings (boot, monotonic) WHERE time IS NULL",
        """CREATE TABLE glyphs (
            sequence INTEGER PRIMARY KEY REFERENCES readings ON DELETE CASCADE,
            count INTEGER NOT NULL,
            pixels BLOB NOT NULL -- zlib of count * 28 * 28 bytes
        )""",
        """CREATE TABLE corrections (
            id INTEGER PRIMARY KEY,
            sequence INTEGER NOT NULL REFERENCES readings ON DELETE CASCADE,
            field TEXT, -- NULL: the whole text
            text TEXT NOT NULL, -- what stands there
            time INTEGER
        )""",
        "CREATE INDEX corrections_by_sequence ON corrections (sequence)",
        """CREATE TABLE deliveries (
            sink TEXT PRIMARY KEY,
            sequence INTEGER NOT NULL, -- of the last record that arrived
            lost INTEGER NOT NULL DEFAULT 0 -- records deleted for want of space before they arrived
        ) WITHOUT ROWID""",
    ),
    (
        "CREATE TABLE pictures (path BLOB PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE fields (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        # In the order in which one field is plotted. No index by sequence: that would be another page a reading.
        """CREATE TABLE field_values (
            field INTEGER NOT NULL REFERENCES fields,
            sequence INTEGER NOT NULL,
            value TEXT, -- NULL where it is not valid
            PRIMARY KEY (field, sequence)
        ) WITHOUT ROWID""",
        """INSERT INTO fields (name) SELECT DISTINCT json_extract(entry.value, '$.name')
            FROM readings, json_each(record, '$.fields') AS entry""",
        """INSERT OR REPLACE INTO field_values
            SELECT fields.id, readings.sequence, json_extract(entry.value, '$.value')
            FROM readings, json_each(record, '$.fields') AS entry
            JOIN fields ON fields.name = json_extract(entry.value, '$.name')""",
    ),
)
VERSION = len(STEPS)


def version(connection: sqlite3.Connection) -> int:
    """Of the tables; 0 in an empty file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether the file is empty, or one of this program."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return application == APPLICATION_ID or not tables


def migrate(connection: sqlite3.Connection, to: int = VERSION) -> None:
    """Makes tables of the version out of older ones or none, all or nothing. Raises sqlite3.Error."""
    if version(connection) >= to:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number in range(version(connection), to):
            for statement in STEPS[number]:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {to}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
