"""An identity provider: gives tokens to clients that show their secret, and the keys they are
signed with.

Arguments: PORT CERTIFICATE LIFETIME. CERTIFICATE is a file with key and certificate of TLS.
`/token` takes a form (RFC 6749, 4.4) and gives a token of LIFETIME seconds, whose subject is the
client's id; a client's secret is its id and `-secret`. `/keys` are the keys; `/asked` is how many
tokens each client was given. One that begins again signs with the same key.
"""

import base64
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

PORT, CERTIFICATE, LIFETIME = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
KEY = "signing.key"
CLIENTS = {"node", "admin", "app"}

asked = {}
lock = threading.Lock()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*words, data=b""):
    return subprocess.run(["openssl", *words], input=data, check=True, capture_output=True).stdout


def token(client):
    now = int(time.time())
    head = {"alg": "RS256", "kid": "one"}
    claims = {"sub": client, "iss": "identity", "aud": "kafka", "iat": now, "exp": now + LIFETIME}
    text = ".".join(base64url(json.dumps(part).encode()) for part in (head, claims))
    return f"{text}.{base64url(openssl('dgst', '-sha256', '-sign', KEY, data=text.encode()))}"


def keys():
    modulus = openssl("rsa", "-in", KEY, "-noout", "-modulus").decode().strip().split("=")[1]
    key = {"kty": "RSA", "use": "sig", "kid": "one", "n": base64url(bytes.fromhex(modulus)),
           "e": "AQAB"}
    return {"keys": [key]}


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            known = {"/keys": keys, "/asked": lambda: asked}
            found = known.get(self.path)
            self.answer(200 if found else 404, found() if found else {})

    def do_POST(self):
        form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = urllib.parse.parse_qs(form)
        kind, _, shown = self.headers.get("Authorization", "").partition(" ")
        client, _, secret = base64.b64decode(shown).decode().partition(":")
        if kind != "Basic" or client not in CLIENTS or secret != f"{client}-secret":
            return self.answer(401, {"error": "invalid_client", "error_description": "who?"})
        if form.get("grant_type") != ["client_credentials"] or form.get("scope") != ["kafka"]:
            return self.answer(400, {"error": "invalid_request"})
        with lock:
            asked[client] = asked.get(client, 0) + 1
        self.answer(200, {"access_token": token(client), "token_type": "bearer",
                          "expires_in": LIFETIME})

    def log_message(self, *_):
        pass


if not os.path.exists(KEY):
    openssl("genrsa", "-out", KEY, "2048")
server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
