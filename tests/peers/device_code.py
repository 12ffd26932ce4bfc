"""Signs in by device code with Microsoft's own library (MSAL for Python) at a lab's identity service.

    device_code.py ADDRESS ROOT.pem

Prints `code …` for a person to type, and `token for …` when the person has signed in.
"""

import os
import socket
import sys

address, root = sys.argv[1:3]
HOST = "login.contoso.example"

# The library asks the system for the name; everything else is as it comes.
os.environ["REQUESTS_CA_BUNDLE"] = root
ask_system = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: ask_system(address if host == HOST else host, *rest, **more)

import msal  # noqa: E402

app = msal.PublicClientApplication(
    "a850aaae-d5a5-4e82-877c-ce54ff916282",
    authority=f"https://{HOST}/common",
    instance_discovery=False,
)
flow = app.initiate_device_flow(scopes=["00000004-0000-0ff1-ce00-000000000000/.default"])
if "user_code" not in flow:
    sys.exit(f"refused {flow}")
print("code", flow["user_code"], flush=True)
token = app.acquire_token_by_device_flow(flow)
if "access_token" not in token:
    sys.exit(f"refused {token.get('error')} {token.get('error_description')}")
claims = token.get("id_token_claims", {})
print("token for", claims.get("preferred_username") or claims.get("upn"), flush=True)
