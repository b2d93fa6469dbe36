"""Reads an export as somebody who does not know groupfold does, and says what is in it, as JSON.

    read_export.py PATH        PATH.manifest.json is beside it
"""

import collections
import csv
import hashlib
import json
import os
import sys


def rows_of(manifest, folder, path):
    """Rows of all files as dictionaries, by libraries that have nothing to do with groupfold's."""
    form = manifest["format"]
    if form == "csv":
        csv.field_size_limit(1 << 30)
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    if form in ("jsonl", "cloudevents"):
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        if form == "jsonl":
            return lines
        for line in lines:
            assert line["specversion"] == "1.0" and line["id"] and line["source"], line
            assert line["type"] == "groupfold." + line["data"]["kind"], line
        return [line["data"] for line in lines]
    return parquet_rows(manifest, folder)


def parquet_rows(manifest, folder):
    import duckdb
    import pyarrow
    import pyarrow.parquet

    rows = []
    for file in manifest["files"]:
        table = pyarrow.parquet.read_table(os.path.join(folder, file["path"]), partitioning=None)
        schema = table.schema
        assert schema.field("log_time").type == pyarrow.timestamp("ms", tz="UTC"), schema
        assert schema.field("pricing_billable").type == pyarrow.bool_(), schema
        assert schema.field("sequence").type == pyarrow.int64(), schema
        assert schema.field("member_wa_ids").type.value_type == pyarrow.string(), schema
        part = table.to_pylist()
        assert len(part) == file["events"], file
        days = {row["log_time"].strftime("%Y-%m-%d") for row in part}
        if manifest["by_day"]:
            assert len(days) == 1 and f"day={days.pop()}/" in file["path"], file
        rows += part
    files = [os.path.join(folder, file["path"]) for file in manifest["files"]]
    counted = duckdb.sql(
        "select kind, count(*), count(distinct event_id), max(log_time) from read_parquet($1) group by kind",
        params=[files],
    ).fetchall()
    assert {kind: count for kind, count, _, _ in counted} == manifest["kinds"], counted
    return rows


def main(path):
    with open(path + ".manifest.json", encoding="utf-8") as file:
        manifest = json.load(file)
    folder = os.path.dirname(path)
    for file in manifest["files"]:
        with open(os.path.join(folder, file["path"]), "rb") as content:
            content = content.read()
        assert hashlib.sha256(content).hexdigest() == file["sha256"], file
        assert len(content) == file["bytes"], file
    rows = rows_of(manifest, folder, path)
    data = hashlib.sha256()
    for row in rows:
        value = row["data"] if isinstance(row["data"], dict) else json.loads(row["data"])
        data.update(json.dumps(value, sort_keys=True).encode())
    print(
        json.dumps(
            {
                "rows": len(rows),
                "kinds": collections.Counter(row["kind"] for row in rows),
                "ids": [row["event_id"] for row in rows],
                "positions": [f"{row['partition']}:{row['sequence']}" for row in rows],
                "data": data.hexdigest(),
            }
        )
    )


main(sys.argv[1])
