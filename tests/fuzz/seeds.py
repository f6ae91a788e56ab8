"""First inputs of the fuzz targets, made from the shared cases, the recorded events and a few examples."""
import json
import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NULL = "\1"
ID = "0192f0c1-7b3a-7cde-8f01-23456789abcd"
EVENTS = 40  # as many different event names of the recording

URLS = ("amqp://guest:guest@127.0.0.1:5672/", "amqps://u:p%40ss@h/%2F,amqp://[::1]:5671/v", " amqp://h , amqp://u@h:1", "amqp://u:p@h/v?x=1")
AMQP_TARGETS = ("amqp://u:p%2Fw@h:5672/v?exchange=e&routing_key=r&queue_declare=q&dlq=d\0/k",
                "amqps://[::1]/a/b?queue_declare=a+b\0", "amqp://h//\0///a.b")
LOCATIONS = ("https://example.com/a?b=c#d", ":p@example.com/a", "@example.com", "/a/b", "//u@example.com//c", "http://[::1]:80/%40")
DATES = ("120", "0", "-1", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
         "Sat, 21 Nov 2026 23:59:60 GMT", "Thu, 29 Feb 2024 00:00:00 GMT", " 7 ", "99999999999999999999")
IDS = (f"{ID}\0{ID}", f"{ID}\0{ID[:-1]}c", f"{ID[19:]}-{ID[:18]}\0{ID.upper()}", "00000000-0000-0000-8000-000000000000\0body-0123")
TEXTS = ("ASCII and more", "Straße ÀÉÎ ÿ", "ΑΣς Жж", "Ḁ ẞ ﬁ 😀", "\x7f\x80")
HISTORIES = ("HTTP 500\0", "time-out\0002026-11-25T02:11:09Z attempts=13 status=503 HTTP 503 Service Unavailable\n",
             "a\n\0b\x9f\0\n\nc\n", "x\0" + "0123456789\n" * 400)
NETWORKS = ("10.0.0.0/8, fd00::/8\000010.1.2.3", "::ffff:10.0.0.0/104 ::1\000fd00::1", "127.0.0.1/33", "10.1.2.3/8",
            "64:ff9b::/96,0.0.0.0/0\00064:ff9b::1", "::/0")
SECRETS = ("sodium:dxcplZW7SAmM9p8vV2+ltxm8LN54RAEhZ793vN+DulQo7Prmox2+6i7zhHmZ",
           "openssl-aes-256-ctr:u6ZbUl5Axvl2aNzaRnD8eAz/FZI3Qxt3yyMA/H5me6U3itSPxwBc1l4sTjwGdb7ut1sV5k46JNXyYTNR", "sodium:QUJD", "plain")
HEADERSETS = ('{"X-A": "a {{v}}", "Accept": "text/csv"}\0{"v": "1 2"}', '{"x-a": "{{v | urlencode}}", "X-A": ""}\0{}', '{"Host": "x"}', "[]",
              '{"X-B": "{{other.a}}"}\0{"other": {"a": "\\r\\nEvil: 1"}}')
OAUTH = ('\0{"access_token": "T", "token_type": "bearer", "expires_in": 3600}', '1\0{"error": "invalid_client", "error_description": "x"}',
         '\0{"access_token": "a\\u0000", "expires_in": "7"}', "12345\0<html>", '\0"T"')
CONFS = ("", "[database]\nuser = ab\nhost = h\n", "[worker]\nprocesses = 900\n", "[broker]\nurl = amqp://u:p@h,amqps://h\nheartbeat = 1m\n",
         "[log]\nlevel = debug\n; a comment\n",
         "[database]\npassword = a b # c\ntls = off\nport=0x10\n", "[worker]\nmax_event_bytes = 2M\nmax_event_bytes = 1M\n",
         "no section\n", "[worker\n")
TEMPLATES = ('{"a": {{v}}, "b": "{{other.v | upper}} and {{z}}", "c": [{{other}}, {{t}}]}',
             '"{{a | json}}"', "[{{z | default:\"x\"}}, {{z | default: 5}}]",
             '{"{{v}}": {{userid | iso8601}}, "{{v}}": {{userid | string}}}', "/a/{{v}}?q={{other.l.1}}", "{{v | sha256 | lower | urlencode}}",
             '{"k": 1.50, "k": "\\u00e9\\/", "e": {}}', "{{other.l | json}}", '"\\ud83d\\ude00{{other.l.2.v}}"')


def text_of(value):
    """A field of a row: SQL's NULL has a byte of its own."""
    return NULL if value is None else str(value)


def recorded_events():
    """The bodies of events of the recording, one of each name."""
    seen = {}
    with open(os.path.join(TOP, "tests/data/moodle-events.jsonl"), encoding="utf-8") as file:
        for line in file:
            seen.setdefault(json.loads(line)["eventname"], line.rstrip("\n"))
    return list(seen.values())[:EVENTS]


def cases():
    """(event text, rule, service) of every shared case that is no longer than what is fuzzed."""
    folder = os.path.join(TOP, "tests/cases")
    for name in sorted(os.listdir(folder)):
        if os.path.isdir(os.path.join(folder, name)):
            texts = {}
            for part in ("event", "rule", "service"):
                with open(os.path.join(folder, name, part + ".json"), encoding="utf-8") as file:
                    texts[part] = file.read().rstrip("\n")
            yield texts["event"], json.loads(texts["rule"]), json.loads(texts["service"])


def catalog_rows(rule, service):
    """A service and its rule, as fuzz_catalog.c reads them."""
    service = [text_of(service.get(key)) for key in ("name", "type", "base_url", "auth_type", "auth_token")]
    rule = [text_of(rule.get(key)) for key in ("eventname", "endpoint", "http_method", "payload_template")]
    return "\x02\x05\x03\x01" + "\2".join(service) + "\3" + "\x01\x07\x03\x01" + "\2".join(rule)


def seeds():
    """target -> list of inputs."""
    found = {name: [] for name in ("jsontext", "envelope", "jsonview", "template", "request", "catalog", "query", "condition")}
    for event, rule, service in cases():
        if rule.get("filter"):
            found["condition"].append(rule["filter"] + "\0" + event)
        template = text_of(rule.get("payload_template"))
        address = [text_of(service.get(key)) for key in ("base_url", "auth_token")] + [text_of(rule.get(key)) for key in ("endpoint", "http_method")]
        request = [*address, template, ID, event]
        found["request"].append("\0".join(request))
        found["template"].append(template + "\0" + event)
        found["catalog"].append(catalog_rows(rule, service))
        found["catalog"].append(catalog_rows(dict(rule, eventname="\\core\\event\\*"), service))
        found["query"].append(event)
        found["jsontext"].append("\x20" + event)
        found["envelope"].append("\0\0" + event)
    for event in recorded_events():
        found["jsontext"].append("\x20" + event)
        found["envelope"].append(f"\x7f\x20\0{ID}\0{event}")
        found["envelope"].append(f"\x7f\x01\0\0{event}")
        found["query"].append(event)
        found["template"] += [f"{template}\0{event}" for template in TEMPLATES[:2]]
    found["template"] += [f"{template}\0{{}}" for template in TEMPLATES]
    found["jsontext"].append('\x20[[1,[]],2,{"a":[true,"\\ud83d\\ude00"]},-0,1.50e3,null]')
    found["jsonview"] = found["jsontext"]
    with open(os.path.join(TOP, "deploy/mih.conf.example"), encoding="utf-8") as file:
        found["conf"] = [file.read(), *CONFS]
    found.update(amqp_target=list(AMQP_TARGETS), bus_url=list(URLS), location=list(LOCATIONS), verdict=list(DATES), textcase=list(TEXTS),
                 history=list(HISTORIES), httpget=list(HTTP_HEADS),
                 netguard=list(NETWORKS), planted=["bo"], seen=list(IDS), secret=list(SECRETS), headerset=list(HEADERSETS), oauth=list(OAUTH),
                 soap=list(soap_inputs()), xmlsafe=xml_inputs())
    return found


ENVELOPE = ('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>', "</e:Body></e:Envelope>")
PAYLOADS = {"numbers": '{"ubiNum": 500}', "rpcliteral": '{"a": 1, "b": 2.5, "note": "x"}', "country-types": "{}",
            "rpcencoded": '{"flag": true, "when": 1795572669, "point": {"x": 1, "y": 2}, "names": ["a"]}'}
HEADERS = ("", '{"{urn:x}Trace": {"@mustUnderstand": true, "a": [1, null]}}')


def soap_inputs():
    """A WSDL, a payload, headers and an answer each, of the WSDLs that are small enough."""
    answers = (ENVELOPE[0] + '<x><return>1</return><a href="#1"/></x><m id="1">2</m>' + ENVELOPE[1],
               ENVELOPE[0] + "<e:Fault><faultcode>e:Client</faultcode><faultstring>no</faultstring></e:Fault>" + ENVELOPE[1])
    for name, payload in PAYLOADS.items():
        path = os.path.join(TOP, "tests/soap", name + (".xsd" if name.endswith("types") else ".wsdl"))
        with open(path, encoding="utf-8") as file:
            wsdl = " ".join(file.read().split())
        for headers, answer in zip(HEADERS, answers):
            yield "\0".join((wsdl, payload, headers, answer))


def xml_inputs():
    """Documents in several encodings, and some that are refused."""
    with open(os.path.join(TOP, "tests/soap/country.xsd"), encoding="utf-8") as file:
        text = file.read()
    utf16 = "<a b='c'>d</a>".encode("utf-16-le").decode("latin-1")
    return [text, ENVELOPE[0] + "<a/>" + ENVELOPE[1], "\xff\xfe" + utf16, utf16, "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
            "<?xml version='1.0' encoding='ISO-8859-1'?><a><![CDATA[<b>]]><!-- c --><?d e?></a>"]


HTTP_HEADS = ("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9187\r\nAccept: text/plain\r\n\r\n", "HEAD /healthz?verbose=1 HTTP/1.0\n\n",
              "POST /readyz HTTP/1.1\r\n\r\n{}", "GET http://a/ HTTP/1.1\r\n\r\n")


def write(target, folder):
    """Puts the inputs of a target into an empty folder."""
    os.makedirs(folder, exist_ok=True)
    for number, text in enumerate(seeds()[target]):
        with open(os.path.join(folder, f"{number:03}"), "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
