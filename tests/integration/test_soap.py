"""SOAP: every style compared with PHP's SoapClient on the same SoapServer, refusals, authentication, WSDLs, and the real worker."""
import base64
import hashlib
import hmac
import json
import os
import re
import time
import unittest
import xml.etree.ElementTree as ElementTree

import guard
import replays
import shared
import soap
from matrix import Matrix
from services import wait_until

PERSON = {"id": 5, "name": "Zoë <&> \"quoted\"", "email": None, "role": "teacher", "@locale": "de-CH", "@active": True, "tag": ["a", "b"]}
ENROL = {"member": [PERSON, {"id": "6", "name": "B", "email": "b@example.org", "role": "student"}], "course": "M1",
         "place": {"zip": "8000", "city": "Zürich"},
         "fee": {"_": "12.50", "@currency": "CHF"}, "until": "2026-12-31", "created": "2026-11-25T02:11:09Z", "day": "2026-11-25",
         "grades": [1, 2, 3],
         "ratio": 0.25, "quiet": False, "@site": "main", "@version": 3}
DAYS = {key: value for key, value in ENROL.items() if key not in ("until", "place", "fee", "grades", "day", "@site", "@version")} | {"days": 30}
MIX = {"flag": True, "when": "2026-11-25T02:11:09Z", "point": {"x": -3, "y": 1.5}, "names": ["Ana", "Ömer", "<c>"]}

# style, WSDL, operation, payload, what else the clients need
CALLS = [
    ("document/literal wrapped", "calculator.wsdl", "Add", {"intA": 2, "intB": 40}, {}),
    ("document/literal wrapped", "calculator.wsdl", "Divide", {"intB": 8, "intA": 1}, {}),
    ("document/literal wrapped", "calculator.wsdl", "Divide", {"intA": 1, "intB": 0}, {}),
    ("document/literal wrapped", "calculator.wsdl", "Divide", {"intA": 1, "intB": -1}, {}),
    ("document/literal wrapped, SOAP 1.2", "calculator.wsdl", "Add", {"intA": -2147483648, "intB": 0}, {"soap_version": "1.2"}),
    ("document/literal wrapped, SOAP 1.2", "calculator.wsdl", "Divide", {"intA": 1, "intB": 0}, {"soap_version": "1.2"}),
    ("document/literal wrapped, SOAP 1.2", "calculator.wsdl", "Divide", {"intA": 1, "intB": -1}, {"soap_version": "1.2"}),
    ("one way", "calculator.wsdl", "Tell", {"what": "the truth"}, {}),
    ("one way", "calculator.wsdl", "Tell", {}, {}),
    ("number conversion", "numbers.wsdl", "NumberToWords", {"ubiNum": 500}, {}),
    ("number conversion", "numbers.wsdl", "NumberToDollars", {"dNum": "12.50"}, {}),
    ("country information, imports and includes", "country.wsdl", "FullCountryInfo", {"sCountryISOCode": "CH"}, {}),
    ("country information, imports and includes", "country.wsdl", "FullCountryInfo", {"sCountryISOCode": "GR"}, {}),
    ("country information, imports and includes", "country.wsdl", "ListOfLanguages", {}, {}),
    ("document/literal bare", "bare.wsdl", "Enrol", ENROL, {}),
    ("document/literal bare", "bare.wsdl", "Enrol", DAYS, {}),
    ("document/literal bare, simple", "bare.wsdl", "Ping", "hellö & <b>", {}),
    ("rpc/literal", "rpcliteral.wsdl", "sum", {"a": 1, "b": 2.5, "note": "ü"}, {"rpc": True}),
    ("rpc/literal", "rpcliteral.wsdl", "mix", dict(MIX, names={"item": MIX["names"]}), {"rpc": True}),
    ("rpc/encoded", "rpcencoded.wsdl", "sum", {"a": 1, "b": 2.5, "note": "ü"}, {"rpc": True}),
    ("rpc/encoded", "rpcencoded.wsdl", "mix", MIX, {"rpc": True}),
]

# WSDL, operation, payload, what the reason must hold
REFUSED = [
    ("calculator.wsdl", "Subtract", {}, 'no operation "Subtract"'),
    ("calculator.wsdl", "Add", {"intA": 1}, "intB: it is missing"),
    ("calculator.wsdl", "Add", {"intA": 1, "intB": None}, "intB: it is missing"),
    ("calculator.wsdl", "Add", {"intA": 1, "intB": 2, "intC": 3}, "intC: the WSDL knows no element"),
    ("calculator.wsdl", "Add", {"intA": 1, "intB": 2147483648}, "intB: it is no int"),
    ("calculator.wsdl", "Add", {"intA": 1, "intB": 1.5}, "intB: it is no int"),
    ("calculator.wsdl", "Add", {"intA": 1, "intB": True}, "intB: it is no int"),
    ("calculator.wsdl", "Add", {"intA": 1, "intB": [2, 3]}, "intB: it is an array"),
    ("calculator.wsdl", "Add", {"intA": 1, "intB": {"x": 1}}, "intB: it is an object"),
    ("calculator.wsdl", "Add", 5, "it is no object"),
    ("calculator.wsdl", "Tell", {"what": "a\x01b"}, "what: it holds a byte that XML cannot hold"),
    ("numbers.wsdl", "NumberToWords", {"ubiNum": -1}, "ubiNum: it is no unsignedLong"),
    ("numbers.wsdl", "NumberToDollars", {"dNum": "1e3"}, "dNum: it is no decimal"),
    ("bare.wsdl", "Enrol", dict(ENROL, member=[dict(PERSON, role="dean")]), "member[0].role: it is none of the values"),
    ("bare.wsdl", "Enrol", dict(ENROL, member=[]), "member: it has 0 elements"),
    ("bare.wsdl", "Enrol", dict(ENROL, member=[PERSON, {"id": 1, "email": None, "role": "student"}]), "member[1].name: it is missing"),
    ("bare.wsdl", "Enrol", dict(ENROL, days=3), "only one of 2 keys"),
    ("bare.wsdl", "Enrol", {key: value for key, value in ENROL.items() if key != "until"}, "one of several keys must be there"),
    ("bare.wsdl", "Enrol", dict(ENROL, course="TOOLONG"), "course: it is longer than 4"),
    ("bare.wsdl", "Enrol", dict(ENROL, until="2026-02-29"), "until: it is no date"),
    ("bare.wsdl", "Enrol", dict(ENROL, created="yesterday"), "created: it is no dateTime"),
    ("bare.wsdl", "Enrol", dict(ENROL, fee={"_": "1"}), "fee.@currency: it is missing"),
    ("bare.wsdl", "Enrol", dict(ENROL, grades=[1, "x"]), "grades[1]: it is no int"),
    ("rpcliteral.wsdl", "sum", {"a": 1, "b": 2}, "note: it is missing"),
    ("rpcliteral.wsdl", "sum", {"a": 1, "b": 2, "note": "", "d": 1}, "d: the WSDL knows no part"),
    ("rpcencoded.wsdl", "mix", dict(MIX, names="x"), "names: it is no array"),
]


def wire(call):
    """A payload for our program: text that a template may be."""
    return dict(call, payload=json.dumps(call["payload"])) if isinstance(call["payload"], str) else call


def arguments_of(records):
    """What the SoapServer's methods got."""
    return [record["calls"] for record in records if "calls" in record]


class Soap(unittest.TestCase):
    """Our transport and PHP's SoapClient against PHP's SoapServer."""

    @classmethod
    def setUpClass(cls):
        cls.server = soap.SoapServer(workers=1)
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.server.record()

    def call(self, wsdl, operation, payload, **more):
        """A line for the programs."""
        return dict(base_url=f"{self.server.url}/{wsdl}", operation=operation, payload=payload, **more)

    @shared.smoke
    def test_every_style_gives_the_same_data_as_the_soap_client_of_php(self):
        """The server gets the same arguments, and the answers (or faults) are equal."""
        calls = [self.call(wsdl, operation, payload, id=number, **more) for number, (_, wsdl, operation, payload, more) in enumerate(CALLS)]
        mine = soap.ours([wire(call) for call in calls])
        my_arguments = arguments_of(self.server.record())
        theirs = soap.php(calls)
        their_arguments = arguments_of(self.server.record())
        self.assertEqual((len(calls), len(calls)), (len(mine), len(theirs)))
        for number, (style, _, operation, payload, _) in enumerate(CALLS):
            with self.subTest(f"{style}: {operation} {payload}"):
                self.assertEqual(their_arguments[number], my_arguments[number])
                body = json.loads(mine[number]["body"] or "null")
                if "fault" in theirs[number]:
                    self.assertIn(mine[number]["kind"], ("FAULT_SENDER", "FAULT_RECEIVER"))
                    self.assertEqual(theirs[number]["fault"], [body["faultcode"], body["faultstring"]])
                else:
                    self.assertEqual("delivered", mine[number]["verdict"], mine[number])
                    self.assertEqual(theirs[number]["body"], body)
            print(f"      soap: {style}: {operation}: {mine[number]['kind'].lower()}, as PHP's SoapClient", flush=True)

    @shared.smoke
    def test_what_the_wsdl_does_not_allow_is_refused_before_it_is_sent(self):
        """Missing, unknown and wrong values, each with its path; nothing reaches the operation."""
        answers = soap.ours([wire(self.call(wsdl, operation, payload, id=number)) for number, (wsdl, operation, payload, _) in enumerate(REFUSED)])
        for answer, (_, operation, payload, reason) in zip(answers, REFUSED):
            with self.subTest(f"{operation} {payload}"):
                self.assertEqual(("INVALID", "reject"), (answer["kind"], answer["verdict"]), answer)
                self.assertTrue(answer["reason"].startswith("policy: SOAP: "), answer["reason"])
                self.assertIn(reason, answer["reason"])
        self.assertEqual([], arguments_of(self.server.record()))

    def test_forms_that_json_has_for_dates_booleans_and_numbers(self):
        """Unix time becomes a date, 0 and 1 a boolean, text a number."""
        payload = dict(DAYS, created=1795572669, day="1795572669", quiet=1, days="7", ratio="1e-3")
        answer, = soap.ours([self.call("bare.wsdl", "Enrol", payload)])
        self.assertEqual("delivered", answer["verdict"], answer)
        got = arguments_of(self.server.record())[0][0]["arguments"][0]
        self.assertEqual(("2026-11-25T02:11:09Z", "2026-11-25", True, 7, 0.001),
                         tuple(got[key] for key in ("created", "day", "quiet", "days", "ratio")))

    def test_values_cannot_leave_their_element(self):
        """Markup, references and CDATA in values arrive as the text they are."""
        for text in ("</what><admin>1</admin>", "&lt;&#38;&quot;", "]]><!-- -->", "<![CDATA[x]]>", "<?php ?>", "\r\n\t x "):
            answer, = soap.ours([self.call("calculator.wsdl", "Tell", {"what": text})])
            self.assertEqual("delivered", answer["verdict"], answer)
            self.assertEqual([[{"operation": "Tell", "arguments": [{"what": text}]}]], arguments_of(self.server.record()))

    def test_soap_headers_come_from_the_service(self):
        """Elements of the WSDL are checked like the payload, others stand under {namespace}name; templates fill them."""
        headers = '{"Caller": {"name": "moodle", "level": {{userid}}, "@mustUnderstand": true}, "{urn:other}Trace": {"a": [1, 2], "@kind": "x"}}'
        answer, = soap.ours([self.call("calculator.wsdl", "Add", {"intA": 1, "intB": 2}, soap_headers=headers)])
        self.assertEqual("delivered", answer["verdict"], answer)
        record = self.server.record()[-1]
        self.assertEqual([{"name": "moodle", "level": "7"}], record["calls"][0]["arguments"])
        root = ElementTree.fromstring(record["xml"])
        trace = root.find(".//{urn:other}Trace")
        self.assertEqual((["1", "2"], "x"), ([e.text for e in trace.findall("{urn:other}a")], trace.get("kind")))
        caller = root.find(".//{urn:mih:calculator}Caller")
        self.assertEqual("1", caller.get("{http://schemas.xmlsoap.org/soap/envelope/}mustUnderstand"))
        for bad, reason in (('{"Caller": {"level": 1}}', "Caller.name: it is missing"), ('{"Nobody": 1}', "write {namespace}name"),
                            ('{"{urn:x}a b": 1}', "no name that an XML element"), ("[1]", "no JSON object")):
            answer, = soap.ours([self.call("calculator.wsdl", "Add", {"intA": 1, "intB": 2}, soap_headers=bad)])
            self.assertEqual("reject", answer["verdict"])
            self.assertIn(reason, answer["reason"])

    def test_the_username_token_is_as_the_profile_says(self):
        """Digest of nonce, time and password; the password itself only where it is asked for; another nonce each time."""
        seen = []
        for kind in ("wsse", "wsse", "wssetext"):
            answer, = soap.ours([self.call("calculator.wsdl", "Add", {"intA": 1, "intB": 2}, auth_type=kind, auth_user="möodle", auth_token="p<ss")])
            self.assertEqual("delivered", answer["verdict"], answer)
            xml = self.server.record()[-1]["xml"]
            parts = {element.tag.split("}")[1]: element for element in ElementTree.fromstring(xml).iter()}
            nonce, created = base64.b64decode(parts["Nonce"].text), parts["Created"].text
            seen.append(nonce)
            self.assertLess(abs(time.time() - time.mktime(time.strptime(created + " UTC", "%Y-%m-%dT%H:%M:%SZ %Z")) + time.timezone), 60)
            self.assertEqual(("möodle", 16), (parts["Username"].text, len(nonce)))
            digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + b"p<ss").digest()).decode()
            text = kind == "wssetext"
            self.assertEqual("p<ss" if text else digest, parts["Password"].text)
            self.assertTrue(parts["Password"].get("Type").endswith("#PasswordText" if text else "#PasswordDigest"))
            self.assertEqual(text, "p&lt;ss" in xml)
        self.assertEqual(3, len(set(seen)))

    def test_matrix(self):
        """Transport x authentication x outcome, each against the SoapServer."""
        auths = {"none": ({}, ""), "bearer": ({"auth_type": "bearer", "auth_token": "t0p secret"}, "/secret"),
                 "apikey": ({"auth_type": "apikey", "auth_token": soap.KEY}, "/secret"),
                 "wsse": ({"auth_type": "wsse", "auth_user": "u", "auth_token": "p"}, ""),
                 "wssetext": ({"auth_type": "wssetext", "auth_user": "u", "auth_token": "p"}, ""),
                 "basic": ({"auth_type": "basic", "auth_user": "moodle", "auth_token": "p: ss"}, "/secret"),
                 "bearer, wrong": ({"auth_type": "bearer", "auth_token": "guess"}, "/secret")}
        outcomes = {"answer": ("Add", {"intA": 1, "intB": 2}, "delivered"), "Client fault": ("Divide", {"intA": 1, "intB": 0}, "reject"),
                    "Server fault": ("Divide", {"intA": 1, "intB": -1}, "retry"), "refused payload": ("Add", {"intA": "x"}, "reject")}
        matrix = Matrix("SOAP, by the server of PHP")
        for version in ("1.1", "1.2"):
            for auth, (columns, folder) in auths.items():
                for outcome, (operation, payload, verdict) in outcomes.items():
                    expected = "retry" if auth.endswith("wrong") else verdict
                    with self.subTest(f"{version}, {auth}, {outcome}"):
                        call = self.call("calculator.wsdl", operation, payload, soap_version=version, **columns)
                        call["base_url"] = f"{self.server.url}{folder}/calculator.wsdl"
                        answer, = soap.ours([call])
                        self.assertEqual(expected, answer["verdict"], answer)
                        self.assertEqual(401 if auth.endswith("wrong") else answer["status"], answer["status"])
                        matrix.cell(f"SOAP {version}", auth, outcome, f"{answer['verdict']}, {answer['status'] or 'not sent'}")
        matrix.show()

    def test_the_message_that_is_sent_is_signed(self):
        """Standard Webhooks' signature is over the XML, by both secrets while one is rotated."""
        keys = [bytes(range(n, n + 32)) for n in (1, 7)]
        new, old = ("whsec_" + base64.b64encode(key).decode() for key in keys)
        answer, = soap.ours([self.call("calculator.wsdl", "Add", {"intA": 1, "intB": 2}, signing_secret=new, signing_secret_old=old)])
        self.assertEqual("delivered", answer["verdict"], answer)
        record = self.server.record()[-1]
        signed = f"{record['webhook_id']}.{record['webhook_timestamp']}.{record['xml']}".encode()
        wanted = ["v1," + base64.b64encode(hmac.new(key, signed, "sha256").digest()).decode() for key in keys]
        self.assertEqual(wanted, record["signature"].split(" "))

    def test_the_action_is_quoted_and_headers_go_along(self):
        """SOAPAction (1.1), the Content-Type's action (1.2), the idempotency key."""
        soap.ours([self.call("calculator.wsdl", "Add", {"intA": 1, "intB": 2}),
                   self.call("calculator.wsdl", "Add", {"intA": 1, "intB": 2}, soap_version="1.2")])
        one, two = [record for record in self.server.record() if "calls" in record]
        self.assertEqual(('"urn:mih:calculator/Add"', "text/xml; charset=utf-8"), (one["action"], one["type"]))
        self.assertEqual((None, 'application/soap+xml; charset=utf-8; action="urn:mih:calculator/Add"'), (two["action"], two["type"]))
        self.assertEqual("0192f0c1-7b3a-7cde-8f01-23456789abcd:7", one["webhook_id"])


def peak_kib(calls, *options):
    """Peak memory of our program over these calls, and the answers."""
    answers = soap.ours(calls, *options)
    return max(answer["peak_kib"] for answer in answers), answers


class Attacks(unittest.TestCase):
    """XML that wants to hurt, from a service and as its WSDL; case 40 of the fault suite does it to the fleet."""

    def setUp(self):
        self.hostile = soap.Hostile()
        self.addCleanup(self.hostile.close)
        self.canary = f"{self.hostile.url}/canary"

    def test_hostile_answers(self):
        """Each is refused at once, in little memory, and nothing external is loaded."""
        self.hostile.pages["/calculator.wsdl"] = self.hostile.wsdl()
        first = {"base_url": f"{self.hostile.url}/calculator.wsdl", "operation": "Add", "payload": {"intA": 1, "intB": 2}}
        response = '<AddResponse xmlns="urn:mih:calculator"><AddResult>3</AddResult></AddResponse>'
        self.hostile.pages["/calculator"] = f"{soap.ENVELOPE[0]}{response}{soap.ENVELOPE[1]}".encode()
        before, answers = peak_kib([first])
        self.assertEqual("delivered", answers[0]["verdict"])
        for name, xml in soap.attacks(self.canary).items():
            self.hostile.pages["/calculator"] = xml
            with self.subTest(name):
                peak, answers = peak_kib([first, first])
                for answer in answers:
                    self.assertEqual(("BROKEN", "retry"), (answer["kind"], answer["verdict"]), answer["reason"])
                    self.assertLess(answer["ms"], 1000)
                self.assertLess(peak - before, 4096, "KiB more than for a good answer")
                print(f"      attack: {name}: {answers[1]['ms']} ms, {peak - before:+} KiB, {answers[1]['reason'][:90]}", flush=True)
        self.assertNotIn("/canary", self.hostile.asked)

    def test_hostile_wsdls(self):
        """The same as WSDLs, and imports that lead elsewhere, too deep, too far or in circles."""
        call = {"base_url": f"{self.hostile.url}/calculator.wsdl", "operation": "Add", "payload": {"intA": 1, "intB": 2}}
        for name, xml in soap.attacks(self.canary, wide=100_000).items():
            self.hostile.pages["/calculator.wsdl"] = xml
            with self.subTest(name):
                answer, = soap.ours([call])
                self.assertEqual(("BROKEN", "retry"), (answer["kind"], answer["verdict"]), answer["reason"])
                self.assertIn("WSDL http://127.0.0.1", answer["reason"])
        self.assertNotIn("/canary", self.hostile.asked)

    def imports(self, *locations):
        """A WSDL that imports these."""
        wanted = "".join(f'<import namespace="urn:x" location="{location}"/>' for location in locations)
        return f'<definitions xmlns="http://schemas.xmlsoap.org/wsdl/">{wanted}</definitions>'.encode()

    def test_imports_are_bounded(self):
        """file:, other origins, more than 32 documents, more than 5 deep, more than 2 MiB: each named; a circle ends."""
        other = soap.Hostile()
        self.addCleanup(other.close)
        wide = [f"/w{n}.wsdl" for n in range(40)]
        self.hostile.pages.update({path: self.imports() for path in wide})
        self.hostile.pages.update({f"/d{n}.wsdl": self.imports(f"/d{n + 1}.wsdl") for n in range(9)})
        self.hostile.pages.update({f"/big{n}.wsdl": self.imports() + b" " * 900_000 for n in range(3)})
        self.hostile.pages["/loop.wsdl"] = self.imports("/start.wsdl", "/loop.wsdl#again")
        rows = [(["file:///etc/passwd"], "another origin"), ([f"{other.url}/x.wsdl"], "another origin"), (["//169.254.169.254/x"], "another origin"),
                (["http://user@127.0.0.1/x"], "another origin"), (["gopher://127.0.0.1/x"], "another origin"), (wide, "too many documents"),
                (["/d0.wsdl"], "nested too deep"), ([f"/big{n}.wsdl" for n in range(3)], "too large"), (["/loop.wsdl"], "defines nothing")]
        for locations, reason in rows:
            self.hostile.pages["/start.wsdl"] = self.imports(*locations)
            with self.subTest(locations[0]):
                answer, = soap.ours([{"base_url": f"{self.hostile.url}/start.wsdl", "operation": "Add", "payload": {}}])
                self.assertEqual("BROKEN", answer["kind"], answer)
                self.assertIn(reason, answer["reason"])
        self.assertEqual([], other.asked)
        self.assertEqual(1, self.hostile.asked.count("/loop.wsdl"))

    def test_the_network_guard_holds_for_wsdls_and_calls(self):
        """With nothing allowed, neither the WSDL nor an address in it is connected to."""
        self.hostile.pages["/calculator.wsdl"] = self.hostile.wsdl()
        call = {"base_url": f"{self.hostile.url}/calculator.wsdl", "operation": "Add", "payload": {"intA": 1, "intB": 2}}
        answer, = soap.ours([call], environment={"MIH_TEST_NETWORKS": ""})
        self.assertEqual(("INVALID", "reject"), (answer["kind"], answer["verdict"]), answer)
        self.assertEqual([], self.hostile.asked)
        self.hostile.pages["/calculator.wsdl"] = self.hostile.wsdl().replace(self.hostile.url.encode(), b"http://10.0.0.1")
        answer, = soap.ours([call])
        self.assertEqual(("INVALID", "reject"), (answer["kind"], answer["verdict"]), answer)
        self.assertIn("10.0.0.1", answer["reason"])

    def test_credentials_stay_with_the_origin(self):
        """A WSDL that names another origin gets no credentials for it, and an import from there none either."""
        other = soap.Hostile()
        self.addCleanup(other.close)
        self.hostile.pages["/calculator.wsdl"] = self.hostile.wsdl().replace(self.hostile.url.encode(), other.url.encode())
        call = {"base_url": f"{self.hostile.url}/calculator.wsdl", "operation": "Add", "payload": {"intA": 1, "intB": 2},
                "auth_type": "bearer", "auth_token": "s3cret"}
        own = {**call, "auth_type": "none", "auth_token": None, "headers": '{"X-Token": "s3cret"}'}
        signed = {**call, "auth_type": "none", "auth_token": None, "signing_secret": "whsec_" + base64.b64encode(bytes(24)).decode()}
        for secret in (call, own, signed):
            answer, = soap.ours([secret])
            self.assertEqual("reject", answer["verdict"], answer)
            self.assertIn("another origin, which would get the credentials", answer["reason"])
        self.assertEqual([], other.asked)
        self.assertEqual("Bearer s3cret", self.hostile.headers[0]["Authorization"])
        soap.ours([dict(call, auth_type="none")])
        self.assertEqual(["/calculator"], other.asked)
        soap.ours([call], "--origins", f"http://x {other.url}")
        self.assertEqual("Bearer s3cret", other.headers[1]["Authorization"])
        other.pages["/more.wsdl"] = self.hostile.pages["/calculator.wsdl"]
        self.hostile.pages["/calculator.wsdl"] = self.imports(f"{other.url}/more.wsdl")
        soap.ours([call], "--origins", other.url)
        self.assertNotIn("Authorization", other.headers[2])
        # A token of OAuth 2.0 is added by the HTTP transport, and is no less a credential.
        self.hostile.pages["/token"] = b'{"access_token": "issued-token", "token_type": "bearer"}'
        soap.ours([{**call, "auth_type": "oauth2", "auth_user": "id", "auth_url": f"{self.hostile.url}/token"}], "--origins", other.url)
        self.assertEqual("Bearer issued-token", self.hostile.headers[-1]["Authorization"])
        imports = [headers for path, headers in zip(other.asked, other.headers) if path == "/more.wsdl"]
        self.assertEqual([False, False], ["Authorization" in headers for headers in imports])

    def test_faults_and_answers_of_every_status(self):
        """A fault is one inside any status; without one the status decides; 202 may be empty."""
        def fault(code, words="w"):
            return f"{soap.ENVELOPE[0]}<e:Fault><faultcode>{code}</faultcode><faultstring>{words}</faultstring></e:Fault>{soap.ENVELOPE[1]}".encode()
        good = f"{soap.ENVELOPE[0]}<x/>{soap.ENVELOPE[1]}".encode()
        rows = [((200, fault("e:Client")), "FAULT_SENDER", "reject"), ((500, fault("e:Client.Authentication")), "FAULT_SENDER", "reject"),
                ((404, fault("e:Server")), "FAULT_RECEIVER", "retry"), ((200, fault("e:MustUnderstand")), "FAULT_SENDER", "reject"),
                ((500, fault("x:E_FAIL")), "FAULT_RECEIVER", "retry"), ((400, fault("e:VersionMismatch")), "FAULT_SENDER", "reject"),
                ((200, good), "HTTP", "delivered"), ((500, good), "HTTP", "retry"), ((400, b"<html/>"), "HTTP", "reject"),
                ((404, b""), "HTTP", "retry"), ((202, b""), "HTTP", "delivered"), ((204, b""), "HTTP", "delivered"), ((200, b""), "BROKEN", "retry"),
                ((200, b"ok"), "BROKEN", "retry")]
        self.hostile.pages["/calculator.wsdl"] = self.hostile.wsdl()
        for page, kind, verdict in rows:
            self.hostile.pages["/calculator"] = page
            with self.subTest(str(page)):
                answer, = soap.ours([{"base_url": f"{self.hostile.url}/calculator.wsdl", "operation": "Add", "payload": {"intA": 1, "intB": 2}}])
                self.assertEqual((kind, verdict, page[0]), (answer["kind"], answer["verdict"], answer["status"]), answer)


class Wsdls(unittest.TestCase):
    """Fetched once, kept for a while, waited for."""

    def setUp(self):
        self.hostile = soap.Hostile()
        self.addCleanup(self.hostile.close)
        self.hostile.pages["/calculator.wsdl"] = self.hostile.wsdl()
        self.hostile.pages["/calculator"] = (202, b"")
        self.call = {"base_url": f"{self.hostile.url}/calculator.wsdl", "operation": "Add", "payload": {"intA": 1, "intB": 2}, "timeout": 5}

    def verdicts(self, calls, *options):
        """Of each call, in its order."""
        return [answer["verdict"] for answer in soap.ours([dict(call, id=number) for number, call in enumerate(calls)], *options)]

    def test_one_fetch_serves_all_who_wait(self):
        """A hundred calls at once, while the WSDL takes its time, cause one fetch."""
        def slow(_path):
            time.sleep(0.3)
            return self.hostile.wsdl()
        self.hostile.pages["/calculator.wsdl"] = slow
        self.assertEqual(["delivered"] * 100, self.verdicts([self.call] * 100, "--together"))
        self.assertEqual(1, self.hostile.asked.count("/calculator.wsdl"))

    def test_an_old_one_is_fetched_again_and_serves_when_that_fails(self):
        """With an age of 1 ms every call fetches; when the WSDL is gone, calls go on."""
        fetched = []

        def once(_path):
            fetched.append(1)
            return self.hostile.wsdl() if len(fetched) < 3 else (503, b"")
        self.hostile.pages["/calculator.wsdl"] = once
        self.hostile.pages["/calculator"] = lambda _path: time.sleep(0.01) or (202, b"")
        self.assertEqual(["delivered"] * 6, self.verdicts([self.call] * 6, "--age", "1"))
        self.assertEqual(3, len(fetched))       # two that worked, and one that failed, which is left alone for a minute

    def test_deliveries_that_wait_end_by_their_time_out(self):
        """The WSDL never comes: each call ends as a time-out after its own time, also those that do not fetch."""
        self.hostile.pages["/calculator.wsdl"] = lambda _path: time.sleep(30)
        calls = [dict(self.call, timeout=seconds) for seconds in (1, 2, 1, 3)]
        answers = soap.ours([dict(call, id=number) for number, call in enumerate(calls)], "--together")
        for answer, call in zip(answers, calls):
            self.assertEqual(("TIMEOUT", "retry"), (answer["kind"], answer["verdict"]))
            self.assertGreaterEqual(answer["ms"] + 50, call["timeout"] * 1000)

    def test_a_wsdl_that_fails_tells_how(self):
        """404, a redirect, no service: the verdict is that of the fetch."""
        rows = [((404, b""), "HTTP", "retry"), ((301, b""), "HTTP", "reject"), ((500, b""), "HTTP", "retry"), ((403, b""), "HTTP", "retry")]
        for page, kind, verdict in rows:
            self.hostile.pages["/calculator.wsdl"] = page
            answer, = soap.ours([self.call])
            self.assertEqual((kind, verdict, page[0]), (answer["kind"], answer["verdict"], answer["status"]), answer)
        answer, = soap.ours([dict(self.call, base_url="http://127.0.0.1:1/x.wsdl")])
        self.assertEqual(("CONNECT", "retry"), (answer["kind"], answer["verdict"]))
        self.assertIn("fetching the WSDL", answer["reason"])

    def test_files_only_below_the_folder(self):
        """file: is refused without a folder, outside of it, and by a link that leads out of it."""
        folder = guard.folder("mih-wsdl-")
        inside = os.path.join(folder, "in")
        os.mkdir(inside)
        for path in (os.path.join(inside, "a.wsdl"), os.path.join(folder, "out.wsdl")):
            with open(path, "wb") as stream:
                stream.write(self.hostile.wsdl())
        os.symlink(os.path.join(folder, "out.wsdl"), os.path.join(inside, "link.wsdl"))
        rows = [("in/a.wsdl", ["--folder", inside], "delivered"), ("in/a.wsdl", [], "reject"), ("out.wsdl", ["--folder", inside], "reject"),
                ("in/link.wsdl", ["--folder", inside], "reject"), ("in/../out.wsdl", ["--folder", inside], "reject"),
                ("in/none.wsdl", ["--folder", inside], "reject")]
        for name, options, verdict in rows:
            with self.subTest(f"{name} {options}"):
                self.assertEqual([verdict], self.verdicts([dict(self.call, base_url=f"file://{folder}/{name}")], *options))


CREATED = r"\core\event\user_created"
EVENT = '{"eventname": "\\\\core\\\\event\\\\user_created", "userid": %d, "objectid": 40}'


class Worker(shared.HubTest):
    """From the event to the SoapServer, by the real worker."""

    def test_events_become_calls_and_faults_become_dead_letters(self):
        """Delivered, rejected by the WSDL, rejected by a Client fault; the dead letters keep the JSON."""
        server = soap.SoapServer()
        self.addCleanup(server.close)
        hub = self.hub(processes=1)
        service = hub.service(f"{server.url}/calculator.wsdl", type="soap", retry_backoff=1, max_retries=1, long_retries=0)
        add = hub.rule(service, CREATED, "/Add", payload_template='{"intB": {{userid}}, "intA": {{objectid}}}')
        wrong = hub.rule(service, CREATED, "Add", payload_template='{"intA": {{userid}}}')
        divide = hub.rule(service, CREATED, "Divide", payload_template='{"intA": {{userid}}, "intB": 0}', http_method="GET")
        broken = hub.rule(service, CREATED, "Divide", payload_template='{"intA": {{userid}}, "intB": -1}')
        hub.start()
        hub.raw(CREATED, EVENT % 2)
        wait_until(lambda: hub.dead_count() == 3, 60, "three dead letters")
        letters = {int(message["headers"]["x-mih-rule"]): message["headers"] for message in hub.dead_messages()}
        self.assertEqual({wrong, divide, broken}, set(letters))
        self.assertRegex(letters[wrong]["x-mih-reason"], r"^policy: SOAP: intB: it is missing")
        self.assertRegex(letters[divide]["x-mih-reason"], r"^SOAP fault: Client: Division by zero")
        self.assertRegex(letters[broken]["x-mih-reason"], r"^SOAP fault: Server: Out of order")
        self.assertEqual((1, 2), tuple(int(letters[rule]["x-mih-attempt"]) for rule in (divide, broken)))
        row = wait_until(lambda: hub.database.query("SELECT endpoint, payload, http_status, response FROM mdl_local_integrationhub_dlq "
                                                    f"WHERE ruleid = {divide}"), 30, "the dead letter's row")[0]
        self.assertEqual([f"{server.url}/calculator.wsdl#Divide", '{"intA":2,"intB":0}', "500"], [row[0], re.sub(r"\s", "", row[1]), row[2]])
        self.assertEqual({"faultcode": "SOAP-ENV:Client", "faultstring": "Division by zero"}, json.loads(row[3]))
        got = [call for record in server.record() if "calls" in record for call in record["calls"]]
        self.assertEqual([{"intA": 40, "intB": 2}], [call["arguments"][0] for call in got if call["operation"] == "Add"])
        self.assertTrue(add)
        self.replay(hub, server, service, divide)

    def replay(self, hub, server, service, rule):
        """As sent: the JSON of then, whatever the template is today."""
        hub.database.query(f"UPDATE mdl_local_integrationhub_rules SET payload_template = '{{\"intA\": 99, \"intB\": 9}}' WHERE id = {rule}")
        process = replays.start(hub)
        self.addCleanup(process.kill9)
        replay = replays.ask(hub, serviceid=service, mode="sent", ruleid=rule)
        self.assertEqual("done", replays.wait_ended(hub, replay)[0])
        again = []

        def arrived():
            again.extend(record for record in server.record() if "calls" in record)
            return again
        wait_until(arrived, 30, "the replayed call")
        self.assertEqual([{"operation": "Divide", "arguments": [{"intA": 2, "intB": 0}]}], again[0]["calls"])


if __name__ == "__main__":
    unittest.main()
