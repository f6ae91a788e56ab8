"""The scriptable HTTP(S) service (tests/stub/http_stub.py) as a running process, and certificates of every kind to run it with.

    certificates = Certificates(folder); certificates.signed("valid", "IP:127.0.0.1")
    stub = Stub(folder, "https", "--tls", certificates.path("valid", "pem"), certificates.path("valid", "key"))
    stub.url, stub.record()
"""
import json
import pathlib
import subprocess
import sys

STUB = pathlib.Path(__file__).resolve().parents[1] / "stub/http_stub.py"


def openssl(*arguments):
    """Runs openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


class Certificates:
    """An authority and the certificates it signs, made with openssl."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.ca = self.selfsigned("authority", "basicConstraints=critical,CA:TRUE")

    def path(self, name, kind):
        return self.folder / f"{name}.{kind}"

    def selfsigned(self, name, extension="subjectAltName=IP:127.0.0.1"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-keyout", self.path(name, "key"), "-out", self.path(name, "pem"),
                "-days", "2", "-subj", f"/CN={name}", "-addext", extension)
        return self.path(name, "pem")

    def signed(self, name, subject_name, *validity):
        """Signed by the authority; validity: -startdate and -enddate for openssl ca."""
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-keyout", self.path(name, "key"), "-out", self.path(name, "csr"),
                "-subj", f"/CN={name}")
        database = self.path(name, "index")
        database.write_text("")
        config = self.path(name, "cnf")
        config.write_text(f"[ca]\ndefault_ca=a\n[a]\ndatabase={database}\n"
                          f"new_certs_dir={self.folder}\nrand_serial=yes\ndefault_md=sha256\n"
                          f"policy=p\nx509_extensions=e\ndefault_days=2\n[p]\ncommonName=supplied\n"
                          f"[e]\nsubjectAltName={subject_name}\n")
        openssl("ca", "-batch", "-config", config, "-cert", self.ca,
                "-keyfile", self.path("authority", "key"), "-in", self.path(name, "csr"),
                "-out", self.path(name, "pem"), "-notext", *validity)


class Stub:
    """A running http_stub.py and its record."""

    def __init__(self, folder, name, *arguments):
        self.record_file = pathlib.Path(folder) / f"{name}.jsonl"
        self.scheme = "https" if "--tls" in arguments else "http"
        self.process = subprocess.Popen(
            [sys.executable, STUB, "--until-eof", "--record", self.record_file, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    @property
    def url(self):
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def record(self, path=""):
        """The requests so far; `path`: only those whose path begins so."""
        if not self.record_file.exists():
            return []
        requests = [json.loads(line) for line in self.record_file.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [request for request in requests if request["path"].startswith(path)]


class OldServer:
    """openssl s_server that speaks TLS 1.1 at the most and prints what it is sent."""

    scheme = "https"

    def __init__(self, certificate, key):
        self.output = ""
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-tls1_1", "-cipher",
             "ALL:@SECLEVEL=0", "-cert", certificate, "-key", key],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        line = ""
        while not line.startswith("ACCEPT"):
            line = self.process.stdout.readline()
        self.port = int(line.rpartition(":")[2])

    @property
    def url(self):
        """Where it listens."""
        return f"https://127.0.0.1:{self.port}"

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.output, _ = self.process.communicate(timeout=10)
        return self.output
