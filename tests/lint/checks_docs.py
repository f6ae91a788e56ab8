"""Checks that what README.md and docs/ name is there: settings, options, files, and the words of the log."""
import os
import re

README = "README.md"
# Guides that name what is on the pages, with the language of these.
GUIDES = {"docs/administrator.md": "en", "docs/administrator.es.md": "es"}
CORE = {"Site administration", "Plugins", "Local plugins", "Reports", "System status", "Administración del sitio", "Extensiones",
        "Extensiones locales"}
LABEL = re.compile(r"(?<!\*)\*([^*`]+)\*(?!\*)")
STRING = re.compile(r"^\$string\['[^']+'\] = '((?:[^'\\]|\\.)*)';", re.M)
# Where the options of a command stand; each of these texts is held against the program itself elsewhere.
OPTIONS = {"mih-worker": "deploy/man/mih-worker.8", "mih-replayer": "deploy/man/mih-replayer.8", "mihctl": "deploy/man/mihctl.1",
           "grants.sh": "deploy/grants.sh", "broker.php": "moodle-plugin/cli/broker.php", "rule.php": "moodle-plugin/cli/rule.php",
           "service.php": "moodle-plugin/cli/service.php", "worker_config.php": "moodle-plugin/cli/worker_config.php"}
COMMAND = re.compile(r"(?<![\w.-])(" + "|".join(map(re.escape, OPTIONS)) + r")(?=[ `])((?:[^`|\n\\#&;]|\\\n)*)")
SETTING = re.compile(r"\[(broker|database|worker|http|relay|replayer|deadletters|soap|security|enrichment|log)\] ([a-z_]+)")
LINK = re.compile(r"`([\w./-]+\.(?:md|sh|conf|sql|example|c|h))`|\]\(([\w./-]+)\)")
SYMPTOM = re.compile(r"^\| `([a-z][^`]* [^`]*)`", re.M)


def settings(tree):
    """section, key of each setting, by the README's table."""
    return set(re.findall(r"^\| `\[(\w+)\] (\w+)` \|", tree.read(README), re.M))


def options(tree, name):
    """What a command knows, by its text."""
    text = tree.read(OPTIONS[name]) if OPTIONS[name] in tree.files else ""
    return set(re.findall(r"(?:Fl|\|) -([a-z][a-z-]+)" if "/man/" in OPTIONS[name] else r"(?<![\w-])--([a-z][a-z-]+)", text))


def option_faults(tree, text):
    """Options that a command does not have."""
    return [f"{name} has no --{option}" for name, rest in COMMAND.findall(text)
            for option in re.findall(r"(?<![\w-])--([a-z][a-z-]+)", rest) if option not in options(tree, name)]


def link_faults(tree, path, text):
    """Files that do not exist, or only elsewhere on a system (mih.conf)."""
    names = {os.path.basename(file) for file in tree.files} | {"mih.conf"}
    for quoted, linked in LINK.findall(text):
        target = os.path.normpath(os.path.join(os.path.dirname(path), linked))
        if linked and not linked.startswith("http") and target not in tree.files:
            yield f"{linked} does not exist"
        if quoted and os.path.basename(quoted) not in names:
            yield f"{quoted} does not exist"


def log_faults(tree, text):
    """Messages in the first column of a table of symptoms that no program writes."""
    sources = "".join(tree.read(path) for path in tree.ending(".c", under="worker/"))
    said = re.sub(r'"\s*\n\s*"', "", sources)
    return [f"no program says: {message}" for message in SYMPTOM.findall(text) if message.removesuffix(" ...") not in said]


def label_faults(tree, text, language):
    """Words in italics that stand on no page of the plugin in that language, nor in Moodle's own menu."""
    path = f"moodle-plugin/lang/{language}/local_integrationhub.php"
    known = CORE | {re.sub(r"\\(.)", r"\1", label) for label in STRING.findall(tree.read(path) if path in tree.files else "")}
    return [f"no page says: {label}" for words in LABEL.findall(text.replace("\\event\\*", "")) for label in words.replace("\n", " ").split(" > ")
            if label not in known]


def docs(tree):
    """What README.md and docs/ name exists: settings, options, files, and messages of the log."""
    faults, known = [], settings(tree)
    for path in [README, *tree.ending(".md", under="docs/")]:
        text = tree.read(path)
        found = [f"there is no setting [{section}] {key}" for section, key in SETTING.findall(text) if (section, key) not in known]
        found += option_faults(tree, text) + list(link_faults(tree, path, text))
        if path.startswith("docs/"):
            found += log_faults(tree, text)
        if path in GUIDES:
            found += label_faults(tree, text, GUIDES[path])
        faults += [f"{path}: {fault}" for fault in found]
    return faults


CHECKS = {"docs": docs}
