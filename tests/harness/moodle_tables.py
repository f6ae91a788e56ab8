"""The tables of Moodle that templates and filters may ask, in a database without Moodle, with the people and courses of tests/data.

They have the columns of Moodle 4.5 that matter here, and some that must never be read. Names of activities are not in tests/data: each is called
after its module and its instance.
"""
import csv
import os

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
SCHEMA = """
CREATE TABLE {p}user (id BIGINT PRIMARY KEY, auth VARCHAR(20) NOT NULL DEFAULT 'manual', confirmed TINYINT NOT NULL DEFAULT 1,
  deleted TINYINT NOT NULL DEFAULT 0, suspended TINYINT NOT NULL DEFAULT 0, username VARCHAR(100) NOT NULL DEFAULT '',
  password VARCHAR(255) NOT NULL DEFAULT 'PASSWORD-HASH', idnumber VARCHAR(255) NOT NULL DEFAULT '', firstname VARCHAR(100) NOT NULL DEFAULT '',
  lastname VARCHAR(100) NOT NULL DEFAULT '', email VARCHAR(100) NOT NULL DEFAULT '', phone1 VARCHAR(20) NOT NULL DEFAULT '',
  phone2 VARCHAR(20) NOT NULL DEFAULT '', institution VARCHAR(255) NOT NULL DEFAULT '', department VARCHAR(255) NOT NULL DEFAULT '',
  address VARCHAR(255) NOT NULL DEFAULT '', city VARCHAR(120) NOT NULL DEFAULT '', country VARCHAR(2) NOT NULL DEFAULT '',
  lang VARCHAR(30) NOT NULL DEFAULT 'en', timezone VARCHAR(100) NOT NULL DEFAULT '99', lastip VARCHAR(45) NOT NULL DEFAULT '',
  secret VARCHAR(15) NOT NULL DEFAULT 'USER-SECRET', timecreated BIGINT NOT NULL DEFAULT 0, lastnamephonetic VARCHAR(255),
  firstnamephonetic VARCHAR(255), middlename VARCHAR(255), alternatename VARCHAR(255));
CREATE TABLE {p}user_info_field (id BIGINT PRIMARY KEY AUTO_INCREMENT, shortname VARCHAR(255) NOT NULL, name LONGTEXT NOT NULL,
  datatype VARCHAR(255) NOT NULL DEFAULT 'text', defaultdata LONGTEXT, param1 LONGTEXT);
CREATE TABLE {p}user_info_data (id BIGINT PRIMARY KEY AUTO_INCREMENT, userid BIGINT NOT NULL, fieldid BIGINT NOT NULL, data LONGTEXT NOT NULL,
  dataformat TINYINT NOT NULL DEFAULT 0, UNIQUE (userid, fieldid));
CREATE TABLE {p}course (id BIGINT PRIMARY KEY, category BIGINT NOT NULL DEFAULT 0, fullname VARCHAR(254) NOT NULL DEFAULT '',
  shortname VARCHAR(255) NOT NULL DEFAULT '', idnumber VARCHAR(100) NOT NULL DEFAULT '', summary LONGTEXT,
  format VARCHAR(21) NOT NULL DEFAULT 'topics', startdate BIGINT NOT NULL DEFAULT 0, enddate BIGINT NOT NULL DEFAULT 0,
  visible TINYINT NOT NULL DEFAULT 1, lang VARCHAR(30) NOT NULL DEFAULT '', timecreated BIGINT NOT NULL DEFAULT 0);
CREATE TABLE {p}course_categories (id BIGINT PRIMARY KEY, name VARCHAR(255) NOT NULL DEFAULT '', idnumber VARCHAR(100), description LONGTEXT,
  parent BIGINT NOT NULL DEFAULT 0, visible TINYINT NOT NULL DEFAULT 1, path VARCHAR(255) NOT NULL DEFAULT '');
CREATE TABLE {p}course_modules (id BIGINT PRIMARY KEY, course BIGINT NOT NULL DEFAULT 0, module BIGINT NOT NULL DEFAULT 0,
  instance BIGINT NOT NULL DEFAULT 0, idnumber VARCHAR(100), added BIGINT NOT NULL DEFAULT 0, visible TINYINT NOT NULL DEFAULT 1,
  availability LONGTEXT);
CREATE TABLE {p}modules (id BIGINT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(20) NOT NULL DEFAULT '', visible TINYINT NOT NULL DEFAULT 1);
"""


def rows(name):
    """The rows of a table's extract, as dicts; an empty text is one, and NULL is None."""
    with open(os.path.join(DATA, name + ".csv"), encoding="utf-8", newline="") as file:
        return [{key: None if value == "NULL" else value for key, value in row.items()} for row in csv.DictReader(file)]


def quoted(value):
    """A value in a statement."""
    return "NULL" if value is None else "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def insert(table, columns, values):
    """One statement for all rows."""
    lines = ", ".join("(" + ", ".join(quoted(value) for value in row) + ")" for row in values)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {lines};\n"


def statements(prefix="mdl_"):
    """Makes and fills the tables."""
    sql = SCHEMA.format(p=prefix)
    for name in ("user", "course", "course_categories"):
        table = rows(name)
        sql += insert(prefix + name, list(table[0]), [row.values() for row in table])
    activities = rows("course_modules")
    modules = sorted({row["modname"] for row in activities})
    sql += insert(prefix + "modules", ["name"], [[name] for name in modules])
    for name in modules:
        sql += (f"CREATE TABLE {prefix}{name} (id BIGINT PRIMARY KEY, course BIGINT NOT NULL, name VARCHAR(255) NOT NULL, intro LONGTEXT);\n"
                + insert(prefix + name, ["id", "course", "name"],
                         [[row["instance"], row["course"], f"{name} {row['instance']}"] for row in activities if row["modname"] == name]))
    sql += insert(prefix + "course_modules", ["id", "course", "module", "instance", "idnumber"],
                  [[row["id"], row["course"], modules.index(row["modname"]) + 1, row["instance"], row["idnumber"]] for row in activities])
    return sql


def load(server, prefix="mdl_"):
    """Into a server of services.py."""
    server.query(statements(prefix))
