"""Servers to deliver to: nginx with every kind of door, and a forward proxy.

    world = Nginx doors: http, https (HTTP/2 offered), mtls (a client certificate wanted), and the same http on ::1
    world.requests()    what arrived, each a dict

Paths: /ok/... 200; /slow/... 200 after 100 ms; /basic/... wants user `canary-user` and the password of `world.password`; /status-NNN/...
"""
import json
import os
import shutil

import guard
from services import Nginx, Server, free_port, listens, write_file

USER = "canary-user"

_HTTP = """
    log_format door escape=json '{"door":"$server_name","protocol":"$server_protocol","id":"$http_webhook_id","method":"$request_method",'
        '"uri":"$request_uri","status":$status,"at":$msec,"took":$request_time,"connection":$connection,'
        '"authorization":"$http_authorization","apikey":"$http_x_api_key","ownkey":"$http_x_own_key",'
        '"type":"$http_content_type","accept":"$http_accept","signature":"$http_webhook_signature",'
        '"timestamp":"$http_webhook_timestamp","site":"$http_x_site","who":"$ssl_client_s_dn","body":"$request_body"}';
    access_log {folder}/requests.jsonl door;
    client_body_buffer_size 2m;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    server { server_name http; listen 127.0.0.1:{port}; listen [::1]:{port}; {locations} }
    server { server_name https; listen 127.0.0.1:{https} ssl http2; {locations} }
    server { server_name http11; listen 127.0.0.1:{http11} ssl; {locations} }
    server { server_name mtls; listen 127.0.0.1:{mtls} ssl http2; ssl_client_certificate {ca}; ssl_verify_client on; {locations} }
"""
_LOCATIONS = """
        location /ok/ { echo_read_request_body; echo '{"ok":true}'; }
        location /basic/ { auth_basic "a"; auth_basic_user_file {folder}/users; echo_read_request_body; echo '{"ok":true}'; }
        location /slow/ { echo_read_request_body; echo_sleep 0.1; echo '{"ok":true}'; }
        location /status-404/ { echo_status 404; echo_read_request_body; echo 'no'; }
        location /status-422/ { echo_status 422; echo_read_request_body; echo 'no'; }
        location /repeat/ { return 422 "no: $http_authorization $http_x_api_key"; }
        location /lead/ { return 302 "http://x.example/$http_x_api_key"; }
        location /status-503/ { echo_status 503; echo_read_request_body; echo 'no'; }
"""


class Doors(Nginx):
    """nginx with its doors."""

    name = "doors"

    def __init__(self, certificates, name, password):
        self.password = password
        self.ports = {door: free_port() for door in ("https", "http11", "mtls")}
        places = {"certificate": certificates.path(name, "pem"), "key": certificates.path(name, "key"), "ca": certificates.ca, **self.ports}
        text = _HTTP.replace("{locations}", _LOCATIONS)
        for key, value in places.items():
            text = text.replace("{" + key + "}", str(value))
        super().__init__(text)

    def prepare(self):
        super().prepare()
        status, output, _ = guard.run(["openssl", "passwd", "-apr1", "-stdin"], data=self.password.encode() + b"\n")
        assert status == 0
        write_file(os.path.join(self.folder, "users"), f"{USER}:{output.decode().strip()}\n", 0o644)

    def door(self, name, host="127.0.0.1"):
        """The URL of a door."""
        return f"http://{host}:{self.port}" if name == "http" else f"https://{host}:{self.ports[name]}"

    def requests(self, path=""):
        """What arrived so far, whose URL begins so."""
        try:
            with open(os.path.join(self.folder, "requests.jsonl"), encoding="utf-8", errors="surrogateescape") as stream:
                lines = [json.loads(line) for line in stream.read().split("\n")[:-1]]
        except FileNotFoundError:
            return []
        return [line for line in lines if line["uri"].startswith(path)]


class Tinyproxy(Server):
    """A real forward proxy that wants a password."""

    name = "tinyproxy"
    program = "tinyproxy"

    def __init__(self, password):
        self.port = free_port()
        self.password = password
        super().__init__()

    def url(self):
        """With user and password."""
        return f"http://{USER}:{self.password}@127.0.0.1:{self.port}"

    def prepare(self):
        self.configuration = write_file(os.path.join(self.folder, "conf"), (
            f"Port {self.port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 100\nLogFile \"{self.folder}/proxy.log\"\nLogLevel Info\n"
            f"Allow 127.0.0.1\nBasicAuth {USER} {self.password}\n"))

    def command(self):
        return [shutil.which("tinyproxy"), "-d", "-c", self.configuration], dict(os.environ)

    def ready(self):
        return listens(self.port)

    def seen(self):
        """Its log."""
        with open(os.path.join(self.folder, "proxy.log"), encoding="utf-8", errors="replace") as stream:
            return stream.read()


def bundle(certificates, name):
    """A client certificate as an administrator would paste it: certificate and key in one text."""
    return certificates.path(name, "pem").read_text() + certificates.path(name, "key").read_text()


class Vault:
    """Moodle's key file, and what it encrypts: by Moodle's own class where there is a Moodle, else by PHP as that class does it."""

    CODE = ("$key = file_get_contents($argv[1]); foreach (json_decode(stream_get_contents(STDIN)) as $text) { "
            "$nonce = random_bytes(SODIUM_CRYPTO_SECRETBOX_NONCEBYTES); "
            "$out[] = 'sodium:' . base64_encode($nonce . sodium_crypto_secretbox($text, $nonce, $key)); } echo json_encode($out);")
    MOODLE = ("define('MOODLE_INTERNAL', true); class coding_exception extends Exception {} class moodle_exception extends Exception {} "
              "$CFG = (object) ['secretdataroot' => dirname(dirname($argv[1])), 'nokeygeneration' => true]; require $argv[2]; "
              "foreach (json_decode(stream_get_contents(STDIN)) as $text) { $out[] = \\core\\encryption::encrypt($text); } echo json_encode($out);")

    def __init__(self, folder):
        os.makedirs(os.path.join(folder, "key"))
        self.path = os.path.join(folder, "key", "sodium.key")
        with open(self.path, "wb") as stream:
            stream.write(os.urandom(32))
        os.chmod(self.path, 0o400)

    def encrypt(self, *texts):
        """The texts as they stand in the database."""
        code = os.path.join(os.environ.get("MOODLE_DIR", ""), "moodle", "lib", "classes", "encryption.php")
        arguments = ["-r", self.MOODLE, "--", self.path, code] if os.path.exists(code) else ["-r", self.CODE, "--", self.path]
        status, output, errors = guard.run(["php", *arguments], data=json.dumps(texts).encode())
        assert status == 0, errors.decode(errors="replace")
        return json.loads(output)


