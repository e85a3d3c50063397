#!/usr/bin/env python3
"""Pulls the pages of pull-bench with dlt and merges them into a Postgres of its own by e-mail address: dlt_merge.py URL.

The same 18 fields as benches/src/customers/mod.rs. Prints what it took: the processor time is the client's alone, which
leaves out what Postgres spends.
"""
import glob, json, os, pwd, resource, shutil, socket, subprocess, sys, tempfile, time

os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
import dlt
from dlt.sources.helpers import requests

GENDER = {"F": "female", "M": "male"}
STAGE = {"1": "lead", "2": "prospect", "3": "customer"}
CONSENT = {"yes": "subscribed", "no": "unsubscribed"}


def mapped(it):
    phone = it["phone"].replace(" ", "")
    year, month, day = it["birthday"].split("/")
    address = it["address"]
    return {
        "id": it["id"], "email": it["email"].strip().lower(), "given_name": it["first_name"].strip(),
        "family_name": it["last_name"].strip(), "phone": phone if phone.startswith("+86") else "+86" + phone,
        "street": address["line1"].strip(), "city": address["city"].strip(), "province": address["province"].strip(),
        "postal_code": address["zip"].strip(), "country": address["country"].strip(), "company": it["company"].strip(),
        "title": it["job_title"].strip(), "birth_date": f"{year}-{month:0>2}-{day:0>2}",
        "gender": GENDER.get(it["gender"], "other"), "tags": ",".join(sorted({tag.strip() for tag in it["tags"].split(",")})),
        "owner": it["owner"].strip(), "lifecycle": STAGE.get(it["stage"], "former"),
        "consent": CONSENT.get(it["accepts_mail"], "pending"), "remark": it["note"].strip(), "website": it["site"].strip(),
        "language": it["locale"].strip(), "orders": str(it["orders_count"]), "spent": it["total_spent"].strip(),
    }


def pages(url):
    after = ""
    while after is not None:
        reply = requests.get(f"{url}/customers", params={"after": after} if after else None).json()
        after = reply["next"]
        yield reply["customers"]


def postgres(folder):
    """Starts a server of its own in the folder; returns its port and how to stop it."""
    bin = max(glob.glob("/usr/lib/postgresql/*/bin"))
    user = {}
    if os.getuid() == 0:
        # Postgres does not run as root.
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True, "cwd": "/tmp", **user}
    data = f"{folder}/data"
    subprocess.run([f"{bin}/initdb", "-D", data, "-U", "peer", "-A", "trust", "-E", "UTF8", "--no-sync"], **quiet)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c shared_buffers=256MB"
    control = [f"{bin}/pg_ctl", "-D", data, "-l", f"{data}/log", "-w"]
    subprocess.run([*control, "-o", options, "start"], **quiet)
    return port, lambda: subprocess.run([*control, "-m", "immediate", "stop"], **quiet)


def main(url):
    folder = tempfile.mkdtemp()
    port, stop = postgres(folder)
    try:
        pipeline = dlt.pipeline(
            "peer", dataset_name="shop", pipelines_dir=f"{folder}-dlt",
            destination=dlt.destinations.postgres(f"postgresql://peer:trusted@127.0.0.1:{port}/postgres"),
        )
        resource_of = dlt.resource(pages(url), name="customer", write_disposition="merge", primary_key="email")
        resource_of.add_map(mapped)
        rows = 0

        def counted(it):
            nonlocal rows
            rows += 1
            return it

        resource_of.add_map(counted)
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        pipeline.run(resource_of)
        after, wall = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
        with pipeline.sql_client() as client:
            kept = client.execute_sql("SELECT COUNT(*) FROM customer")[0][0]
    finally:
        stop()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(f"{folder}-dlt", ignore_errors=True)
    print(json.dumps({
        "rows": rows, "wall": wall, "user": after.ru_utime - before.ru_utime, "system": after.ru_stime - before.ru_stime,
        "peak": after.ru_maxrss / 1024, "told": f"{kept} customers, its own processor time only",
    }))


main(sys.argv[1])
