"""Turns the plugin's db/install.xml into the CREATE TABLE statements that Moodle makes of it for MySQL and MariaDB.

    python3 tests/harness/xmldb.py moodle-plugin/db/install.xml > schema.sql

The rules are those of Moodle's lib/ddl/sql_generator.php and mysql_sql_generator.php (4.5): names of indexes, types, defaults, no foreign keys but
an index for each, collation on every text column.  A test proves that schema.sql is exactly what this prints.
"""
import sys
import xml.etree.ElementTree as ElementTree

COLLATION = "utf8mb4_unicode_ci"
INTEGERS = ((9, "BIGINT"), (6, "INT"), (4, "MEDIUMINT"), (2, "SMALLINT"), (0, "TINYINT"))
HEADER = """\
-- The tables of Moodle Integration Hub for a database without Moodle. In a Moodle the plugin creates them: do not load this file there.
-- For a fresh database only: it is no upgrade, and it fails on tables that exist already.
--
--   mariadb --default-character-set=utf8mb4 moodle < schema.sql
--
-- Made from moodle-plugin/db/install.xml by tests/harness/xmldb.py, and a test proves that the two agree: change install.xml, then run
--   python3 tests/harness/xmldb.py moodle-plugin/db/install.xml > schema.sql
-- Another table prefix than mdl_: add it as the second argument.
"""


def quote(text):
    """A text as an SQL literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def column_type(field):
    """The type clause of a column."""
    kind, length = field.get("TYPE"), field.get("LENGTH")
    if kind == "int":
        digits = int(length or 10)
        return next(f"{name}({digits})" for above, name in INTEGERS if digits > above)
    if kind == "char":
        return f"VARCHAR({length or 255}) COLLATE {COLLATION}"
    if kind == "text":
        return f"LONGTEXT COLLATE {COLLATION}"
    raise ValueError(f"install.xml has a type that is not known here: {kind}")


def column_default(field):
    """The DEFAULT clause of a column, or an empty text."""
    default = field.get("DEFAULT")
    if default is None:
        return " DEFAULT ''" if field.get("TYPE") == "char" and field.get("NOTNULL") == "true" else ""
    return " DEFAULT " + (quote(default) if field.get("TYPE") in ("char", "text") else default)


def column(field):
    """One column."""
    not_null = " NOT NULL" if field.get("NOTNULL") == "true" else ""
    sequence = " auto_increment" if field.get("SEQUENCE") == "true" else ""
    return f"  {field.get('NAME')} {column_type(field)}{not_null}{column_default(field)}{sequence}"


def fields_of(element):
    """The column names that a KEY or INDEX lists."""
    return [name.strip() for name in element.get("FIELDS").split(",")]


class IndexNames:
    """Names as getNameForObject() derives them: four letters of each part of the table's name, three of each column's."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.used = set()

    def name(self, table, fields, suffix):
        """The name of one index."""
        stem = self.prefix + "".join(part[:4] for part in table.split("_")) + "_" + "".join(field[:3] for field in fields)
        counter, name = 1, f"{stem}_{suffix}"
        while name in self.used:
            counter += 1
            name = f"{stem}{counter}_{suffix}"
        self.used.add(name)
        return name


def indexes(table, names):
    """The index clauses of a table: its indexes, then those its keys need."""
    wanted = [(index.get("UNIQUE") == "true", fields_of(index)) for index in table.iterfind("INDEXES/INDEX")]
    wanted += [("unique" in key.get("TYPE"), fields_of(key)) for key in table.iterfind("KEYS/KEY") if key.get("TYPE") != "primary"]
    for unique, fields in wanted:
        name = names.name(table.get("NAME"), fields, "uix" if unique else "ix")
        yield f"  {'UNIQUE ' if unique else ''}KEY {name} ({', '.join(fields)})"


def create_table(table, prefix, names):
    """The CREATE TABLE statement of a table."""
    primary = next(key for key in table.iterfind("KEYS/KEY") if key.get("TYPE") == "primary")
    lines = [column(field) for field in table.iterfind("FIELDS/FIELD")]
    lines.append(f"  PRIMARY KEY ({', '.join(fields_of(primary))})")
    lines.extend(indexes(table, names))
    return (f"CREATE TABLE {prefix}{table.get('NAME')} (\n" + ",\n".join(lines) +
            f"\n) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {COLLATION} ROW_FORMAT=Dynamic\n  COMMENT={quote(table.get('COMMENT'))};\n")


def schema(path, prefix="mdl_"):
    """The text of schema.sql."""
    names = IndexNames(prefix)
    root = ElementTree.parse(path).getroot()
    return HEADER + "".join("\n" + create_table(table, prefix, names) for table in root.iterfind("TABLES/TABLE"))


if __name__ == "__main__":
    sys.stdout.write(schema(*sys.argv[1:3]))
