"""Reads the tables of a run directory as its commit records have them: independent of lucarne's own code.

The commit records are described in `schemas/run.schema.json` and `src/ARCHITECTURE.md`.
"""

import hashlib
import json
import os

import pyarrow.parquet as parquet

# Rows of Parquet tables as text, in order, bit for bit; and the digests of other files by name.
Tables = dict[str, dict]


def commit_records(run_dir):
    """The latest checkpoint and the records after it; raises if one is missing."""
    folder = os.path.join(run_dir, "_commits")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    numbers = sorted(int(name[:-5]) for name in names if name.endswith(".json") and not name.startswith("."))
    records = []
    for number in range(numbers[-1], 0, -1) if numbers else []:
        with open(os.path.join(folder, f"{number:010}.json")) as file:
            records.insert(0, json.load(file))
        if records[0]["checkpoint"]:
            break
    return records


def tables(run_dir) -> Tables:
    """The tables of a run; parts may still be in staging."""
    found: Tables = {}
    for record in commit_records(run_dir):
        for table, parts in record["tables"].items():
            rows = found.setdefault(table, {"rows": [], "files": {}})
            for part in parts:
                path = os.path.join(run_dir, table, part["file"])
                if not os.path.exists(path):
                    path = os.path.join(run_dir, "_staging", table, part["file"])
                if path.endswith(".parquet"):
                    content = parquet.ParquetFile(path).read()
                    names = content.schema.names
                    columns = [content.column(name).to_pylist() for name in names]
                    rows["rows"] += [repr(list(zip(names, row))) for row in zip(*columns)]
                else:
                    with open(path, "rb") as file:
                        rows["files"][part["file"]] = hashlib.sha256(file.read()).hexdigest()
    return found


def difference(expected: Tables, found: Tables, unfinished=False):
    """What is lost, doubled, or other than expected; None if nothing is. An unfinished run has the first rows of each table."""
    if not unfinished and expected.keys() != found.keys():
        return f"the tables are {sorted(found)}, expected {sorted(expected)}"
    for table, content in found.items():
        want = expected[table]
        rows, files = want["rows"], want["files"]
        if unfinished:
            rows = rows[: len(content["rows"])]
            files = {name: digest for name, digest in files.items() if name in content["files"]}
        if content["rows"] != rows:
            doubled = len(content["rows"]) - len(set(content["rows"]))
            return f"`{table}` has {len(content['rows'])} rows ({doubled} doubled), expected {len(rows)}, or others"
        if content["files"] != files:
            return f"`{table}` has {len(content['files'])} files, expected {len(files)}, or others"
    return None


def strays(run_dir):
    """Files that no record names, in a run directory that a start has cleaned."""
    named = {"run.json", "_lock"}
    records = commit_records(run_dir)
    for record in records:
        named.add(f"_commits/{record['commit']:010}.json")
        named |= {f"{table}/{part['file']}" for table, parts in record["tables"].items() for part in parts}
    last = records[-1]
    named |= {f"_commits/{state['file']}" for state in [*last["monitors"].values(), *last.get("sinks", {}).values()]}
    found = set()
    for folder, folders, files in os.walk(run_dir):
        below = os.path.relpath(folder, run_dir)
        found |= {os.path.normpath(os.path.join(below, name)) for name in files}
        found |= {name for name in folders if below == "." and name in ("_staging", "_dropped")}
    return sorted(found - named)
