"""Makes the container `shop` in the Azurite on a port: the Rust client has no call for it."""

import base64
import email.utils
import hashlib
import hmac
import sys
import urllib.request

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

date = email.utils.formatdate(usegmt=True)
headers = f"x-ms-date:{date}\nx-ms-version:2021-08-06"
to_sign = f"PUT{chr(10) * 12}{headers}\n/{ACCOUNT}/{ACCOUNT}/shop\nrestype:container"
signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), to_sign.encode(), hashlib.sha256)).decode()
request = urllib.request.Request(
    f"http://127.0.0.1:{sys.argv[1]}/{ACCOUNT}/shop?restype=container",
    method="PUT",
    headers={"x-ms-date": date, "x-ms-version": "2021-08-06", "Authorization": f"SharedKey {ACCOUNT}:{signature}"},
)
urllib.request.urlopen(request, timeout=30)
