#!/usr/bin/env python3
"""Holds what flowq knows after a pull against what make_network.py made.

usage: check_pull.py FOLDER      (made.json, pulled.json, show.json and one file for each table of flowq)
Exit code 0 if all is as it was made; else 1 with a line for each difference.
"""

import json
import os
import sys

folder = sys.argv[1]
wrong = []


def load(name):
    with open(os.path.join(folder, name + ".json")) as file:
        return json.load(file)


def same(what, found, wanted):
    print(f"{what}: {'ok' if found == wanted else 'WRONG'}")
    if found != wanted:
        wrong.append(f"{what}: flowq has {found!r}, made was {wanted!r}")


made = load("made")
tables = {
    name: load(name)
    for name in ("network_interfaces", "subnets", "vpcs", "security_groups", "security_group_rules", "network_acl_entries", "prefix_lists")
}

for kind, total in made["totals"].items():
    held = {line["kind"]: line["objects"] for line in load("show")}
    # An AWS-managed list is told by two commands and is one list.
    same(f"number of {kind}", held.get(kind, 0), total)
held = {line["kind"]: line["objects"] for line in load("show")}
for kind, count in made["held"].items():
    same(f"number of {kind}", held.get(kind, 0), count)

vpc = [row for row in tables["vpcs"] if row["vpc_id"] == made["vpc"]["id"]]
same("blocks of the VPC", [sorted(row["cidrs"]) for row in vpc], [made["vpc"]["cidrs"]])
same("account of the VPC", [row["account_id"] for row in vpc], [made["account"]])
for subnet, cidr in made["subnets"].items():
    same(f"block of {subnet}", [row["cidrs"] for row in tables["subnets"] if row["subnet_id"] == subnet], [[cidr]])
for interface, wanted in made["interfaces"].items():
    rows = [row for row in tables["network_interfaces"] if row["interface_id"] == interface]
    found = [(row["subnet_id"], row["addresses"], sorted(row["security_group_ids"])) for row in rows]
    same(f"interface {interface}", found, [(wanted["subnet"], [wanted["address"]], wanted["groups"])])
for group, wanted in made["rules"].items():
    rows = [row for row in tables["security_group_rules"] if row["security_group_id"] == group]
    ports = lambda row: "-" if row.get("from_port") is None else f"{row['from_port']}-{row['to_port']}"
    same(f"rules of {group}", sorted(f"{row['direction']} {ports(row)} {row['remote']}" for row in rows), wanted)
    same(f"rule ids of {group}", all((row["rule_id"] or "").startswith("sgr-") for row in rows), True)
rows = [row for row in tables["network_acl_entries"] if row["nacl_id"] == made["acl"]["id"] and row["rule_number"] < 32767]
same("entries of the network ACL", sorted(f"{r['direction']} {r['rule_number']} {r['action']} {r['cidr']}" for r in rows), made["acl"]["entries"])
rows = [row for row in tables["prefix_lists"] if row["prefix_list_id"] == made["prefix_list"]["id"]]
same("entries of the prefix list", sorted(rows[0]["cidrs"] if rows else []), sorted(made["prefix_list"]["cidrs"]))

regions = {line["region"] for line in load("pulled") if line["state"] == "imported"}
same("regions", regions, {"us-east-1", "eu-west-1"})
same("a file for each call", all(os.path.isfile(line["file"]) for line in load("pulled") if line["state"] == "imported"), True)

for line in wrong:
    print("  " + line)
sys.exit(1 if wrong else 0)
